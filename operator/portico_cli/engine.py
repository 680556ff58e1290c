"""The data plane that `portico dev` runs: in this process, or a supervisor with workers.

Made by `dev`. Both are the engine of the pods, with its admin port. Promises: the ports are
taken before anything else starts, so that one in use is an error and not a half-started dev;
nothing is accepted before the first configuration serves.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from typing import Protocol

from portico_cli.dev_usage import DevUsage
from portico_dataplane.admin import AdminServer, AdminSource
from portico_dataplane.app import Gateway
from portico_dataplane.settings import Settings
from portico_dataplane.telemetry.access_log import BatchedLines
from portico_dataplane.telemetry.line_writer import LineWriter
from portico_dataplane.telemetry.meters import StageMeters
from portico_dataplane.workers import sockets as listening
from portico_dataplane.workers.accounting import Accounting
from portico_dataplane.workers.descriptors import fitting
from portico_dataplane.workers.single import SingleProcess
from portico_dataplane.workers.supervisor import Supervisor
from portico_ir.ledger import Ledger
from portico_ir.model import Snapshot

_FLUSH_S = 1.0


class Engine(Protocol):
    """Serves one snapshot after another."""

    failed: asyncio.Future[str]
    """Done, with the reason, when it can serve no more."""

    async def start(self) -> None:
        """Begin, without a configuration."""
        ...

    async def apply(self, snapshot: Snapshot) -> dict[str, str]:
        """Serve this; unit id to reason of what was refused."""
        ...

    def reload_failed(self) -> None:
        """A configuration could not be read; the last good one serves on."""
        ...

    async def stop(self) -> None:
        """Finish what is in flight and end."""
        ...


class Ports:
    """The listening sockets of one dev. `ListenError` names a port that cannot be had."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.slots = listening.listen_for(settings)
        """Settings with the ports that were to be any, and sockets by worker."""
        try:
            self.admin = listening.listen_once(settings.admin_host, settings.admin_port)
        except listening.ListenError:
            listening.close(self.slots)
            raise

    @property
    def traffic_port(self) -> int:
        """The port in use, when any was asked for."""
        return _port(self.slots[0][0])

    @property
    def tls_port(self) -> int | None:
        """The same, of the TLS port; None: there is none."""
        return self.settings.tls_port

    @property
    def admin_port(self) -> int:
        """The same, of the admin port."""
        return _port(self.admin[0])


def _port(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def make(settings: Settings, ports: Ports) -> Engine:
    """One process when one worker is wanted: easier to debug, quicker to start."""
    return _OneProcess(settings, ports) if settings.workers == 1 else _Workers(settings, ports)


class _Parts:
    """What both have: a writer for access log lines, and the admin port."""

    def __init__(self, ports: Ports, accounting: Callable[[], Accounting | None]) -> None:
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ports = ports
        self._writer = LineWriter(_stdout())
        self._admin: AdminServer | None = None
        self.usage = DevUsage(lambda: _ledger(accounting()))

    async def serve_admin(self, source: AdminSource) -> None:
        self._admin = AdminServer(source, self.usage.add_to)
        await self._admin.start(self._ports.admin)

    async def close(self) -> None:
        if self._admin is not None:
            await self._admin.close()
        await self.usage.close()
        await asyncio.to_thread(self._writer.close, _FLUSH_S)


def _ledger(accounting: Accounting | None) -> Ledger | None:
    return accounting.ledger if accounting is not None else None


def _stdout() -> int:
    try:
        return os.dup(sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or replaced by something else
        return os.open(os.devnull, os.O_WRONLY)


class _OneProcess(_Parts):
    """The engine in this event loop."""

    def __init__(self, settings: Settings, ports: Ports) -> None:
        super().__init__(ports, lambda: self._gateway.accounting)
        self._settings = settings
        meters = StageMeters(settings.max_label_sets)
        self._lines = BatchedLines(self._writer.put)
        self._gateway = Gateway(fitting(settings), meters=meters, lines=self._lines)
        self._view = SingleProcess(
            self._gateway.gauges,
            meters,
            self._lines,
            self._gateway.answers.flush,
            self._gateway.counters,
        )
        self._listens = False

    async def start(self) -> None:
        await self._gateway.start(())
        self._view.start()
        await self.serve_admin(self._view)

    async def apply(self, snapshot: Snapshot) -> dict[str, str]:
        applied = await self._gateway.apply(snapshot)
        self.usage.applied(snapshot)
        self._view.applied(snapshot, applied.digest, applied.refused)
        if not self._listens:
            self._listens = True
            await self._gateway.listen(self._ports.slots[0])
        return applied.refused

    def reload_failed(self) -> None:
        self._view.reload_failed()

    async def stop(self) -> None:
        self._view.draining()
        await self._gateway.drain(self._settings.drain_seconds)
        if not self._listens:
            listening.close(self._ports.slots)
        self._view.stop()
        self._lines.flush()
        await self.close()


class _Workers(_Parts):
    """The engine in processes of its own."""

    def __init__(self, settings: Settings, ports: Ports) -> None:
        super().__init__(ports, lambda: self._supervisor.accounting)
        self._supervisor = Supervisor(settings, ports.slots, self._writer)
        self._supervisor.hopeless.add_done_callback(self._gave_up)

    def _gave_up(self, reason: asyncio.Future[str]) -> None:
        if not reason.cancelled() and not self.failed.done():
            self.failed.set_result(reason.result())

    async def start(self) -> None:
        self._supervisor.start()
        await self.serve_admin(self._supervisor)

    async def apply(self, snapshot: Snapshot) -> dict[str, str]:
        applied = await self._supervisor.apply(snapshot)
        self.usage.applied(snapshot)
        return applied.refused

    def reload_failed(self) -> None:
        self._supervisor.reload_failed()

    async def stop(self) -> None:
        if self.failed.done():
            await self._supervisor.close()
        else:
            await self._supervisor.drain(0.0)
        await self.close()
