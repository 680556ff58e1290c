"""WriteFlow: as fast as it may, and no faster than the API server can; the clock is an argument."""

from __future__ import annotations

import math

from portico_operator.write_flow import (
    FIRST_WIDTH,
    LONGEST_ASKED_S,
    LONGEST_PAUSE_S,
    QUICK_S,
    SLOW_S,
    WriteFlow,
)


def flow(width: int = 4) -> WriteFlow:
    """A flow that has found out that the server is quick."""
    one = WriteFlow(0.0, rate=10.0, burst=20.0, width=width)
    for _ in range(width):
        one.answered(0.0)
    return one


def begin(one: WriteFlow, now: float, count: int) -> None:
    for _ in range(count):
        one.begun(now)


def end(one: WriteFlow, count: int, seconds: float = 0.01) -> None:
    for _ in range(count):
        one.answered(seconds)
        one.ended()


def test_no_more_than_its_width_are_under_way() -> None:
    one = flow()
    assert one.room(0.0) == 4
    begin(one, 0.0, 4)
    assert one.room(0.0) == 0
    assert one.next_time(0.0) == math.inf, "not before one ends"
    end(one, 1)
    assert one.room(0.0) == 1


def test_a_rate_with_a_burst() -> None:
    one = flow(width=100)
    assert one.room(0.0) == 20
    begin(one, 0.0, 20)
    end(one, 20)
    assert one.room(0.0) == 0
    assert one.next_time(0.0) == 0.1
    assert one.room(0.35) == 3
    assert one.room(1_000.0) == 20


def test_ten_seconds_of_a_backlog_are_the_burst_and_the_rate() -> None:
    one, now, written = flow(width=8), 0.0, 0
    while now < 10.0:
        count = one.room(now)
        begin(one, now, count)
        end(one, count)
        written += count
        now = max(now + 0.001, one.next_time(now))
    assert 118 <= written <= 121


def test_the_width_is_found_step_by_step() -> None:
    one = WriteFlow(0.0, rate=1e6, burst=1e6, width=32)
    widths = []
    for _ in range(5):
        widths.append(one.room(0.0))
        begin(one, 0.0, widths[-1])
        end(one, widths[-1], QUICK_S)
    assert widths == [FIRST_WIDTH, 8, 16, 32, 32]
    # Neither quick nor slow: that is where it stays.
    begin(one, 0.0, 32)
    end(one, 32, SLOW_S)
    assert one.room(0.0) == 32
    # A server that slows down gets less and less, but always something.
    for expected in (16, 8, 4, 2, 1, 1):
        count = one.room(0.0)
        begin(one, 0.0, count)
        end(one, count, SLOW_S + 0.01)
        assert one.room(0.0) == expected


def test_a_server_that_is_busy_gets_half_and_the_rest_step_by_step() -> None:
    one = flow(width=8)
    begin(one, 0.0, 8)
    one.set_back(0.0, 1.0)
    for _ in range(7):
        one.set_back(0.0, 1.0)  # all eight met the same trouble
    for _ in range(8):
        one.ended()
    assert one.room(1.05) == 0
    assert one.next_time(1.05) == 1.1
    assert one.room(1.1) == 4
    begin(one, 1.1, 4)
    end(one, 2)
    assert one.room(1.1) == 4
    end(one, 2)
    assert one.room(1.1) == 8


def test_a_server_that_is_away_is_asked_by_one_and_ever_less_often() -> None:
    one, now, pauses = flow(width=8), 0.0, []
    for _ in range(10):
        begin(one, now, 1)
        one.set_back(now, now)
        one.ended()
        pauses.append(one.next_time(now) - now)
        now = one.next_time(now)
    assert one.room(now) == 1
    assert [round(pause, 1) for pause in pauses[:4]] == [0.1, 0.2, 0.4, 0.8]
    assert math.isclose(pauses[-1], LONGEST_PAUSE_S)
    begin(one, now, 1)
    end(one, 1)
    one.set_back(now, now)
    assert math.isclose(one.next_time(now) - now, 0.1), "after a success it begins anew"


def test_the_pause_that_is_asked_for_is_kept() -> None:
    one = flow()
    begin(one, 0.0, 2)
    one.set_back(0.0, 1.0, asked=7.0)
    assert one.room(7.9) == 0
    # Another of the same trouble was told to wait longer.
    one.set_back(0.0, 1.5, asked=9.0)
    one.ended()
    one.ended()
    assert one.next_time(2.0) == 10.5
    assert one.room(10.5) > 0
    one.set_back(11.0, 11.0, asked=86_400.0)
    assert one.next_time(11.0) == 11.0 + LONGEST_ASKED_S
