"""What status and metrics say of a data plane: real operators, real pods, a real API server."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane import ControlPlane
from kubernetes_api import GROUP_VERSION
from manifests import manifest, route
from portico_fleet import Fleet
from portico_processes import OperatorProcess, wait_until

PETS: dict[str, Any] = {"integration": {"service": {"name": "pets", "port": 80}}}
PROPAGATION = "portico_propagation_seconds"
COUNTS_PATIENCE_S = 120.0
"""Counts move every 30 s at most."""


@pytest.fixture
def fleet(cluster: ControlPlane, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet.made(cluster, tmp_path) as made:
        made.backend("pets")
        yield made
        assert [line for process in made.processes() for line in process.noise] == []


def shown(fleet: Fleet, kind: str, name: str) -> dict[str, Any]:
    """`status.dataPlane`."""
    found = fleet.api.get(GROUP_VERSION, kind, name, fleet.namespace)
    return dict((found.get("status") or {}).get("dataPlane") or {})


def written(operator: OperatorProcess) -> float:
    return operator.metric("portico_status_writes_total", outcome="written")


def settled(operator: OperatorProcess) -> None:
    wait_until(lambda: operator.metric("portico_status_backlog") == 0, "all to be written")


def test_counts_and_propagation_are_true(fleet: Fleet) -> None:
    operator = fleet.operator("one").ready()
    # Always: else the implicit stage ends once the other is programmed, which is a change, too.
    fleet.apply(manifest("RestApi", "shop", {"defaultStage": "Always"}))
    fleet.apply(route("a", "GET /a", **PETS))
    fleet.apply(manifest("Stage", "prod", {"apiRef": {"name": "shop"}, "stageName": "prod"}))
    fleet.pod("pod-a")
    fleet.ready("pod-a")
    for kind, name in (("RestApi", "shop"), ("Stage", "prod"), ("Route", "a")):
        fleet.says(kind, name, "Programmed", "True")
    # Whoever starts has changed nothing: only what is edited from here on was under way.
    count = operator.metric(f"{PROPAGATION}_count")
    total = operator.metric(f"{PROPAGATION}_sum")
    fleet.apply(route("a", "GET /b", **PETS))
    wait_until(
        lambda: operator.metric(f"{PROPAGATION}_count") == count + 1, "one change to be counted"
    )
    fleet.says("Route", "a", "Programmed", "True")
    took = operator.metric(f"{PROPAGATION}_sum") - total
    # Ends of two sums: the last digit of their difference is nobody's.
    milliseconds = {f"{math.ceil(took * 1000 + digit)}ms" for digit in (-0.001, 0, 0.001)}

    # The API and its Stage show it at the next turn of their counts; a scale-up is in it.
    before = fleet.version("Route", "a")
    fleet.pod("pod-b")
    fleet.ready("pod-a", "pod-b")
    for kind, name in (("RestApi", "shop"), ("Stage", "prod")):
        wait_until(
            lambda kind=kind, name=name: shown(fleet, kind, name).get("acknowledged") == 2,  # type: ignore[misc]
            f"{kind} {name} to show two pods",
            COUNTS_PATIENCE_S,
        )
        said = shown(fleet, kind, name)
        assert said.pop("propagation") in milliseconds
        assert said == {"pods": 2, "acknowledged": 2}
    assert fleet.version("Route", "a") == before, "a scale-up writes nothing on Routes"
    settled(operator)
    assert operator.metric(f"{PROPAGATION}_count") == count + 1


def test_an_operator_that_is_killed_and_comes_back_flips_no_status(fleet: Fleet) -> None:
    options = ("--lease-seconds", "4")
    operator = fleet.operator("one", *options).ready()
    routes = [f"r{number}" for number in range(20)]
    fleet.apply(manifest("RestApi", "shop"))
    fleet.apply(*(route(name, f"GET /{name}", **PETS) for name in routes))
    fleet.pod("pod")
    fleet.ready("pod")
    for name in routes:
        fleet.says("Route", name, "Programmed", "True")
    settled(operator)
    before = {name: fleet.version("Route", name) for name in routes}
    api = fleet.version("RestApi", "shop")

    again = fleet.restart(operator).ready()
    wait_until(lambda: again.metric("portico_leader") == 1, "it to lead again")
    fleet.apply(route("new", "GET /new", **PETS))
    fleet.says("Route", "new", "Programmed", "True")
    settled(again)
    assert {name: fleet.version("Route", name) for name in routes} == before
    # The API may show how long the change took; a fresh leader has not shown any count yet.
    assert written(again) == 1 + (fleet.version("RestApi", "shop") != api)
