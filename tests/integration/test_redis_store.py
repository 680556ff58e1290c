"""The Redis store on a real server: the same arithmetic as the ledger's, whatever happens to it."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from portico_dataplane.effects.stores import redis as redis_store
from portico_dataplane.effects.stores.redis import RedisStore
from portico_ir.leases import Ask, Exchange, Grant, Requests, Settlement, Tokens, Use
from portico_ir.ledger import Ledger
from portico_ir.model import RedisStore as Wanted
from portico_ir.periods import DAY_MS, day_of, end_of, start_of
from portico_ir.redis_keys import USAGE_SECONDS, RedisKeys
from portico_ir.secrets import Redacted
from portico_operator.redis_books import RedisBooks
from real_redis import REDIS, RealRedis, certificate

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(REDIS is None, reason="no redis-server or valkey-server on the PATH"),
]

WEEK = Requests("p", "k", 1000, "WEEK", 1)


@pytest.fixture(scope="module")
def redis() -> Iterator[RealRedis]:
    with RealRedis() as running:
        yield running


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine may be busy with something else."""
    monkeypatch.setattr(redis_store, "TIMEOUT_S", 20.0)


class Store:
    """A store, asked and awaited."""

    def __init__(self, url: str, name: str, password: str | None = None) -> None:
        self.answers: asyncio.Queue[Settlement | None] = asyncio.Queue()
        secret = Redacted(password) if password is not None else None
        self.store = RedisStore(
            Wanted(url=Redacted(url), password=secret),
            name,
            self.answers.put_nowait,
            lambda: self.answers.put_nowait(None),
        )

    async def settle(self, exchange: Exchange) -> Settlement | None:
        self.store.send(exchange)
        async with asyncio.timeout(20):
            return await self.answers.get()


@pytest.fixture
async def store(redis: RealRedis, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    made = Store(redis.url, request.node.name)
    yield made
    await made.store.close()


def close(one: Settlement, other: Settlement) -> bool:
    """Equal, but for the last digits of what was divided."""
    return (one.serial, one.known, one.leaves) == (other.serial, other.known, other.leaves) and all(
        a == b or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-6)
        for grant, twin in zip(one.grants, other.grants, strict=True)
        for a, b in zip(_numbers(grant), _numbers(twin), strict=True)
    )


def _numbers(grant: Grant) -> list[float]:
    return [getattr(grant, name) for name in grant.__struct_fields__ if name != "id"]


