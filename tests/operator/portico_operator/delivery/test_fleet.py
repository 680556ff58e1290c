"""Which pods are live, which serve what; time is an argument."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from portico_ir.stream import WHOLE, Acknowledgement
from portico_operator.delivery.fleet import (
    NOBODY,
    PROGRAMMED,
    Fleet,
    LivePod,
    Programming,
    Refusal,
    Standing,
)
from portico_operator.pods import PodState

BUILD = "b"


def pods(*names: str) -> list[PodState]:
    return [PodState(name, name, ready=True, terminating=False) for name in names]


def fleet_of(*names: str, streams: str | None = None) -> Fleet:
    """Live pods, those of `streams` (all of them by default) connected."""
    fleet = Fleet(BUILD)
    fleet.set_pods(pods(*names), 0)
    for name in names if streams is None else streams:
        fleet.joined(name, name)
    return fleet


def publish(fleet: Fleet, content: str, *, mark: int = 1, at: float = 0.0) -> list[float]:
    marks = {"Route": str(mark)}
    done = fleet.published(content=content, marks=marks, changed_at=at, now=at)
    return [each.seconds for each in done]


def said(
    content: str, *, mark: int = 1, refused: Mapping[str, str] | None = None, build: str = BUILD
) -> Acknowledgement:
    return Acknowledgement(
        digest=f"digest of {content} {mark}",
        content=content,
        marks={"Route": str(mark)},
        refused=dict(refused or {}),
        build=build,
    )


# --- who is live ----------------------------------------------------------------------------


def test_nothing_is_programmed_without_a_live_pod() -> None:
    fleet = Fleet(BUILD)
    fleet.set_pods([PodState("a", "a", False, False), PodState("b", "b", True, True)], 0)
    fleet.joined("a", "a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    assert fleet.programmed([], 1).reason == "NoDataPlane"
    assert fleet.standing().settled is None
    assert NOBODY.programmed(0).reason == "NoDataPlane"


def test_every_live_pod_must_acknowledge() -> None:
    fleet = fleet_of("a", "b")
    publish(fleet, "nothing")
    publish(fleet, "one", at=10)
    assert fleet.acknowledged("a", said("one"), 10.5) == []
    assert fleet.programmed([], 2) == Programming(False, "Pending", "not yet acknowledged by b")
    assert [each.seconds for each in fleet.acknowledged("b", said("one"), 10.75)] == [0.75]
    assert fleet.programmed([], 2) == PROGRAMMED
    standing = fleet.standing()
    assert (standing.pods, standing.having(2), standing.settled) == (2, 2, 2)
    assert standing.took(2) == 0.75
    assert standing.took(1) is None


def test_a_live_pod_without_a_stream_is_unreachable_and_never_acknowledged() -> None:
    fleet = fleet_of("a", "b", streams="a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    assert fleet.programmed([], 1) == Programming(False, "Unreachable", "no stream from b")
    assert fleet.standing().unreachable == ("b",)
    assert fleet.standing().having(1) == 1
    # One that had acknowledged and lost its stream is no better.
    fleet.joined("b", "b")
    fleet.acknowledged("b", said("one"), 2)
    assert fleet.programmed([], 1).is_true
    fleet.left("b")
    assert fleet.programmed([], 1).reason == "Unreachable"
    assert fleet.standing().having(1) == 1


def test_a_pod_that_ends_no_longer_counts() -> None:
    fleet = fleet_of("a", "b", streams="a")
    publish(fleet, "nothing")
    publish(fleet, "one", at=1)
    fleet.acknowledged("a", said("one"), 2)
    assert [each.seconds for each in fleet.set_pods(pods("a"), 4)] == [3]
    assert fleet.programmed([], 2).is_true


def test_a_pod_that_is_not_live_does_not_count() -> None:
    fleet = fleet_of("a")
    fleet.joined("b", "b")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    fleet.acknowledged("b", said("other", refused={"api/x": "no"}), 1)
    assert fleet.programmed(["api/x"], 1) == PROGRAMMED
    assert fleet.standing().refused == {}


def test_a_newer_stream_of_a_pod_outlives_the_older() -> None:
    fleet = fleet_of("a")
    fleet.joined("a", "a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    fleet.left("a")
    assert fleet.programmed([], 1).is_true


def test_a_pod_that_comes_back_says_again_what_it_serves() -> None:
    """A container that restarted is the same pod and serves nothing yet."""
    fleet = fleet_of("a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    fleet.left("a")
    fleet.joined("a", "a")
    assert fleet.programmed([], 1).reason == "Pending"
    fleet.acknowledged("a", said("one"), 2)
    assert fleet.programmed([], 1).is_true


# --- which publication a pod is at ----------------------------------------------------------


def test_an_earlier_change_is_programmed_while_a_later_one_is_not() -> None:
    fleet = fleet_of("a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    publish(fleet, "two", mark=2)
    assert fleet.programmed([], 1).is_true
    assert fleet.programmed([], 2).reason == "Pending"


def test_what_serves_already_needs_no_acknowledgement() -> None:
    fleet = fleet_of("a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    publish(fleet, "two", mark=2, at=3)
    assert publish(fleet, "one", mark=3, at=5) == [2, 0]  # back before any pod took the other
    assert fleet.programmed([], 3).is_true


@pytest.mark.parametrize(
    ("acknowledgement", "counts", "why"),
    [
        (said("theirs", mark=4), False, "it has not seen the change"),
        (said("theirs", mark=5), False, "the same world, and something else made of it"),
        (said("theirs", mark=6), True, "it has seen the change and more"),
        (said("theirs", mark=5, build="newer"), False, "another build, equal marks"),
        (said("theirs", mark=6, build="newer"), False, "another build may not know what we do"),
        (said("mine", mark=3, build="newer"), True, "the same content is the same"),
        (said("mine", mark=9, build="newer"), True, "the same content is the same"),
        (said("theirs", mark=9, build=""), False, "a last good snapshot has no build"),
        (Acknowledgement(digest="d", content="x", build=BUILD), False, "no marks say nothing"),
    ],
)
def test_what_another_replica_sent(
    acknowledgement: Acknowledgement, counts: bool, why: str
) -> None:
    fleet = fleet_of("a")
    publish(fleet, "mine", mark=5)
    fleet.acknowledged("a", acknowledgement, 1)
    assert fleet.programmed([], 1).is_true == counts, why
    if not counts:
        assert fleet.programmed([], 1).reason == "Pending"


def test_the_newest_of_many_publications_that_another_replica_had_seen() -> None:
    fleet = fleet_of("a")
    for mark in range(1, 21):
        publish(fleet, f"mine {mark}", mark=10 * mark)
    for mark, serial in ((9, 0), (10, 0), (11, 1), (105, 10), (110, 10), (199, 19), (500, 20)):
        fleet.acknowledged("a", said("theirs", mark=mark), 1)
        assert fleet.told("a")[0] == serial, mark


def test_an_upgrade_of_the_operator_takes_no_acknowledgement_back() -> None:
    """Replicas of two builds: pods move to the newer one, and nothing has changed."""
    fleet = fleet_of("a")
    publish(fleet, "mine", mark=5)
    fleet.acknowledged("a", said("mine", mark=5), 1)
    fleet.acknowledged("a", said("theirs", mark=6, build="2"), 2)
    assert fleet.programmed([], 1) == PROGRAMMED
    # What is new after that counts when what serves is the same; until then it says who decides.
    publish(fleet, "mine, edited", mark=7)
    fleet.acknowledged("a", said("theirs, edited", mark=8, build="2"), 3)
    assert fleet.programmed([], 2) == Programming(
        False, "Pending", "not yet acknowledged by a (it follows an operator of version 2)"
    )
    assert fleet.programmed([], 1) == PROGRAMMED
    # One that went back to older things has lost it.
    fleet.acknowledged("a", said("old", mark=3, build="2"), 4)
    assert fleet.programmed([], 1).reason == "Pending"


# --- refusals -------------------------------------------------------------------------------


def test_a_refused_unit_is_false_for_its_object_and_true_for_others() -> None:
    fleet = fleet_of("a", "b")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    fleet.acknowledged("b", said("one", refused={"api/x": "no good"}), 1)
    assert fleet.programmed(["api/x"], 1) == Programming(False, "Refused", "b refused it: no good")
    assert fleet.programmed(["api/y"], 1).is_true
    assert fleet.standing().refused == {"api/x": {"b": "no good"}}


def test_a_refusal_speaks_of_the_version_that_was_refused() -> None:
    """Else the edit that heals it would first be written as refused."""
    fleet = fleet_of("a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one", refused={"api/x": "no good"}), 1)
    publish(fleet, "two", mark=2)
    assert fleet.programmed(["api/x"], 2).reason == "Pending"
    fleet.acknowledged("a", said("two", mark=2), 2)
    assert fleet.programmed(["api/x"], 2).is_true


def test_what_a_refused_unit_served_before_serves_on() -> None:
    """The API stays as it was, so that what did not change in it is served as it says."""
    fleet = fleet_of("a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one"), 1)
    publish(fleet, "two", mark=2)
    publish(fleet, "three", mark=3)
    bad = {"api/x": "no good"}
    fleet.acknowledged("a", said("three", mark=3, refused=bad), 1)
    reasons = [fleet.programmed(["api/x"], serial).reason for serial in (1, 2, 3)]
    assert reasons == ["Programmed", "Refused", "Refused"]
    publish(fleet, "four", mark=4)
    fleet.acknowledged("a", said("four", mark=4, refused=bad), 1)
    reasons = [fleet.programmed(["api/x"], serial).reason for serial in (1, 2, 4)]
    assert reasons == ["Programmed", "Refused", "Refused"]
    publish(fleet, "five", mark=5)
    fleet.acknowledged("a", said("five", mark=5), 1)
    assert fleet.programmed(["api/x"], 2).is_true
    # A manifest that is refused whole leaves in force what was refused before.
    publish(fleet, "six", mark=6)
    fleet.acknowledged("a", said("six", mark=6, refused=bad), 1)
    publish(fleet, "seven", mark=7)
    fleet.acknowledged("a", said("seven", mark=7, refused={WHOLE: "too large"}), 1)
    reasons = [fleet.programmed(["api/x"], serial).reason for serial in (5, 6, 7)]
    assert reasons == ["Programmed", "Refused", "Refused"]
    assert fleet.programmed(["api/x"], 7).message == "a refused it: too large"


def test_a_pod_that_refuses_a_manifest_is_pending_with_its_reason_and_serves_on() -> None:
    fleet = fleet_of("a", "b")
    publish(fleet, "one")
    for name in "ab":
        fleet.acknowledged(name, said("one"), 1)
    publish(fleet, "two", mark=2)
    fleet.acknowledged("a", said("two", mark=2, refused={WHOLE: "irVersion 9"}), 1)
    fleet.acknowledged("b", said("two", mark=2), 1)
    standing = fleet.standing()
    assert (standing.settled, standing.having(2)) == (1, 1)
    assert standing.programmed(2) == Programming(False, "Refused", "a refused it: irVersion 9")
    assert standing.programmed(1) == PROGRAMMED, "what it serves on is not taken back"
    # The next one has not been tried yet, and may be good.
    publish(fleet, "three", mark=3)
    assert fleet.programmed([], 3).reason == "Pending"
    fleet.acknowledged("a", said("three", mark=3), 2)
    fleet.acknowledged("b", said("three", mark=3), 2)
    assert fleet.programmed([], 3).is_true


def test_a_manifest_that_is_refused_elsewhere_is_told_here_too() -> None:
    """The pod follows a replica of another version, and cannot read what that one offers."""
    fleet = fleet_of("a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("x", mark=9, build="2", refused={WHOLE: "irVersion 9"}), 1)
    assert fleet.programmed([], 1) == Programming(False, "Refused", "a refused it: irVersion 9")
    # Also where it cannot be compared with anything of ours.
    fleet.acknowledged("a", said("y", mark=0, build="2", refused={WHOLE: "irVersion 9"}), 1)
    assert fleet.programmed([], 1).reason == "Refused"
    publish(fleet, "two", mark=2)
    assert fleet.programmed([], 2).reason == "Pending"


def test_the_first_thing_that_a_pod_refuses_whole() -> None:
    fleet = fleet_of("a")
    publish(fleet, "one")
    fleet.acknowledged("a", said("one", refused={WHOLE: "no memory"}), 1)
    assert fleet.programmed([], 1) == Programming(False, "Refused", "a refused it: no memory")


def test_what_is_said_first() -> None:
    """Unreachable, then refused, then pending: as far as waiting helps less and less."""
    away, late = LivePod("away", is_reachable=False), LivePod("late", 1)
    bad = LivePod("bad", 2, refused={"api/x": Refusal("why")})
    good = LivePod("good", 2)
    assert Standing([away, late, bad, good]).programmed(2, ["api/x"]).reason == "Unreachable"
    assert Standing([late, bad, good]).programmed(2, ["api/x"]).reason == "Refused"
    assert Standing([late, bad, good]).programmed(2).reason == "Pending"
    assert Standing([bad, good]).programmed(2).is_true


def test_messages_name_a_few_pods() -> None:
    fleet = fleet_of(*"abcdefg", streams="")
    assert fleet.programmed([], 1).message == "no stream from a, b, c, d, e and 2 more"
    refusing = [LivePod(f"p{n}", 1, refused={"u": Refusal("no")}) for n in range(7)]
    message = Standing(refusing).programmed(1, ["u"]).message
    assert message.startswith("p0 refused it: no; p1 refused it: no; ")
    assert message.endswith("; and 2 more")


def test_what_need_not_be_waited_for() -> None:
    assert PROGRAMMED.is_settled
    assert NOBODY.programmed(1).is_settled
    assert Standing([LivePod("a", 1, refused={"u": Refusal("no")})]).programmed(1, ["u"]).is_settled
    assert not Standing([LivePod("a", 1)]).programmed(2).is_settled
    assert not Standing([LivePod("a", is_reachable=False)]).programmed(2).is_settled


# --- how long it took -----------------------------------------------------------------------


def test_changes_that_were_skipped_settle_together() -> None:
    fleet = fleet_of("a")
    publish(fleet, "nothing")
    for mark, content in enumerate(("one", "two", "three"), 1):
        publish(fleet, content, mark=mark, at=float(mark))
    done = fleet.acknowledged("a", said("three", mark=3), 4)
    assert [each.seconds for each in done] == [3, 2, 1]


def test_nobody_to_measure_is_no_measurement() -> None:
    fleet = Fleet(BUILD)
    publish(fleet, "nothing")
    publish(fleet, "one", at=1)
    fleet.joined("a", "a")
    fleet.set_pods(pods("a"), 500)
    assert fleet.acknowledged("a", said("one"), 500) == []


def test_a_replica_that_starts_has_changed_nothing() -> None:
    """Else each restart would count as a change that took until the pods were back."""
    fleet = fleet_of("a")
    assert publish(fleet, "as before", at=1) == []
    assert fleet.acknowledged("a", said("as before"), 9) == []
    assert fleet.standing().took(1) is None


def test_memory_is_bounded() -> None:
    fleet = fleet_of("a")
    for mark in range(1_000):
        publish(fleet, f"content {mark}", mark=mark)
    assert max(len(fleet._recent), len(fleet._unsettled)) <= 256
    for mark in range(1_000):
        publish(fleet, f"more {mark}", mark=1_000 + mark)
        fleet.acknowledged("a", said(f"more {mark}"), mark)
    assert len(fleet._took) <= 256
    for number in range(1_000):
        fleet.joined(f"pod {number}", "p")
        fleet.left(f"pod {number}")
    assert set(fleet._pods) == {"a"}


def test_where_everybody_is_stays_the_same_while_nobody_moves() -> None:
    fleet = fleet_of("a")
    publish(fleet, "one")
    standing = fleet.standing()
    assert fleet.standing() is standing
    fleet.acknowledged("a", said("one"), 1)
    assert fleet.standing() is not standing
