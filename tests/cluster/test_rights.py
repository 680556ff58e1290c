"""An operator under exactly the rights that the chart gives it: all of them are used, none lacks.

The API server's own audit log says what was asked for and what was refused. Operator and pod are
processes with tokens of their ServiceAccounts; nobody here is a system:master but the test.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import helm
from control_plane import ControlPlane
from helm import HelmMissing, Release
from kubernetes_api import GROUP_VERSION, KubernetesApi
from manifests import manifest, route
from operators import condition, status_of
from portico_fleet import Fleet
from portico_operator.cluster.resources import OURS
from portico_processes import OperatorProcess, PodProcess, wait_until
from rights import Line, Request, audited, granted, requests

OWN = "portico-system"
ACCOUNT = "portico-operator"
USER = f"system:serviceaccount:{OWN}:{ACCOUNT}"
OPTIONS = ("--lease=portico-operator", "--lease-seconds=3", "--patience-seconds=0")
GENERATES = "--generate-api-keys"
MADE = frozenset(
    {
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
        "Secret",
        "ConfigMap",
    }
)
"""What a release brings that decides over rights, or that is to be filled."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        helm.binary()
    except HelmMissing as why:
        pytest.skip(str(why))
    return tmp_path_factory.mktemp("helm")


class Bed(NamedTuple):
    """A release's rights in a cluster that keeps an audit log."""

    plane: ControlPlane
    log: Path
    lines: tuple[Line, ...]
    """What the operator's account was given."""
    options: tuple[str, ...] = ()
    """What the chart tells the operator, of what decides over rights."""

    @property
    def api(self) -> KubernetesApi:
        return self.plane.api

    def operator(self, fleet: Fleet, *options: str) -> OperatorProcess:
        token = self.api.service_account_token(OWN, ACCOUNT)
        kubeconfig = self.plane.kubeconfig_with(token, ACCOUNT)
        return fleet.operator(
            "one", *OPTIONS, *self.options, *options, kubeconfig=kubeconfig
        ).ready()

    def asked(self) -> list[Request]:
        return requests(self.log, USER)

    def refused(self) -> list[Request]:
        return [request for request in self.asked() if request.status == 403]

    def unused(self) -> list[Line]:
        asked = set(self.asked())
        return [
            line
            for line in self.lines
            if not any(line.allows(r, OWN) for r in asked)
            and not (line.verb == "get" and (line.group, line.resource) in SELDOM)
        ]

    def ungranted(self) -> list[Request]:
        """What was let through by another right than these; every account may review itself."""
        return [
            request
            for request in set(self.asked())
            if request.status != 403 and not any(line.allows(request, OWN) for line in self.lines)
        ]


Make = Callable[..., Bed]


@pytest.fixture
def release(control_plane: ControlPlane, home: Path, tmp_path: Path) -> Iterator[Make]:
    """Makes the release's accounts and roles, with these values, in a control plane of its own."""
    with audited(control_plane.binaries, tmp_path) as (plane, log):
        plane.install_crds()
        for name in (OWN, "shop", "elsewhere"):
            plane.api.create_namespace(name)
        plane.api.create(a_grant_kind())

        def made(*sets: str) -> Bed:
            rendered = helm.documents(helm.render(Release(namespace=OWN, sets=sets), home))
            for one in rendered:
                if one["kind"] in MADE and "helm.sh/hook" not in one["metadata"].get(
                    "annotations", {}
                ):
                    plane.api.create(one)
            told = _arguments(rendered) & {GENERATES}
            return Bed(plane, log, tuple(granted(rendered, OWN)[ACCOUNT]), tuple(told))

        yield made


def _arguments(rendered: Iterable[dict[str, Any]]) -> set[str]:
    """What the chart tells the operator."""
    (workload,) = (
        one
        for one in rendered
        if one["kind"] == "Deployment" and one["metadata"]["name"] == ACCOUNT
    )
    return set(workload["spec"]["template"]["spec"]["containers"][0]["args"])


