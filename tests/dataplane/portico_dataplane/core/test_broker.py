"""Broker: who is answered at once and who must wait, and what is said again when nobody answered.

How exact it is over a fleet is held by test_lease_accuracy.py.
"""

from __future__ import annotations

from msgspec.structs import replace

from portico_dataplane.core.broker import LOG_MS, ROUTINE_MS, USAGE_MS, Answer, Broker
from portico_ir.leases import Ask, Exchange, Grant, Requests, Settlement, Tokens, Use
from portico_ir.ledger import TERM_MS
from portico_ir.periods import DAY_MS

UNIX_MS = 1_795_435_200_000.0
TODAY = 20_780
BUCKET = Tokens(100, 50)
QUOTA = Requests("p", "k", 1000)
FREE = Requests("p", "k")


class Pod:
    """A broker, and what is said to it."""

    def __init__(self, workers: int = 2, *, keeps: bool = True) -> None:
        self.now = 0.0
        self.broker = Broker("pod", workers, unix_ms=UNIX_MS, keeps=keeps)

    def ask(self, worker: str = "0", known_as: str = "b", **said: object) -> list[Answer]:
        asked = replace(Ask(known_as, BUCKET), **said)
        return self.broker.asked(worker, [asked], self.now)

    def exchange(self, after: float = 0.0) -> Exchange:
        self.now += after
        found = self.broker.exchange(self.now)
        assert found is not None
        return found

    def nothing(self, after: float = 0.0) -> bool:
        self.now += after
        return self.broker.exchange(self.now) is None

    def settle(self, *grants: Grant, known: int | None = None, durable: int = 0) -> list[Answer]:
        sent = self.broker.outstanding
        assert sent is not None
        return self.broker.settled(
            Settlement(
                serial=sent.serial,
                known=sent.serial - 1 if known is None else known,
                durable=durable,
                now_ms=UNIX_MS + self.now,
                leaves=6,
                grants=grants,
            ),
            self.now,
        )


def first(pod: Pod, **granted: object) -> list[Answer]:
    """A first request waits, and the store grants this."""
    assert pod.ask(want=8.0, waiting=1) == []
    pod.exchange()
    return pod.settle(Grant("b", **granted))  # type: ignore[arg-type]


def test_the_first_that_waits_asks_the_store() -> None:
    pod = Pod()
    (answer,) = first(pod, tokens=20.0, more=True, left=100.0)
    assert answer.worker == "0"
    assert answer.grant.tokens == 8
    assert answer.grant.more


def test_others_are_served_from_what_there_is() -> None:
    pod = Pod()
    first(pod, tokens=20.0, left=100.0)
    (answer,) = pod.ask("1", want=5.0, waiting=1)
    assert (answer.worker, answer.grant.tokens) == ("1", 5)
    assert pod.nothing()


def test_who_only_looks_ahead_is_answered_at_once() -> None:
    pod = Pod()
    (answer,) = pod.ask(want=8.0)
    assert answer.grant.tokens == 0


def test_while_asking_will_not_help_nobody_asks() -> None:
    pod = Pod()
    first(pod, recheck_ms=1000.0)
    (answer,) = pod.ask("1", want=8.0, waiting=1)
    assert answer.grant.recheck_ms > 0
    pod.now += 1000
    assert pod.ask("1", want=8.0, waiting=1) == []


def test_those_who_wait_are_answered_in_their_order() -> None:
    pod = Pod()
    pod.ask("1", want=1.0, waiting=1)
    pod.ask("0", want=1.0, waiting=1)
    pod.exchange()
    answers = pod.settle(Grant("b", tokens=1.0))
    assert [(each.worker, each.grant.tokens) for each in answers] == [("1", 1), ("0", 0)]


def test_one_exchange_is_on_its_way_at_a_time() -> None:
    pod = Pod()
    pod.ask(want=1.0, waiting=1)
    sent = pod.exchange()
    pod.ask(known_as="c", want=1.0, waiting=1)
    assert pod.nothing(1000)
    assert pod.broker.outstanding is sent
    pod.settle(Grant("b", tokens=1.0))
    assert [ask.id for ask in pod.exchange().asks] == ["c"]


def test_an_answer_to_something_else_is_no_answer() -> None:
    pod = Pod()
    pod.ask(want=1.0, waiting=1)
    sent = pod.exchange()
    assert pod.broker.settled(Settlement(serial=sent.serial + 5), pod.now) == []
    assert pod.broker.outstanding is sent


def test_counters_in_use_are_settled_now_and_then() -> None:
    pod = Pod()
    first(pod, tokens=20.0, more=True, left=1000.0)
    pod.ask(spent=3.0, held=5.0, demand=5.0)
    assert pod.nothing(ROUTINE_MS - 1)
    (ask,) = pod.exchange(ROUTINE_MS).asks
    assert ask.spent == 3
    pod.settle(Grant("b"))


