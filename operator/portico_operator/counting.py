"""Counting: what an operator has for leases, quotas and usage, put together. Wiring only.

Made by `app`. Promises: plans are known from what is published; the usage endpoint asks whoever
keeps a class's usage, this operator or a Redis.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from portico_ir.access import Plan
from portico_ir.model import Snapshot, StoreUnit
from portico_operator.cluster.client import KubeClient
from portico_operator.cluster.lease import Lease
from portico_operator.cluster.usage_vault import UsageVault
from portico_operator.extending import Declared, Extending
from portico_operator.keeper import Keeper
from portico_operator.keeping import Keeping, Unavailable
from portico_operator.plan_units import has_key, plans_of, store_of
from portico_operator.redis_books import RedisBooks
from portico_operator.settings import OperatorSettings
from portico_operator.usage_server import Books, Kept, LedgerBooks, Unreachable, UsageServer

LOOPBACK: Final = "127.0.0.1"
"""Who may open a port of the pod may ask for usage; nobody else."""


class Counting:
    """One replica's part; implements `usage_server.Source`."""

    def __init__(
        self,
        client: KubeClient,
        settings: OperatorSettings,
        lease: Lease,
        announce: Callable[[int], None],
    ) -> None:
        self.keeper = Keeper()
        vault = UsageVault(client, settings.namespace, settings.lease)
        self.keeping = Keeping(
            self.keeper,
            vault,
            vault,
            leads=lease.is_leader,
            term=lambda: lease.term,
            announce=announce,
        )
        self._lease = lease
        self._own = LedgerBooks(self.keeper.ledger, self._extend, _unix_ms)
        self._redis: dict[str, RedisBooks] = {}
        self._retired: list[RedisBooks] = []
        self._digests: dict[tuple[str, str], str] = {}
        self._snapshots: Mapping[str, Snapshot] = {}
        self.extending = Extending(self._declared, leads=lease.is_leader)
        self.server = UsageServer(self, _unix_ms)

    def stir(self) -> None:
        """The election may have changed something."""
        self.keeping.stir()
        self.extending.stir()

    def published(self, snapshots: Mapping[str, Snapshot]) -> None:
        """What data planes are told, by class."""
        self._snapshots = snapshots
        for class_name, snapshot in snapshots.items():
            # Both must be looked at, or the second is news for ever.
            plans = self._is_news(class_name, snapshot, "plans")
            store = self._is_news(class_name, snapshot, "store")
            if plans:
                self.keeper.set_plans(class_name, plans_of(snapshot))
            if store:
                self._set_store(class_name, store_of(snapshot))
            if plans or store:
                self.extending.stir()

    async def close(self) -> None:
        """Stop answering."""
        await self.server.close()
        for books in (*self._redis.values(), *self._retired):
            await books.close()

    # --- usage_server.Source ------------------------------------------------------------------

    def elsewhere(self) -> str:
        """Why usage is to be asked for elsewhere; empty: it is kept here."""
        if self._lease.is_leader() and self.keeper.term >= 0:
            return ""
        return f"usage is kept by {self._lease.holder or 'nobody yet'}"

    def find(self, plan_id: str) -> Kept | None:
        """A plan, by its id."""
        found = self.keeper.plan(plan_id)
        return None if found is None else Kept(*found, self._books(found[0]))

    async def holds(self, kept: Kept, key: str) -> bool:
        """Whether the plan has this key."""
        snapshot = self._snapshots.get(kept.class_name)
        if snapshot is None:
            return False
        return await asyncio.to_thread(has_key, snapshot, kept.plan.id, key)

    # --- within -------------------------------------------------------------------------------

    async def _extend(self, class_name: str, plan: Plan, key: str, remaining: int) -> None:
        self.keeper.extend(class_name, plan, key, remaining, _unix_ms())
        try:
            # Somebody is told that it is so: it must not go with this replica.
            await self.keeping.save()
        except Unavailable as why:
            message = f"it counts, but is not saved yet, so that a failover would undo it: {why}"
            raise Unreachable(message) from why

    def _declared(self) -> Mapping[str, tuple[Declared, Sequence[Plan]]]:
        return {name: (books, self.keeper.plans(name)) for name, books in self._redis.items()}

    def _is_news(self, class_name: str, snapshot: Snapshot, unit_id: str) -> bool:
        known = snapshot.manifest.units.get(unit_id, "")
        if self._digests.get((class_name, unit_id)) == known:
            return False
        self._digests[class_name, unit_id] = known
        return True

    def _set_store(self, class_name: str, store: StoreUnit) -> None:
        old = self._redis.pop(class_name, None)
        if old is not None:
            self._retired.append(old)
        if store.redis is not None:
            self._redis[class_name] = RedisBooks(store.redis, store.name)

    def _books(self, class_name: str) -> Books:
        return self._redis.get(class_name, self._own)


def _unix_ms() -> float:
    return time.time() * 1000
