"""StatusBoard: one change is one write, and the fleet alone moves as little as possible."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from portico_compiler import Condition, ObjectRef
from portico_compiler.problems import ConditionType
from portico_operator.board import COUNTS_S, FLEET_HOLD_S, HOLD_S, Findings, StatusBoard, Write
from portico_operator.rollout import LivePod, Standing
from portico_operator.status import Identity

API, ROUTE = ObjectRef("RestApi", "n", "api"), ObjectRef("Route", "n", "r")
PODS = [LivePod(f"u{n}", f"pod-{n}") for n in range(3)]


def conditions(generation: int = 1, accepted: bool = True) -> tuple[Condition, ...]:
    status: Literal["True", "False"] = "True" if accepted else "False"
    return (
        Condition(
            ConditionType.ACCEPTED, status, "Accepted" if accepted else "Bad", "", generation
        ),
        Condition(ConditionType.RESOLVED_REFS, "True", "ResolvedRefs", "", generation),
    )


def standing(*at: int, unreachable: int = 0, refused: Any = None) -> Standing:
    entries = [(number, pod, True) for number, pod in zip(at, PODS, strict=False)]
    entries += [(0, PODS[len(at) + n], False) for n in range(unreachable)]
    entries.sort(key=lambda entry: entry[0])
    newest = entries[0][0] if entries else 0
    return Standing(len(entries), newest, tuple(entries), refused or {})


class Cluster:
    """A board and the statuses that were written."""

    def __init__(self) -> None:
        self.statuses: dict[ObjectRef, dict[str, Any]] = {}
        self.writes: list[Write] = []
        self.board = StatusBoard(self._observed, lambda: "now")
        self.found: dict[ObjectRef, tuple[Condition, ...]] = {}

    def _observed(self, ref: ObjectRef) -> bytes:
        return msgspec.json.encode(self.statuses[ref]) if ref in self.statuses else b""

    def change(self, now: float, publication: int, not_deployed: Any = None, **refs: Any) -> None:
        named = {"api": API, "route": ROUTE}
        self.found |= {named[name]: value for name, value in refs.items()}
        findings = Findings(
            self.found,
            {API: Identity("abc", ("http://api/",))} if API in self.found else {},
            not_deployed or {},
        )
        self.board.found(findings, {named[name] for name in refs}, publication, now)

    def run(self, now: float, most: int = 100) -> list[ObjectRef]:
        self.board.counts(now)
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


def test_a_change_is_written_once_when_everybody_has_it() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions())
    cluster.board.fleet(standing(0, 0), {}, 0.0)
    assert cluster.run(0.01) == []
    cluster.board.fleet(standing(1, 1), {}, 0.05)
    assert cluster.run(0.05) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("True", "Programmed")
    assert cluster.run(100.0) == []


def test_after_a_second_it_says_who_is_behind_and_then_that_all_have_it() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions())
    cluster.board.fleet(standing(1, 0), {}, 0.0)
    assert cluster.run(HOLD_S) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("False", "Pending")
    assert cluster.run(HOLD_S + 5) == []
    cluster.board.fleet(standing(1, 1), {}, 9.0)
    assert cluster.run(9.0) == [ROUTE]


def test_no_data_plane_need_not_be_waited_for() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions())
    assert cluster.run(0.0) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("False", "NoDataPlane")


def test_what_is_not_accepted_is_not_programmed() -> None:
    cluster = Cluster()
    cluster.board.fleet(standing(1), {}, 0.0)
    cluster.change(0.0, 1, route=conditions(accepted=False))
    assert cluster.run(0.0) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("False", "NotAccepted")


def test_not_deployed() -> None:
    cluster = Cluster()
    cluster.board.fleet(standing(1), {}, 0.0)
    cluster.change(0.0, 1, {ROUTE: "no Stage"}, route=conditions())
    cluster.run(0.0)
    assert cluster.programmed(ROUTE) == ("False", "NotDeployed")


def test_a_scale_up_writes_nothing_on_routes() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions(), api=conditions())
    cluster.board.fleet(standing(1), {}, 0.0)
    assert set(cluster.run(0.0)) == {API, ROUTE}
    cluster.board.fleet(standing(1, unreachable=1), {}, 1.0)
    assert cluster.run(1.0) == []
    cluster.board.fleet(standing(1, 1), {}, 2.0)
    assert cluster.run(2.0 + FLEET_HOLD_S) == []
    assert cluster.run(COUNTS_S + 1) == [API]
    assert cluster.statuses[API]["dataPlane"] == {"pods": 2, "acknowledged": 2}


def test_a_pod_that_stays_behind_is_named() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions())
    cluster.board.fleet(standing(1), {}, 0.0)
    cluster.run(0.0)
    cluster.board.fleet(standing(1, unreachable=1), {}, 1.0)
    assert cluster.run(0.9 + FLEET_HOLD_S) == []
    assert cluster.run(1.0 + FLEET_HOLD_S) == [ROUTE]
    assert cluster.run(99.0) == []
    assert cluster.programmed(ROUTE) == ("False", "Unreachable")
    cluster.board.fleet(standing(1, 1), {}, 100.0)
    assert cluster.run(101.0) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("True", "Programmed")


def test_a_refusal_names_pod_and_reason() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions())
    refused = standing(1, refused={"routes/x": ("pod-0", "unknown policy")})
    cluster.board.fleet(refused, {ROUTE: (("pod-0", "unknown policy"),)}, 0.0)
    assert cluster.run(0.0) == [ROUTE]
    assert cluster.programmed(ROUTE) == ("False", "Refused")
    assert "pod-0: unknown policy" in cluster.statuses[ROUTE]["conditions"][-1]["message"]


def test_the_newest_change_goes_first_and_the_rate_holds() -> None:
    cluster = Cluster()
    cluster.board.fleet(standing(9), {}, 0.0)
    cluster.change(0.0, 1, api=conditions())
    cluster.change(1.0, 2, route=conditions())
    assert cluster.run(2.0, most=1) == [ROUTE]
    assert cluster.run(2.0, most=1) == [API]


def test_equal_statuses_are_not_written_again() -> None:
    cluster = Cluster()
    cluster.board.fleet(standing(1), {}, 0.0)
    cluster.change(0.0, 1, route=conditions(), api=conditions())
    cluster.run(0.0)
    cluster.board.reconsider(5.0, 1.0)
    assert cluster.run(99.0) == []


def test_a_new_leader_hears_the_pods_out() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions())
    cluster.board.take(2.0, 0)
    cluster.board._waiting.clear()  # what a replica does that does not lead
    cluster.board.reconsider(2.0, 5.0)
    cluster.board.fleet(standing(0), {}, 2.0)
    assert cluster.run(4.0) == []
    cluster.board.fleet(standing(1), {}, 4.5)
    assert cluster.run(4.5) == [ROUTE]


def test_transition_times_move_with_the_status_only() -> None:
    cluster = Cluster()
    cluster.board.fleet(standing(9), {}, 0.0)
    cluster.change(0.0, 1, route=conditions())
    cluster.run(0.0)
    for entry in cluster.statuses[ROUTE]["conditions"]:
        entry["lastTransitionTime"] = "before"
    cluster.change(1.0, 2, route=conditions(generation=2, accepted=False))
    cluster.run(3.0)
    times = {e["type"]: e["lastTransitionTime"] for e in cluster.statuses[ROUTE]["conditions"]}
    assert times == {"Accepted": "now", "ResolvedRefs": "before", "Programmed": "now"}


def test_a_failed_write_comes_again() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions())
    (write,) = cluster.board.take(0.0, 10)
    assert cluster.board.take(0.0, 10) == []
    cluster.board.failed(write.ref, 0.0, retry=True)
    assert cluster.run(10.0) == [ROUTE]


def test_what_is_gone_is_forgotten() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, route=conditions(), api=conditions())
    del cluster.found[ROUTE]
    cluster.change(1.0, 2)
    assert ROUTE not in cluster.run(5.0)
    assert cluster.board.backlog == 0


def test_propagation_is_shown_by_apis() -> None:
    cluster = Cluster()
    cluster.change(0.0, 1, api=conditions())
    cluster.board.propagated(1, 0.0421)
    cluster.board.fleet(standing(1), {}, 0.1)
    cluster.run(0.1)
    assert cluster.statuses[API]["dataPlane"]["propagation"] == "43ms"
