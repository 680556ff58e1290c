"""Counting: what an operator has for leases, quotas and usage, put together. Wiring only.

Made by `app`. Promises: plans are known from what is published; the usage endpoint asks whoever
keeps a class's usage, this operator or a Redis.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from portico_ir.codec import Undecodable, decode_unit
from portico_ir.model import PlansUnit, Snapshot, StoreUnit
from portico_operator.cluster.client import KubeClient
from portico_operator.cluster.lease import Lease
from portico_operator.cluster.usage_vault import UsageVault
from portico_operator.keeper import Keeper
from portico_operator.keeping import Keeping
from portico_operator.redis_books import RedisBooks
from portico_operator.settings import OperatorSettings
from portico_operator.usage_server import Books, KeeperBooks, UsageServer

LOOPBACK: Final = "127.0.0.1"
"""Who may open a port of the pod may ask for usage; nobody else."""


class Counting:
    """One replica's part."""

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
        self._own = KeeperBooks(self.keeper, _unix_ms)
        self._redis: dict[str, RedisBooks] = {}
        self._retired: list[RedisBooks] = []
        self._digests: dict[tuple[str, str], str] = {}
        self.server = UsageServer(
            self.keeper,
            self._books,
            leads=lease.is_leader,
            leader=lambda: lease.holder,
            unix_ms=_unix_ms,
        )

    def published(self, snapshots: Mapping[str, Snapshot]) -> None:
        """What data planes are told, by class."""
        for class_name, snapshot in snapshots.items():
            if self._is_news(class_name, snapshot, "plans"):
                unit = _unit(snapshot, "plans")
                plans = unit.plans if isinstance(unit, PlansUnit) else ()
                self.keeper.set_plans(class_name, plans)
            if self._is_news(class_name, snapshot, "store"):
                unit = _unit(snapshot, "store")
                self._set_store(class_name, unit if isinstance(unit, StoreUnit) else StoreUnit())

    async def close(self) -> None:
        """Stop answering."""
        await self.server.close()
        for books in (*self._redis.values(), *self._retired):
            await books.close()

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


def _unit(snapshot: Snapshot, unit_id: str) -> object:
    """The unit; None where there is none."""
    encoded = snapshot.units.get(unit_id)
    try:
        return decode_unit(encoded) if encoded is not None else None
    except Undecodable:  # our own compiler's: a bug, and nothing to stop for
        return None


def _unix_ms() -> float:
    return time.time() * 1000