def test_what_runs_low_is_asked_for_soon() -> None:
    pod = Pod()
    first(pod, tokens=20.0, more=True, left=1000.0)
    pod.now += 100
    pod.ask(spent=8.0, held=0.0, demand=500.0, want=500.0)
    (ask,) = pod.exchange().asks
    assert ask.want > 400
    assert ask.demand == 500


def test_near_the_end_nothing_is_kept() -> None:
    pod = Pod()
    first(pod, tokens=20.0, left=5.0)
    pod.ask(spent=1.0, held=7.0, demand=5.0)
    (ask,) = pod.exchange(2 * ROUTINE_MS).asks
    assert ask.held == 7  # the worker's; the twelve in the pod's hand go back


def test_what_nobody_uses_goes_back() -> None:
    pod = Pod()
    first(pod, tokens=20.0, more=True, left=1000.0)
    pod.ask(spent=1.0)
    (ask,) = pod.exchange(100).asks
    assert (ask.spent, ask.held, ask.want) == (1, 0, 0)
    pod.settle(Grant("b"))
    assert not pod.broker.busy


def test_a_dead_worker_s_tokens_are_the_pod_s() -> None:
    pod = Pod()
    first(pod, tokens=20.0, more=True, left=1000.0)
    pod.ask("1", held=0.0, want=2.0)
    pod.broker.gone("0", pod.now)
    (answer,) = pod.ask("1", held=2.0, want=100.0)
    assert answer.grant.tokens > 12


def test_a_worker_that_dies_waiting_is_not_answered() -> None:
    pod = Pod()
    pod.ask("0", want=1.0, waiting=1)
    pod.exchange()
    pod.broker.gone("0", pod.now)
    assert pod.settle(Grant("b", tokens=1.0)) == []


# --- usage ------------------------------------------------------------------------------------


def test_usage_is_counted_by_day_of_the_store() -> None:
    pod = Pod()
    pod.ask(known_as="q", limit=FREE, spent=3.0)
    pod.ask("1", known_as="q", limit=FREE, spent=4.0)
    assert pod.nothing(USAGE_MS - 1)
    assert pod.exchange(1).usage == (Use("p", "k", TODAY, 7),)
    sent = pod.broker.outstanding
    assert sent is not None
    # The store's clock is a day ahead of this pod's.
    ahead = Settlement(serial=sent.serial, now_ms=UNIX_MS + DAY_MS)
    pod.broker.settled(ahead, pod.now)
    pod.ask(known_as="q", limit=FREE, spent=1.0)
    assert pod.exchange(USAGE_MS).usage == (Use("p", "k", TODAY + 1, 1),)


def report(pod: Pod, requests: float) -> Exchange:
    pod.ask(known_as="q", limit=FREE, spent=requests)
    return pod.exchange(USAGE_MS)


def test_what_the_store_has_lost_is_handed_in_again() -> None:
    pod = Pod()
    for requests in (1.0, 2.0, 4.0):
        report(pod, requests)
        pod.settle()
    report(pod, 8.0)
    pod.settle(known=1)  # it was restored from some time ago
    assert pod.exchange().usage == (Use("p", "k", TODAY, 6),)
    pod.settle()
    assert not pod.broker.busy


def test_what_is_kept_for_good_is_not() -> None:
    pod = Pod()
    report(pod, 1.0)
    pod.settle()
    report(pod, 2.0)
    pod.settle(durable=1)
    report(pod, 4.0)
    pod.settle(known=0)
    assert pod.exchange().usage == (Use("p", "k", TODAY, 2),)


def test_nor_what_is_too_long_ago() -> None:
    pod = Pod()
    report(pod, 1.0)
    pod.settle()
    pod.now += LOG_MS
    report(pod, 2.0)
    pod.settle(known=0)
    assert pod.nothing()


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


def test_what_was_counted_meanwhile_is_handed_in() -> None:
    pod = Pod()
    report(pod, 1.0)
    pod.broker.lost(pod.now)
    for _ in range(5):
        pod.ask(known_as="q", limit=FREE, spent=10.0)
        assert pod.nothing(USAGE_MS)
    pod.settle()
    assert pod.exchange().usage == (Use("p", "k", TODAY, 50),)


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


def test_farewell() -> None:
    pod = Pod()
    first(pod, tokens=20.0, more=True, left=1000.0)
    pod.ask("1", known_as="q", limit=FREE, spent=2.0)
    pod.broker.farewell(pod.now)
    last = pod.exchange()
    assert [(ask.id, ask.held, ask.want) for ask in last.asks] == [("b", 0, 0)]
    assert last.usage == (Use("p", "k", TODAY, 2),)
