"""Holdoff: quiet ends a burst, and no change waits for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_operator.holdoff import MOST_S, QUIET_S, REST, Holdoff


def test_nothing_is_due_before_a_change() -> None:
    assert Holdoff().due is None


def test_one_change_waits_for_quiet() -> None:
    holdoff = Holdoff()
    holdoff.touch(5.0)
    assert holdoff.due == 5.0 + QUIET_S
    assert holdoff.first == 5.0


def test_clearing_starts_anew() -> None:
    holdoff = Holdoff()
    holdoff.touch(5.0)
    holdoff.clear()
    assert holdoff.due is None
    holdoff.touch(9.0)
    assert holdoff.first == 9.0


@given(st.lists(st.floats(0, 10), min_size=1))
def test_no_change_waits_longer_than_the_most(moments: list[float]) -> None:
    holdoff = Holdoff()
    moments.sort()
    for moment in moments:
        holdoff.touch(moment)
    assert holdoff.due is not None
    assert holdoff.due <= moments[0] + MOST_S
    assert holdoff.due >= min(moments[-1], moments[0] + MOST_S)


def test_after_work_that_took_long_there_is_a_rest() -> None:
    holdoff = Holdoff()
    holdoff.worked(0.02, 1.02)
    holdoff.touch(1.01)
    assert holdoff.due == pytest.approx(1.02 + REST * 0.02)
    assert holdoff.first == 1.01


def test_quick_work_delays_nothing() -> None:
    holdoff = Holdoff()
    holdoff.worked(0.001, 1.001)
    holdoff.touch(1.01)
    assert holdoff.due == 1.01 + QUIET_S


def test_no_rest_is_longer_than_the_most() -> None:
    holdoff = Holdoff()
    holdoff.worked(8.0, 9.0)
    holdoff.touch(9.0)
    assert holdoff.due == 9.0 + MOST_S
