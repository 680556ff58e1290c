"""One worker process: the engine on an event loop of its own, told what to do by a channel.

Started by `slot.py` as `python -m portico_dataplane.workers.worker FD`, never by hand.
Promises: it accepts connections only once its first snapshot serves; it answers every `Apply`
and `Pull`; it ends with the supervisor, however that ends. Signals are the supervisor's: a
process group that is told to stop must still be drained in order.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys

import msgspec
import uvloop

from portico_dataplane.app import Gateway
from portico_dataplane.telemetry import operator_log
from portico_dataplane.telemetry.access_log import BatchedLines
from portico_dataplane.telemetry.loop_lag import LoopLag
from portico_dataplane.telemetry.meters import StageMeters
from portico_dataplane.telemetry.readings import Readings, engine_gauges, take_process
from portico_dataplane.workers.channel import (
    Announce,
    Applied,
    Apply,
    Asks,
    Begin,
    Channel,
    Drain,
    Endpoints,
    Failed,
    Fallback,
    Flush,
    Grants,
    Lines,
    Order,
    Pull,
    Pulled,
    Serving,
    Started,
    Units,
    orders,
)
from portico_dataplane.workers.descriptors import fitting
from portico_ir.codec import decode_endpoints, decode_manifest
from portico_ir.model import Snapshot

_log = logging.getLogger(__name__)

_MAX_BUFFERED_LINES = 8 * 1024 * 1024
"""Bytes the supervisor has not taken, beyond which lines are dropped."""


class Worker:
    """One life of a worker."""

    def __init__(self) -> None:
        self._channel: Channel[Order] | None = None
        self._begin: Begin | None = None
        self._units: dict[str, bytes] = {}
        self._apply: Apply | None = None
        self._endpoints: Endpoints | None = None
        self._fallback = False
        self._drain: Drain | None = None
        self._orphaned = False
        self.drained = False
        """It ended because it was told to."""
        self._wake = asyncio.Event()
        self._gateway: Gateway | None = None
        self._meters = StageMeters()
        self._lines = BatchedLines(self._deliver)
        self._lag = LoopLag()
        self._started = False
        self._serves = False
        self._sockets: list[socket.socket] = []

    async def run(self, sock: socket.socket) -> None:
        """Live until told to drain, or orphaned."""
        try:
            await self._obey(sock)
        finally:
            self._lag.stop()
            if not self._serves:  # otherwise they are the gateway's to close
                for listening in self._sockets:
                    listening.close()

    async def _obey(self, sock: socket.socket) -> None:
        self._channel = orders(self._take, self._lost)
        await self._channel.open(sock)
        self._channel.send(Started(os.getpid()))
        self._lag.start()
        while not self._orphaned:
            await self._wake.wait()
            self._wake.clear()
            if self._apply is not None:
                order, self._apply = self._apply, None
                await self._do_apply(order)
            if self._endpoints is not None and self._gateway is not None and self._started:
                self._gateway.set_endpoints(decode_endpoints(self._endpoints.endpoints))
                self._endpoints = None
            if self._drain is not None:
                await self._do_drain(self._drain)
                return

    def fail(self, reason: str) -> None:
        """Tell the supervisor why, as far as it still listens."""
        self._send(Failed(reason))

    # Orders. Those that need no await are done where they arrive.

    def _take(self, order: Order) -> None:
        match order:
            case Begin():
                self._do_begin(order)
            case Units():
                self._units.update(order.units)
            case Apply():
                self._apply = order
                self._wake.set()
            case Endpoints():
                self._endpoints = order
                self._wake.set()
            case Fallback():
                self._fallback = order.allowed
                if self._gateway is not None and self._started:
                    self._gateway.set_fallback(allowed=order.allowed)
            case Flush():
                if self._gateway is not None:
                    self._gateway.answers.flush(order.authorizer)
            case Pull():
                self._send_readings(order.serial)
            case Announce():
                if self._gateway is not None:
                    self._gateway.begin_drain()
            case Grants():
                if self._gateway is not None and self._started:
                    self._gateway.lessee.granted(order.grants, order.leaves)
            case Drain():
                self._drain = order
                self._wake.set()

    def _lost(self, error: Exception | None) -> None:
        # The supervisor is gone, and with it the sockets, the admin port and the log.
        self._orphaned = True
        self._wake.set()

    def _do_begin(self, order: Begin) -> None:
        self._begin = order
        settings = order.settings
        operator_log.configure(settings.log_level, f"worker-{order.worker}")
        self._sockets = [socket.socket(fileno=fd) for fd in order.sockets]
        self._meters = StageMeters(settings.max_label_sets)
        self._gateway = Gateway(
            fitting(settings),
            meters=self._meters,
            lines=self._lines,
            ask=lambda asks: self._send(Asks(asks)),
        )

    async def _do_apply(self, order: Apply) -> None:
        assert self._gateway is not None
        if not self._started:
            await self._gateway.start([])
            self._started = True
            self._gateway.set_fallback(allowed=self._fallback)
        try:
            manifest = decode_manifest(order.manifest)
            snapshot = Snapshot(
                manifest=manifest,
                units={unit: msgspec.Raw(self._units[d]) for unit, d in manifest.units.items()},
                endpoints=decode_endpoints(order.endpoints),
            )
            applied = await self._gateway.apply(snapshot)
            answer = Applied(order.serial, applied.digest, dict(applied.refused))
            # Exactly these are what the supervisor will believe this worker to have.
            self._units = {d: self._units[d] for d in manifest.units.values()}
        except Exception as error:
            # A bug must not cost what serves now. Nothing was swapped: no digest.
            _log.exception("configuration could not be applied")
            answer = Applied(order.serial, "", {"*": f"internal error: {type(error).__name__}"})
        if answer.digest and not self._serves:
            await self._gateway.listen(self._sockets)
            self._serves = True
            self._send(Serving())
        self._send(answer)

    async def _do_drain(self, order: Drain) -> None:
        if self._gateway is not None and self._started:
            await self._gateway.drain(order.seconds)
        self._lines.flush()
        self._send_readings(0)
        self.drained = True
        if self._channel is not None:
            self._channel.close()
        while not self._orphaned:
            # Until what is queued has gone: the last lines are the point of draining.
            self._wake.clear()
            await self._wake.wait()

    # Reports.

    def _send(self, report: Applied | Asks | Serving | Pulled | Lines | Failed) -> None:
        if self._channel is not None:
            self._channel.send(report)

    def _deliver(self, text: bytes, lines: int) -> int:
        if self._begin is not None and self._begin.settings.access_log == "off":
            return 0
        if self._channel is None or self._channel.buffered > _MAX_BUFFERED_LINES:
            return lines
        self._send(Lines(text, lines))
        return 0

    def _send_readings(self, serial: int) -> None:
        readings = Readings(
            series=self._meters.snapshot(),
            gauges=engine_gauges(self._gateway.gauges()) if self._gateway and self._started else {},
            counters={
                "log_lines_dropped": self._lines.dropped,
                **(self._gateway.counters() if self._gateway and self._started else {}),
            },
            process=take_process(self._lag.longest_s()),
        )
        self._send(Pulled(serial, readings))


def die_with_parent(expected_parent: int) -> None:
    """Ask Linux to kill this process when its parent dies, even by SIGKILL."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    # It may have died before we asked; elsewhere the end of the channel tells.
    if os.getppid() != expected_parent:
        sys.exit(1)


def main(argv: list[str]) -> None:
    """Entry: the channel's file descriptor and the supervisor's process id."""
    fd, parent = int(argv[0]), int(argv[1])
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    die_with_parent(parent)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_live(socket.socket(fileno=fd)))


async def _live(sock: socket.socket) -> None:
    worker = Worker()
    try:
        await worker.run(sock)
    except Exception as error:
        _log.exception("worker failed")
        worker.fail(f"{type(error).__name__}: {error}")
        # No tidying up after a bug, nor for nobody: the supervisor waits to replace this.
        os._exit(1)
    if not worker.drained:
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
