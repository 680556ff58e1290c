"""Usage that is kept in a Redis; against a real one in tests/integration/test_redis_store.py."""

from __future__ import annotations

import pytest

from portico_ir.access import Plan, Quota
from portico_ir.model import RedisStore
from portico_ir.secrets import Redacted
from portico_operator.redis_books import RedisBooks
from portico_operator.usage_server import Unreachable

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
