"""Days and periods of quotas: in UTC, each begins at a midnight, none overlaps or is missed."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_ir.periods import DAY_MS, Period, date_of, day_from, day_of, end_of, start_of

OFFSETS = {"DAY": 0, "WEEK": 6, "MONTH": 27}


def day(text: str) -> int:
    return day_from(dt.date.fromisoformat(text))


@pytest.mark.parametrize(
    ("period", "offset", "today", "start", "end"),
    [
        ("DAY", 0, "2026-11-23", "2026-11-23", "2026-11-24"),
        # Weeks begin on Sunday (AWS §7.2); the 23rd is a Monday.
        ("WEEK", 0, "2026-11-23", "2026-11-22", "2026-11-29"),
        ("WEEK", 0, "2026-11-22", "2026-11-22", "2026-11-29"),
        ("WEEK", 1, "2026-11-23", "2026-11-23", "2026-11-30"),
        ("WEEK", 2, "2026-11-23", "2026-11-17", "2026-11-24"),
        ("WEEK", 6, "2026-11-23", "2026-11-21", "2026-11-28"),
        ("MONTH", 0, "2026-11-23", "2026-11-01", "2026-12-01"),
        ("MONTH", 22, "2026-11-23", "2026-11-23", "2026-12-23"),
        ("MONTH", 23, "2026-11-23", "2026-10-24", "2026-11-24"),
        ("MONTH", 27, "2026-02-28", "2026-02-28", "2026-03-28"),
        ("MONTH", 0, "2024-02-29", "2024-02-01", "2024-03-01"),
        ("MONTH", 14, "2027-01-14", "2026-12-15", "2027-01-15"),
    ],
)
def test_periods(period: Period, offset: int, today: str, start: str, end: str) -> None:
    found = start_of(period, offset, day(today))
    assert date_of(found).isoformat() == start
    assert date_of(end_of(period, offset, found)).isoformat() == end


@given(st.sampled_from(sorted(OFFSETS)), st.integers(0, 27), st.integers(0, 60_000))
def test_every_day_is_in_one_period(period: Period, offset: int, today: int) -> None:
    offset %= OFFSETS[period] + 1
    start = start_of(period, offset, today)
    end = end_of(period, offset, start)
    assert start <= today < end
    assert {start_of(period, offset, each) for each in range(start, end)} == {start}
    assert start_of(period, offset, end) == end


def test_a_day_ends_at_midnight_in_utc() -> None:
    midnight = dt.datetime(2026, 11, 24, tzinfo=dt.UTC).timestamp() * 1000
    assert day_of(midnight) == day("2026-11-24")
    assert day_of(midnight - 1) == day("2026-11-23")
    assert day_of(midnight + DAY_MS - 1) == day("2026-11-24")
