"""What is counted for keys and clients: found again while in use, forgotten when not."""

from __future__ import annotations

import pytest

from portico_dataplane.core.key_counters import REST_MS, Counters, KeyCounters, network_of
from portico_dataplane.core.lease import IDLE_MS, BucketLease, QuotaLease
from portico_dataplane.core.leases import Count, Leases
from portico_ir.access import Bucket, Plan, PlanStage, Quota
from portico_ir.leases import Requests

NOW = 1_795_435_200_000
PLACE = ("uid", "prod", "GET /a")
PLAN = Plan(
    id="p",
    name="default/p",
    stages=(PlanStage(api="uid", stage="prod", throttles={"GET /a": Bucket(rate=1, burst=2)}),),
    throttle=Bucket(rate=10, burst=20),
    quota=Quota(limit=100, period="WEEK", offset=1),
)


def counters(most: int = 3) -> Counters:
    return Counters(Leases(), most)


def test_a_key_passes_method_plan_and_quota_in_that_order() -> None:
    found = counters().key(PLAN, "k", NOW)
    method, throttle, quota = found.on(PLACE)
    assert isinstance(method, BucketLease)
    assert method.limit.burst == 2
    assert isinstance(throttle, BucketLease)
    assert throttle.limit.rate == 10
    assert isinstance(quota, QuotaLease)
    assert quota.limit == Requests("p", "k", 100, "WEEK", 1)
    assert found.on(("uid", "prod", "GET /b")) == found.common == (throttle, quota)


def test_a_plan_that_limits_nothing_counts() -> None:
    (only,) = counters().key(Plan(id="q", name="d/q"), "k", NOW).common
    assert isinstance(only, Count)


def test_a_key_is_found_again_under_the_same_plan_only() -> None:
    world = counters()
    first = world.key(PLAN, "k", NOW)
    assert world.key(PLAN, "k", NOW) is first
    assert world.key(PLAN, "other", NOW) is not first
    bucket = first.common[0]
    changed = Plan(id="p", name="default/p", throttle=Bucket(rate=5, burst=5))
    again = world.key(changed, "k", NOW)
    assert again is first
    assert again.common[0] is bucket
    assert isinstance(bucket, BucketLease)
    assert bucket.limit.rate == 5
    assert not again.methods


def test_keys_that_rest_are_forgotten() -> None:
    world = counters()
    leases = world.leases
    found = world.key(PLAN, "k", NOW)
    found.common[0].take(NOW)
    world.key(PLAN, "idle", NOW)
    assert len(world) == 2
    world.key(PLAN, "new", NOW + REST_MS)
    assert {key for _, key in world.keys} == {"k", "new"}
    leases.due(NOW + REST_MS, everything=True)
    leases.due(NOW + REST_MS + IDLE_MS, everything=True)
    world.key(PLAN, "newer", NOW + 3 * REST_MS)
    assert ("p", "k") not in world.keys


def test_the_table_of_keys_stays_the_same_object() -> None:
    world = counters()
    table = world.keys
    world.key(PLAN, "k", NOW)
    world.key(PLAN, "l", NOW + 2 * REST_MS)
    assert world.keys is table


def test_every_client_has_a_bucket() -> None:
    world = counters()
    one = world.client("r", "10.0.0.1", 1, 2, NOW)
    assert world.client("r", "10.0.0.1", 1, 2, NOW) is one
    assert world.client("r", "10.0.0.2", 1, 2, NOW) is not one
    assert world.client("s", "10.0.0.1", 1, 2, NOW) is not one
    assert world.client("r", "10.0.0.1", 5, 5, NOW) is one
    assert one.limit.rate == 5


def test_a_million_clients_are_a_few() -> None:
    world = counters(most=100)
    for number in range(20_000):
        lease = world.client(
            "r", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1, 2, NOW
        )
        lease.take(NOW)
        if not number % 50:
            world.leases.due(NOW, everything=False)
    assert len(world) == 100
    assert len(world.leases.everything(NOW)) <= 150


def test_who_makes_room_gives_back_what_he_has() -> None:
    world = counters(most=1)
    first = world.client("r", "10.0.0.1", 1, 2, NOW)
    first.take(NOW)
    first.tokens, first.known, first.spent = 1.0, True, 3
    world.client("r", "10.0.0.2", 1, 2, NOW)
    (ask,) = [ask for ask in world.leases.due(NOW, everything=False) if ask.id == first.id]
    assert (ask.spent, ask.held, ask.want) == (3, 0, 0)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_whom_an_address_stands_for(address: str, network: str) -> None:
    assert network_of(address) == network


def test_nobody_uses_a_new_key() -> None:
    assert not KeyCounters(PLAN, "k", Leases()).active
