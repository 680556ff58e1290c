"""A Stage that was programmed once says so for as long as it is of the same API."""

from __future__ import annotations

from typing import Any

import pytest

from portico_compiler import ObjectRef
from portico_operator.delivery.fleet import NO_DATA_PLANE, PROGRAMMED, Programming
from portico_operator.establishment import is_established, message
from portico_operator.status import Identity, compose

SHOP = ObjectRef("RestApi", "default", "shop")
OTHER = ObjectRef("RestApi", "default", "other")
PENDING = Programming(False, "Pending", "not yet acknowledged by pod-1")


def composed(
    state: Programming, observed: dict[str, Any], api: ObjectRef | None = SHOP, now: str = "now"
) -> dict[str, Any]:
    return compose((), state, 1, Identity(stage_of=api), None, observed, now)


def test_it_is_said_with_the_very_status_that_says_programmed() -> None:
    assert not is_established(composed(PENDING, {}), SHOP)
    assert not is_established(composed(NO_DATA_PLANE, {}), SHOP)
    assert is_established(composed(PROGRAMMED, {}), SHOP)


def test_it_stays_whatever_comes_later_and_keeps_its_time() -> None:
    observed = composed(PROGRAMMED, {}, now="then")
    for state in (PENDING, NO_DATA_PLANE, PROGRAMMED):
        observed = composed(state, observed, now="later")
        assert is_established(observed, SHOP)
        (entry,) = (e for e in observed["conditions"] if e["type"] == "Established")
        assert entry["lastTransitionTime"] == "then"


def test_a_stage_that_is_moved_begins_anew() -> None:
    observed = composed(PROGRAMMED, {})
    assert not is_established(observed, OTHER)
    moved = composed(PENDING, observed, OTHER)
    assert not is_established(moved, OTHER)
    assert not is_established(moved, SHOP)
    assert is_established(composed(PROGRAMMED, moved, OTHER), OTHER)


def test_only_stages_say_it() -> None:
    types = [e["type"] for e in composed(PROGRAMMED, {}, api=None)["conditions"]]
    assert types == ["Programmed"]


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"conditions": None},
        {"conditions": [None, 3]},
        {"conditions": [{"type": "Established", "status": "False", "message": message(SHOP)}]},
        {"conditions": [{"type": "Established", "status": "True", "message": "something"}]},
    ],
)
def test_what_says_nothing(status: dict[str, Any]) -> None:
    assert not is_established(status, SHOP)
    assert not is_established({"conditions": []}, None)
