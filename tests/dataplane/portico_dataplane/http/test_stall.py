"""Stall: slow is good enough, nothing at all is not."""

from __future__ import annotations

import math

import pytest

from fake_upstreams import Wire
from portico_dataplane.http.stall import Stall


@pytest.fixture
def wire() -> Wire:
    wire = Wire()
    wire.unsent = 100
    return wire


def test_nothing_is_expected_of_who_was_not_watched(wire: Wire) -> None:
    stall = Stall(wire, 10.0)
    assert stall.due == math.inf
    assert not stall.stalled(1e9)


def test_nothing_is_expected_where_nothing_is_unsent(wire: Wire) -> None:
    stall = Stall(wire, 10.0)
    wire.unsent = 0
    stall.watch(5.0)
    assert stall.due == math.inf
    assert not stall.stalled(1e9)


def test_who_takes_nothing_has_stalled_in_time_and_not_before(wire: Wire) -> None:
    stall = Stall(wire, 10.0)
    stall.watch(5.0)
    assert stall.due == 15.0
    assert not stall.stalled(14.9)
    assert stall.stalled(15.0)


@pytest.mark.parametrize("unsent", [100, 101, 5000])
def test_more_unsent_than_before_is_nothing_taken(wire: Wire, unsent: int) -> None:
    stall = Stall(wire, 10.0)
    stall.watch(0.0)
    wire.unsent = unsent
    assert stall.stalled(10.0)


def test_any_byte_is_another_while(wire: Wire) -> None:
    stall = Stall(wire, 10.0)
    stall.watch(0.0)
    for now in (10.0, 20.0, 30.0):
        wire.unsent -= 1
        assert not stall.stalled(now)
        assert stall.due == now + 10.0
    assert stall.stalled(40.0)


def test_all_of_it_is_the_end_of_waiting(wire: Wire) -> None:
    stall = Stall(wire, 10.0)
    stall.watch(0.0)
    wire.unsent = 0
    assert not stall.stalled(10.0)
    assert stall.due == math.inf


def test_who_keeps_up_rests(wire: Wire) -> None:
    stall = Stall(wire, 10.0)
    stall.watch(0.0)
    stall.rest()
    assert not stall.stalled(1e9)
    stall.watch(50.0)
    assert stall.stalled(60.0)
