"""Operators, pods and the API server go away and come back, under load: nothing fails meanwhile.

Two operators and two pods as processes; the API server is the real one, killed and started again.
Every test ends with an edit that has to arrive everywhere, and leaves the fleet whole.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane import CRDS, ControlPlane
from manifests import manifest, route
from portico_fleet import Fleet
from portico_processes import wait_until
from steady_load import Repeated, SteadyLoad

PODS = ("pod-a", "pod-b")
PETS: dict[str, Any] = {"integration": {"service": {"name": "pets", "port": 80}}}
AWAY_S = 30.0 if os.environ.get("PORTICO_LONG_FAULTS") else 3.0
"""How long the API server is away: shorter than its watches and tokens last, either way; with
PORTICO_LONG_FAULTS=1 as long as a control plane's upgrade takes."""
_serial = itertools.count()


@pytest.fixture(scope="module")
def fleet(breakable: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two operators, two pods, one API with a route that nobody edits."""
    with Fleet.made(breakable, tmp_path_factory.mktemp("processes")) as made:
        for name in ("one", "two"):
            made.operator(name, "--lease-seconds", "2", "--patience-seconds", "1")
        for operator in made.operators:
            operator.ready()
        made.backend("pets")
        made.apply(manifest("RestApi", "shop"), route("steady", "GET /steady", **PETS))
        for name in PODS:
            made.pod(name, "--last-good-after", "0.5")
        made.ready(*PODS)
        made.answers("shop", "/steady", 200)
        yield made
        assert [line for process in made.processes() for line in process.noise] == []


@pytest.fixture
def load(fleet: Fleet) -> Iterator[SteadyLoad]:
    """Requests to both pods during the whole test; none may fail."""
    with SteadyLoad(fleet.ports(), fleet.host("shop"), "/steady") as going_on:
        yield going_on
    assert going_on.failures == []
    assert going_on.count > 0


def arrives(fleet: Fleet) -> None:
    """An edit serves on every pod, and its status says so."""
    number = next(_serial)
    fleet.apply(route("last", f"GET /last-{number}", **PETS))
    fleet.answers("shop", f"/last-{number}", 200)
    fleet.says("Route", "last", "Programmed", "True")


def test_a_leader_that_is_killed_during_churn(fleet: Fleet, load: SteadyLoad) -> None:
    names = [f"churn-{number}" for number in range(5)]
    written: dict[str, str] = {}

    def edit() -> None:
        number = next(_serial)
        name = names[number % len(names)]
        path = f"/version-{number}"
        service = {"name": "pets", "port": 80, "path": path}
        fleet.apply(route(name, f"GET /{name}", integration={"service": service}))
        written[name] = path

    for _ in names:
        edit()
    with Repeated("churn", edit, 0.05) as churn:
        for _ in range(2):
            seen = churn.count
            wait_until(lambda seen=seen: churn.count > seen + 10, "edits")  # type: ignore[misc]
            leader = fleet.leader()
            leader.kill()
            assert fleet.leader() is not leader
            seen = churn.count
            wait_until(lambda seen=seen: churn.count > seen + 10, "edits")  # type: ignore[misc]
            fleet.restart(leader).ready()
    for name, path in written.items():
        fleet.answers("shop", f"/{name}", 200, f"pets {path}")
        fleet.says("Route", name, "Programmed", "True")
    arrives(fleet)
    for name in names:
        fleet.delete("Route", name)


def test_a_pod_that_restarts_while_no_operator_is_there(fleet: Fleet) -> None:
    arrives(fleet)
    pod = fleet.pods["pod-b"]
    wait_until(lambda: (fleet.folder / "pod-b.last-good" / "index.json").exists(), "a last good")
    with SteadyLoad({"pod-a": fleet.pods["pod-a"].port}, fleet.host("shop"), "/steady") as load:
        for operator in list(fleet.operators):
            operator.kill()
        pod.kill()
        again = fleet.pod("pod-b", "--last-good-after", "0.5")
        again.saw("last good snapshot serves")
        fleet.answers("shop", "/steady", 200, "pets ")
        wait_until(lambda: again.is_ready, "the pod to be ready")
        for operator in list(fleet.operators):
            fleet.restart(operator)
        for operator in fleet.operators:
            operator.ready()
    assert load.failures == []
    arrives(fleet)


@pytest.mark.parametrize("forgotten", [False, True], ids=["watches resume", "410"])
def test_an_api_server_that_is_away(
    fleet: Fleet, breakable: ControlPlane, load: SteadyLoad, forgotten: bool
) -> None:
    for operator in fleet.operators:  # The test before may have left one that was just started.
        wait_until(lambda each=operator: each.metric("portico_streams") == len(PODS), "streams")  # type: ignore[misc]
    streams = {name: len(pod.logged("operator stream open")) for name, pod in fleet.pods.items()}
    gone = next(_serial)
    fleet.apply(route("gone", f"GET /gone-{gone}", **PETS))
    fleet.answers("shop", f"/gone-{gone}", 200)
    breakable.kill_api_server()
    if forgotten:
        # The watch cache of a fresh API server begins now, and etcd has no older versions.
        breakable.compact()
    until = time.monotonic() + AWAY_S
    wait_until(lambda: time.monotonic() > until, "the time to pass", 2 * AWAY_S)
    assert all(pod.is_ready for pod in fleet.pods.values())
    breakable.start_api_server()
    fleet.delete("Route", "gone")
    if forgotten:
        breakable.compact()
    arrives(fleet)
    fleet.answers("shop", f"/gone-{gone}", 403)
    # Streams are no API server's business.
    assert streams == {
        name: len(pod.logged("operator stream open")) for name, pod in fleet.pods.items()
    }
    assert all(operator.alive for operator in fleet.operators)


def test_a_crd_that_is_deleted_and_recreated(
    fleet: Fleet, breakable: ControlPlane, load: SteadyLoad
) -> None:
    """What goes with its definition was not deleted by its users."""
    arrives(fleet)
    steady = fleet.api.get("portico.dev/v1alpha1", "Route", "steady", fleet.namespace)
    steady["metadata"] = {"name": "steady"}
    del steady["status"]
    crd = yaml.safe_load(Path(CRDS / "portico.dev_routes.yaml").read_text())
    fleet.api.delete(crd["apiVersion"], crd["kind"], crd["metadata"]["name"])
    for operator in fleet.operators:
        operator.saw("Route is no longer served: what was served last is kept")
    breakable.install_crds()
    seen = load.count
    fleet.apply(steady)
    for operator in fleet.operators:
        operator.saw("Route is served again")
    arrives(fleet)
    fleet.says("Route", "steady", "Programmed", "True")
    assert load.count > seen
