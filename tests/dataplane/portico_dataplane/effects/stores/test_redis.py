"""What the script is told and says; tests/integration/test_redis_store.py runs it."""

from __future__ import annotations

import msgspec
import pytest

from portico_dataplane.effects.stores.redis import call_of, connect, settlement_of
from portico_ir.leases import Ask, Exchange, Grant, Requests, Tokens, Use
from portico_ir.model import RedisStore
from portico_ir.redis_keys import RedisKeys
from portico_ir.secrets import Redacted

KEYS = RedisKeys("shop")
EXCHANGE = Exchange(
    holder="pod",
    serial=3,
    leaves=2,
    asks=(Ask("b", Tokens(1, 2), 3.0), Ask("quota/p/k", Requests("p", "k", 9, "MONTH", 3))),
    usage=(Use("p", "k", 7, 1), Use("p", "l", 7, 2), Use("p", "k", 8, 3)),
)


def test_every_key_is_named_once() -> None:
    call = call_of(EXCHANGE, KEYS)
    assert call.keys == [
        KEYS.holders,
        KEYS.counter("b"),
        KEYS.counter("quota/p/k"),
        KEYS.extension("p", "k"),
        KEYS.counter("quota/p/l"),
        KEYS.usage("p", 7),
        KEYS.usage("p", 8),
    ]
    told = msgspec.msgpack.decode(call.packed)
    assert told["records"] == 5
    assert [ask["record"] for ask in told["asks"]] == [2, 3]
    assert told["usage"] == [[6, 7, ["k", "l"], [1, 2], [3, 5]], [7, 8, ["k"], [3], [3]]]


def test_periods_around_today() -> None:
    (_, quota) = msgspec.msgpack.decode(call_of(EXCHANGE, KEYS).packed)["asks"]
    bounds = quota["bounds"]
    assert len(bounds) == 4
    assert bounds == sorted(bounds)


def test_the_answer() -> None:
    grants = [[4, 0.5, 2, 1, True, 0, 0, 0, 9.5], [0, 0, 0, 0, False, 250, 7, 99.0, 0]]
    found = settlement_of(EXCHANGE, msgspec.msgpack.encode([2, 1_000, 6, grants]))
    assert (found.serial, found.known, found.now_ms, found.leaves) == (3, 2, 1000, 6)
    assert found.grants == (
        Grant("b", 4, 0.5, 2, 1, True, left=9.5),
        Grant("quota/p/k", recheck_ms=250, period=7, ends_ms=99),
    )


@pytest.mark.parametrize(
    ("url", "name", "sentinels"),
    [
        ("redis://r:1/2", "Redis", 0),
        ("rediss://r?ssl_cert_reqs=none", "Redis", 0),
        ("redis+sentinel://a,b/main", "Redis", 2),
        ("redis+cluster://a:1,b:2", "RedisCluster", 0),
    ],
)
async def test_clients(url: str, name: str, sentinels: int) -> None:
    client = connect(RedisStore(url=Redacted(url), password=Redacted("x")))
    assert type(client.redis).__name__ == name
    assert len(client.sentinels) == sentinels
    await client.close()
