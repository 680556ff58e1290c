"""The Redis (or Valkey) store: every exchange is one script, atomic on the server.

Made by `workers/accounting.py`, which imports this module, and with it redis-py, only where a class
names a Redis. Promises: one operation for each exchange, whatever it holds; the server's clock is
the only one; an answer that is lost costs nothing, because the script counts an exchange once.
Redis 6 or newer; alone, behind Sentinels, or a Cluster; TLS with `rediss`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final, NamedTuple

import msgspec
from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from portico_dataplane.tasks import spawn
from portico_ir import ledger, stock
from portico_ir.leases import Ask, Exchange, Grant, Requests, Settlement, Tokens
from portico_ir.model import RedisStore as Wanted
from portico_ir.periods import day_of, end_of, start_of
from portico_ir.redis_keys import USAGE_SECONDS, RedisKeys
from portico_ir.redis_url import BadUrl, parse

_log = logging.getLogger(__name__)

TIMEOUT_S: Final = 0.5
"""To connect, and for an answer."""
_SCRIPT: Final = files("portico_dataplane.effects.stores").joinpath("settle.lua").read_text()
_CONSTANTS: Final = {
    "term": ledger.TERM_MS,
    "forget": ledger.FORGET_MS,
    "longest_ms": 31 * 86_400_000,
    "usage_seconds": USAGE_SECONDS,
    "min_share": stock.MIN_SHARE,
    "min_share_of_plenty": stock.MIN_SHARE_OF_PLENTY,
    "scarce": stock.SCARCE,
    "spread": stock.SPREAD,
    "reach_s": stock.REACH_S,
    "reserve_s": stock.RESERVE_S,
    "late_ms": stock.LATE_MS,
    "back_ms": stock.BACK_MS,
    "return_ms": stock.RETURN_MS,
    "never_ms": stock.NEVER_MS,
    "least_ms": stock.LEAST_MS,
    "nearly": stock.NEARLY,
    "renew_ms": stock.RENEW_MS,
}


class Call(NamedTuple):
    """An exchange as the script takes it."""

    keys: list[str]
    packed: bytes


class RedisStore:
    """Implements `workers.leasing.Store`."""

    def __init__(
        self,
        wanted: Wanted,
        name: str,
        settled: Callable[[Settlement], None],
        failed: Callable[[], None],
    ) -> None:
        self._wanted = wanted
        self._keys = RedisKeys(name)
        self._settled = settled
        self._failed = failed
        self._client: Client | None = None
        self._sha = ""
        self._task: asyncio.Task[None] | None = None
        self._told = ""
        self.operations = 0
        """Scripts that were run."""

    def send(self, exchange: Exchange) -> None:
        """Ask; one that is on its way already is given up."""
        if self._task is not None:
            self._task.cancel()
        self._task = spawn(self._ask(exchange), name="redis")

    async def close(self) -> None:
        """Close connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _ask(self, exchange: Exchange) -> None:
        try:
            if self._client is None:
                self._client = connect(self._wanted)
            reply = await self._run(self._client.redis, call_of(exchange, self._keys))
            settlement = settlement_of(exchange, reply)
        except (RedisError, OSError, TimeoutError, BadUrl, msgspec.MsgspecError) as error:
            self._fail(error)
            return
        if self._told:
            self._told = ""
            _log.info("redis is back")
        self._settled(settlement)

    async def _run(self, client: Redis | RedisCluster, call: Call) -> bytes:
        self.operations += 1
        arguments: list[Any] = [*call.keys, call.packed]
        if self._sha:
            try:
                return await client.evalsha(self._sha, len(call.keys), *arguments)  # type: ignore[no-any-return]
            except NoScriptError:
                pass  # the server has been restarted
        reply = await client.eval(_SCRIPT, len(call.keys), *arguments)
        self._sha = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
        return reply  # type: ignore[no-any-return]

    def _fail(self, error: Exception) -> None:
        why = str(error) if isinstance(error, BadUrl) else f"{type(error).__name__}: {error}"
        if why != self._told:  # said once, not at every attempt
            self._told = why
            _log.warning("redis is away", extra={"reason": why})
        self._failed()