@pytest.mark.parametrize("seed", range(4))
async def test_the_script_does_what_the_ledger_does(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    ledger = Ledger()
    serials: dict[str, int] = {}
    held: dict[tuple[str, str], float] = {}
    period = 0
    for _ in range(150):
        pod = f"pod-{chance.randrange(3)}"
        serials[pod] = serials.get(pod, 0) + 1
        asks: list[Ask] = []
        uses: list[Use] = []
        for name in chance.sample(["slow", "fast", "quota"], chance.randint(1, 3)):
            has = held.get((pod, name), 0.0)
            spent = has * chance.choice([0, 0.5, 1, 1.2])
            kept = max(0.0, has - spent) * chance.choice([0, 1])
            if name == "quota":
                spent, kept = float(int(spent)), float(int(kept))
                today = day_of(time.time() * 1000)
                if spent:
                    uses.append(Use("p", "k", today, int(spent)))
            asks.append(
                Ask(
                    "quota/p/k" if name == "quota" else name,
                    WEEK
                    if name == "quota"
                    else Tokens(*((0.5, 3) if name == "slow" else (500, 100))),
                    spent,
                    kept,
                    chance.choice([0, 3.0, 700.0]),
                    chance.choice([0, 8.0, 400.0]),
                    period if name == "quota" else 0,
                    chance.choice([0, 0, 1, 3]),
                    chance.choice([0, 0, 0, 120.0]),
                )
            )
        exchange = Exchange(
            holder=pod, serial=serials[pod], leaves=2, asks=tuple(asks), usage=tuple(uses)
        )
        repeats = chance.choice([1, 1, 1, 2])
        for _ in range(repeats):  # an answer that is lost
            got = await store.settle(exchange)
            assert got is not None
            assert close(got, ledger.settle(exchange, got.now_ms))
        assert got is not None
        for ask, grant in zip(asks, got.grants, strict=True):
            held[pod, ask.id.partition("/")[0]] = ask.held + grant.tokens
            period = grant.period or period
        if chance.random() < 0.1:
            await asyncio.sleep(0.01)


async def test_usage_by_day(redis: RealRedis, store: Store) -> None:
    today = day_of(time.time() * 1000)
    uses = (Use("p", "a", today, 3), Use("p", "b", today, 5), Use("p", "a", today - 1, 7))
    await store.settle(Exchange(holder="x", serial=1, usage=uses))
    await store.settle(Exchange(holder="x", serial=2, usage=uses[:1]))
    await store.settle(Exchange(holder="x", serial=2, usage=uses[:1]))
    keys = RedisKeys("test_usage_by_day")
    client = Redis(port=redis.port)
    try:
        assert await client.hgetall(keys.usage("p", today)) == {b"a": b"6", b"b": b"5"}
        assert await client.hgetall(keys.usage("p", today - 1)) == {b"a": b"7"}
        left = await client.ttl(keys.usage("p", today))
        assert USAGE_SECONDS - 60 < left <= USAGE_SECONDS
    finally:
        await client.aclose()


async def test_a_quota_that_begins_counts_what_was_used_before(store: Store) -> None:
    """A plan that gets a quota, or one of another period, in the middle of one."""
    today = day_of(time.time() * 1000)
    start = start_of("MONTH", 0, today)
    uses = tuple(Use("p", "k", day, 10) for day in range(start, today + 1))
    await store.settle(Exchange(holder="x", serial=1, usage=uses))
    quota = Requests("p", "k", 10 * len(uses) + 4, "MONTH", 0)
    ask = Ask("quota/p/k", quota, want=8.0, waiting=8)
    got = await store.settle(Exchange(holder="x", serial=2, asks=(ask,)))
    assert got is not None
    assert got.grants[0].tokens == 4
    assert got.grants[0].period == start
    assert got.grants[0].ends_ms == end_of("MONTH", 0, start) * DAY_MS - got.now_ms


async def test_usage_counts_for_a_quota_that_nobody_asks_for(store: Store) -> None:
    today = day_of(time.time() * 1000)
    quota = Requests("p", "k", 10, "DAY", 0)
    await store.settle(Exchange(holder="x", serial=1, asks=(Ask("quota/p/k", quota),)))
    await store.settle(Exchange(holder="y", serial=1, usage=(Use("p", "k", today, 9),)))
    ask = Ask("quota/p/k", quota, want=5.0, waiting=5)
    got = await store.settle(Exchange(holder="x", serial=2, asks=(ask,)))
    assert got is not None
    assert got.grants[0].tokens == 1


async def test_the_operator_reads_and_extends(redis: RealRedis, store: Store) -> None:
    from portico_ir.access import Plan, Quota

    name = "test_the_operator_reads_and_extends"
    today = day_of(time.time() * 1000)
    quota = Requests("p", "k", 10, "DAY", 0)
    asks = (Ask("quota/p/k", quota, want=5.0, waiting=1),)
    await store.settle(Exchange(holder="x", serial=1, asks=asks))
    await store.settle(Exchange(holder="x", serial=2, usage=(Use("p", "k", today, 10),)))
    books = RedisBooks(Wanted(url=Redacted(redis.url)), name)
    plan = Plan(id="p", name="d/p", quota=Quota(limit=10, period="DAY"))
    try:
        assert await books.by_key("c", "p", today - 1, today + 1) == {"k": {today: 10}}
        await books.extend("c", plan, "k", 3)
        assert await books.extras("c", plan, {"k", "other"}) == {"k": 3}
    finally:
        await books.close()
    got = await store.settle(
        Exchange(holder="x", serial=3, asks=(Ask("quota/p/k", quota, want=9.0, waiting=9),))
    )
    assert got is not None
    assert got.grants[0].tokens == 3


async def test_many_counters_are_one_operation(redis: RealRedis, store: Store) -> None:
    before = redis.operations()
    asks = tuple(Ask(f"b{number}", Tokens(1, 1), want=1.0, waiting=1) for number in range(1000))
    today = day_of(time.time() * 1000)
    uses = tuple(Use("p", f"k{number}", today, 1) for number in range(1000))
    got = await store.settle(Exchange(holder="x", serial=1, asks=asks, usage=uses))
    assert got is not None
    assert {grant.tokens for grant in got.grants} == {1}
    assert redis.operations() == before + 1


async def test_what_rests_goes_away_by_itself(redis: RealRedis, store: Store) -> None:
    full = Ask("client/a", Tokens(100, 2), want=1.0, waiting=1)
    await store.settle(Exchange(holder="x", serial=1, asks=(full,)))
    keys = RedisKeys("test_what_rests_goes_away_by_itself")
    client = Redis(port=redis.port)
    try:
        assert 0 < await client.pttl(keys.counter("client/a")) < 60_000
        assert await client.pttl(keys.holders) > 0
    finally:
        await client.aclose()


# --- a server that fails ----------------------------------------------------------------------


async def test_a_server_that_is_killed_comes_back_with_what_it_kept() -> None:
    with RealRedis(keeps=True) as server:
        store = Store(server.url, "killed")
        ask = Ask("b", Tokens(0.001, 10), want=4.0, waiting=4)
        got = await store.settle(Exchange(holder="x", serial=1, asks=(ask,)))
        assert got is not None
        server.kill()
        assert await store.settle(Exchange(holder="x", serial=2, acknowledged=1)) is None
        server.start()
        back = None
        while back is None:  # it takes connections before it has read what it kept
            back = await store.settle(Exchange(holder="x", serial=2, acknowledged=1))
        assert back.known == 1
        await store.store.close()


async def test_a_server_that_has_lost_everything_says_so() -> None:
    with RealRedis() as server:
        store = Store(server.url, "lost")
        for serial in (1, 2):
            await store.settle(Exchange(holder="x", serial=serial, acknowledged=serial - 1))
        server.kill()
        server.start()
        back = await store.settle(Exchange(holder="x", serial=3, acknowledged=2))
        while back is None:  # the connection that it had is noticed first
            back = await store.settle(Exchange(holder="x", serial=3, acknowledged=2))
        assert back.known == 0
        await store.store.close()


async def test_a_server_that_hangs_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "TIMEOUT_S", 2.0)
    with RealRedis() as server:
        store = Store(server.url, "hangs")
        assert await store.settle(Exchange(holder="x", serial=1)) is not None
        server.freeze(frozen=True)
        try:
            assert await store.settle(Exchange(holder="x", serial=2)) is None
        finally:
            server.freeze(frozen=False)
        again = await store.settle(Exchange(holder="x", serial=2))
        assert again is not None
        # Whether it was counted before or now, it was counted once.
        assert again.known in (1, 2)
        await store.store.close()


