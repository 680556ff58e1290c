"""The supervisor: N worker slots, one configuration, one admin port, one log.

Made by `__main__` (and by `portico dev --workers N`). Promises: every worker gets each
configuration once, as a whole, and the supervisor says which have it; what the admin port
shows is the sum of the workers, dead ones included; ending is in order: not ready, still
accepting, no more accepting, requests finished, lines written.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from portico_dataplane.admin import ConfigView, WorkerView
from portico_dataplane.effects.stores.operator import OperatorStore
from portico_dataplane.settings import Settings
from portico_dataplane.tasks import spawn
from portico_dataplane.telemetry.expiry import Expiries
from portico_dataplane.telemetry.line_writer import LineWriter
from portico_dataplane.telemetry.loop_lag import LoopLag
from portico_dataplane.telemetry.readings import (
    SUPERVISOR,
    ConfigReading,
    Ledger,
    Readings,
    Scrape,
    take_process,
)
from portico_dataplane.workers import sockets as listening
from portico_dataplane.workers.accounting import Accounting
from portico_dataplane.workers.slot import WORKER, Slot
from portico_dataplane.workers.snapshot_file import EMPTY, Wanted, prepare, store_of
from portico_ir.codec import encode
from portico_ir.leases import Ask, Grant
from portico_ir.model import EndpointSet, Snapshot

_log = logging.getLogger(__name__)

_BEAT_S: Final = 5.0
"""Between two readings nobody asked for: what a killed worker counted since is lost."""
_MISSED_BEATS: Final = 6
"""A worker that leaves so many unanswered hangs, and is replaced."""
_SCRAPE_WAIT_S: Final = 1.0
_HOPELESS_DEATHS: Final = 5
"""So many ends of every worker before one ever served: starting again will not help."""
_GRACE_S: Final = 5.0
"""Beyond its drain time before a worker is killed."""


class Applied:
    """What became of a configuration, over all workers."""

    __slots__ = ("acknowledged", "digest", "refused")

    def __init__(self, digest: str, refused: dict[str, str], acknowledged: int) -> None:
        self.digest = digest
        self.refused = refused
        """Unit id to reason; those keep their previous version."""
        self.acknowledged = acknowledged
        """Workers that have it."""


class Supervisor:
    """Implements `admin.AdminSource` and `slot.Owner`."""

    def __init__(
        self,
        settings: Settings,
        slots: list[list[socket.socket]],
        writer: LineWriter,
        command: Sequence[str] = WORKER,
        store: OperatorStore | None = None,
    ) -> None:
        self._settings = settings
        self._sockets = slots
        self._writer = writer
        self._slots = [Slot(n, settings, s, self, command) for n, s in enumerate(slots)]
        self._tasks: list[asyncio.Task[None]] = []
        self._beat: asyncio.Task[None] | None = None
        self._wanted: Wanted | None = None
        self._snapshot: Snapshot | None = None
        self._serial = 0
        self._sequence = 0
        self._endpoints_seen = 0
        self._settled = 0
        self._loaded_at = 0.0
        self._stopping = False
        self._progress = asyncio.Event()
        self._ledger = Ledger(settings.max_label_sets)
        self._expiries = Expiries()
        self._lag = LoopLag()
        loop = asyncio.get_running_loop()
        self.accounting = Accounting(loop, len(self._slots), self._deliver, store)
        self._counters = dict.fromkeys(
            ("log_lines", "log_lines_dropped", "config_reloads", "config_reload_failures"), 0.0
        )
        self.hopeless: asyncio.Future[str] = loop.create_future()
        """Done, with the reason, when no worker can be started."""

    # Life.

    def start(self) -> None:
        """Start the workers; they wait for a configuration."""
        self._lag.start()
        self._tasks = [spawn(slot.run(), name=slot.name) for slot in self._slots]
        self._beat = spawn(self._beats(), name="beats")

    async def apply(self, snapshot: Snapshot) -> Applied:
        """Serve this; returns when every worker has acknowledged it (or something newer)."""
        self._serial += 1
        self._sequence += 1
        self._snapshot = snapshot
        before = self._wanted.units if self._wanted is not None else EMPTY
        self._wanted = target = prepare(snapshot, self._serial, self._sequence, before)
        self.accounting.configure(store_of(snapshot))
        self.accounting.declare(snapshot)
        for slot in self._slots:
            slot.offer()
        await self._until(lambda: self._settled >= target.serial)
        refused = {unit: why for slot in self._slots for unit, why in slot.refused.items()}
        self._counters["config_reloads"] += 1
        return Applied(target.digest, refused, self._count_acknowledged())

    def set_endpoints(self, endpoints: EndpointSet) -> None:
        """New addresses for the configuration that serves; an older set changes nothing."""
        if self._wanted is None or self._snapshot is None:
            return
        if endpoints.sequence < self._endpoints_seen:
            return
        self._endpoints_seen = endpoints.sequence
        # Workers count as this supervisor does: files and streams number theirs apart.
        self._sequence += 1
        renumbered = replace(endpoints, sequence=self._sequence)
        encoded = encode(renumbered)
        self._snapshot = replace(self._snapshot, endpoints=renumbered)
        self._wanted = replace(self._wanted, endpoints=encoded)
        for slot in self._slots:
            slot.set_endpoints(encoded)

    def set_fallback(self, *, allowed: bool) -> None:
        """Whether ClusterIPs may stand in for addresses that all fail."""
        for slot in self._slots:
            slot.set_fallback(allowed=allowed)

    def reload_failed(self) -> None:
        """Count a snapshot that could not be read."""
        self._counters["config_reload_failures"] += 1

    async def drain(self, delay_s: float) -> None:
        """End in order; `kill` may hurry it."""
        self._stopping = True
        for slot in self._slots:
            slot.announce()
        await asyncio.sleep(delay_s)
        for slot in self._slots:
            slot.drain(self._settings.drain_seconds)
        # Ours are duplicates of the workers': the port closes when both sides have let go.
        listening.close(self._sockets)
        _, late = await asyncio.wait(self._tasks, timeout=self._settings.drain_seconds + _GRACE_S)
        if late:
            self.kill()
            await asyncio.wait(late)
        await self._end()

    def kill(self) -> None:
        """End now: requests in flight are cut."""
        self._stopping = True
        for slot in self._slots:
            slot.kill()

    async def close(self) -> None:
        """End now and wait for it."""
        self.kill()
        listening.close(self._sockets)
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._end()

    async def _end(self) -> None:
        await self.accounting.close()
        self._lag.stop()
        if self._beat is not None:
            self._beat.cancel()
            await asyncio.wait([self._beat])

    # admin.AdminSource

    def unready(self) -> str:
        """Why traffic should go elsewhere; empty: ready."""
        if self._stopping:
            return "draining"
        serving = sum(slot.serves for slot in self._slots)
        if serving < len(self._slots):
            return f"{serving} of {len(self._slots)} workers serve"
        return ""

    async def scrape(self) -> Scrape:
        """Fresh numbers of every worker that answers in time, the last ones of the others."""
        pulls = [slot.pull() for slot in self._slots]
        await asyncio.wait(pulls, timeout=_SCRAPE_WAIT_S)
        serving = [slot for slot in self._slots if slot.serves]
        counters = self._ledger.counters()
        for name, value in self._counters.items():
            counters[name] = counters.get(name, 0.0) + value
        counters["log_lines_dropped"] += self._writer.dropped
        counters["worker_restarts"] = sum(slot.deaths for slot in self._slots)
        gauges = self._ledger.gauges()
        gauges["workers"] = len(self._slots)
        gauges["workers_ready"] = len(serving)
        return Scrape(
            series=self._ledger.series(),
            gauges=gauges,
            counters=counters,
            expiries=await self._expiries.read(self._snapshot),
            processes={
                SUPERVISOR: take_process(self._lag.longest_s()),
                **self._ledger.processes(),
            },
            config=ConfigReading(
                digests=tuple(sorted({slot.digest for slot in serving if slot.digest})),
                loaded_at=self._loaded_at,
                refused_units=len({unit for slot in serving for unit in slot.refused}),
            ),
            now=time.time(),
        )

    def config(self) -> ConfigView:
        """What should serve, and who serves what."""
        return ConfigView(
            digest="" if self._wanted is None else self._wanted.digest,
            loaded_at=self._loaded_at,
            snapshot=self._snapshot,
            workers=tuple(
                WorkerView(
                    name=slot.name,
                    pid=slot.pid,
                    serves=slot.serves,
                    digest=slot.digest,
                    refused=dict(slot.refused),
                    restarts=slot.deaths,
                )
                for slot in self._slots
            ),
        )

    def flush(self, authorizer: str) -> None:
        """In every worker."""
        for slot in self._slots:
            slot.flush(authorizer)

    # slot.Owner

    def wanted(self) -> Wanted | None:
        """The configuration to serve."""
        return self._wanted

    def changed(self, slot: Slot) -> None:
        """A worker serves, has acknowledged, or has ended."""
        if slot.pid is None:
            self.accounting.gone(slot.number)
            self._ledger.retire(slot.name)
            self._give_up_if_hopeless(slot)
        elif slot.acknowledged:
            self._log_acknowledged(slot)
        target = self._wanted
        if (
            target is not None
            and target.serial != self._settled
            and self._count_acknowledged() == len(self._slots)
        ):
            self._settled = target.serial
            if all(each.digest == target.digest for each in self._slots):
                self._loaded_at = time.time()
        self._progress.set()

    def read(self, slot: Slot, readings: Readings) -> None:
        """Keep the newest readings of a worker."""
        self._ledger.report(slot.name, readings)

    def lines(self, text: bytes, lines: int) -> None:
        """Write access log lines."""
        dropped = self._writer.put(text, lines)
        self._counters["log_lines"] += lines - dropped
        self._counters["log_lines_dropped"] += dropped

    def asked(self, slot: Slot, asks: list[Ask]) -> None:
        """Requests were counted, or wait for tokens."""
        self.accounting.asked(slot.number, asks)

    # Within.

    def _deliver(self, worker: int, grants: list[Grant], leaves: int) -> None:
        self._slots[worker].grant(grants, leaves)

    def _count_acknowledged(self) -> int:
        serial = 0 if self._wanted is None else self._wanted.serial
        return sum(slot.acknowledged == serial for slot in self._slots)

    def _log_acknowledged(self, slot: Slot) -> None:
        _log.info(
            "worker serves" if slot.serves else "worker acknowledged",
            extra={"worker": slot.name, "digest": slot.digest, "refused": dict(slot.refused)},
        )

    def _give_up_if_hopeless(self, slot: Slot) -> None:
        never = all(s.deaths >= _HOPELESS_DEATHS and not s.ever_served for s in self._slots)
        if never and not self._stopping and not self.hopeless.done():
            self.hopeless.set_result(slot.failure)

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached() and not self._stopping:
            self._progress.clear()
            await self._progress.wait()

    async def _beats(self) -> None:
        missed = dict.fromkeys(self._slots, 0)
        while True:
            pulls = {slot: slot.pull() for slot in self._slots}
            await asyncio.sleep(_BEAT_S)
            for slot, pull in pulls.items():
                missed[slot] = 0 if pull.done() else missed[slot] + 1
                if missed[slot] >= _MISSED_BEATS:
                    _log.error("worker hangs and is killed", extra={"worker": slot.name})
                    missed[slot] = 0
                    slot.kill(replace=True)
