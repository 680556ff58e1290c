"""DevUsage: usage of plans at the admin port of `portico dev`, as an operator has it.

Made by `engine`. Promises: for this machine only; usage is asked of whoever counts it, the memory
of dev itself or the Redis that the class names.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

from portico_dataplane.admin import private
from portico_ir.access import Plan
from portico_ir.leases import Requests
from portico_ir.ledger import Ledger
from portico_ir.model import Snapshot
from portico_operator.plan_units import has_key, plans_of, store_of
from portico_operator.redis_books import RedisBooks
from portico_operator.usage_server import Books, Kept, LedgerBooks, UsageDesk

_CLASS = ""
"""Files have one data plane."""


class DevUsage:
    """Implements `usage_server.Source`."""

    def __init__(self, ledger: Callable[[], Ledger | None]) -> None:
        """`ledger`: of whoever counts in this process, if anybody does."""
        self._ledger = ledger
        self._snapshot: Snapshot | None = None
        self._redis: RedisBooks | None = None
        self._retired: list[RedisBooks] = []
        self._told = ""
        self._own = LedgerBooks(lambda _: ledger() or Ledger(), self._extend, _unix_ms)

    def add_to(self, app: web.Application) -> None:
        """Answer at this admin port."""
        UsageDesk(self, _unix_ms).add_to(app, private)

    def applied(self, snapshot: Snapshot) -> None:
        """This configuration serves now."""
        self._snapshot = snapshot
        digest = snapshot.manifest.units.get("store", "")
        if digest != self._told:
            self._told = digest
            store = store_of(snapshot)
            if self._redis is not None:
                self._retired.append(self._redis)
            self._redis = RedisBooks(store.redis, store.name) if store.redis is not None else None

    async def close(self) -> None:
        """Ask nobody any more."""
        for books in (*self._retired, self._redis):
            if books is not None:
                await books.close()

    # usage_server.Source

    def elsewhere(self) -> str:
        """Why usage is to be asked for elsewhere; empty: it is kept here."""
        if self._snapshot is None:
            return "no configuration serves yet"
        if self._redis is None and self._ledger() is None:
            return "nothing is counted yet"
        return ""

    def find(self, plan_id: str) -> Kept | None:
        """A plan; None: there is none."""
        plans = plans_of(self._snapshot) if self._snapshot is not None else ()
        books: Books = self._redis if self._redis is not None else self._own
        found = (Kept(_CLASS, plan, books) for plan in plans if plan.id == plan_id)
        return next(found, None)

    async def holds(self, kept: Kept, key: str) -> bool:
        """Whether the plan has this key."""
        if self._snapshot is None:
            return False
        return await asyncio.to_thread(has_key, self._snapshot, kept.plan.id, key)

    async def _extend(self, class_name: str, plan: Plan, key: str, remaining: int) -> None:
        ledger, quota = self._ledger(), plan.quota
        if ledger is not None and quota is not None:
            limit = Requests(plan.id, key, quota.limit, quota.period, quota.offset)
            ledger.extend(limit, remaining, _unix_ms())


def _unix_ms() -> float:
    return time.time() * 1000
