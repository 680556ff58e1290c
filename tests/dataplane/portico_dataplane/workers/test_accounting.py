"""Accounting: leases of a pod with the store that its class names, and with the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from portico_dataplane.effects.stores.operator import OperatorStore
from portico_dataplane.workers.accounting import Accounting
from portico_ir import codec
from portico_ir.access import Plan, Quota
from portico_ir.leases import Ask, Exchange, Grant, Requests, Settlement, Tokens
from portico_ir.model import Manifest, PlansUnit, RedisStore, Snapshot, StoreUnit
from portico_ir.periods import day_of
from portico_ir.secrets import Redacted

BUCKET = Ask("b", Tokens(0.001, 10), want=1.0, waiting=1)
NEXT = Ask("b", Tokens(0.001, 10), spent=1.0, want=1.0, waiting=1)


class World:
    """A pod of two workers."""

    def __init__(self, remote: OperatorStore | None = None) -> None:
        self.grants: asyncio.Queue[tuple[int, list[Grant], int]] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self.accounting = Accounting(loop, 2, self._deliver, remote)

    def _deliver(self, worker: int, grants: list[Grant], leaves: int) -> None:
        self.grants.put_nowait((worker, grants, leaves))

    async def granted(self, worker: int, ask: Ask) -> Grant:
        self.accounting.asked(worker, [ask])
        async with asyncio.timeout(20):
            found, (grant,), _ = await self.grants.get()
        assert found == worker
        return grant


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.accounting.close()


class Keeper:
    """An operator that grants one token to everybody."""

    term = 3

    def __init__(self, store: OperatorStore) -> None:
        self.store = store
        self.asked: list[Exchange] = []

    def settle(self, exchange: Exchange) -> None:
        self.asked.append(exchange)
        grants = tuple(Grant(ask.id, 1.0) for ask in exchange.asks)
        settlement = Settlement(serial=exchange.serial, grants=grants, leaves=8)
        asyncio.get_running_loop().call_soon(self.store.answered, self, settlement)


async def test_files_count_in_memory(world: World) -> None:
    world.accounting.configure(StoreUnit())
    got = [(await world.granted(worker, BUCKET)).tokens for worker in (0, 1)]
    assert got == [1, 1]
    for _ in range(8):
        await world.granted(0, NEXT)
    assert (await world.granted(1, NEXT)).tokens == 0


def extended(requests: int) -> Snapshot:
    """A plan that lets a key do more today."""
    today = day_of(time.time() * 1000)
    quota = Quota(limit=2, period="DAY")
    plan = Plan(id="p", name="d/p", quota=quota, extensions={"k": ((today, requests),)})
    data = codec.encode(PlansUnit(plans=(plan,)))
    manifest = Manifest(ir_version=1, units={"plans": codec.digest(data)})
    return Snapshot(manifest=manifest, units={"plans": msgspec.Raw(data)})


async def test_what_plans_declare_counts_in_memory(world: World) -> None:
    assert world.accounting.ledger is None
    world.accounting.declare(extended(5))  # nothing counts here yet
    world.accounting.configure(StoreUnit())
    ledger = world.accounting.ledger
    assert ledger is not None
    quota, now = Requests("p", "k", 2), time.time() * 1000
    assert ledger.remaining(quota, now) == 2
    world.accounting.declare(extended(5))
    assert ledger.remaining(quota, now) == 7
    world.accounting.declare(Snapshot(manifest=Manifest(ir_version=1, units={})))
    assert ledger.remaining(quota, now) == 2
    broken = Manifest(ir_version=1, units={"plans": "d"})
    world.accounting.declare(Snapshot(manifest=broken, units={"plans": msgspec.Raw(b"{")}))


async def test_a_configuration_that_says_the_same_changes_nothing(world: World) -> None:
    world.accounting.configure(StoreUnit())
    for ask in (BUCKET, *[NEXT] * 9):
        await world.granted(0, ask)
    world.accounting.configure(StoreUnit())
    world.accounting.configure(None)
    world.accounting.configure(StoreUnit(keep=False))
    assert not world.accounting.leasing.broker.pod.keeps
    assert (await world.granted(1, BUCKET)).tokens == 0


async def test_a_dead_worker_is_forgotten(world: World) -> None:
    world.accounting.configure(StoreUnit())
    ask = Ask("quota/p/k", Requests("p", "k", 100), want=20.0)
    await world.granted(0, Ask("quota/p/k", Requests("p", "k", 100), want=1.0, waiting=1))
    held = (await world.granted(0, ask)).tokens
    world.accounting.gone(0)
    assert held > 0
    assert (await world.granted(1, ask)).tokens > 0


async def test_a_cluster_asks_the_operator_that_keeps() -> None:
    store = OperatorStore()
    world = World(store)
    world.accounting.configure(StoreUnit())
    keeper = Keeper(store)
    # Nobody keeps yet: the pod lives on its part.
    assert (await world.granted(0, BUCKET)).tokens == 1
    store.choose([keeper])
    for _ in range(50):
        if keeper.asked:
            break
        await asyncio.sleep(0.02)
    assert keeper.asked
    await world.granted(1, Ask("c", Tokens(1, 1), want=1.0, waiting=1))
    store.choose([])
    assert (await world.granted(1, Ask("d", Tokens(1, 4), want=1.0, waiting=1))).tokens == 1
    await world.accounting.close()


async def test_a_redis_that_cannot_be_reached_is_away(world: World) -> None:
    redis = RedisStore(url=Redacted("redis://127.0.0.1:1"))
    world.accounting.configure(StoreUnit(redis=redis))
    assert (await world.granted(0, BUCKET)).tokens == 1
    assert world.accounting.leasing.broker.pod.away
    world.accounting.configure(StoreUnit())
    async with asyncio.timeout(20):
        while world.accounting.leasing.broker.pod.away:
            await asyncio.sleep(0.01)


async def test_the_last_word_is_waited_for() -> None:
    store = OperatorStore()
    world = World(store)
    keeper = Keeper(store)
    store.choose([keeper])
    world.accounting.configure(StoreUnit())
    await world.granted(0, BUCKET)
    world.accounting.asked(0, [Ask("q", Requests("p", "k"), spent=7.0)])
    world.accounting.gone(0)
    await world.accounting.close()
    assert [use.requests for each in keeper.asked for use in each.usage] == [7]
