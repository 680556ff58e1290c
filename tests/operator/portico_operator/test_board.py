"""StatusBoard: one change is one write, and the fleet alone moves as little as possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import pytest

from portico_compiler import Condition, ObjectRef
from portico_compiler.problems import ConditionType
from portico_operator.board import (
    COUNTS_S,
    FLEET_HOLD_S,
    HOLD_S,
    MOST_BACKOFF,
    StatusBoard,
    Write,
)
from portico_operator.delivery.fleet import LivePod, Refusal, Standing
from portico_operator.findings import Findings, compared
from portico_operator.status import Identity

CLASS = "portico"
API, ROUTE = ObjectRef("RestApi", "n", "api"), ObjectRef("Route", "n", "r")
PATIENCE = 5.0


def conditions(generation: int = 1, accepted: bool = True) -> tuple[Condition, ...]:
    status: Literal["True", "False"] = "True" if accepted else "False"
    return (
        Condition(
            ConditionType.ACCEPTED, status, "Accepted" if accepted else "Bad", "", generation
        ),
        Condition(ConditionType.RESOLVED_REFS, "True", "ResolvedRefs", "", generation),
    )


def standing(
    *at: int,
    unreachable: int = 0,
    refused: Mapping[str, Refusal] | None = None,
    took: Mapping[int, float] | None = None,
) -> Standing:
    """Pods at these publications; the first of them refuses units."""
    pods = [LivePod(f"pod-{n}", serial) for n, serial in enumerate(at)]
    if refused:
        pods[0] = pods[0]._replace(refused=refused)
    pods += [LivePod(f"pod-{len(at) + n}", is_reachable=False) for n in range(unreachable)]
    return Standing(pods, max(at, default=0), took)


class Cluster:
    """A board that leads, and the statuses that were written."""

    def __init__(self, patience: float = 0.0, leads: bool = True) -> None:
        self.statuses: dict[ObjectRef, dict[str, Any]] = {}
        self.writes: list[Write] = []
        self.board = StatusBoard(self._observed, lambda: "now", patience)
        self.found: dict[ObjectRef, tuple[Condition, ...]] = {}
        self.classes: dict[ObjectRef, str] = {}
        self.serials: dict[ObjectRef, int] = {}
        if leads:
            self.board.lead(0.0)

    def _observed(self, ref: ObjectRef) -> bytes:
        return msgspec.json.encode(self.statuses[ref]) if ref in self.statuses else b""

    def change(
        self,
        now: float,
        serial: int,
        not_deployed: Mapping[ObjectRef, str] | None = None,
        address: str = "http://api/",
        **refs: tuple[Condition, ...],
    ) -> None:
        """A publication with these objects changed."""
        named = {"api": API, "route": ROUTE}
        self.compiled(
            now, serial, {named[name]: value for name, value in refs.items()}, not_deployed, address
        )

    def compiled(
        self,
        now: float,
        serial: int,
        changed: Mapping[ObjectRef, tuple[Condition, ...]],
        not_deployed: Mapping[ObjectRef, str] | None = None,
        address: str = "http://api/",
    ) -> None:
        self.found |= changed
        identities = {API: Identity("abc", (address,))} if API in self.found else {}
        classes = {ref: self.classes.get(ref, CLASS) for ref in self.found}
        findings = Findings(
            dict(self.found), identities, not_deployed or {}, classes, dict(self.serials)
        )
        news = compared(self.board.findings, findings)
        self.board.found(news, set(changed), {CLASS: serial, "other": serial}, now)

    def fleet(
        self, now: float, at: Standing, refusals: Mapping[ObjectRef, tuple[str, ...]] | None = None
    ) -> None:
        self.board.fleet({CLASS: at}, refusals or {}, now)

    def run(self, now: float, most: int = 100) -> list[ObjectRef]:
        """What is written now, and succeeds."""
        written = self.board.take(now, most)
        for write in written:
            self.statuses[write.ref] = write.status
            self.board.written(write.ref)
        self.writes += written
        return [write.ref for write in written]

    def programmed(self, ref: ObjectRef) -> tuple[str, str]:
        for entry in self.statuses[ref]["conditions"]:
            if entry["type"] == "Programmed":
                return entry["status"], entry["reason"]
        raise AssertionError

    def message(self, ref: ObjectRef) -> str:
        return str(self.statuses[ref]["conditions"][-1]["message"])


# --- one change is one write ----------------------------------------------------------------


def test_a_change_is_written_once_when_everybody_has_it() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(0, 0))
    cluster.change(0.0, 1, route=conditions())
    assert cluster.run(0.01) == []
    cluster.fleet(0.05, standing(1, 1))
    assert cluster.run(0.05) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("True", "Programmed")
    assert cluster.run(100.0) == []


def test_after_a_second_it_says_who_is_behind_and_then_that_all_have_it() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(1, 0))
    cluster.change(0.0, 1, route=conditions())
    assert cluster.board.next_time(0.1) == HOLD_S
    assert cluster.run(HOLD_S) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("False", "Pending")
    assert cluster.run(HOLD_S + 5) == []
    cluster.fleet(9.0, standing(1, 1))
    assert cluster.board.next_time(9.0) == 9.0
    assert cluster.run(9.0) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("True", "Programmed")


def test_what_changes_nothing_for_pods_is_written_at_once() -> None:
    """An edit that makes the same bytes has the publication that everybody has already."""
    cluster = Cluster()
    cluster.fleet(0.0, standing(3, 3))
    cluster.change(0.0, 3, route=conditions())
    assert cluster.run(0.0) == [ROUTE]


def test_no_data_plane_need_not_be_waited_for() -> None:
    cluster = Cluster(PATIENCE)
    cluster.change(0.0, 1, route=conditions())
    assert cluster.run(0.0) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("False", "NoDataPlane")


def test_when_pods_come_all_is_programmed_as_soon_as_they_have_it() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions())
    cluster.run(0.0)
    cluster.fleet(10.0, standing(0))
    assert cluster.run(10.0) == []
    cluster.fleet(11.0, standing(1))
    assert cluster.run(11.0) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("True", "Programmed")


def test_pods_that_come_and_take_nothing_are_told_of() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions())
    cluster.run(0.0)
    cluster.fleet(10.0, standing(0))
    assert cluster.run(9.9 + FLEET_HOLD_S) == []
    assert cluster.run(10.0 + FLEET_HOLD_S) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("False", "Pending")


def test_what_is_not_accepted_is_not_programmed() -> None:
    cluster = Cluster(PATIENCE)
    cluster.fleet(0.0, standing(1))
    cluster.change(0.0, 2, route=conditions(accepted=False))
    assert cluster.run(0.0) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("False", "NotAccepted")


def test_served_by_no_stage_and_served_again() -> None:
    """Another object's change: nothing of the Route's own moves."""
    cluster = Cluster()
    cluster.fleet(0.0, standing(9))
    cluster.change(0.0, 1, {ROUTE: "no Stage"}, route=conditions())
    cluster.run(0.0)
    assert cluster.programmed(ROUTE) == ("False", "NotDeployed")
    cluster.change(1.0, 2)
    assert cluster.run(1.0) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("True", "Programmed")


def test_an_address_that_moved_is_shown() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(9))
    cluster.change(0.0, 1, api=conditions())
    cluster.run(0.0)
    cluster.change(1.0, 2, address="https://api.example/")
    assert cluster.run(1.0) == [API]
    assert cluster.statuses[API]["addresses"] == ["https://api.example/"]


def test_equal_statuses_are_not_written_again() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(1))
    cluster.change(0.0, 1, route=conditions(), api=conditions())
    cluster.run(0.0)
    cluster.board.lead(5.0)
    assert cluster.run(99.0) == []
    cluster.change(100.0, 1, route=conditions(), api=conditions())
    assert cluster.run(200.0) == []
    assert cluster.board.backlog == 0


def test_transition_times_move_with_the_status_only() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(9))
    cluster.change(0.0, 1, route=conditions())
    cluster.run(0.0)
    for entry in cluster.statuses[ROUTE]["conditions"]:
        entry["lastTransitionTime"] = "before"
    cluster.change(1.0, 2, route=conditions(generation=2, accepted=False))
    cluster.run(3.0)
    times = {e["type"]: e["lastTransitionTime"] for e in cluster.statuses[ROUTE]["conditions"]}
    assert times == {"Accepted": "now", "ResolvedRefs": "before", "Programmed": "now"}


def test_what_is_gone_is_forgotten() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(0))
    cluster.change(0.0, 1, route=conditions(), api=conditions())
    del cluster.found[ROUTE]
    cluster.change(1.0, 2)
    assert cluster.run(5.0) == [API]
    assert cluster.board.backlog == 0


# --- who goes first -------------------------------------------------------------------------


def test_the_newest_change_goes_first_and_the_rate_holds() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(9))
    cluster.change(0.0, 1, api=conditions())
    cluster.change(1.0, 2, route=conditions())
    assert cluster.board.next_time(2.0) == 2.0
    assert cluster.run(2.0, most=0) == []
    assert cluster.run(2.0, most=1) == [ROUTE]
    assert cluster.run(2.0, most=1) == [API]


def test_a_users_change_goes_before_what_only_follows_from_one() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(9))
    many = {ObjectRef("Route", "n", f"r{n}"): conditions() for n in range(20)}
    cluster.compiled(0.0, 1, many)
    cluster.run(0.0)
    cluster.change(1.0, 2, route=conditions())
    # Their API went: the conditions of all the others change, and nobody has edited them.
    cluster.found |= {ref: conditions(accepted=False) for ref in many}
    cluster.change(2.0, 3)
    assert cluster.run(2.0, most=1) == [ROUTE]
    assert len(cluster.run(2.0)) == 20


def test_what_would_have_to_be_written_again_goes_last() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(1))
    cluster.change(0.0, 1, api=conditions())
    cluster.change(0.5, 2, route=conditions())
    assert cluster.run(5.0, most=1) == [API]
    cluster.fleet(5.0, standing(2))
    assert cluster.run(5.0) == [ROUTE]
    assert len(cluster.writes) == 2, "it was never written as pending"


def test_ten_thousand_that_wait_cost_a_little_at_a_time() -> None:
    cluster = Cluster()
    many = {ObjectRef("Route", "n", f"r{n}"): conditions() for n in range(10_000)}
    cluster.fleet(0.0, standing(0))
    cluster.compiled(0.0, 1, many)
    cluster.fleet(0.5, standing(1))
    assert cluster.board.backlog == 10_000
    written = []
    for _ in range(10):
        written += cluster.run(0.5, most=7)
    assert len(set(written)) == 70
    # A new leader finds that nothing has to be written, a few hundred at a time.
    for ref in many:
        cluster.statuses[ref] = cluster.statuses[written[0]]
    cluster.board.lead(1.0)
    for _ in range(10_000):
        assert cluster.run(1.0) == []
        if not cluster.board.backlog:
            break
    assert cluster.board.backlog == 0


# --- what the fleet changes -----------------------------------------------------------------


def test_a_scale_up_writes_nothing_on_routes() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(1))
    cluster.change(0.0, 1, route=conditions(), api=conditions())
    assert set(cluster.run(0.0)) == {API, ROUTE}
    cluster.fleet(1.0, standing(1, unreachable=1))
    assert cluster.run(1.0) == []
    cluster.fleet(2.0, standing(1, 1))
    assert cluster.run(2.0 + FLEET_HOLD_S) == []
    assert cluster.board.next_time(3.0) == COUNTS_S
    assert cluster.run(COUNTS_S) == [API]
    assert cluster.statuses[API]["dataPlane"] == {"pods": 2, "acknowledged": 2}


def test_a_pod_that_stays_behind_is_named() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(1))
    cluster.change(0.0, 1, route=conditions())
    cluster.run(0.0)
    cluster.fleet(1.0, standing(1, unreachable=1))
    assert cluster.board.next_time(1.0) == 1.0 + FLEET_HOLD_S
    assert cluster.run(0.9 + FLEET_HOLD_S) == []
    assert cluster.run(1.0 + FLEET_HOLD_S) == [ROUTE]
    assert cluster.run(99.0) == []
    assert cluster.programmed(ROUTE) == ("False", "Unreachable")
    cluster.fleet(100.0, standing(1, 1))
    assert cluster.run(101.0) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("True", "Programmed")


def test_a_refusal_names_pod_and_reason_and_ends() -> None:
    cluster = Cluster()
    bad = {"routes/x": Refusal("unknown policy")}
    cluster.fleet(0.0, standing(1, refused=bad), {ROUTE: ("routes/x",)})
    cluster.change(0.0, 1, route=conditions())
    assert cluster.run(0.0) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("False", "Refused")
    assert cluster.message(ROUTE) == "pod-0 refused it: unknown policy"
    cluster.fleet(1.0, standing(1))
    assert cluster.run(1.0 + FLEET_HOLD_S) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("True", "Programmed")


def test_a_refusal_of_what_did_not_change_is_told_when_it_lasts() -> None:
    """A pod that restarted, and cannot build what others have built."""
    cluster = Cluster()
    cluster.fleet(0.0, standing(1))
    cluster.change(0.0, 1, route=conditions(), api=conditions())
    cluster.run(0.0)
    bad = standing(1, refused={"routes/x": Refusal("no memory")})
    cluster.fleet(1.0, bad, {ROUTE: ("routes/x",)})
    assert cluster.run(0.9 + FLEET_HOLD_S) == []
    assert cluster.run(1.0 + FLEET_HOLD_S) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("False", "Refused")


def test_all_pods_gone() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(1))
    cluster.change(0.0, 1, route=conditions())
    cluster.run(0.0)
    cluster.fleet(1.0, standing())
    assert cluster.run(1.0) == []
    assert cluster.run(1.0 + FLEET_HOLD_S) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("False", "NoDataPlane")


# --- several data planes --------------------------------------------------------------------


def test_each_class_by_its_own_pods() -> None:
    cluster = Cluster()
    cluster.classes[ROUTE] = "other"
    cluster.board.fleet({CLASS: standing(1), "other": standing(0)}, {}, 0.0)
    cluster.change(0.0, 1, route=conditions(), api=conditions())
    assert cluster.run(0.0) == [API]
    cluster.board.fleet({CLASS: standing(1, unreachable=1), "other": standing(1)}, {}, 0.1)
    assert cluster.run(0.1) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("True", "Programmed")
    # Pods of one class that fall back say nothing of the other's objects.
    assert cluster.run(0.1 + FLEET_HOLD_S) == [API]


def test_an_object_that_moves_to_another_class_waits_for_its_pods() -> None:
    cluster = Cluster()
    cluster.board.fleet({CLASS: standing(1), "other": standing(0)}, {}, 0.0)
    cluster.change(0.0, 1, route=conditions())
    cluster.run(0.0)
    cluster.classes[ROUTE] = "other"
    cluster.change(1.0, 1)
    assert cluster.run(1.0 + HOLD_S) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("False", "Pending")


# --- a new leader ---------------------------------------------------------------------------


def test_who_does_not_lead_takes_nothing_and_keeps_nothing() -> None:
    cluster = Cluster(leads=False)
    for number in range(500):
        cluster.change(float(number), number, route=conditions(number))
        cluster.fleet(float(number), standing(number))
    assert cluster.run(999.0) == []
    assert cluster.board.backlog == 0
    assert len(cluster.board._queue._line) == len(cluster.board._queue._timers) == 0
    cluster.board.lead(1000.0)
    assert cluster.run(1000.0) == [ROUTE]


def test_who_no_longer_leads_forgets_what_waits() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(0))
    cluster.change(0.0, 1, route=conditions(), api=conditions())
    cluster.board.follow()
    assert cluster.run(99.0) == []
    assert cluster.board.backlog == 0


@pytest.mark.parametrize("pods", [standing(0), standing(1, unreachable=1)])
def test_a_new_leader_hears_the_pods_out(pods: Standing) -> None:
    cluster = Cluster(PATIENCE, leads=False)
    cluster.change(0.0, 1, route=conditions(), api=conditions())
    cluster.fleet(100.0, pods)
    cluster.board.lead(100.0)
    assert cluster.board.next_time(100.0) == 100.0 + PATIENCE
    assert cluster.run(99.9 + PATIENCE) == []
    cluster.fleet(104.9, standing(1, 1))
    assert set(cluster.run(104.9)) == {API, ROUTE}
    assert cluster.programmed(ROUTE) == ("True", "Programmed")


def test_a_failover_with_pods_that_come_back_in_time_writes_nothing() -> None:
    cluster = Cluster(PATIENCE)
    cluster.fleet(0.0, standing(1, 1))
    cluster.change(0.0, 1, route=conditions(), api=conditions())
    cluster.run(0.0)
    successor = Cluster(PATIENCE, leads=False)
    successor.statuses = cluster.statuses
    successor.board.lead(50.0)
    successor.change(51.0, 1, route=conditions(), api=conditions())
    successor.fleet(51.0, standing(unreachable=2))
    assert successor.run(50.9 + PATIENCE) == [], "from the first publication on"
    successor.fleet(55.9, standing(1, 1))
    assert successor.run(200.0) == []


def test_after_its_patience_a_new_leader_says_who_is_away() -> None:
    cluster = Cluster(PATIENCE, leads=False)
    cluster.change(0.0, 1, route=conditions())
    cluster.fleet(100.0, standing(unreachable=1))
    cluster.board.lead(100.0)
    # Also of what changes meanwhile.
    cluster.change(101.0, 2, api=conditions())
    assert cluster.run(99.9 + PATIENCE) == []
    assert set(cluster.run(100.0 + PATIENCE)) == {ROUTE, API}
    assert cluster.programmed(ROUTE) == ("False", "Unreachable")


# --- counts ---------------------------------------------------------------------------------


def test_counts_are_those_of_the_apis_own_last_change() -> None:
    cluster = Cluster()
    cluster.serials[API] = 4
    cluster.fleet(0.0, standing(5, 4, 3))
    cluster.change(0.0, 2, api=conditions())
    cluster.run(0.0)
    assert cluster.statuses[API]["dataPlane"] == {"pods": 3, "acknowledged": 2}


def test_propagation_is_that_of_the_last_change() -> None:
    cluster = Cluster()
    cluster.serials[API] = 1
    cluster.fleet(0.0, standing(1, took={1: 0.0421}))
    cluster.change(0.0, 1, api=conditions())
    cluster.run(0.1)
    assert cluster.statuses[API]["dataPlane"]["propagation"] == "43ms"
    # A Route of it has changed, and the API shows that at the next turn of its counts.
    cluster.serials[API] = 2
    cluster.change(1.0, 2, route=conditions())
    cluster.fleet(1.0, standing(2, took={1: 0.0421, 2: 0.25}))
    assert cluster.run(1.0) == [ROUTE]
    assert cluster.run(COUNTS_S - 0.1) == []
    assert cluster.run(COUNTS_S + 0.1) == [API]
    assert cluster.statuses[API]["dataPlane"]["propagation"] == "250ms"
    assert cluster.run(900.0) == []


def test_counts_move_at_most_every_thirty_seconds() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(1))
    cluster.change(0.0, 1, api=conditions(), route=conditions())
    cluster.run(0.0)
    writes = 0
    for second in range(1, 301):
        cluster.fleet(float(second), standing(*[1] * (1 + second % 7)))
        writes += len(cluster.run(float(second)))
    assert writes == 10
    cluster.fleet(301.0, standing(1))
    cluster.run(400.0)
    assert cluster.statuses[API]["dataPlane"] == {"pods": 1, "acknowledged": 1}


def test_an_api_that_waits_for_acknowledgements_is_not_written_early_for_its_counts() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(0, 0))
    cluster.change(0.0, 1, api=conditions())
    cluster.fleet(0.1, standing(1, 0))
    assert cluster.run(0.1) == []
    cluster.fleet(0.2, standing(1, 1))
    assert cluster.run(0.2) == [API]
    assert cluster.statuses[API]["dataPlane"] == {"pods": 2, "acknowledged": 2}


def test_an_api_that_stays_pending_shows_how_many_have_it() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(0, 0))
    cluster.change(0.0, 1, api=conditions())
    assert cluster.run(HOLD_S) == [API]
    assert cluster.statuses[API]["dataPlane"] == {"pods": 2, "acknowledged": 0}
    cluster.fleet(5.0, standing(1, 0))
    assert cluster.run(HOLD_S + COUNTS_S) == [API]
    assert cluster.statuses[API]["dataPlane"] == {"pods": 2, "acknowledged": 1}


def test_a_new_leader_keeps_a_propagation_that_it_did_not_measure() -> None:
    cluster = Cluster()
    shown = {"pods": 1, "acknowledged": 1, "propagation": "43ms"}
    cluster.fleet(0.0, standing(1))
    cluster.statuses[API] = {"dataPlane": shown}
    cluster.change(0.0, 1, api=conditions())
    cluster.run(0.0)
    assert cluster.statuses[API]["dataPlane"] == shown
    assert cluster.run(900.0) == []


# --- writes that fail -----------------------------------------------------------------------


def test_a_failed_write_comes_again_later_each_time() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions())
    now, pauses = 0.0, []
    for _ in range(8):
        (write,) = cluster.board.take(now, 10)
        assert cluster.board.take(now, 10) == []
        assert cluster.board.backlog == 1
        cluster.board.failed(write.ref, now, 0.5)
        pauses.append(cluster.board.next_time(now) - now)
        now = cluster.board.next_time(now)
    assert pauses == [0.5 * min(2**n, MOST_BACKOFF) for n in range(8)]
    # A user's edit is not made to wait for that, and success begins anew.
    cluster.change(now, 2, route=conditions(generation=2))
    (write,) = cluster.board.take(now, 10)
    cluster.board.failed(write.ref, now, 0.5)
    assert cluster.board.next_time(now) - now == 0.5
    assert cluster.run(now + 1) == [ROUTE]


def test_an_api_server_that_is_away_costs_no_object_its_place() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions())
    for now in range(20):
        (write,) = cluster.board.take(float(now), 10)
        cluster.board.failed(write.ref, float(now), 0.0)
        assert cluster.board.next_time(float(now)) == now
    assert cluster.run(20.0) == [ROUTE]


def test_what_changes_while_it_is_written_is_written_again() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(9))
    cluster.change(0.0, 1, route=conditions())
    (write,) = cluster.board.take(0.0, 10)
    cluster.change(0.1, 2, route=conditions(generation=2))
    assert cluster.board.take(0.1, 10) == [], "never two at once of one object"
    cluster.statuses[write.ref] = write.status
    cluster.board.written(write.ref)
    assert cluster.run(0.2) == [ROUTE]
    assert cluster.statuses[ROUTE]["observedGeneration"] == 2


@pytest.mark.parametrize("ends", ["written", "failed"])
def test_what_goes_while_it_is_written_is_gone(ends: str) -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions())
    (write,) = cluster.board.take(0.0, 10)
    del cluster.found[ROUTE]
    cluster.change(0.1, 2)
    if ends == "written":
        cluster.board.written(write.ref)
    else:
        cluster.board.failed(write.ref, 0.2, 0.5)
    assert cluster.run(99.0) == []
    assert cluster.board.backlog == 0


def test_one_that_failed_and_still_waits_for_pods_is_not_written_before_its_time() -> None:
    cluster = Cluster()
    cluster.fleet(0.0, standing(1))
    cluster.change(0.0, 1, route=conditions())
    (write,) = cluster.board.take(0.0, 10)
    cluster.change(0.1, 2, route=conditions(generation=2))
    cluster.board.failed(write.ref, 0.2, 0.0)
    assert cluster.run(0.3) == []
    cluster.fleet(0.4, standing(2))
    assert cluster.run(0.4) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("True", "Programmed")
