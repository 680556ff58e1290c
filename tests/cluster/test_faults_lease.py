"""The Lease between real operators: frozen while they write, stolen, and told of in other clocks.

Whoever leads writes; the test plays holders whose clocks are wrong. No pods: statuses say that
there are none, and that has to be written as well.
"""

from __future__ import annotations

import datetime as dt
import itertools
import signal
from collections.abc import Iterator

import pytest

from control_plane import ControlPlane
from kubernetes_api import Refused
from manifests import manifest, route
from portico_fleet import LEASE, Fleet
from portico_processes import OperatorProcess, wait_until
from route_watch import RouteWatch
from steady_load import Repeated

VERSION = "coordination.k8s.io/v1"
SECONDS = 3
ROUTES = 40
PAST = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
FUTURE = dt.datetime(2101, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def fleet(breakable: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two operators and forty Routes; each test leaves one of them leading."""
    with Fleet.made(breakable, tmp_path_factory.mktemp("lease")) as made:
        for name in ("one", "two"):
            made.operator(name, "--lease-seconds", str(SECONDS))
        for operator in made.operators:
            operator.ready()
        made.apply(manifest("RestApi", "shop"))
        made.apply(*(route(f"r-{n}", f"GET /r-{n}") for n in range(ROUTES)))
        made.says("Route", f"r-{ROUTES - 1}", "Accepted", "True")
        yield made
        assert [line for process in made.processes() for line in process.noise] == []


def leading(fleet: Fleet) -> list[OperatorProcess]:
    return [each for each in fleet.operators if each.metric("portico_leader") == 1]


def written(operator: OperatorProcess) -> float:
    return operator.metric("portico_status_writes_total", outcome="written")


def test_a_leader_that_is_frozen_while_it_writes(fleet: Fleet, breakable: ControlPlane) -> None:
    serial = itertools.count()

    def edit() -> None:
        number = next(serial)
        fleet.apply(route(f"r-{number % ROUTES}", f"GET /of-{number}"))

    watch = RouteWatch(breakable, fleet.namespace)
    try:
        with Repeated("churn", edit, 0.005) as churn:
            frozen = fleet.leader()
            seen = written(frozen)
            wait_until(lambda: written(frozen) > seen + 5, "writes")
            frozen.signal(signal.SIGSTOP)
            try:
                (other,) = [each for each in fleet.operators if each is not frozen]
                seen = written(other)
                wait_until(lambda: written(other) > seen + 20, "writes of the other")
            finally:
                frozen.signal(signal.SIGCONT)
            # It was in the middle of something, and somebody else led meanwhile.
            wait_until(lambda: frozen.logged("this replica no longer leads"), "leading to end")
            seen = churn.count
            wait_until(lambda: churn.count > seen + 40, "edits")
        for number in range(ROUTES):
            fleet.says("Route", f"r-{number}", "Accepted", "True")
        assert watch.observed_backwards() == []
        assert len(leading(fleet)) == 1
    finally:
        watch.close()


def test_a_lease_that_is_deleted_has_one_holder_again(fleet: Fleet) -> None:
    for _ in range(3):
        fleet.api.delete(VERSION, "Lease", LEASE, fleet.namespace)
        wait_until(lambda: holder(fleet) in ("one", "two"), "a holder")
        fleet.leader()
        assert len(leading(fleet)) == 1
    fleet.apply(route("r-0", "GET /after"))
    fleet.says("Route", "r-0", "Accepted", "True")


def holder(fleet: Fleet) -> str:
    """Name of who holds the Lease; what follows it is drawn at each start."""
    try:
        found = fleet.api.get(VERSION, "Lease", LEASE, fleet.namespace)
    except Refused:
        return ""
    return str(found["spec"].get("holderIdentity") or "").partition("_")[0]


def seize(fleet: Fleet, clock: dt.datetime) -> None:
    """The Lease is somebody else's, and was renewed at this time, as they say."""

    def take() -> bool:
        try:
            _write(fleet, clock, force=True)
        except Refused as refused:
            if refused.status != 409:  # The holder has just renewed it.
                raise
            return False
        return True

    wait_until(take, "the Lease to be somebody's")


def _write(fleet: Fleet, clock: dt.datetime, *, force: bool = False) -> None:
    found = fleet.api.get(VERSION, "Lease", LEASE, fleet.namespace)
    spec = found["spec"]
    assert force or spec["holderIdentity"] == "somebody", f"it was taken by {spec}"
    spec |= {
        "holderIdentity": "somebody",
        "leaseDurationSeconds": SECONDS,
        "renewTime": clock.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    fleet.api.replace({"apiVersion": VERSION, "kind": "Lease", **found})


@pytest.mark.parametrize("clock", [PAST, FUTURE], ids=["slow", "fast"])
def test_a_holder_whose_clock_is_wrong(fleet: Fleet, clock: dt.datetime) -> None:
    """As long as it renews it leads, however old its renewals say that they are; when it does not
    any more it is replaced, however far ahead they are."""
    fleet.leader()
    seize(fleet, clock)
    ticks = itertools.count(1)

    def renew() -> None:
        _write(fleet, clock + dt.timedelta(milliseconds=next(ticks)))

    with Repeated("somebody", renew, SECONDS / 10) as somebody:
        wait_until(lambda: not leading(fleet), "leading to end")
        seen = somebody.count
        wait_until(lambda: somebody.count > seen + 30, "three times what a Lease lasts")
        assert leading(fleet) == []
        assert holder(fleet) == "somebody"
    assert holder(fleet) == "somebody"
    fleet.leader()
    assert len(leading(fleet)) == 1
