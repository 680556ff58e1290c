"""Which pods are live, which serve what; time is an argument."""

from __future__ import annotations

from collections.abc import Mapping

from portico_ir.stream import WHOLE, Acknowledgement
from portico_operator.delivery.fleet import Candidate, Fleet, Programming


def pods(*names: str) -> list[Candidate]:
    return [Candidate(name, name, ready=True) for name in names]


def publish(
    fleet: Fleet, content: str, *, mark: int = 1, at: float = 0.0, build: str = "b"
) -> list[float]:
    done = fleet.published(
        digest=f"digest of {content} {mark}",
        content=content,
        marks={"Route": str(mark)},
        build=build,
        changed_at=at,
        now=at,
    )
    return [each.seconds for each in done]


def said(
    content: str, *, mark: int = 1, refused: Mapping[str, str] | None = None, build: str = "b"
) -> Acknowledgement:
    return Acknowledgement(
        digest=f"digest of {content} {mark}",
        content=content,
        marks={"Route": str(mark)},
        refused=dict(refused or {}),
        build=build,
    )


def test_nothing_is_programmed_without_a_live_pod() -> None:
    fleet = Fleet()
    fleet.set_pods(
        [Candidate("a", "a", ready=False), Candidate("b", "b", ready=True, terminating=True)], 0
    )
    fleet.joined("a", "a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    assert fleet.programmed([], 1).reason == "NoDataPlane"
    assert fleet.settled() is None


def test_every_live_pod_must_acknowledge() -> None:
    fleet = Fleet()
    fleet.set_pods(pods("a", "b"), 0)
    for name in "ab":
        fleet.joined(name, name)
    publish(fleet, "one", at=10)
    assert fleet.acknowledged("a", said("one"), 10.5) == []
    assert fleet.programmed([], 1) == Programming(False, "Pending", "not yet acknowledged by b")
    assert [each.seconds for each in fleet.acknowledged("b", said("one"), 10.75)] == [0.75]
    assert fleet.programmed([], 1) == Programming(True, "Programmed")
    standing = fleet.standing()
    assert (standing.live, standing.acknowledged) == (("a", "b"), ("a", "b"))
    assert standing.propagation == 0.75


def test_a_live_pod_without_a_stream_is_unreachable_and_never_acknowledged() -> None:
    fleet = Fleet()
    fleet.set_pods(pods("a", "b"), 0)
    fleet.joined("a", "a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    assert fleet.programmed([], 1) == Programming(False, "Unreachable", "no stream from b")
    assert fleet.standing().unreachable == ("b",)
    # One that had acknowledged and lost its stream is no better.
    fleet.joined("b", "b")
    fleet.acknowledged("b", said("one"), 2)
    assert fleet.programmed([], 1).is_true
    fleet.left("b")
    assert fleet.programmed([], 1).reason == "Unreachable"


def test_a_pod_that_ends_no_longer_counts() -> None:
    fleet = Fleet()
    fleet.set_pods(pods("a", "b"), 0)
    fleet.joined("a", "a")
    publish(fleet, "one", at=1)
    fleet.acknowledged("a", said("one"), 2)
    assert [each.seconds for each in fleet.set_pods(pods("a"), 4)] == [3]
    assert fleet.programmed([], 1).is_true


def test_a_newer_stream_of_a_pod_outlives_the_older() -> None:
    fleet = Fleet()
    fleet.set_pods(pods("a"), 0)
    fleet.joined("a", "a")
    fleet.joined("a", "a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    fleet.left("a")
    assert fleet.programmed([], 1).is_true


def test_an_earlier_change_is_programmed_while_a_later_one_is_not() -> None:
    fleet = Fleet()
    fleet.set_pods(pods("a"), 0)
    fleet.joined("a", "a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    publish(fleet, "two", mark=2)
    assert fleet.programmed([], 1).is_true
    assert fleet.programmed([], 2).reason == "Pending"


def test_changes_that_were_skipped_settle_together() -> None:
    fleet = Fleet()
    fleet.set_pods(pods("a"), 0)
    fleet.joined("a", "a")
    for mark, content in enumerate(("one", "two", "three"), 1):
        publish(fleet, content, mark=mark, at=float(mark))
    done = fleet.acknowledged("a", said("three", mark=3), 4)
    assert [each.seconds for each in done] == [3, 2, 1]


def test_what_serves_already_needs_no_acknowledgement() -> None:
    fleet = Fleet()
    fleet.set_pods(pods("a"), 0)
    fleet.joined("a", "a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    publish(fleet, "two", mark=2)
    assert publish(fleet, "one", mark=3, at=5) == [5, 0]  # back before any pod took the other
    assert fleet.programmed([], 3).is_true


def test_what_another_replica_sent_counts_when_it_had_seen_it_all() -> None:
    fleet = Fleet()
    fleet.set_pods(pods("a"), 0)
    fleet.joined("a", "a")
    publish(fleet, "mine", mark=5)
    fleet.acknowledged("a", said("theirs", mark=4), 1)
    assert not fleet.programmed([], 1).is_true
    fleet.acknowledged("a", said("theirs", mark=5), 1)
    assert not fleet.programmed([], 1).is_true, "the same world, something else made of it"
    fleet.acknowledged("a", said("theirs", mark=6, build="newer"), 1)
    assert not fleet.programmed([], 1).is_true, "another build may not know what this one does"
    fleet.acknowledged("a", said("theirs", mark=6), 1)
    assert fleet.programmed([], 1).is_true
    fleet.acknowledged("a", said("mine", mark=3, build="newer"), 1)
    assert fleet.programmed([], 1).is_true, "the same content is the same"


def test_a_refused_unit_is_false_for_its_object_and_true_for_others() -> None:
    fleet = Fleet()
    fleet.set_pods(pods("a", "b"), 0)
    for name in "ab":
        fleet.joined(name, name)
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    fleet.acknowledged("b", said("one", refused={"api/x": "no good"}), 1)
    assert fleet.programmed(["api/x"], 1) == Programming(False, "Refused", "b refused it: no good")
    assert fleet.programmed(["api/y"], 1).is_true
    assert fleet.standing().refused == {"api/x": {"b": "no good"}}


def test_a_pod_that_refuses_a_manifest_serves_on_what_it_had() -> None:
    fleet = Fleet()
    fleet.set_pods(pods("a"), 0)
    fleet.joined("a", "a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    publish(fleet, "two", mark=2)
    fleet.acknowledged("a", said("two", mark=2, refused={WHOLE: "irVersion 9"}), 1)
    assert fleet.settled() == 1
    assert fleet.programmed([], 2) == Programming(False, "Refused", "a refused it: irVersion 9")
    assert fleet.reports()["a"].manifest == ""


def test_messages_name_a_few_pods() -> None:
    fleet = Fleet()
    fleet.set_pods(pods("a", "b", "c", "d", "e"), 0)
    assert fleet.programmed([], 1).message == "no stream from a, b, c and 2 more"


def test_reports_speak_of_this_replicas_newest_manifest() -> None:
    fleet = Fleet()
    fleet.joined("a", "pod-a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one", mark=7), 1)
    assert fleet.reports()["a"].manifest == "digest of one 1"
    fleet.renamed("one", "the same with newer marks")
    report = fleet.reports()["a"]
    assert (report.name, report.manifest) == ("pod-a", "the same with newer marks")
    assert report.marks == {"Route": "7"}
    fleet.left("a")
    assert fleet.reports() == {}


def test_nobody_to_measure_is_no_measurement() -> None:
    fleet = Fleet()
    publish(fleet, "one", at=1)
    fleet.joined("a", "a")
    fleet.set_pods(pods("a"), 500)
    assert fleet.acknowledged("a", said("one"), 500) == []


def test_memory_is_bounded() -> None:
    fleet = Fleet()
    fleet.set_pods(pods("a"), 0)
    for mark in range(1_000):
        publish(fleet, f"content {mark}", mark=mark)
        fleet.renamed(f"content {mark}", "d")
    assert max(len(fleet._recent), len(fleet._unsettled), len(fleet._digests)) <= 256
    for number in range(1_000):
        fleet.joined(f"pod {number}", "p")
        fleet.left(f"pod {number}")
    assert fleet._pods == {}