class Client(NamedTuple):
    """A client, and those that tell it where to go."""

    redis: Redis | RedisCluster
    sentinels: tuple[Redis, ...] = ()

    async def close(self) -> None:
        """Close all connections."""
        for each in (self.redis, *self.sentinels):
            await each.aclose()


def connect(wanted: Wanted) -> Client:
    """A client; it connects when it is used."""
    address = parse(wanted)
    options: dict[str, Any] = {
        "username": address.username,
        "password": address.password.reveal() if address.password is not None else None,
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        # An exchange that fails is repeated by whoever counts, as it is.
        "retry": Retry(NoBackoff(), 0),
    }
    if address.tls is not None:
        options.update(address.tls, ssl=True)
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        return Client(RedisCluster(startup_nodes=nodes, **options))
    if address.kind == "sentinel":
        timeouts = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
        # redis-py has no types here.
        found: Any = Sentinel(address.hosts, sentinel_kwargs=timeouts, **options)  # type: ignore[no-untyped-call]
        master: Redis = found.master_for(address.service, db=address.database)
        return Client(master, tuple(found.sentinels))
    ((host, port), *_) = address.hosts
    return Client(Redis(host=host, port=port, db=address.database, **options))


# --- what the script is told, and says ----------------------------------------------------------


def call_of(exchange: Exchange, keys: RedisKeys) -> Call:
    """An exchange as the script takes it."""
    records: dict[str, int] = {keys.holders: 1}

    def place(key: str) -> int:
        return records.setdefault(key, len(records) + 1)

    asks = [_ask(ask, keys, place) for ask in exchange.asks]
    groups: dict[tuple[str, int], list[tuple[str, int, int]]] = {}
    for use in exchange.usage:
        quota = place(keys.counter(f"quota/{use.plan}/{use.key}"))
        groups.setdefault((use.plan, use.day), []).append((use.key, use.requests, quota))
    hashes = [keys.usage(plan, day) for plan, day in groups]
    usage = [
        [len(records) + number, day, *zip(*uses, strict=True)]
        for number, ((_, day), uses) in enumerate(groups.items(), 1)
    ]
    told = {
        "constants": _CONSTANTS,
        "holder": exchange.holder,
        "serial": exchange.serial,
        "leaves": exchange.leaves,
        "records": len(records),
        "asks": asks,
        "usage": usage,
    }
    return Call([*records, *hashes], msgspec.msgpack.encode(told))


def _ask(ask: Ask, keys: RedisKeys, place: Callable[[str], int]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "record": place(keys.counter(ask.id)),
        "spent": ask.spent,
        "held": ask.held,
        "demand": ask.demand,
        "want": ask.want,
        "waiting": ask.waiting,
        "going": ask.rate,
    }
    limit = ask.limit
    if isinstance(limit, Tokens):
        return {**told, "rate": limit.rate, "burst": limit.burst}
    return {
        **told,
        "extension": place(keys.extension(limit.plan, limit.key)),
        "usage": keys.usage(limit.plan, ""),
        "key": limit.key,
        "limit": limit.limit,
        "period": ask.period,
        "bounds": _bounds(limit, day_of(time.time() * 1000)),
    }


def _bounds(quota: Requests, today: int) -> list[int]:
    """First days of periods around today: the server, whose clock counts, picks its own."""
    period, offset = quota.period, quota.offset
    start = start_of(period, offset, today)
    end = end_of(period, offset, start)
    return [start_of(period, offset, start - 1), start, end, end_of(period, offset, end)]


def settlement_of(exchange: Exchange, reply: bytes) -> Settlement:
    """What the script says."""
    known, now, leaves, grants = msgspec.msgpack.decode(reply)
    return Settlement(
        serial=exchange.serial,
        known=int(known),
        now_ms=float(now),
        leaves=int(leaves),
        grants=tuple(
            Grant(ask.id, *grant) for ask, grant in zip(exchange.asks, grants, strict=True)
        ),
    )