def a_grant_kind() -> dict[str, Any]:
    """Gateway API's CRD, as far as an API server needs it to serve the kind."""
    group, plural = "gateway.networking.k8s.io", "referencegrants"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": group,
            "names": {"kind": "ReferenceGrant", "plural": plural},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1beta1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def use_everything(bed: Bed, fleet: Fleet, namespace: str) -> None:
    """An object of every kind, whatever they refer to, and all that the leader writes."""
    api = bed.api

    def apply(*documents: dict[str, Any]) -> None:
        for document in documents:
            api.apply({**document, "metadata": {**document["metadata"], "namespace": namespace}})

    def until(kind: str, name: str, type_: str, status: str) -> None:
        wait_until(
            lambda: condition(api, kind, name, namespace, type_)[0] == status,
            f"{kind} {name} {type_}",
        )

    class_ = manifest(
        "PorticoClass",
        "portico",
        {
            "default": True,
            "generateApiKeys": True,
            "allowedDomains": [
                {"domains": ["*.shop.example"], "namespaceSelector": {"matchLabels": {"a": "b"}}}
            ],
        },
    )
    api.apply({**class_, "metadata": {"name": "portico"}})
    shop, prod = {"name": "shop"}, {"stageName": "prod"}
    first, quota = {"stage": "$default"}, {"quota": {"limit": 1000, "period": "DAY"}}
    target = {"service": {"name": "pets", "port": 80}}
    plan = {"usagePlanRefs": [{"name": "gold"}]}
    for name in ("key", "later", "signer"):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        apply({**secret, "stringData": {"value": f"{name:x<30}"}})
        clients = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        apply({**clients, "data": {"ca.crt": "no certificate"}})
    fleet.backend("pets", namespace)
    apply(
        manifest("RestApi", "shop"),
        manifest("HttpApi", "web"),
        manifest("WebSocketApi", "chat"),
        route("pets", "GET /pets", integration=target),
        manifest("Authorizer", "who", {"apiRef": shop, "authorizerType": "REQUEST", **URL}),
        route("keyed", "GET /keyed", integration=target, apiKeyRequired=True),
        manifest("UsagePlan", "gold", {"apiStages": [{"apiRef": shop, **first}], **quota}),
        manifest("ApiKey", "key", {"secretRef": {"name": "key"}, **plan}),
        manifest("IamUser", "signer", {"accessKeys": [{"secretRef": {"name": "signer"}}]}),
        manifest("DomainName", "d", {"domainNames": ["a.shop.example"], **_tls("key")}),
        manifest("ApiMapping", "m", {"domainRef": {"name": "d"}, "apiRef": shop}),
        manifest("ApiDeployment", "first", {"apiRef": shop}),
    )
    # A Secret that is missing is made, where the chart lets the operator.
    apply(manifest("ApiKey", "made", {"secretRef": {"name": "made"}}))
    until("ApiKey", "made", "ResolvedRefs", "True" if GENERATES in bed.options else "False")
    until("Route", "pets", "Programmed", "True")
    # What a key uses is counted, and kept.
    until("ApiKey", "key", "Programmed", "True")
    (pod,) = fleet.pods.values()
    wait_until(lambda: _called(pod, f"shop.{namespace}.localhost", f"{'key':x<30}"), "a call")
    # Contents that were dropped while nothing referred to them are fetched.
    apply(manifest("ApiKey", "later", {"secretRef": {"name": "later"}, **plan}))
    apply(manifest("DomainName", "later", {"domainNames": ["b.shop.example"], **_tls("later")}))
    # A Stage that is programmed ends the implicit one, which is said aloud.
    until("ApiDeployment", "first", "Accepted", "True")
    apply(manifest("Stage", "prod", {"apiRef": shop, **prod, "deploymentRef": {"name": "first"}}))
    until("Stage", "prod", "Programmed", "True")
    wait_until(lambda: _events_of(api, "RestApi", namespace), "an Event")
    # What no Stage names is removed with its ApiDeployment.
    api.delete(GROUP_VERSION, "Stage", "prod", namespace)
    api.delete(GROUP_VERSION, "ApiDeployment", "first", namespace)
    wait_until(
        lambda: not api.list("apps/v1", "ControllerRevision", namespace), "no revision is left"
    )
    for kind, name in (
        ("RestApi", "shop"),
        ("HttpApi", "web"),
        ("WebSocketApi", "chat"),
        ("Authorizer", "who"),
        ("UsagePlan", "gold"),
        ("ApiKey", "later"),
        ("IamUser", "signer"),
        ("DomainName", "d"),
        ("ApiMapping", "m"),
    ):
        wait_until(lambda k=kind, n=name: status_of(api, k, n, namespace), f"{kind} {name}")  # type: ignore[misc]
    assert condition(api, "DomainName", "d", namespace, "Accepted")[1] == "HostNotAllowed"
    wait_until(lambda: condition(api, "PorticoClass", "portico", "", "Accepted")[0], "the class")


def _tls(truststore: str) -> dict[str, Any]:
    clients = {"truststoreRef": {"name": truststore}}
    return {"certificateRef": {"name": "key"}, "mutualTlsAuthentication": clients}


def _events_of(api: KubernetesApi, kind: str, namespace: str) -> list[dict[str, Any]]:
    """Events of objects of ``kind``: the API server, too, says things."""
    found = api.list("events.k8s.io/v1", "Event", namespace)
    return [event for event in found if event["regarding"]["kind"] == kind]


