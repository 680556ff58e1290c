"""A lease: taking is synchronous, asking comes in time, what is idle goes back."""

from __future__ import annotations

import pytest

from portico_dataplane.core.holds import Stake
from portico_dataplane.core.lease import (
    ASK,
    FRESH_MS,
    IDLE_MS,
    REFUSED,
    TAKEN,
    BucketLease,
    QuotaLease,
)
from portico_dataplane.core.leases import REPORT_MS, UNUSED_MS, Leases
from portico_ir.leases import Ask, Grant, Requests

NOW = 1_795_435_200_000


class World:
    """One worker's leases, and a clock."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.woken = 0
        self.leases.wake = self._wake
        self.now = NOW
        self.bucket = self.leases.bucket("b", 10, 100)
        self.stake = Stake(self.bucket)
        limit = Requests("p", "k", 100)
        quota = self.leases.quota("q", limit)
        assert isinstance(quota, QuotaLease)
        self.quota = quota
        self.stakes = (self.stake, Stake(quota))

    def _wake(self) -> None:
        self.woken += 1

    def grant(self, lease: BucketLease | QuotaLease, **said: float | bool) -> None:
        """An answer, of a period that has an hour to go."""
        usual = {} if isinstance(lease, BucketLease) else {"period": 7, "ends_ms": 3_600_000.0}
        self.leases.granted(Grant(lease.id, **(usual | said)), self.now)  # type: ignore[arg-type]

    def take(self, lease: BucketLease | QuotaLease, times: int = 1) -> list[int]:
        return [lease.take(self.now) for _ in range(times)]

    def due(self, after: int = 0, *, everything: bool = True) -> list[Ask]:
        self.now += after
        return self.leases.due(self.now, everything=everything)


@pytest.fixture(params=["bucket", "quota"])
def lease(request: pytest.FixtureRequest, world: World) -> BucketLease | QuotaLease:
    found: BucketLease | QuotaLease = getattr(world, request.param)
    return found


@pytest.fixture
def world() -> World:
    return World()


def test_the_first_use_asks(world: World, lease: BucketLease | QuotaLease) -> None:
    assert world.take(lease) == [ASK]
    assert world.woken
    lease.waiting = 1
    world.leases.press(lease)
    (ask,) = world.due(everything=False)
    assert (ask.id, ask.waiting, ask.spent, ask.held) == (lease.id, 1, 0, 0)
    assert ask.want >= 1


def test_then_tokens_are_at_hand(world: World, lease: BucketLease | QuotaLease) -> None:
    world.grant(lease, tokens=5)
    assert world.take(lease, 5) == [TAKEN] * 5
    assert lease.spent == 5


def test_more_are_asked_for_before_they_run_out(
    world: World, lease: BucketLease | QuotaLease
) -> None:
    world.grant(lease, tokens=10, more=True)
    world.take(lease, 5)
    assert not world.leases.pressed
    world.take(lease)
    assert world.leases.pressed
    (ask,) = world.due(everything=False)
    assert (ask.spent, ask.held, ask.waiting) == (6, 4, 0)
    # Nothing is asked twice.
    world.leases.press(lease)
    assert world.due(everything=False) == []
    assert world.take(lease, 4) == [TAKEN] * 4


def test_out_of_tokens_is_refused_until_asking_may_help(
    world: World, lease: BucketLease | QuotaLease
) -> None:
    world.grant(lease, tokens=1, recheck_ms=200)
    assert world.take(lease, 3) == [TAKEN, REFUSED, REFUSED]
    assert lease.refused == 2
    world.now += 200
    assert world.take(lease) == [ASK]


def test_out_of_tokens_asks_at_once_where_there_are_more(
    world: World, lease: BucketLease | QuotaLease
) -> None:
    world.grant(lease, tokens=1, more=True)
    assert world.take(lease, 2) == [TAKEN, ASK]


def test_credit_bridges_the_time_until_more_have_come(
    world: World, lease: BucketLease | QuotaLease
) -> None:
    world.grant(lease, tokens=1, credit=2, more=True)
    assert world.take(lease, 4) == [TAKEN, TAKEN, TAKEN, ASK]
    (ask,) = world.due(everything=False)
    assert (ask.spent, ask.held) == (3, 0)
    assert lease.tokens == 0  # the debt is the pod's


def test_credit_does_not_keep(world: World, lease: BucketLease | QuotaLease) -> None:
    world.grant(lease, tokens=1, credit=5, recheck_ms=10_000)
    world.now += FRESH_MS
    assert world.take(lease, 2) == [TAKEN, REFUSED]


def test_a_token_may_be_given_back(world: World, lease: BucketLease | QuotaLease) -> None:
    world.grant(lease, tokens=1)
    assert world.take(lease) == [TAKEN]
    lease.back()
    assert lease.spent == 0
    assert world.take(lease) == [TAKEN]


def test_nobody_answers_in_time(world: World, lease: BucketLease | QuotaLease) -> None:
    assert lease.overdue()  # by its grace
    assert lease.spent == 1
    world.leases.keeps = False
    assert not lease.overdue()
    assert lease.refused == 1


def test_grace_ends(world: World) -> None:
    assert [world.bucket.overdue() for _ in range(12)] == [True] * 10 + [False] * 2


def test_what_was_spent_is_reported_now_and_then(
    world: World, lease: BucketLease | QuotaLease
) -> None:
    world.grant(lease, tokens=1000)
    world.take(lease, 10)
    assert world.due()  # it has just become active
    world.grant(lease)
    world.take(lease, 3)
    assert world.due(REPORT_MS - 1) == []
    (ask,) = world.due(1)
    assert ask.spent == 3


def test_what_nobody_uses_goes_back(world: World, lease: BucketLease | QuotaLease) -> None:
    world.grant(lease, tokens=1000)
    world.take(lease)
    world.due()
    world.grant(lease)
    (ask,) = world.due(IDLE_MS)
    assert (ask.held, ask.want, ask.spent) == (0, 0, 0)
    assert not world.leases.busy
    assert world.take(lease) == [ASK]


def test_the_last_word(world: World, lease: BucketLease | QuotaLease) -> None:
    world.grant(lease, tokens=1000)
    world.take(lease, 7)
    (ask,) = world.leases.everything(world.now)
    assert (ask.spent, ask.held, ask.want) == (7, 0, 0)
    assert not world.leases.busy


def test_demand_is_measured(world: World, lease: BucketLease | QuotaLease) -> None:
    world.grant(lease, tokens=10_000)
    for _ in range(5):
        world.take(lease, 100)
        asks = world.due(REPORT_MS)
        world.grant(lease)
    assert asks[0].demand == pytest.approx(200, rel=0.1)
    assert world.due(REPORT_MS + IDLE_MS)[0].demand == 0


# --- buckets ----------------------------------------------------------------------------------


def test_a_share_of_the_rate_fills_it(world: World) -> None:
    world.grant(world.bucket, tokens=0, rate=100, cap=5)
    assert world.take(world.bucket) == [REFUSED] or world.bucket.recheck_at <= world.now
    world.now += 30
    assert world.take(world.bucket, 4) == [TAKEN] * 3 + [ASK]
    world.now += 10_000
    assert world.take(world.bucket, 6)[:5] == [TAKEN] * 5


def test_an_old_stamp_adds_nothing(world: World) -> None:
    world.grant(world.bucket, tokens=0, rate=100, cap=5, recheck_ms=1000)
    world.now += 30
    world.take(world.bucket, 3)
    assert world.bucket.take(world.now - 500) == REFUSED
    assert world.bucket.take(world.now) == REFUSED


def test_a_share_that_is_not_used_is_reported(world: World) -> None:
    world.grant(world.bucket, tokens=100, rate=100, cap=100)
    world.take(world.bucket, 50)
    world.due()
    world.grant(world.bucket, rate=100, cap=100)
    assert world.due(UNUSED_MS - 1) == []
    assert len(world.due(1)) == 1


@pytest.mark.parametrize(("rate", "burst"), [(0, 0), (10, 0)])
def test_a_bucket_that_holds_nothing_refuses(world: World, rate: float, burst: float) -> None:
    closed = world.leases.bucket("closed", rate, burst)
    assert [closed.take(world.now) for _ in range(3)] == [REFUSED] * 3
    assert not world.woken


def test_a_bucket_that_changes(world: World) -> None:
    world.grant(world.bucket, tokens=50, rate=100, cap=50)
    world.take(world.bucket)
    assert world.leases.bucket("b", 5, 10) is world.bucket
    assert (world.bucket.tokens, world.bucket.rate) == (10, 0.005)
    assert world.leases.pressed
    world.leases.bucket("b", 0, 0)
    assert world.take(world.bucket) == [REFUSED]


# --- quotas -----------------------------------------------------------------------------------


def test_a_period_that_is_over(world: World) -> None:
    world.grant(world.quota, tokens=5)
    world.take(world.quota)
    world.now += 3_600_000
    assert world.take(world.quota) == [ASK]
    world.grant(world.quota, tokens=3, period=8)
    assert (world.quota.tokens, world.quota.period) == (3, 8)


def test_a_quota_of_nothing_refuses(world: World) -> None:
    none = world.leases.quota("none", Requests("p", "n", 0))
    assert none.take(world.now) == REFUSED


def test_without_a_quota_requests_are_counted(world: World) -> None:
    free = world.leases.quota("free", Requests("p", "f"))
    assert [free.take(world.now) for _ in range(5)] == [TAKEN] * 5
    (ask,) = world.due()
    assert (ask.spent, ask.want) == (5, 0)
    assert world.due(REPORT_MS) == []
    world.due(IDLE_MS)
    assert not world.leases.busy
