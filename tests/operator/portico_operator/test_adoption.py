"""A class that nobody serves is adopted, after a while, and let go when somebody does."""

from __future__ import annotations

from typing import Any

import pytest

from portico_operator.adoption import PATIENCE_S, Adoption, is_adopted
from portico_operator.delivery.fleet import NO_DATA_PLANE
from portico_operator.status import Identity, compose

OURS = ("public",)
NOTHING: dict[str, Any] = {}
THEIRS = compose((), NO_DATA_PLANE, 1, Identity(), None, {}, "now")
ADOPTED = compose((), NO_DATA_PLANE, 1, Identity(unserved=True), None, {}, "now")


def test_our_own_and_others_are_not_adopted() -> None:
    adoption = Adoption()
    for now in (0.0, PATIENCE_S, 10 * PATIENCE_S):
        assert adoption.of({"public": NOTHING, "edge": THEIRS}, OURS, now) == frozenset()


def test_a_class_that_stays_silent_is_adopted() -> None:
    adoption = Adoption()
    assert adoption.of({"edge": NOTHING}, OURS, 5.0) == frozenset()
    assert adoption.of({"edge": NOTHING}, OURS, 4.9 + PATIENCE_S) == frozenset()
    assert adoption.of({"edge": NOTHING}, OURS, 5.0 + PATIENCE_S) == {"edge"}
    # Its new status says by whom it was written.
    assert is_adopted(ADOPTED)
    assert adoption.of({"edge": ADOPTED}, OURS, 6.0 + PATIENCE_S) == {"edge"}


def test_another_replica_goes_on_where_one_ended() -> None:
    assert Adoption().of({"edge": ADOPTED}, OURS, 0.0) == {"edge"}


def test_it_is_let_go_as_soon_as_somebody_serves_it() -> None:
    adoption = Adoption()
    assert adoption.of({"edge": ADOPTED}, OURS, 0.0) == {"edge"}
    # The one that serves it writes without the condition, which server-side apply then removes.
    assert not is_adopted(THEIRS)
    assert adoption.of({"edge": THEIRS}, OURS, 1.0) == frozenset()
    # Deleted and made again, it has as long as any other.
    assert adoption.of({}, OURS, 2.0) == frozenset()
    assert adoption.of({"edge": NOTHING}, OURS, 3.0) == frozenset()
    assert adoption.of({"edge": NOTHING}, OURS, 2.9 + PATIENCE_S) == frozenset()


def test_a_class_that_became_ours_is_no_longer_adopted() -> None:
    assert Adoption().of({"edge": ADOPTED}, ("public", "edge"), 99.0) == frozenset()


@pytest.mark.parametrize(
    "status", [{}, {"conditions": None}, {"conditions": []}, {"conditions": [7, None]}]
)
def test_a_status_without_conditions_tells_nothing(status: dict[str, Any]) -> None:
    adoption = Adoption()
    adoption.of({"edge": status}, OURS, 0.0)
    assert adoption.of({"edge": status}, OURS, PATIENCE_S) == {"edge"}
