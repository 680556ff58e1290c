"""Line: what a pod hands out of a counter while nobody can be asked, and when a limit changes."""

from __future__ import annotations

from lone_broker import QUOTA, TODAY, Pod, first
from portico_dataplane.core.line import ROUTINE_MS
from portico_ir.leases import Grant, Requests, Tokens
from portico_ir.ledger import TERM_MS

# --- a store that is away ---------------------------------------------------------------------


def test_who_waits_gets_a_part_of_what_there_may_be() -> None:
    pod = Pod()
    first(pod, tokens=1.0)  # there are six workers, two of them here
    pod.ask(known_as="c", want=8.0, waiting=1)
    pod.exchange()
    (answer,) = pod.broker.lost(pod.now)
    assert answer.grant.tokens == 4  # of 50 ÷ 3
    assert answer.grant.more
    (later,) = pod.ask("1", known_as="c", want=100.0, waiting=100)
    assert later.grant.tokens == 12
    assert not later.grant.more


def test_a_quota_lives_on_its_share() -> None:
    pod = Pod()
    pod.ask(known_as="q", limit=QUOTA, want=8.0, waiting=1)
    pod.exchange()
    granted = Grant("q", 8.0, credit=30.0, period=TODAY, ends_ms=9_999.0, left=100.0)
    pod.settle(granted)
    pod.ask(known_as="q", limit=QUOTA, spent=8.0, want=8.0, waiting=1, period=TODAY)
    pod.exchange()
    pod.broker.lost(pod.now)
    got = spent = 0.0
    for _ in range(20):
        (answer,) = pod.ask(
            known_as="q", limit=QUOTA, spent=spent, want=8.0, waiting=8, period=TODAY
        )
        spent = answer.grant.tokens
        got += spent
    assert got == 30


def test_who_refuses_gives_nothing() -> None:
    pod = Pod(keeps=False)
    pod.ask(want=8.0, waiting=1)
    pod.exchange()
    (answer,) = pod.broker.lost(pod.now)
    assert (answer.grant.tokens, answer.grant.rate, answer.grant.credit) == (0, 0, 0)


def test_and_takes_back_what_has_run_out() -> None:
    pod = Pod(keeps=False)
    first(pod, rate=50.0, cap=10.0)
    pod.ask(spent=1.0, want=8.0, demand=100.0)
    pod.exchange(ROUTINE_MS)
    pod.broker.lost(pod.now)
    assert pod.broker.expired(pod.now) == []
    answers = pod.broker.expired(TERM_MS)
    assert [(each.worker, each.grant.rate) for each in answers] == [("0", 0), ("1", 0)]
    assert pod.broker.expired(TERM_MS) == []


# --- changes ----------------------------------------------------------------------------------


def test_a_bucket_that_changes_is_told_at_once() -> None:
    pod = Pod()
    first(pod, tokens=20.0, rate=50.0, more=True, left=1000.0)
    pod.ask(limit=Tokens(10, 5), held=1.0, want=1.0)
    (ask,) = pod.exchange(100).asks
    assert ask.limit == Tokens(10, 5)
    assert ask.held <= 6


def test_a_quota_that_changes_is_asked_for_anew() -> None:
    pod = Pod()
    pod.ask(known_as="q", limit=QUOTA, want=8.0, waiting=1)
    pod.exchange()
    pod.settle(Grant("q", 100.0, period=TODAY, ends_ms=9_999.0, left=100.0, more=True))
    smaller = Requests("p", "k", 5)
    assert pod.ask(known_as="q", limit=smaller, want=1.0, waiting=1) == []
    (ask,) = pod.exchange().asks
    assert (ask.limit, ask.held) == (smaller, 0)


def test_a_period_that_ends_takes_its_leases_with_it() -> None:
    pod = Pod()
    pod.ask(known_as="q", limit=QUOTA, want=8.0, waiting=1)
    pod.exchange()
    pod.settle(Grant("q", 100.0, period=TODAY, ends_ms=5_000.0, left=100.0, more=True))
    pod.now += 5_000
    assert pod.ask(known_as="q", limit=QUOTA, held=3.0, want=1.0, waiting=1, period=TODAY) == []
