"""Many statuses at once, and an API server that goes away in the middle of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from control_plane import ControlPlane
from kubernetes_api import GROUP_VERSION
from manifests import manifest, route
from portico_fleet import Fleet
from portico_processes import wait_until

ROUTES = 300


def said(fleet: Fleet) -> dict[str, str]:
    """Route to the reason of its Programmed condition."""
    found: dict[str, str] = {}
    for each in fleet.api.list(GROUP_VERSION, "Route", fleet.namespace):
        for condition in (each.get("status") or {}).get("conditions") or ():
            if condition["type"] == "Programmed":
                found[each["metadata"]["name"]] = condition["reason"]
    return found


def test_an_api_server_that_goes_away_loses_no_write(
    breakable: ControlPlane, tmp_path: Path
) -> None:
    with Fleet.made(breakable, tmp_path) as fleet:
        fleet.apply(manifest("RestApi", "shop"))
        fleet.apply(*(route(f"r{number}", f"GET /r{number}") for number in range(ROUTES)))
        operator = fleet.operator("one", "--lease-seconds", "5").ready()

        def count(outcome: str) -> float:
            return operator.metric("portico_status_writes_total", outcome=outcome)

        wait_until(lambda: count("written") > 20, "the first writes")
        breakable.kill_api_server()
        wait_until(lambda: count("failed") > 0 or count("written") > ROUTES, "it to be missed")
        breakable.start_api_server()

        def idle() -> bool:
            leads = operator.metric("portico_leader") == 1
            return leads and operator.metric("portico_status_backlog") == 0

        # Its own word first: to list 300 Routes again and again is work for the API server.
        wait_until(idle, "nothing to be left", 180.0)
        wait_until(lambda: len(said(fleet)) == ROUTES, "every Route to have a status", 120.0)
        wait_until(idle, "nothing to be left")
        assert set(said(fleet).values()) == {"NoDataPlane"}
        # What was answered was written once; of what was not answered nobody can tell.
        extra = count("written") - _objects(fleet)
        assert extra <= count("failed")


def _objects(fleet: Fleet) -> int:
    """Objects of ours that this operator writes of."""
    kinds: tuple[Any, ...] = ("PorticoClass", "RestApi", "Route")
    return sum(len(fleet.api.list(GROUP_VERSION, kind)) for kind in kinds)
