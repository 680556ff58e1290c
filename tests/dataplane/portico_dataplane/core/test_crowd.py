"""Connections by client: so many and no more, and nobody who is gone is remembered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.crowd import CLIENT, TOTAL, Crowd

A, B, PROXY = "192.0.2.1", "192.0.2.2", "10.0.0.1"


def crowd(most: int) -> Crowd:
    return Crowd(most, lambda address: address == PROXY)


def test_so_many_of_one_client() -> None:
    here = crowd(2)
    assert [here.enter(A) for _ in range(3)] == [True, True, False]
    assert here.enter(B)
    assert here.refused == {CLIENT: 1, TOTAL: 0}
    here.leave(A)
    assert here.enter(A)
    assert not here.enter(A)


def test_any_number_by_default() -> None:
    here = crowd(0)
    assert all(here.enter(A) for _ in range(1000))
    here.leave(A)
    assert len(here) == 0


def test_who_brings_other_peoples_requests_is_not_one_client() -> None:
    here = crowd(1)
    assert all(here.enter(PROXY) for _ in range(10))
    for _ in range(10):
        here.leave(PROXY)
    assert len(here) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:0:1::", "2001:db8::", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "192.0.2.2", False),
        ("a:b", "a:c", False),
    ],
)
def test_an_ipv6_client_is_its_network(one: str, other: str, same: bool) -> None:
    here = crowd(1)
    assert here.enter(one)
    assert here.enter(other) is not same


def test_leaving_twice_is_no_credit() -> None:
    here = crowd(1)
    here.leave(A)
    assert here.enter(A)
    assert not here.enter(A)


@given(st.lists(st.sampled_from([A, B, "2001:db8::1", "2001:db8::2"]), max_size=60))
def test_whoever_came_and_went_is_forgotten(addresses: list[str]) -> None:
    here = crowd(5)
    entered = [one for one in addresses if here.enter(one)]
    for one in reversed(entered):
        here.leave(one)
    assert len(here) == 0
