"""Keeper: what was saved and what pods report again is counted once; while others keep, none."""

from __future__ import annotations

import datetime as dt

from portico_ir.access import Plan, Quota
from portico_ir.leases import Ask, Exchange, Requests, Use
from portico_ir.periods import DAY_MS, day_from, day_of
from portico_operator.keeper import Keeper, SavedExtension, Sheet, Summary

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC).timestamp() * 1000
TODAY = day_of(NOW)
PLAN = Plan(id="p", name="shop/gold", quota=Quota(limit=100, period="WEEK"))
FREE = Plan(id="f", name="shop/free")


def keeping(*sheets: Sheet, term: int = 3) -> Keeper:
    keeper = Keeper()
    keeper.set_plans("c", (PLAN, FREE))
    keeper.begin(term, sheets, NOW)
    return keeper


def use(requests: int, *, day: int = TODAY, key: str = "k") -> Use:
    return Use("p", key, day, requests)


def report(keeper: Keeper, serial: int, *uses: Use, pod: str = "uid", now: float = NOW) -> int:
    """What the keeper knew of the pod before."""
    exchange = Exchange(holder="h", serial=serial, acknowledged=serial - 1, usage=uses)
    settlement = keeper.settle("c", pod, exchange, now)
    assert settlement is not None
    return settlement.known


def test_who_does_not_keep_does_not_answer() -> None:
    keeper = Keeper()
    assert keeper.settle("c", "uid", Exchange(holder="h", serial=1), NOW) is None
    keeper.begin(1, (), NOW)
    assert keeper.settle("c", "uid", Exchange(holder="h", serial=1), NOW) is not None
    keeper.end()
    assert keeper.term == -1
    assert keeper.settle("c", "uid", Exchange(holder="h", serial=2), NOW) is None


def test_classes_and_pods_are_kept_apart() -> None:
    keeper = keeping()
    report(keeper, 1, use(5))
    # Another pod that calls itself the same is another one.
    assert report(keeper, 5, use(7), pod="other") == 0
    assert keeper.ledger("c").usage.of("p", "k", TODAY, TODAY + 1) == 12
    assert keeper.ledger("d").usage.of("p", "k", TODAY, TODAY + 1) == 0


def test_what_is_saved_is_what_has_changed() -> None:
    keeper = keeping()
    assert keeper.unsaved(NOW) == []
    report(keeper, 1, use(5), use(2, day=TODAY - 1))
    yesterday, today = keeper.unsaved(NOW)
    assert yesterday == Sheet(class_name="c", day=TODAY - 1, usage={"p": {"k": 2}})
    assert today == Sheet(class_name="c", day=TODAY, usage={"p": {"k": 5}}, holders={"uid/h": 1})
    assert keeper.unsaved(NOW) == []
    report(keeper, 2)
    assert keeper.unsaved(NOW) == []


def test_what_could_not_be_saved_is_saved_the_next_time() -> None:
    keeper = keeping()
    report(keeper, 1, use(5))
    sheets = keeper.unsaved(NOW)
    keeper.not_saved(sheets)
    assert keeper.unsaved(NOW) == sheets


def test_pods_are_told_what_is_kept_for_good() -> None:
    keeper = keeping()
    report(keeper, 1, use(5))
    settlement = keeper.settle("c", "uid", Exchange(holder="h", serial=2), NOW)
    assert settlement is not None
    assert settlement.durable == 0
    keeper.saved(keeper.unsaved(NOW))
    settlement = keeper.settle("c", "uid", Exchange(holder="h", serial=3), NOW)
    assert settlement is not None
    assert settlement.durable == 2


def test_another_replica_goes_on_where_this_one_saved() -> None:
    first = keeping()
    report(first, 1, use(5))
    report(first, 2, use(6))
    saved = first.unsaved(NOW)
    report(first, 3, use(7))  # lost with the replica; the pod still has it
    second = keeping(*saved, term=4)
    assert report(second, 4, use(8), now=NOW + 20_000) == 2
    report(second, 5, use(7))
    assert second.ledger("c").usage.of("p", "k", TODAY, TODAY + 1) == 5 + 6 + 8 + 7


def test_quotas_go_on_too() -> None:
    sheets = (
        Sheet(class_name="c", day=TODAY - 1, usage={"p": {"k": 60}}),
        Sheet(
            class_name="c",
            day=TODAY,
            usage={"p": {"k": 30}},
            extensions=(SavedExtension("p", "k", TODAY - 1, 5),),
        ),
    )
    keeper = keeping(*sheets)
    ask = Ask("quota/p/k", Requests("p", "k", 100, "WEEK", 0), want=50.0, waiting=50)
    settlement = keeper.settle("c", "uid", Exchange(holder="h", serial=1, asks=(ask,)), NOW)
    assert settlement is not None
    assert settlement.grants[0].tokens == 15


def test_an_extension_is_saved() -> None:
    keeper = keeping()
    report(keeper, 1, use(90))
    keeper.extend("c", PLAN, "k", 50, NOW)
    assert keeper.ledger("c").extras(PLAN, ["k"], NOW) == {"k": 40}
    assert keeper.ledger("c").extras(FREE, ["k"], NOW) == {}
    assert keeper.ledger("c").extras(PLAN, ["k"], NOW + 7 * DAY_MS) == {}
    (sheet,) = keeper.unsaved(NOW)
    # The 23rd is a Monday: its week began the day before.
    assert sheet.extensions == (SavedExtension("p", "k", TODAY - 1, 40),)


def test_plans_are_found_by_their_ids() -> None:
    keeper = keeping()
    assert keeper.plan("p") == ("c", PLAN)
    keeper.set_plans("c", ())
    assert keeper.plan("p") is None


def test_what_plans_show() -> None:
    keeper = keeping()
    report(keeper, 1, use(5), use(3, key="l"), use(2, day=TODAY - 1), use(9, day=TODAY - 9))
    found = keeper.summaries(NOW)
    monday = day_from(dt.date(2026, 11, 23))
    assert found["shop/gold"] == Summary(10, 8, 2, monday - 1, monday + 6)
    assert found["shop/free"] == Summary(0, 0, 0, monday, monday + 1)
