"""Accounting: the leases of a pod, and the store they are settled with, as the class says.

Made by the supervisor, and by a gateway without one. Promises: a store that is named but cannot be
reached is one that is away, never a reason not to serve; what was counted with one store is
handed in to the next.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import secrets
import time
from typing import Final, Protocol

from portico_dataplane.core.broker import Broker
from portico_dataplane.effects.lessee import Loop
from portico_dataplane.effects.stores.memory import MemoryStore
from portico_dataplane.effects.stores.operator import OperatorStore
from portico_dataplane.tasks import spawn
from portico_dataplane.workers.leasing import Leasing, monotonic_ms
from portico_ir.codec import Undecodable, decode_unit
from portico_ir.leases import Ask, Exchange, Grant
from portico_ir.ledger import Ledger
from portico_ir.model import PlansUnit, RedisStore, Snapshot, StoreUnit

_REDIS: Final = "portico_dataplane.effects.stores.redis"
FAREWELL_S: Final = 1.0
"""For the last exchange."""


class ClosableStore(Protocol):
    """A `workers.leasing.Store` that holds connections."""

    def send(self, exchange: Exchange) -> None:
        """Ask."""
        ...

    async def close(self) -> None:
        """Hold none any more."""
        ...


class Deliver(Protocol):
    """Takes grants to a worker."""

    def __call__(self, worker: int, grants: list[Grant], leaves: int) -> None:
        """`leaves`: workers of all pods."""
        ...


class Accounting:
    """Leases of one pod."""

    def __init__(
        self, loop: Loop, workers: int, deliver: Deliver, remote: OperatorStore | None = None
    ) -> None:
        # A pod that starts again holds nothing of what it held before: it is another holder.
        holder = f"{os.uname().nodename}-{secrets.token_hex(8)}"
        broker = Broker(holder, workers, unix_ms=_unix_ms() - monotonic_ms())
        self._deliver = deliver
        self.leasing = Leasing(loop, broker, self._hand_over)
        leasing = self.leasing
        if remote is not None:
            remote.attach(leasing.settled, leasing.failed, self._use_another)
        self._remote = remote
        """The operator, where there is one: the store of classes that name no other."""
        self._loading: asyncio.Task[None] | None = None
        self._unit: StoreUnit | None = None
        self._store: ClosableStore | None = None
        self._retired: list[ClosableStore] = []
        self._declared: str | None = ""
        """Digest of the plans that the ledger has been told of."""

    def asked(self, worker: int, asks: list[Ask]) -> None:
        """A worker reports and asks."""
        self.leasing.asked(str(worker), asks)

    def gone(self, worker: int) -> None:
        """A worker has died."""
        self.leasing.gone(str(worker))

    @property
    def ledger(self) -> Ledger | None:
        """What is counted here; None: another store counts."""
        return self._store.ledger if isinstance(self._store, MemoryStore) else None

    def declare(self, snapshot: Snapshot) -> None:
        """What its plans let keys do beyond their quotas; another store is told by the operator."""
        ledger, encoded = self.ledger, snapshot.units.get("plans")
        if ledger is None or snapshot.manifest.units.get("plans") == self._declared:
            return
        try:
            unit = decode_unit(encoded) if encoded is not None else PlansUnit()
        except Undecodable:
            return  # the workers refuse it, and say so
        self._declared = snapshot.manifest.units.get("plans")
        ledger.declare(unit.plans if isinstance(unit, PlansUnit) else ())

    def configure(self, unit: StoreUnit | None) -> None:
        """The class says where leases are settled; None: nobody can read what it says."""
        if unit is None:
            unit = self._unit or StoreUnit()
        if unit == self._unit:
            return
        self._unit = unit
        self.leasing.broker.pod.keeps = unit.keep
        if unit.redis is not None:
            self._loading = spawn(self._connect(unit, unit.redis), name="redis")
        elif self._remote is not None:
            self._replace(self._remote)
        elif not isinstance(self._store, MemoryStore):
            self._replace(MemoryStore(self.leasing.settled, _unix_ms))
            self._declared = ""

    async def close(self) -> None:
        """Hand in what is left, and settle nothing any more."""
        if self._store is not None and self.leasing.farewell():
            try:
                async with asyncio.timeout(FAREWELL_S):
                    await self.leasing.settled_up.wait()
            except TimeoutError:
                pass  # the store is away: what was counted since is lost with the pod
        self.leasing.close()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])
        for store in (*self._retired, self._store):
            if store is not None:
                await store.close()
        self._store, self._retired = None, []

    async def _connect(self, unit: StoreUnit, wanted: RedisStore) -> None:
        # Half a second to import, and 20 MB: beside the loop, and only where it is used.
        module = await asyncio.to_thread(importlib.import_module, _REDIS)
        if unit == self._unit:
            leasing = self.leasing
            self._replace(module.RedisStore(wanted, unit.name, leasing.settled, leasing.failed))

    def _use_another(self) -> None:
        if self._store is self._remote:
            self.leasing.use(self._remote)

    def _replace(self, store: ClosableStore) -> None:
        if self._store is not None:
            self._retired.append(self._store)
        self._store = store
        self.leasing.use(store)

    def _hand_over(self, worker: str, grants: list[Grant], leaves: int) -> None:
        self._deliver(int(worker), grants, leaves)


def _unix_ms() -> float:
    return time.time() * 1000
