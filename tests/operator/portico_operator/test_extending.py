"""Extending: a Redis is told what plans declare, by the replica that leads, and again when back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import pytest

from portico_ir.access import Plan
from portico_operator.extending import Declared, Extending
from portico_operator.tasks import end, spawn
from portico_operator.usage_server import Unreachable

GOLD = Plan(id="gold", name="d/gold")


class World:
    """A replica and one Redis."""

    def __init__(self) -> None:
        self.leads = True
        self.away = False
        self.told: list[Sequence[Plan]] = []
        self.stores: Mapping[str, tuple[Declared, Sequence[Plan]]] = {"c": (self, (GOLD,))}
        self.extending = Extending(lambda: self.stores, leads=lambda: self.leads, again=0.01)

    async def declare(self, plans: Sequence[Plan]) -> None:
        if self.away:
            raise Unreachable("no answer")
        self.told.append(plans)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.002)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    task = spawn(made.extending.run(), name="extending")
    yield made
    await end([task])


async def test_it_is_told_again_and_again(world: World) -> None:
    """A declaration may be about a period that is yet to begin."""
    await world.until(lambda: len(world.told) > 3)
    assert all(plans == (GOLD,) for plans in world.told)


async def test_one_that_is_away_is_told_when_it_is_back(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.until(lambda: bool(world.told))
    world.away = True
    await asyncio.sleep(0.05)
    assert caplog.text.count("extensions of class c cannot be told: no answer") == 1
    world.told.clear()
    world.away = False
    await world.until(lambda: bool(world.told))


async def test_nobody_is_told_by_who_does_not_lead(world: World) -> None:
    await world.until(lambda: bool(world.told))
    world.leads = False
    await asyncio.sleep(0.03)
    world.told.clear()
    world.extending.stir()
    await asyncio.sleep(0.03)
    assert world.told == []
    world.leads = True
    world.extending.stir()
    await world.until(lambda: bool(world.told))
