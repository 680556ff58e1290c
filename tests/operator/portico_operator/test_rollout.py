"""Rollout: what every live pod has, with and without streams."""

from __future__ import annotations

from portico_operator.ports import PodReport
from portico_operator.rollout import LivePod, Rollout

A, B = LivePod("ua", "a"), LivePod("ub", "b")
LIVE = {"ua": A, "ub": B}


def report(
    uid: str, manifest: str, marks: dict[str, str] | None = None, **refused: str
) -> PodReport:
    return PodReport(uid, uid[1:], manifest, marks or {}, refused)


def reports(*given: PodReport) -> dict[str, PodReport]:
    return {one.uid: one for one in given}


def test_the_slowest_pod_decides() -> None:
    rollout = Rollout()
    assert rollout.published("d1", {}) == 1
    assert rollout.published("d2", {}) == 2
    standing = rollout.standing(LIVE, reports(report("ua", "d2"), report("ub", "d1")))
    assert (standing.pods, standing.acknowledged) == (2, 1)
    assert [pod.name for pod in standing.behind(2)] == ["b"]
    assert standing.having(2) == 1


def test_ready_without_a_stream_is_unreachable() -> None:
    rollout = Rollout()
    rollout.published("d1", {})
    rollout.standing(LIVE, reports(report("ua", "d1"), report("ub", "d1")))
    standing = rollout.standing(LIVE, reports(report("ua", "d1")))
    assert standing.acknowledged == 0
    assert standing.behind(1) == [("b", False)]


def test_nobody() -> None:
    standing = Rollout().standing({}, {})
    assert (standing.pods, standing.acknowledged) == (0, 0)


def test_a_pod_that_is_not_live_does_not_count() -> None:
    rollout = Rollout()
    rollout.published("d1", {})
    standing = rollout.standing({"ua": A}, reports(report("ua", "d1"), report("ub", "")))
    assert (standing.pods, standing.acknowledged) == (1, 1)


def test_the_same_bytes_again_are_had_at_once() -> None:
    rollout = Rollout()
    for digest in ("d1", "d2", "d1"):
        rollout.published(digest, {})
    assert rollout.standing({"ua": A}, reports(report("ua", "d1"))).acknowledged == 3


def test_another_replicas_manifest_is_placed_by_its_marks() -> None:
    rollout = Rollout()
    rollout.published("d1", {"Route": "10", "RestApi": "5"})
    rollout.published("d2", {"Route": "20", "RestApi": "5"})
    foreign = {"Route": "15", "RestApi": "7"}
    assert rollout.standing({"ua": A}, reports(report("ua", "x", foreign))).acknowledged == 1
    older = {"Route": "9", "RestApi": "7"}
    assert rollout.standing({"ub": B}, reports(report("ub", "y", older))).acknowledged == 0


def test_pods_never_go_backwards() -> None:
    rollout = Rollout()
    rollout.published("d1", {})
    rollout.published("d2", {})
    rollout.standing({"ua": A}, reports(report("ua", "d2")))
    assert rollout.standing({"ua": A}, reports(report("ua", "unknown"))).acknowledged == 2


def test_refusals_name_pod_and_reason() -> None:
    rollout = Rollout()
    rollout.published("d1", {})
    standing = rollout.standing({"ua": A}, reports(report("ua", "d1", unit="no such policy")))
    assert standing.refused == {"unit": ("a", "no such policy")}


def test_memory_is_bounded() -> None:
    rollout = Rollout()
    for number in range(5000):
        rollout.published(f"d{number}", {"Route": str(number)})
    assert len(rollout._by_digest) <= 1024
    assert len(rollout._marks) <= 1024
