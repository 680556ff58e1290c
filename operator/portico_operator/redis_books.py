"""RedisBooks: the usage of classes that keep it in a Redis, read for the usage endpoint.

Made by `app` for such a class; pods write what is read here (`portico_ir.redis_keys`). Promises:
redis-py is imported when somebody asks, not before; nothing here is on the way of a request.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from portico_ir.access import Plan
from portico_ir.model import RedisStore
from portico_ir.periods import DAY_MS, day_of, end_of, start_of
from portico_ir.redis_keys import RedisKeys
from portico_ir.redis_url import BadUrl, parse
from portico_ir.usage import declared
from portico_operator.usage_server import Unreachable

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

_TIMEOUT_S: Final = 2.0
_DECLARE: Final = """
local start, requests = tonumber(ARGV[2]), tonumber(ARGV[3])
local function read(packed)
  local found = packed and cmsgpack.unpack(packed)
  return found and found[1] == start and found[2] or 0
end
local before = read(redis.call('HGET', KEYS[2], ARGV[1]))
if before ~= requests then
  local total = read(redis.call('GET', KEYS[1])) - before + requests
  redis.call('SET', KEYS[1], cmsgpack.pack({start, total}), 'PX', ARGV[4])
end
if requests == 0 then
  redis.call('HDEL', KEYS[2], ARGV[1])
else
  redis.call('HSET', KEYS[2], ARGV[1], cmsgpack.pack({start, requests}))
end
return 0
"""
"""In one step, so that of two operators, or of one that was cut off, nothing counts twice."""


class RedisBooks:
    """Implements `usage_server.Books`."""

    def __init__(self, store: RedisStore, name: str) -> None:
        self._store = store
        self._keys = RedisKeys(name)
        self._clients: list[Redis | RedisCluster] = []
        """The one that is asked, and those that tell it where to go."""

    async def by_key(
        self, class_name: str, plan: str, first: int, end: int
    ) -> Mapping[str, Mapping[int, int]]:
        """Key to day to requests."""
        found: dict[str, dict[int, int]] = {}
        for day in range(first, end):
            for key, requests in (await self._ask("hgetall", self._keys.usage(plan, day))).items():
                found.setdefault(key.decode(), {})[day] = int(requests)
        return found

    async def extras(self, class_name: str, plan: Plan, keys: set[str]) -> Mapping[str, int]:
        """What keys may do beyond the plan's quota in this period."""
        if plan.quota is None or not keys:
            return {}
        start = start_of(plan.quota.period, plan.quota.offset, _today())
        names = sorted(keys)
        packed = await self._ask("mget", [self._keys.extension(plan.id, key) for key in names])
        found: dict[str, int] = {}
        for key, one in zip(names, packed, strict=True):
            since, requests = msgspec.msgpack.decode(one) if one else (0, 0)
            if since == start:
                found[key] = int(requests)
        return found

    async def extend(self, class_name: str, plan: Plan, key: str, remaining: int) -> None:
        """Let a key do so many more in this period."""
        quota = plan.quota
        assert quota is not None
        await self.declare([plan])
        start = start_of(quota.period, quota.offset, _today())
        end = end_of(quota.period, quota.offset, start)
        days = (await self.by_key(class_name, plan.id, start, end)).get(key, {})
        extra = remaining + sum(days.values()) - quota.limit
        left = int(end * DAY_MS - time.time() * 1000)
        packed = msgspec.msgpack.encode((start, extra))
        await self._ask("set", self._keys.extension(plan.id, key), packed, px=left)

    async def declare(self, plans: Sequence[Plan]) -> None:
        """What plans let keys do beyond their quotas; told twice is told once."""
        today = _today()
        by_id = {plan.id: plan for plan in plans if plan.quota is not None}
        wanted = {f"{plan.id}/{key}" for plan in by_id.values() for key in plan.extensions}
        for known in await self._ask("hkeys", self._keys.declared):
            name = known.decode()
            if name.partition("/")[0] in by_id:
                wanted.add(name)
        for name in sorted(wanted):
            plan_id, _, key = name.partition("/")
            plan = by_id[plan_id]
            assert plan.quota is not None
            start = start_of(plan.quota.period, plan.quota.offset, today)
            end = end_of(plan.quota.period, plan.quota.offset, start)
            left = max(1, int(end * DAY_MS - time.time() * 1000))
            names = (self._keys.extension(plan_id, key), self._keys.declared)
            requests = declared(plan, key, start)
            await self._ask("eval", _DECLARE, len(names), *names, name, start, requests, left)

    async def close(self) -> None:
        """Close connections."""
        clients, self._clients = self._clients, []
        for client in clients:
            await client.aclose()

    async def _ask(self, command: str, *arguments: Any, **options: Any) -> Any:
        from redis.exceptions import RedisError

        try:
            if not self._clients:
                self._clients = _connect(self._store)
            return await getattr(self._clients[0], command)(*arguments, **options)
        except (RedisError, OSError, TimeoutError, BadUrl) as why:
            raise Unreachable(f"the class's Redis cannot be asked: {why}") from why


def _today() -> int:
    return day_of(time.time() * 1000)


def _connect(store: RedisStore) -> list[Redis | RedisCluster]:
    from redis.asyncio import Redis, RedisCluster, Sentinel
    from redis.asyncio.cluster import ClusterNode

    address = parse(store)
    options: dict[str, Any] = {
        "username": address.username,
        "password": address.password.reveal() if address.password is not None else None,
        "socket_timeout": _TIMEOUT_S,
        "socket_connect_timeout": _TIMEOUT_S,
    }
    if address.tls is not None:
        options.update(address.tls, ssl=True)
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        return [RedisCluster(startup_nodes=nodes, **options)]
    if address.kind == "sentinel":
        # redis-py has no types here.
        found: Any = Sentinel(address.hosts, **options)  # type: ignore[no-untyped-call]
        return [found.master_for(address.service, db=address.database), *found.sentinels]
    ((host, port), *_) = address.hosts
    return [Redis(host=host, port=port, db=address.database, **options)]
