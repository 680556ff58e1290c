"""Ledger: an exchange counts once, quotas are counted in days, and what rests is forgotten."""

from __future__ import annotations

import datetime as dt

from msgspec.structs import replace

from portico_ir.access import Plan, Quota
from portico_ir.leases import Ask, Exchange, Grant, Requests, Tokens, Use
from portico_ir.ledger import FORGET_MS, TERM_MS, Ledger
from portico_ir.periods import DAY_MS, day_of

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC).timestamp() * 1000
TODAY = day_of(NOON)
QUOTA = Requests("plan", "key", 100)
ID = "quota/plan/key"


class Pod:
    """Asks a ledger, and remembers what it was granted."""

    def __init__(self, ledger: Ledger, name: str = "pod", leaves: int = 2) -> None:
        self.ledger = ledger
        self.name = name
        self.leaves = leaves
        self.serial = 0
        self.last: Exchange | None = None

    def asks(self, *asks: Ask, now: float = NOON, usage: tuple[Use, ...] = ()) -> list[Grant]:
        self.serial += 1
        self.last = Exchange(
            holder=self.name, serial=self.serial, leaves=self.leaves, asks=asks, usage=usage
        )
        return list(self.ledger.settle(self.last, now).grants)

    def quota(
        self, limit: Requests = QUOTA, *, used: int = 0, now: float = NOON, **said: float
    ) -> Grant:
        ask = replace(Ask(ID, limit, used), period=TODAY)
        usage = (Use("plan", "key", day_of(now), used),) if used else ()
        return self.asks(replace(ask, **said), now=now, usage=usage)[0]


def test_usage_is_what_counts() -> None:
    ledger = Ledger()
    pod = Pod(ledger)
    assert pod.quota(want=1000).tokens == 50
    pod.quota(used=30, held=20)
    assert ledger.remaining(QUOTA, NOON) == 70
    # Thirty are used and twenty held: fifty are left for anybody.
    assert Pod(ledger, "other").quota(want=1000).tokens == 12


def test_an_exchange_that_comes_again_counts_once() -> None:
    ledger = Ledger()
    pod = Pod(ledger)
    bucket = Ask("b", Tokens(10, 100), want=10)
    pod.asks(bucket)
    pod.asks(replace(bucket, spent=5.0, held=5.0), usage=(Use("plan", "key", TODAY, 5),))
    assert pod.last is not None
    again = ledger.settle(pod.last, NOON)
    assert again.known == 2
    assert ledger.usage.of("plan", "key", TODAY, TODAY + 1) == 5
    # What it was granted and never heard of came back, and is granted again.
    (grant,) = pod.asks(replace(bucket, spent=0.0, held=15.0, want=0.0))
    assert grant.tokens == 0


def test_it_says_what_it_knew() -> None:
    ledger = Ledger()
    pod = Pod(ledger)
    pod.asks()
    assert ledger.settle(Exchange(holder="pod", serial=2, acknowledged=1), NOON).known == 1
    assert ledger.settle(Exchange(holder="new", serial=9, acknowledged=8), NOON).known == 0


def test_workers_of_all_pods() -> None:
    ledger = Ledger()
    Pod(ledger, "a", 2).asks()
    Pod(ledger, "b", 4).asks(now=NOON + 1000)
    assert ledger.leaves(NOON + 1000) == 6
    assert ledger.leaves(NOON + TERM_MS + 500) == 4


def test_a_dead_pod_s_lease_comes_back_after_a_term() -> None:
    ledger = Ledger()
    Pod(ledger, "dead").quota(want=1000)
    alive = Pod(ledger, "alive")
    assert alive.quota(want=1000).tokens == 12
    assert alive.quota(held=12, want=1000, now=NOON + TERM_MS).tokens == 9
    assert alive.quota(held=21, want=1000, now=NOON + TERM_MS + 1).tokens == 39


def test_a_pod_that_says_goodbye_need_not_be_waited_for() -> None:
    ledger = Ledger()
    Pod(ledger, "gone").quota(want=1000)
    ledger.left("gone")
    assert Pod(ledger).quota(want=1000).tokens == 50


def test_a_new_period_begins_with_everything() -> None:
    ledger = Ledger()
    pod = Pod(ledger)
    pod.quota(want=1000)
    pod.quota(used=50)
    tomorrow = (TODAY + 1) * DAY_MS + 1.0
    grant = pod.quota(held=20, want=1000, now=tomorrow)
    assert grant.period == TODAY + 1
    assert grant.ends_ms == DAY_MS - 1
    assert grant.tokens == 50  # what it held was yesterday's


def test_usage_of_yesterday_does_not_count_today() -> None:
    ledger = Ledger()
    pod = Pod(ledger)
    pod.asks(usage=(Use("plan", "key", TODAY - 1, 99),))
    assert pod.quota(want=1000).tokens == 50
    weekly = Requests("plan", "key", 100, "WEEK", 0)
    assert ledger.remaining(weekly, NOON) == 1


