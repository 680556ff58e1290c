"""Usage that is kept in a Redis; against a real one in tests/integration/test_redis_store.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from portico_dataplane.effects.stores import redis as redis_store
from portico_ir.access import Plan, Quota
from portico_ir.leases import Ask, Exchange, Requests, Settlement
from portico_ir.model import RedisStore
from portico_ir.periods import day_of
from portico_ir.secrets import Redacted
from portico_operator import redis_books
from portico_operator.redis_books import RedisBooks
from portico_operator.usage_server import Unreachable
from real_redis import REDIS, RealRedis

GOLD = Plan(id="gold", name="d/gold", quota=Quota(limit=100, period="DAY"))


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "nonsense", "redis+sentinel://h"])
async def test_what_cannot_be_asked_says_so_without_the_url(url: str) -> None:
    books = RedisBooks(RedisStore(url=Redacted(url), password=Redacted("quiet")), "c")
    with pytest.raises(Unreachable, match="cannot be asked") as raised:
        await books.by_key("c", "gold", 0, 1)
    assert "quiet" not in str(raised.value)
    await books.close()


async def test_nothing_is_asked_where_there_is_nothing_to_ask() -> None:
    books = RedisBooks(RedisStore(url=Redacted("redis://127.0.0.1:1")), "c")
    assert await books.by_key("c", "gold", 5, 5) == {}
    assert await books.extras("c", GOLD, set()) == {}
    assert await books.extras("c", Plan(id="p", name="d/p"), {"k"}) == {}
    await books.close()


@pytest.fixture(scope="module")
def redis() -> Iterator[RealRedis]:
    if REDIS is None:
        pytest.skip("no redis-server or valkey-server on the PATH")
    with RealRedis() as running:
        yield running


def declaring(**days: int) -> Plan:
    """GOLD, which lets these keys do more in the present period."""
    today = day_of(time.time() * 1000)
    return replace(GOLD, extensions={key: ((today, more),) for key, more in days.items()})


@pytest.mark.redis
async def test_what_plans_declare_counts_once_however_often_it_is_told(
    redis: RealRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_books, "_TIMEOUT_S", 20.0)
    wanted = RedisStore(url=Redacted(redis.url))
    one, two = RedisBooks(wanted, "c"), RedisBooks(wanted, "c")  # two operators
    for books in (one, two, one):
        await books.declare([declaring(k=40)])
        assert await books.extras("c", GOLD, {"k", "other"}) == {"k": 40}
    # Beside what was done by hand, in whichever order.
    await two.extend("c", declaring(k=40), "k", 500)
    assert await one.extras("c", GOLD, {"k"}) == {"k": 400}
    await one.declare([declaring(k=60)])
    assert await one.extras("c", GOLD, {"k"}) == {"k": 420}
    # Taken back: also by one who did not tell it, and of another plan nothing is touched.
    await one.declare([replace(GOLD, id="silver")])
    assert await one.extras("c", GOLD, {"k"}) == {"k": 420}
    await two.declare([GOLD])
    assert await one.extras("c", GOLD, {"k"}) == {"k": 360}
    # By hand first: what remains is what was said, although nobody had told the Redis yet.
    await one.extend("c", declaring(new=30), "new", 200)
    await one.declare([declaring(new=30)])
    assert await one.extras("c", GOLD, {"new"}) == {"new": 100}
    await one.close()
    await two.close()


@pytest.mark.redis
async def test_pods_get_what_was_declared(
    redis: RealRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the script that settles leases reads is what is written here."""
    monkeypatch.setattr(redis_store, "TIMEOUT_S", 20.0)
    wanted = RedisStore(url=Redacted(redis.url))
    books = RedisBooks(wanted, "pods")
    await books.declare([declaring(k=40)])
    answers: asyncio.Queue[Settlement | None] = asyncio.Queue()
    store = redis_store.RedisStore(
        wanted, "pods", answers.put_nowait, lambda: answers.put_nowait(None)
    )
    ask = Ask(id="q", limit=Requests("gold", "k", 100, "DAY", 0), want=1000.0)
    store.send(Exchange(holder="h", serial=1, asks=(ask,)))
    async with asyncio.timeout(20):
        settlement = await answers.get()
    assert settlement is not None
    (grant,) = settlement.grants
    assert grant.tokens + grant.left == 140
    await store.close()
    await books.close()