async def test_a_password() -> None:
    with RealRedis("--requirepass", "pass word") as server:
        for secret, reached in (("pass word", True), ("wrong", False), (None, False)):
            store = Store(server.url, "password", secret)
            assert (await store.settle(Exchange(holder="x", serial=1)) is not None) is reached
            await store.store.close()


async def test_tls(tmp_path: object) -> None:
    folder = str(tmp_path)
    cert, key = certificate(folder)
    options = ("--tls-cert-file", str(cert), "--tls-key-file", str(key), "--tls-auth-clients", "no")
    with RealRedis(*options, "--tls-ca-cert-file", str(cert), tls=True) as server:
        for query, reached in ((f"?ssl_ca_certs={cert}", True), ("", False)):
            store = Store(server.url + query, "tls")
            assert (await store.settle(Exchange(holder="x", serial=1)) is not None) is reached
            await store.store.close()


async def test_behind_sentinels(redis: RealRedis) -> None:
    with RealRedis(f"--sentinel monitor main 127.0.0.1 {redis.port} 1", sentinel=True) as sentinel:
        store = Store(f"redis+sentinel://127.0.0.1:{sentinel.port}/main", "sentinels")
        got = await store.settle(Exchange(holder="x", serial=1, asks=(Ask("b", Tokens(1, 1)),)))
        assert got is not None
        await store.store.close()
        other = Store(f"redis+sentinel://127.0.0.1:{sentinel.port}/another", "sentinels")
        assert await other.settle(Exchange(holder="x", serial=1)) is None
        await other.store.close()


async def test_a_cluster() -> None:
    with RealRedis("--cluster-enabled", "yes") as server:
        client = Redis(port=server.port)
        ask: Any = client.execute_command  # redis-py has no types here
        await ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        async with asyncio.timeout(20):
            while b"cluster_state:ok" not in await ask("CLUSTER", "INFO"):
                await asyncio.sleep(0.01)
        await client.aclose()
        store = Store(f"redis+cluster://127.0.0.1:{server.port}", "cluster")
        today = day_of(time.time() * 1000)
        asks = (Ask("b", Tokens(1, 1), want=1.0, waiting=1), Ask("quota/p/k", WEEK, want=1.0))
        exchange = Exchange(holder="x", serial=1, asks=asks, usage=(Use("p", "k", today, 1),))
        got = await store.settle(exchange)
        assert got is not None
        assert got.grants[0].tokens == 1
        await store.store.close()


async def test_nobody_there() -> None:
    store = Store("redis://127.0.0.1:1", "nobody")
    assert await store.settle(Exchange(holder="x", serial=1)) is None
    other = Store("http://127.0.0.1", "nobody")
    assert await other.settle(Exchange(holder="x", serial=1)) is None
    await store.store.close()
    await other.store.close()