def test_a_plan_that_changes_loses_nothing() -> None:
    ledger = Ledger()
    pod = Pod(ledger)
    pod.quota(want=40)
    pod.quota(used=40)
    assert ledger.remaining(Requests("plan", "key", 100), NOON) == 60
    raised = Requests("plan", "key", 1000, "MONTH", 0)
    assert pod.quota(raised, want=10_000, period=0).tokens == 480
    assert pod.quota(Requests("plan", "key", 40), want=10).tokens == 0


def test_a_plan_without_a_quota_is_counted_all_the_same() -> None:
    ledger = Ledger()
    grant = Pod(ledger).quota(Requests("plan", "key"), used=7)
    assert (grant.tokens, grant.period) == (0, TODAY)
    assert ledger.usage.of("plan", "key", TODAY, TODAY + 1) == 7


def test_an_extension() -> None:
    ledger = Ledger()
    pod = Pod(ledger)
    pod.quota(used=100)
    assert pod.quota(want=8, waiting=1).tokens == 0
    ledger.extend(QUOTA, 10, NOON)
    assert ledger.remaining(QUOTA, NOON) == 10
    assert pod.quota(want=8, waiting=1).tokens == 5
    assert ledger.remaining(QUOTA, NOON + DAY_MS) == 100
    ledger.extend(QUOTA, 0, NOON)
    assert ledger.remaining(QUOTA, NOON) == 0


def test_a_bucket_that_shrinks_keeps_no_more_than_fits() -> None:
    ledger = Ledger()
    pod = Pod(ledger)
    pod.asks(Ask("b", Tokens(1, 100)))
    (grant,) = pod.asks(Ask("b", Tokens(1, 10), want=50))
    assert grant.tokens == 5


def test_a_debt_is_paid_within_one_filling() -> None:
    ledger = Ledger()
    pod = Pod(ledger)
    pod.asks(Ask("b", Tokens(10, 10), want=1))
    pod.asks(Ask("b", Tokens(10, 10), spent=1000.0))
    (grant,) = pod.asks(Ask("b", Tokens(10, 10), want=3, waiting=3), now=NOON + 1_300)
    assert grant.tokens == 3


def test_alone_a_pod_gets_everything() -> None:
    ledger = Ledger(alone=True)
    pod = Pod(ledger)
    (grant,) = pod.asks(Ask("b", Tokens(5, 10), want=1))
    assert (grant.tokens, grant.rate, grant.cap) == (10, 5, 10)
    assert pod.quota(want=1).tokens == 100


def test_what_rests_is_forgotten() -> None:
    ledger = Ledger()
    pod = Pod(ledger)
    for number in range(200):
        pod.asks(Ask(f"client/{number}", Tokens(10, 10), spent=0.0, want=1, waiting=1))
    assert len(ledger) == 200
    later = NOON + 10_000
    for number in range(10):
        pod.asks(Ask("b", Tokens(1, 1)), now=later + number)
    assert len(ledger) == 1


def test_a_bucket_that_is_not_full_is_remembered() -> None:
    ledger = Ledger()
    pod = Pod(ledger)
    slow = Ask("slow", Tokens(0.001, 10))
    pod.asks(replace(slow, want=10, waiting=10))
    pod.asks(replace(slow, spent=10.0))
    for number in range(10):
        pod.asks(Ask("b", Tokens(1, 1)), now=NOON + 60_000 + number)
    (grant,) = pod.asks(replace(slow, want=1, waiting=1), now=NOON + 61_000)
    assert grant.tokens == 0


def test_pods_long_gone_are_forgotten() -> None:
    ledger = Ledger()
    Pod(ledger, "old").asks()
    Pod(ledger, "new").asks(now=NOON + FORGET_MS + 1)
    assert list(ledger.holders) == ["new"]


def test_what_a_plan_declares_adds_to_the_quota_of_one_period() -> None:
    """However often it is said; and beside what was done by hand."""
    ledger = Ledger()
    plan = Plan(id="plan", name="d/plan", quota=Quota(limit=100, period="DAY"))
    more = replace(plan, extensions={"key": ((TODAY, 40), (TODAY + 1, 5))})
    for _ in range(2):
        ledger.declare([more])
    assert ledger.remaining(QUOTA, NOON) == 140
    assert ledger.remaining(QUOTA, NOON + DAY_MS) == 105
    assert ledger.remaining(Requests("plan", "other", 100), NOON) == 100
    # By hand it is said what remains, whatever is declared.
    ledger.extend(QUOTA, 500, NOON)
    assert ledger.remaining(QUOTA, NOON) == 500
    assert ledger.extras(more, ["key", "other"], NOON) == {"key": 400}
    # Taken away, it is gone.
    ledger.declare([plan])
    assert ledger.remaining(QUOTA, NOON) == 460
    assert ledger.extras(replace(plan, quota=None), ["key"], NOON) == {}


def test_what_a_plan_declares_is_granted() -> None:
    ledger = Ledger(alone=True)
    pod = Pod(ledger)
    assert pod.quota(used=100, want=1).tokens == 0
    plan = Plan(id="plan", name="d/plan", quota=Quota(limit=100, period="DAY"))
    ledger.declare([replace(plan, extensions={"key": ((TODAY, 40),)})])
    assert pod.quota(want=1).tokens == 40
