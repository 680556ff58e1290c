"""What a pod says of what it serves."""

from __future__ import annotations

from portico_dataplane.feed.choice import Choosable
from portico_dataplane.feed.offers import Offered
from portico_dataplane.feed.serving import Serving, rejection
from portico_ir.model import IR_VERSION
from portico_ir.stream import WHOLE, Acknowledgement

SERVING = Serving("d", "c", {"Route": "9"}, {"Route": "5"}, "b", {"api/x": "no"})


def test_what_is_acknowledged_is_how_far_the_operator_has_looked() -> None:
    assert SERVING.acknowledgement() == Acknowledgement(
        digest="d", content="c", refused={"api/x": "no"}, marks={"Route": "9"}, build="b"
    )


def test_what_is_held_is_its_newest_change() -> None:
    assert SERVING.held == ("c", {"Route": "5"})


def test_changes_only_grow_while_what_serves_stays_the_same() -> None:
    newer = Choosable(IR_VERSION, "c", {"Route": "12"}, {"Route": "8", "Stage": "3"})
    renewed = SERVING.renewed("e", newer, "b2")
    assert renewed == Serving(
        "e", "c", {"Route": "12"}, {"Route": "8", "Stage": "3"}, "b2", {"api/x": "no"}
    )
    # The other replica came to the same bytes before an edit and its undoing, which this pod saw.
    older = Choosable(IR_VERSION, "c", {"Route": "6"}, {"Route": "5"})
    assert renewed.renewed("d", older, "b").changed == {"Route": "8", "Stage": "3"}


def test_a_rejection_names_the_offer() -> None:
    offer = Offered("d", None, "fault", "c", {"Route": "9"}, {"Route": "5"})
    assert rejection(offer, "why", "b") == Acknowledgement(
        digest="d", content="c", refused={WHOLE: "why"}, marks={"Route": "9"}, build="b"
    )
