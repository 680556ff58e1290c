"""Mint: Secrets of keys are made once, by the replica that leads, and later when that failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from portico_compiler.passes.generation import WantedSecret
from portico_compiler.problems import ObjectRef
from portico_ir.secrets import Redacted
from portico_operator.mint import Mint, MintPace, NotMade
from portico_operator.tasks import end, spawn


def wanted(name: str) -> WantedSecret:
    return WantedSecret(ObjectRef("ApiKey", "shop", name), f"uid-{name}", name, "value")


class World:
    """A replica; tests/cluster asks a real API server."""

    def __init__(self) -> None:
        self.leads = True
        self.refuses = ""
        self.made: list[tuple[str, str]] = []
        self.tries = 0
        self.mint = Mint(self, leads=lambda: self.leads, pace=MintPace(0.01, 0.04, 0.05))

    async def make(self, wanted: WantedSecret, value: Redacted) -> bool:
        self.tries += 1
        if self.refuses:
            raise NotMade(self.refuses)
        is_new = wanted.name not in [name for name, _ in self.made]
        self.made.append((wanted.name, value.reveal()))
        return is_new

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.002)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    task = spawn(made.mint.run(), name="mint")
    yield made
    await end([task])


async def test_each_gets_a_value_of_its_own(world: World) -> None:
    world.mint.published([wanted(f"k{number}") for number in range(40)])
    await world.until(lambda: len(world.made) >= 40)
    assert len({value for _, value in world.made[:40]}) == 40
    assert all(len(value) == 40 for _, value in world.made)


async def test_what_was_made_is_not_made_again_at_once(world: World) -> None:
    world.mint._pace = MintPace(settle=3600.0)
    world.mint.published([wanted("acme")])
    await world.until(lambda: bool(world.made))
    for _ in range(5):
        world.mint.published([wanted("acme")])  # the World lags
        await asyncio.sleep(0.01)
    assert len(world.made) == 1
    # Deleted, after the World had it: it is wanted anew.
    world.mint.published([])
    await asyncio.sleep(0.01)
    world.mint.published([wanted("acme")])
    await world.until(lambda: len(world.made) == 2)
    assert world.made[0][1] != world.made[1][1]


async def test_what_failed_is_tried_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.refuses = "403 Forbidden"
    world.mint.published([wanted("acme")])
    await world.until(lambda: world.tries > 2)
    assert "Secret shop/acme for ApiKey shop/acme could not be made: 403 Forbidden" in caplog.text
    world.refuses = ""
    await world.until(lambda: bool(world.made))
    assert world.made[0][1] not in caplog.text


async def test_only_who_leads_makes_any(world: World) -> None:
    world.leads = False
    world.mint.published([wanted("acme")])
    world.mint.stir()
    await asyncio.sleep(0.03)
    assert world.tries == 0
    world.leads = True
    world.mint.stir()
    await world.until(lambda: bool(world.made))
