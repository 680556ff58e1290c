"""Broker: who is answered at once and who must wait, and what is said again when nobody answered.

How exact it is over a fleet is held by test_lease_accuracy.py.
"""

from __future__ import annotations

from lone_broker import FREE, QUOTA, TODAY, UNIX_MS, Pod, first
from portico_dataplane.core.broker import LOG_MS, USAGE_MS
from portico_dataplane.core.line import ROUTINE_MS, SOLE_MS
from portico_ir.leases import Exchange, Grant, Settlement, Use
from portico_ir.periods import DAY_MS
from portico_ir.stock import BACK_MS


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


def test_what_was_counted_meanwhile_is_handed_in() -> None:
    pod = Pod()
    report(pod, 1.0)
    pod.broker.lost(pod.now)
    for _ in range(5):
        pod.ask(known_as="q", limit=FREE, spent=10.0)
        assert pod.nothing(USAGE_MS)
    pod.settle()
    assert pod.exchange().usage == (Use("p", "k", TODAY, 50),)


def of_quota(**granted: object) -> Grant:
    """What the store grants of a quota."""
    return Grant("q", period=TODAY, ends_ms=DAY_MS, **granted)  # type: ignore[arg-type]


def outage(pod: Pod, *, known: int | None = None) -> float:
    """A quota in use, a store that is away and then grants plenty; what a worker gets of it."""
    pod.ask(known_as="q", limit=QUOTA, want=8.0, waiting=1)
    pod.exchange()
    pod.settle(of_quota(tokens=20.0, credit=30.0, left=900.0, more=True))
    said = {"known_as": "q", "limit": QUOTA, "period": TODAY, "demand": 10.0}
    pod.ask(**said, want=40.0, spent=1.0)  # type: ignore[arg-type]
    pod.exchange(USAGE_MS)
    pod.broker.lost(pod.now)
    pod.settle(of_quota(tokens=500.0, left=900.0, more=True), known=known)
    (answer,) = pod.ask(**said, want=400.0)  # type: ignore[arg-type]
    return answer.grant.tokens


def test_what_is_left_is_believed_once_all_have_handed_in() -> None:
    for known in (None, 0):
        pod = Pod()
        assert outage(pod, known=known) <= 50  # its own share, as while the store was away
        pod.exchange(BACK_MS)
        pod.settle(of_quota(tokens=500.0, left=900.0, more=True))
        (answer,) = pod.ask(known_as="q", limit=QUOTA, period=TODAY, demand=10.0, want=400.0)
        assert answer.grant.tokens > 50


def test_who_refuses_believes_a_store_that_has_lost_nothing() -> None:
    assert outage(Pod(keeps=False)) > 50
    assert outage(Pod(keeps=False), known=0) <= 50


def test_who_is_due_soon_goes_with_who_cannot_wait() -> None:
    pod = Pod()
    first(pod, tokens=20.0, more=True, left=1000.0)
    pod.ask(known_as="c", want=8.0, waiting=1)
    pod.exchange(ROUTINE_MS * 0.2)
    pod.settle(Grant("c", tokens=20.0, more=True, left=1000.0))
    for name in ("b", "c"):
        pod.ask(known_as=name, held=1.0, want=1.0, spent=1.0)
    pod.ask("1", known_as="d", want=8.0, waiting=1)
    assert {ask.id for ask in pod.exchange(ROUTINE_MS * 0.5).asks} == {"b", "c", "d"}


def test_farewell() -> None:
    pod = Pod()
    first(pod, tokens=20.0, more=True, left=1000.0)
    pod.ask("1", known_as="q", limit=FREE, spent=2.0)
    pod.broker.farewell(pod.now)
    last = pod.exchange()
    assert [(ask.id, ask.held, ask.want) for ask in last.asks] == [("b", 0, 0)]
    assert last.usage == (Use("p", "k", TODAY, 2),)


# --- a pod that shares with nobody ------------------------------------------------------------


def test_a_pod_alone_has_nobody_to_tell() -> None:
    pod = Pod(workers=1)
    (answer,) = first(pod, tokens=50.0, rate=100.0, cap=50.0, sole=True)
    assert answer.grant.sole
    pod.ask(spent=10.0, held=40.0, demand=10.0)
    assert pod.nothing(4 * ROUTINE_MS)
    assert pod.exchange(SOLE_MS).asks[0].spent == 10


def test_its_workers_share_with_one_another() -> None:
    pod = Pod(workers=2)
    (answer,) = first(pod, tokens=50.0, rate=100.0, cap=50.0, sole=True)
    assert not answer.grant.sole


def test_another_store_hears_of_everything_at_once() -> None:
    pod = Pod(workers=1)
    first(pod, tokens=50.0, rate=100.0, cap=50.0, sole=True)
    pod.ask(spent=10.0, held=40.0, demand=10.0)
    (answer,) = pod.broker.moved(pod.now)
    assert (answer.worker, answer.grant.sole, answer.grant.rate) == ("0", False, 100)
    (ask,) = pod.exchange(50.0).asks
    assert (ask.id, ask.spent, ask.held) == ("b", 10, 40 + 5)
    assert pod.broker.moved(pod.now) == []
