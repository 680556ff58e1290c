"""The table of leases: one id is one counter as long as somebody uses it, and nothing is lost."""

from __future__ import annotations

import gc

import pytest

from portico_dataplane.core.holds import Stake
from portico_dataplane.core.lease import ASK
from portico_dataplane.core.leases import Leases
from portico_ir.access import Bucket
from portico_ir.leases import Grant, Requests

NOW = 1_795_435_200_000


@pytest.fixture
def leases() -> Leases:
    return Leases()


def test_a_plan_gets_a_quota_and_loses_it(leases: Leases) -> None:
    free = leases.quota("x", Requests("p", "x"))
    free.take(NOW)
    limited = leases.quota("x", Requests("p", "x", 10))
    assert limited is not free
    assert limited.take(NOW) == ASK
    assert limited.spent == 1  # what had been counted is still told
    assert leases.quota("x", Requests("p", "x", 5)) is limited
    again = leases.quota("x", Requests("p", "x"))
    assert again is leases.quota("x", Requests("p", "x"))
    assert again.spent == 1


def test_one_id_is_one_counter_as_long_as_somebody_has_a_stake_in_it(leases: Leases) -> None:
    first = leases.bucket("x", 1, 1)
    stakes = [Stake(first), Stake(first)]
    stakes.pop()
    gc.collect()
    assert leases.bucket("x", 1, 1) is first
    stakes.pop()
    gc.collect()
    assert leases.bucket("x", 1, 1) is not first


def test_what_is_in_use_is_not_forgotten(leases: Leases) -> None:
    leases.granted(Grant("gone"), NOW)  # nobody holds it: nothing happens
    used = leases.bucket("x", 1, 1)
    stake = Stake(used)
    used.take(NOW)
    del stake
    gc.collect()
    assert leases.bucket("x", 1, 1) is used
    assert used.active
    leases.due(NOW, everything=True)
    leases.due(NOW + 60_000, everything=True)  # it rests, and nobody has a stake in it
    assert leases.bucket("x", 1, 1) is not used


def test_a_plan_that_changes_its_kind_leaves_the_new_counter(leases: Leases) -> None:
    free = leases.quota("x", Requests("p", "x"))
    stake = Stake(free)
    limited = leases.quota("x", Requests("p", "x", 10))
    del stake
    gc.collect()
    assert leases.quota("x", Requests("p", "x", 10)) is limited


def test_the_account(leases: Leases) -> None:
    assert leases.set_account(None) is False
    assert leases.set_account(Bucket(rate=1, burst=2)) is True
    account = leases.account
    assert account is not None
    assert leases.set_account(Bucket(rate=5, burst=2)) is False
    assert leases.account is account
    assert account.limit.rate == 5
    assert leases.set_account(None) is True


def test_a_share_of_something(leases: Leases) -> None:
    leases.leaves = 4
    assert [leases.share_of(amount) for amount in (0, 0.1, 3, 100)] == [0, 1, 1, 25]