def _called(pod: PodProcess, host: str, key: str) -> bool:
    """Whether a call with this key comes through."""
    headers = {"Host": host, "x-api-key": key}
    request = urllib.request.Request(f"http://127.0.0.1:{pod.port}/keyed", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refused:
        refused.close()
        return False


SELDOM = frozenset(
    {(line.group, line.plural) for line in OURS.values()} | {("apps", "controllerrevisions")}
)
"""What is read one by one only after a fault: an object that a watch missed and the re-list found
(`Intake._compare`), a part of a revision that a leader left half done (`RevisionStore._settle`)."""
URL = {"url": "http://backend.example/"}


def serve(bed: Bed, fleet: Fleet, *options: str) -> None:
    bed.operator(fleet, *options)
    fleet.pod("pod-1")
    fleet.ready("pod-1")


def test_each_right_is_used_and_none_lacks(release: Make, tmp_path: Path) -> None:
    bed = release()
    with Fleet(bed.plane, OWN, tmp_path) as fleet:
        serve(bed, fleet)
        use_everything(bed, fleet, "shop")
        # Grants are discovered every 30 s, usage is kept every minute.
        wait_until(lambda: not bed.unused(), f"each right: {bed.unused()} is left", 120)
        assert bed.refused() == []
        assert bed.ungranted() == []
        # `kubectl auth can-i --list` agrees, and the data plane may what anybody may.
        anybody = _listed(bed, "default")
        assert _listed(bed, "portico-dataplane") == anybody
        assert _listed(bed, ACCOUNT) - anybody == _expected(bed.lines)


_LISTED = re.compile(r"(\S+) +\[(.*?)\] +\[(.*?)\] +\[(.*?)\]")


def _listed(bed: Bed, account: str) -> set[tuple[str, str, str]]:
    """What `kubectl auth can-i --list` says, asked as the account: resource, name and verb."""
    metadata = {"name": account, "namespace": OWN}
    bed.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    token = bed.api.service_account_token(OWN, account)
    config = f"--kubeconfig={bed.plane.kubeconfig_with(token, account)}"
    said = bed.plane.kubectl("auth", "can-i", "--list", f"--namespace={OWN}", config).stdout
    return {
        (resource, name, verb)
        for resource, _, names, verbs in _LISTED.findall(said)
        for name in names.split() or [""]
        for verb in verbs.split()
    }


def _expected(lines: Iterable[Line]) -> set[tuple[str, str, str]]:
    """The chart's lines as kubectl writes them."""
    found = set()
    for line in lines:
        resource, *sub = line.resource.split("/")
        full = "/".join([f"{resource}.{line.group}" if line.group else resource, *sub])
        found |= {(full, name, line.verb) for name in line.names or ("",)}
    return found


def test_with_namespaces_it_works_in_those_and_touches_no_other(
    release: Make, tmp_path: Path
) -> None:
    bed = release("watchNamespaces={shop}", "operator.apiKeyGeneration=true")
    with Fleet(bed.plane, OWN, tmp_path) as fleet:
        for name in ("elsewhere", OWN):
            for document in (manifest("RestApi", "shop"), route("r", "GET /")):
                metadata = {**document["metadata"], "namespace": name}
                bed.api.create({**document, "metadata": metadata})
        serve(bed, fleet, "--watch-namespace=shop")
        use_everything(bed, fleet, "shop")
        wait_until(lambda: not bed.unused(), f"each right: {bed.unused()} is left", 120)
        assert bed.refused() == []
        assert bed.ungranted() == []
        touched = {request.namespace for request in bed.asked()}
        assert touched == {"", OWN, "shop"}
        # Nothing with a namespace was asked for across the cluster.
        wide = {request.resource for request in bed.asked() if not request.namespace}
        assert wide == {
            "porticoclasses",
            "porticoclasses/status",
            "customresourcedefinitions",
            "tokenreviews",
            "namespaces",
        }
        assert {r.name for r in bed.asked() if r.resource == "namespaces"} == {"shop"}
        for name in ("elsewhere", OWN):
            assert status_of(bed.api, "RestApi", "shop", name) == {}
            assert status_of(bed.api, "Route", "r", name) == {}
        pod = fleet.pods["pod-1"]
        assert pod.get("shop.shop.localhost", "/pets")[0] == 200
        assert pod.get("shop.elsewhere.localhost", "/")[0] == 403


def test_what_the_api_server_refuses_is_said_aloud(release: Make, tmp_path: Path) -> None:
    """An operator that was told it may, by somebody who did not let it."""
    bed = release()
    with Fleet(bed.plane, OWN, tmp_path) as fleet:
        class_ = manifest("PorticoClass", "portico", {"default": True, "generateApiKeys": True})
        bed.api.apply({**class_, "metadata": {"name": "portico"}})
        key = manifest("ApiKey", "made", {"secretRef": {"name": "made"}})
        bed.api.apply({**key, "metadata": {"name": "made", "namespace": "shop"}})
        bed.operator(fleet, GENERATES)
        wait_until(lambda: _events_of(bed.api, "ApiKey", "shop"), "an Event")
        (event,) = _events_of(bed.api, "ApiKey", "shop")
        assert (event["type"], event["reason"]) == ("Warning", "SecretNotMade")
        assert event["regarding"]["name"] == "made"
        assert "secrets is forbidden" in event["note"]
        assert {request.resource for request in bed.refused()} == {"secrets"}
