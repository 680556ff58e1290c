"""What routes need goes missing and comes back, and APIs come and go: asked of real pods.

One operator, two pods, real tokens and streams; a test leaves the fleet as it found it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from control_plane import ControlPlane
from manifests import manifest, route
from portico_fleet import Fleet
from portico_processes import ask, metric, wait_until
from slice_backends import Backend, own_address
from steady_load import SteadyLoad

PODS = ("pod-a", "pod-b")
PETS: dict[str, Any] = {"integration": {"service": {"name": "pets", "port": 80}}}


@pytest.fixture(scope="module")
def fleet(breakable: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One operator and two pods that serve `GET /steady` of the API `shop`."""
    with Fleet.made(breakable, tmp_path_factory.mktemp("objects")) as made:
        made.operator("one").ready()
        made.backend("pets")
        made.apply(manifest("RestApi", "shop"), route("steady", "GET /steady", **PETS))
        for name in PODS:
            made.pod(name, "--fallback-after", "0.5")
        made.ready(*PODS)
        made.answers("shop", "/steady", 200)
        yield made
        assert [line for process in made.processes() for line in process.noise] == []


def test_apis_and_routes_come_go_and_move_without_a_restart_or_a_leak(fleet: Fleet) -> None:
    """First of all: Secrets that other tests refer to are watched for a while after they went."""
    (operator,) = fleet.operators

    def known() -> tuple[float, int]:
        units = json.loads(ask(f"{fleet.pods['pod-a'].admin}/config")[1])["units"]
        return operator.metric("portico_store_objects"), len(units)

    before, processes = known(), [pod.tree() for pod in fleet.pods.values()]
    with SteadyLoad(fleet.ports(), fleet.host("shop"), "/steady") as load:
        for number in range(3):
            first, second = f"first-{number}", f"second-{number}"
            fleet.apply(manifest("RestApi", first), manifest("RestApi", second))
            fleet.apply(route("a", "GET /a", api=first, **PETS))
            fleet.apply(route("b", "GET /b", api=first, **PETS))
            fleet.answers(first, "/a", 200)
            # Moved: an API lost it and another has it.
            fleet.apply(route("a", "GET /a", api=second, **PETS))
            fleet.answers(second, "/a", 200)
            fleet.answers(first, "/a", 403)
            # Renamed: gone under one name, there under another.
            fleet.delete("Route", "b")
            fleet.apply(route("c", "GET /b", api=first, **PETS))
            fleet.answers(first, "/b", 200)
            # Deleted with its routes still there.
            fleet.delete("RestApi", first)
            fleet.answers(first, "/b", 403)
            assert fleet.says("Route", "c", "ResolvedRefs", "False").reason == "RefNotFound"
            fleet.answers(second, "/a", 200)
            for kind, name in (("RestApi", second), ("Route", "a"), ("Route", "c")):
                fleet.delete(kind, name)
            fleet.answers(second, "/a", 403)
    assert load.failures == []
    wait_until(lambda: known() == before, f"what is known to be {before} again")
    assert [pod.tree() for pod in fleet.pods.values()] == processes
    assert metric(ask(f"{fleet.pods['pod-a'].admin}/metrics")[1], "portico_worker_restarts") == 0


def test_a_service_that_is_missing_and_appears(fleet: Fleet) -> None:
    late: dict[str, Any] = {"integration": {"service": {"name": "late", "port": 80}}}
    fleet.apply(route("late", "GET /late", **late))
    assert fleet.says("Route", "late", "ResolvedRefs", "False").reason == "ServiceNotFound"
    for pod in fleet.pods.values():
        assert pod.get(fleet.host("shop"), "/late")[0] in (500, 503)
        assert pod.get(fleet.host("shop"), "/steady")[0] == 200
    fleet.backend("late")
    fleet.answers("shop", "/late", 200, "late ")
    fleet.says("Route", "late", "ResolvedRefs", "True")
    fleet.says("Route", "late", "Programmed", "True")
    fleet.delete("Route", "late")


