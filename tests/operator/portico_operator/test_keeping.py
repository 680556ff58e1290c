"""Keeping: read before announced, saved every minute and at the end, nothing when others lead."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import pytest

from portico_ir.access import Plan
from portico_ir.leases import Exchange, Use
from portico_ir.periods import day_of
from portico_operator.keeper import Keeper, Sheet, Summary
from portico_operator.keeping import Keeping, KeepingPace, Unavailable

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC).timestamp() * 1000
TODAY = day_of(NOW)
SAVED = Sheet(class_name="c", day=TODAY, usage={"p": {"k": 5}}, holders={"uid/h": 1})


class World:
    """A replica; the API server is made up (tests/cluster asks a real one)."""

    def __init__(self) -> None:
        self.leads = False
        self.term = 7
        self.away = False
        self.sheets: list[Sheet] = [SAVED]
        self.saved: list[Sheet] = []
        self.shown: list[Mapping[str, Summary]] = []
        self.announced: list[int] = []
        self.keeper = Keeper()
        self.keeper.set_plans("c", (Plan(id="p", name="shop/gold"),))
        self.keeping = Keeping(
            self.keeper,
            self,
            self,
            leads=lambda: self.leads,
            term=lambda: self.term,
            announce=self.announced.append,
            pace=KeepingPace(save=0.01, summarise=0.02, retry=0.01),
            unix_ms=lambda: NOW,
        )
        self.task = asyncio.create_task(self.keeping.run())

    async def load(self) -> list[Sheet]:
        if self.away:
            raise Unavailable("no answer")
        return self.sheets

    async def save(self, sheets: Sequence[Sheet]) -> None:
        if self.away:
            raise Unavailable("no answer")
        self.saved += sheets

    async def show(self, summaries: Mapping[str, Summary]) -> None:
        if self.away:
            raise Unavailable("no answer")
        self.shown.append(summaries)

    def elect(self, leads: bool) -> None:
        self.leads = leads
        self.keeping.stir()

    def report(self, serial: int, requests: int) -> bool:
        usage = (Use("p", "k", TODAY, requests),)
        exchange = Exchange(holder="h", serial=serial, usage=usage)
        return self.keeping.settle("c", "uid", exchange) is not None

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.002)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await asyncio.sleep(0)
    yield made
    await made.end()


async def test_what_was_saved_is_read_before_pods_are_told(world: World) -> None:
    assert not world.report(1, 1)
    world.away = True
    world.elect(True)
    await asyncio.sleep(0.05)
    assert world.announced == []
    assert not world.report(2, 1)
    world.away = False
    await world.until(lambda: world.announced == [7])
    assert world.keeper.ledger("c").usage.of("p", "k", TODAY, TODAY + 1) == 5


async def test_what_is_counted_is_saved(world: World) -> None:
    world.elect(True)
    await world.until(lambda: world.announced == [7])
    assert world.report(2, 3)
    await world.until(lambda: bool(world.saved))
    (sheet,) = world.saved
    assert sheet.usage == {"p": {"k": 8}}
    assert sheet.holders == {"uid/h": 2}
    await asyncio.sleep(0.05)
    assert len(world.saved) == 1  # nothing has changed


async def test_what_cannot_be_saved_is_saved_later(world: World) -> None:
    world.elect(True)
    await world.until(lambda: world.announced == [7])
    world.away = True
    world.report(2, 3)
    await asyncio.sleep(0.05)
    assert world.saved == []
    world.away = False
    await world.until(lambda: bool(world.saved))


async def test_once_more_at_the_end(world: World) -> None:
    world.elect(True)
    await world.until(lambda: world.announced == [7])
    world.report(2, 3)
    await world.end()
    assert world.saved[-1].usage == {"p": {"k": 8}}
    assert world.announced == [7, -1]


async def test_nothing_is_written_or_granted_when_others_lead(world: World) -> None:
    world.elect(True)
    await world.until(lambda: world.announced == [7])
    world.report(2, 3)
    world.leads = False  # nobody has said so yet
    assert not world.report(3, 1)
    world.keeping.stir()
    await world.until(lambda: world.announced == [7, -1])
    assert world.saved == []
    world.term = 9
    world.elect(True)
    await world.until(lambda: world.announced == [7, -1, 9])
    assert world.keeper.ledger("c").usage.of("p", "k", TODAY, TODAY + 1) == 5


async def test_plans_show_what_has_changed(world: World) -> None:
    world.elect(True)
    await world.until(lambda: bool(world.shown))
    assert world.shown[0]["shop/gold"].requests == 5
    world.report(2, 3)
    await world.until(lambda: any(each["shop/gold"].requests == 8 for each in world.shown if each))
    quiet = len(world.shown)
    await world.until(lambda: len(world.shown) > quiet + 1)
    assert world.shown[-1] == {}
