"""Streams between real operators and real pods: who may have one, and whom a pod may believe.

Tokens are the API server's own, or forged; another version is this one's source with a few words
changed. Every test has a fleet of its own, because each needs another one.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from control_plane import ISSUER, ControlPlane
from manifests import manifest, route
from other_version import another_version
from portico_fleet import AUDIENCE, DATA_PLANE, Fleet
from portico_ir.stream import PATH, UNITS_PATH
from portico_processes import wait_until
from steady_load import SteadyLoad
from stream_operators import authority
from stream_pods import StreamPods, answered
from tcp_proxy import TcpProxy

QUICK = ("--lease-seconds", "2", "--patience-seconds", "1")
PETS: dict[str, Any] = {"integration": {"service": {"name": "pets", "port": 80}}}
LATER: dict[str, Any] = {
    "integration": {
        "type": "MOCK",
        "requestTemplates": {"application/json": '{"statusCode": 200}'},
        "responses": {"default": {"statusCode": 200}},
    }
}
"""What a version before it does not know."""
MOCK = {"dataplane/portico_ir/integrations.py": {'tag="mock"': 'tag="of a later version"'}}
MODEL = "dataplane/portico_ir/model.py"
AHEAD = {MODEL: {"egress_open: bool = False": 'egress_open: bool = False\n    later: str = ""'}}
UNLIKE = {MODEL: {"IR_VERSION = 1": "IR_VERSION = 2"}}


@pytest.fixture
def fleet(breakable: ControlPlane, tmp_path: Path) -> Iterator[Fleet]:
    """Nobody yet, and one API with a route that nobody edits."""
    with Fleet.made(breakable, tmp_path) as made:
        made.backend("pets")
        made.apply(manifest("RestApi", "shop"), route("steady", "GET /steady", **PETS))
        yield made
        assert [line for process in made.processes() for line in process.noise] == []


# --- who may have a stream --------------------------------------------------------------------


def forged(key: rsa.RSAPrivateKey, claims: dict[str, Any]) -> str:
    """A token as the API server would have signed it, if the key were its own."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "RS256", "kid": ""}).encode())
    text = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{text}.{part(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def claims_of(fleet: Fleet, name: str, lasts: float) -> dict[str, Any]:
    """What a token of this pod says; it ends so many seconds from now."""
    uid = fleet.pod_object(name)["metadata"]["uid"]
    account = fleet.api.get("v1", "ServiceAccount", DATA_PLANE, fleet.namespace)["metadata"]
    now = int(time.time())
    return {
        "aud": [AUDIENCE],
        "exp": now + int(lasts),
        "iat": now - 7200,
        "nbf": now - 7200,
        "iss": ISSUER,
        "jti": "forged",
        "sub": f"system:serviceaccount:{fleet.namespace}:{DATA_PLANE}",
        "kubernetes.io": {
            "namespace": fleet.namespace,
            "pod": {"name": name, "uid": uid},
            "serviceaccount": {"name": DATA_PLANE, "uid": account["uid"]},
        },
    }


def unwelcome(fleet: Fleet, name: str) -> dict[str, str]:
    """Tokens that nobody should take, by what is wrong with them."""
    api, namespace = fleet.api, fleet.namespace
    own = fleet.plane.folder / "account.key"
    key = serialization.load_pem_private_key(own.read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pod = fleet.pod_object(name)
    metadata = {"name": "foreign", "namespace": namespace}
    api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    spec = {"serviceAccountName": "foreign", "containers": [{"name": "c", "image": "none"}]}
    other = api.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    gone = fleet.token("gone").read_text()
    fleet.remove_pod("gone")
    return {
        "malformed": "nonsense",
        "refused": forged(stranger, claims_of(fleet, name, 3600)),
        "expired": forged(key, claims_of(fleet, name, -60)),
        "audience": api.service_account_token(
            namespace, DATA_PLANE, audiences=["another"], pod=pod
        ),
        "service_account": api.service_account_token(
            namespace, "foreign", audiences=[AUDIENCE], pod=other
        ),
        "pod": api.service_account_token(namespace, DATA_PLANE, audiences=[AUDIENCE]),
        "refused: gone": gone,
    }


def test_wrong_expired_and_foreign_tokens_are_refused_and_counted(fleet: Fleet) -> None:
    operator = fleet.operator("one").ready()
    bundle = fleet.authority()
    good = fleet.token("pod-a").read_text()
    # Whoever is let in is told that no WebSocket is spoken to it, or that there is no such unit.
    assert answered(operator, bundle, PATH, good)[0] == 426
    assert answered(operator, bundle, f"{UNITS_PATH}none", good)[0] == 404
    refused = 0
    assert operator.metric("portico_stream_denials") == refused
    for reason, token in {"missing": "", **unwelcome(fleet, "pod-a")}.items():
        for path in (PATH, f"{UNITS_PATH}none"):
            status, said = answered(operator, bundle, path, token)
            assert (status, said.partition(":")[0]) == (401, reason.partition(":")[0]), said
            refused += 1
            assert operator.metric("portico_stream_denials") == refused
    assert answered(operator, bundle, PATH, good)[0] == 426
    assert operator.metric("portico_streams") == 0


def test_a_wrong_authority(fleet: Fleet, tmp_path: Path) -> None:
    fleet.operator("one").ready()
    bundle = tmp_path / "bundle.crt"
    bundle.write_text(authority().certificate)
    pod = fleet.pod("pod-a", authority=bundle)
    said = pod.saw("no operator stream")
    assert "certificate verify failed" in said["reason"]
    assert not pod.is_ready
    beside = bundle.with_suffix(".new")
    beside.write_text(fleet.authority().read_text())
    beside.replace(bundle)
    fleet.ready("pod-a")
    fleet.answers("shop", "/steady", 200, "pets ")


def test_two_hundred_streams_at_once(fleet: Fleet) -> None:
    operator = fleet.operator("one").ready()
    names = [f"pod-{number:03}" for number in range(200)]
    with StreamPods(fleet, operator, names) as pods:
        wait_until(lambda: operator.metric("portico_streams") == len(names), "200 streams")
        pods.have_all("GET /steady")
        fleet.enlist(*names)
        fleet.apply(route("edited", "GET /edited", **PETS))
        pods.have_all("GET /edited")
        fleet.says("Route", "edited", "Programmed", "True")
        found = fleet.api.get("portico.dev/v1alpha1", "RestApi", "shop", fleet.namespace)
        assert found["status"]["dataPlane"]["pods"] == len(names)
    wait_until(lambda: operator.metric("portico_streams") == 0, "the streams to end")
    assert operator.metric("portico_stream_denials") == 0


# --- whom a pod believes ----------------------------------------------------------------------


def through(proxy: TcpProxy, fleet: Fleet, folder: Path) -> Path:
    """A kubeconfig that leads to the API server by way of the proxy."""
    config = json.loads(fleet.plane.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
    file = folder / "held-up.kubeconfig"
    file.write_text(json.dumps(config))
    return file


def test_a_replica_that_lags_takes_no_pod_back(fleet: Fleet, tmp_path: Path) -> None:
    ahead = fleet.operator("ahead", *QUICK).ready()
    with TcpProxy(int(fleet.plane.url.rpartition(":")[2])) as proxy:
        lags = fleet.operator("lags", *QUICK, kubeconfig=through(proxy, fleet, tmp_path)).ready()
        for name in ("pod-a", "pod-b"):
            fleet.pod(name)
        fleet.ready("pod-a", "pod-b")
        for operator in (ahead, lags):
            operator.saw("pod connected", 2)
        proxy.freeze()
        fleet.apply(route("edited", "GET /edited", **PETS))
        fleet.answers("shop", "/edited", 200)
        with SteadyLoad(fleet.ports(), fleet.host("shop"), "/edited") as load:
            ahead.kill()
            for pod in fleet.pods.values():
                pod.saw("no operator stream")
            seen = load.count
            wait_until(lambda: load.count > seen + 200, "requests while only one lags")
            assert lags.metric("portico_streams") == 2
            # It catches up, and from then on it is as good as the other.
            proxy.thaw()
            fleet.apply(route("later", "GET /later", **PETS))
            fleet.answers("shop", "/later", 200)
        assert load.failures == []
        lags.kill()


def test_a_pod_that_refuses_a_unit_is_named_and_serves_the_old_one(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.operator("one", *QUICK).ready()
    fleet.apply(manifest("RestApi", "other"), route("plain", "GET /plain", api="other", **PETS))
    fleet.pod("pod-new")
    fleet.pod("pod-old", environ=another_version(tmp_path / "before", MOCK))
    fleet.ready("pod-new", "pod-old")
    fleet.says("Route", "steady", "Programmed", "True")
    with SteadyLoad(fleet.ports(), fleet.host("shop"), "/steady") as load:
        fleet.apply(route("later", "GET /later", **LATER))
        fleet.answers("shop", "/later", 200, pods=["pod-new"])
        found = fleet.says("Route", "later", "Programmed", "False", "Refused")
        assert "pod-old" in found.message
        assert "pod-new" not in found.message
        # The old one stays, of this API; other APIs go on there, too.
        assert fleet.pods["pod-old"].get(fleet.host("shop"), "/later")[0] == 403
        fleet.apply(route("plain", "GET /changed", api="other", **PETS))
        fleet.answers("other", "/changed", 200)
        fleet.says("Route", "plain", "Programmed", "True")
        fleet.delete("Route", "later")
        fleet.apply(route("readable", "GET /readable", **PETS))
        fleet.answers("shop", "/readable", 200)
        fleet.says("Route", "readable", "Programmed", "True")
    assert load.failures == []


def test_operators_of_two_versions_side_by_side(fleet: Fleet, tmp_path: Path) -> None:
    """An upgrade under way, to a version whose contract has more: all read all."""
    later = another_version(tmp_path / "later", AHEAD)
    now = fleet.operator("now", *QUICK).ready()
    then = fleet.operator("then", *QUICK, environ=later).ready()
    fleet.pod("pod-now")
    fleet.pod("pod-then", environ=later)
    fleet.ready("pod-now", "pod-then")
    with SteadyLoad(fleet.ports(), fleet.host("shop"), "/steady") as load:
        arrives(fleet, "both")
        then.kill()
        arrives(fleet, "old")
        then = fleet.restart(then, environ=later).ready()
        now.kill()
        arrives(fleet, "new")
        fleet.restart(now).ready()
        arrives(fleet, "again")
    assert load.failures == []


def arrives(fleet: Fleet, name: str) -> None:
    """A new Route serves on every pod, and its status says so."""
    fleet.apply(route(name, f"GET /{name}", **PETS))
    fleet.answers("shop", f"/{name}", 200)
    fleet.says("Route", name, "Programmed", "True")


def test_operators_whose_contracts_differ(fleet: Fleet, tmp_path: Path) -> None:
    """An upgrade to a contract that is not the same: pods follow who speaks theirs, or serve on."""
    later = another_version(tmp_path / "later", UNLIKE)
    now = fleet.operator("now", *QUICK).ready()
    then = fleet.operator("then", *QUICK, environ=later).ready()
    fleet.pod("pod-now")
    fleet.pod("pod-then", environ=later)
    fleet.ready("pod-now", "pod-then")
    with SteadyLoad(fleet.ports(), fleet.host("shop"), "/steady") as load:
        arrives(fleet, "both")
        then.kill()
        fleet.apply(route("old", "GET /old", **PETS))
        fleet.answers("shop", "/old", 200, pods=["pod-now"])
        assert "pod-then" in fleet.says("Route", "old", "Programmed", "False").message
        assert fleet.pods["pod-then"].get(fleet.host("shop"), "/both")[0] == 200
        fleet.restart(then, environ=later).ready()
        fleet.answers("shop", "/old", 200)
        now.kill()
        fleet.apply(route("new", "GET /new", **PETS))
        fleet.answers("shop", "/new", 200, pods=["pod-then"])
        assert "pod-now" in fleet.says("Route", "new", "Programmed", "False").message
        assert fleet.pods["pod-now"].get(fleet.host("shop"), "/old")[0] == 200
        fleet.restart(now).ready()
        arrives(fleet, "again")
    assert load.failures == []