def test_a_secret_that_is_missing_and_appears(fleet: Fleet) -> None:
    key = "a-key-of-twenty-characters-and-more"
    fleet.apply(
        route("keyed", "GET /keyed", apiKeyRequired=True, **PETS),
        manifest(
            "UsagePlan",
            "all",
            {"apiStages": [{"apiRef": {"name": "shop"}, "stage": "$default"}]},
        ),
        manifest(
            "ApiKey",
            "late",
            {"secretRef": {"name": "late", "key": "value"}, "usagePlanRefs": [{"name": "all"}]},
        ),
    )
    assert fleet.says("ApiKey", "late", "ResolvedRefs", "False").reason == "RefNotFound"

    def keyed(pod: str) -> int:
        url = f"http://127.0.0.1:{fleet.pods[pod].port}/keyed"
        return ask(url, fleet.host("shop"), headers={"x-api-key": key})[0]

    fleet.answers("shop", "/keyed", 403)
    assert {keyed(pod) for pod in PODS} == {403}
    secret = {"name": "late", "namespace": fleet.namespace}
    fleet.api.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": {"value": key}}
    )
    for pod in PODS:
        wait_until(lambda pod=pod: keyed(pod) == 200, f"{pod} to know the key")  # type: ignore[misc]
    fleet.says("ApiKey", "late", "ResolvedRefs", "True")
    fleet.api.delete("v1", "Secret", "late", fleet.namespace)
    for pod in PODS:
        wait_until(lambda pod=pod: keyed(pod) == 403, f"{pod} to forget it")  # type: ignore[misc]
    for kind, name in (("ApiKey", "late"), ("UsagePlan", "all"), ("Route", "keyed")):
        fleet.delete(kind, name)


def test_an_endpoint_slice_that_is_emptied(fleet: Fleet) -> None:
    backend = fleet.backend("emptied")
    target: dict[str, Any] = {"integration": {"service": {"name": "emptied", "port": 80}}}
    fleet.apply(route("emptied", "GET /emptied", **target))
    fleet.answers("shop", "/emptied", 200, "emptied ")
    fleet.says("Route", "emptied", "Programmed", "True")
    before = fleet.version("Route", "emptied")
    with SteadyLoad(fleet.ports(), fleet.host("shop"), "/steady") as load:
        fleet.expose("emptied", [])
        fleet.answers("shop", "/emptied", 503)
        fleet.expose("emptied", [backend])
        fleet.answers("shop", "/emptied", 200, "emptied ")
    assert load.failures == []
    # Addresses are no configuration: nothing was said of the Route.
    assert fleet.version("Route", "emptied") == before
    fleet.delete("Route", "emptied")


def test_a_backend_that_is_rolled_while_no_operator_is_there(fleet: Fleet) -> None:
    """The ClusterIP is an address of this machine: the new backend, as kube-proxy would choose."""
    old, new = Backend("old"), Backend("new")
    fleet.keep(old, new)
    target: dict[str, Any] = {"integration": {"service": {"name": "rolled", "port": new.port}}}
    fleet.expose("rolled", [old], cluster_ip=new)
    fleet.apply(route("rolled", "GET /rolled", **target))
    fleet.answers("shop", "/rolled", 200, "old ")
    (operator,) = fleet.operators
    away = {name: len(pod.logged("operators are away")) for name, pod in fleet.pods.items()}
    operator.kill()
    for name, pod in fleet.pods.items():
        pod.saw("operators are away", away[name] + 1)
        # Asked for over the channel on which the worker is told so: it knows.
        ask(f"{pod.admin}/metrics")
    with SteadyLoad(fleet.ports(), fleet.host("shop"), "/rolled") as load:
        wait_until(lambda: load.count > 40, "requests")
        old.close()
        seen = load.count
        wait_until(lambda: load.count > seen + 100, "requests after the old one ended")
    assert load.failures == []
    assert load.bodies[0].startswith("old ")
    assert load.bodies[-1].startswith("new ")
    fleet.restart(operator).ready()
    fleet.expose("rolled", [new], cluster_ip=new)
    fleet.answers("shop", "/rolled", 200, "new ")
    fleet.delete("Route", "rolled")


def test_kubectl_apply_says_which_rule_is_broken(fleet: Fleet) -> None:
    both = {"url": "http://a.example/", "service": {"name": "pets", "port": 80}}
    document = route("both", "GET /both", integration=both)
    document["metadata"]["namespace"] = fleet.namespace
    said = fleet.plane.kubectl("apply", "-f", "-", stdin=json.dumps(document), check=False)
    assert said.returncode == 1
    assert 'The Route "both" is invalid: spec.integration: ' in said.stderr
    assert "exactly one of service or url or backends" in said.stderr
    misspelt = route("misspelt", "GET /x", apiKeyRequird=True)
    misspelt["metadata"]["namespace"] = fleet.namespace
    said = fleet.plane.kubectl("apply", "-f", "-", stdin=json.dumps(misspelt), check=False)
    assert said.returncode == 1
    assert 'unknown field "spec.apiKeyRequird"' in said.stderr


def test_this_machine_has_an_address_for_backends() -> None:
    assert not own_address().startswith("127.")
