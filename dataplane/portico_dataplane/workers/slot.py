"""A worker slot: one worker process, and the next one when it dies.

Owned by the supervisor, one per worker. Promises: a dead worker is replaced, at once the
first time and more slowly when it keeps dying; it gets the latest configuration and only
units it lacks; at most one `Apply` is on its way, so that what follows is the latest state
and never a queue of changes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from portico_dataplane.settings import Settings
from portico_dataplane.tasks import spawn
from portico_dataplane.telemetry.readings import Readings
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
    Pull,
    Pulled,
    Report,
    Serving,
    Started,
    Units,
    reports,
)
from portico_dataplane.workers.snapshot_file import Wanted
from portico_ir.leases import Ask, Grant

_log = logging.getLogger(__name__)

WORKER: Final = (sys.executable, "-m", "portico_dataplane.workers.worker")
"""Command of a worker; it gets its channel's descriptor and our process id as arguments."""

_UNITS_PER_FRAME: Final = 4 * 1024 * 1024
_LONG_LIFE_S: Final = 10.0
"""A worker that lived so long died of something new: its replacement starts at once."""
_MAX_BACKOFF_S: Final = 5.0
_LAST_WORDS_S: Final = 2.0


class Owner(Protocol):
    """What a slot tells the supervisor."""

    def wanted(self) -> Wanted | None:
        """The configuration to serve."""
        ...

    def changed(self, slot: Slot) -> None:
        """The slot serves, has acknowledged, or has lost its process."""
        ...

    def read(self, slot: Slot, readings: Readings) -> None:
        """New readings."""
        ...

    def lines(self, text: bytes, lines: int) -> None:
        """Access log lines."""
        ...

    def asked(self, slot: Slot, asks: list[Ask]) -> None:
        """Requests were counted, or wait for tokens."""
        ...


class Slot:
    """One worker of the supervisor's N."""

    def __init__(
        self,
        number: int,
        settings: Settings,
        sockets: list[socket.socket],
        owner: Owner,
        command: Sequence[str] = WORKER,
    ) -> None:
        self.number = number
        self.name = f"worker-{number}"
        self.pid: int | None = None
        self.serves = False
        """Its first snapshot serves."""
        self.ever_served = False
        self.deaths = 0
        """Processes that ended without being asked to."""
        self.failure = ""
        """Why the last one ended."""
        self.digest = ""
        """Of the configuration it last acknowledged."""
        self.acknowledged = 0
        """Serial of it."""
        self.refused: Mapping[str, str] = {}
        self._settings = settings
        self._sockets = sockets
        self._owner = owner
        self._command = command
        self._channel: Channel[Report] | None = None
        self._process: Process | None = None
        self._held: set[str] = set()
        self._outstanding = 0
        self._pull: asyncio.Future[None] | None = None
        self._pulls = 0
        self._fallback = False
        self._stopping = asyncio.Event()
        self._gone = asyncio.Event()

    async def run(self) -> None:
        """Keep a process alive until told to stop."""
        backoff = 0.0
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            born = loop.time()
            await self._live()
            if self._stopping.is_set():
                return
            if loop.time() - born >= _LONG_LIFE_S:
                backoff = 0.0
            _log.warning(
                "worker ended and is replaced",
                extra={"worker": self.name, "reason": self.failure, "after_s": backoff},
            )
            try:
                async with asyncio.timeout(backoff):
                    await self._stopping.wait()
            except TimeoutError:
                pass
            backoff = min(_MAX_BACKOFF_S, 2 * backoff or 0.1)

    # What the supervisor asks for.

    def offer(self) -> None:
        """Send the wanted configuration unless the worker has it or is busy with another."""
        wanted = self._owner.wanted()
        if self._channel is None or wanted is None or self._outstanding:
            return
        if wanted.serial == self.acknowledged:
            return
        for units in _chunks({d: u for d, u in wanted.units.items() if d not in self._held}):
            self._channel.send(Units(units))
        self._channel.send(Apply(wanted.serial, wanted.manifest, wanted.endpoints))
        self._held = set(wanted.units)
        self._outstanding = wanted.serial

    def set_endpoints(self, encoded: bytes) -> None:
        """Pass new addresses on."""
        self._send(Endpoints(encoded))

    def set_fallback(self, *, allowed: bool) -> None:
        """Pass on whether ClusterIPs may stand in; a replacement worker is told too."""
        self._fallback = allowed
        self._send(Fallback(allowed))

    def flush(self, authorizer: str) -> None:
        """Pass on that answers are to be forgotten; a replacement worker has none."""
        self._send(Flush(authorizer))

    def pull(self) -> asyncio.Future[None]:
        """Ask for readings; done when they are in, or when there is nobody to ask."""
        if self._pull is None or self._pull.done():
            self._pull = asyncio.get_running_loop().create_future()
            if self._channel is None:
                self._pull.set_result(None)
            else:
                self._pulls += 1
                self._send(Pull(self._pulls))
        return self._pull

    def grant(self, grants: list[Grant], leaves: int) -> None:
        """Pass on what the worker may do; `leaves`: workers of all pods."""
        self._send(Grants(grants, leaves))

    def announce(self) -> None:
        """Ask clients to come back elsewhere."""
        self._send(Announce())

    def drain(self, seconds: float) -> None:
        """End politely; `run` returns when the process has."""
        self._stopping.set()
        self._send(Drain(seconds))

    def kill(self, *, replace: bool = False) -> None:
        """End it now."""
        if not replace:
            self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            # Not Process.kill: asyncio's own polls first, and may so take the exit status
            # from under the watcher that waits for it.
            try:
                os.kill(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    # The life of one process.

    async def _live(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            fds = (theirs.fileno(), *(sock.fileno() for sock in self._sockets))
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    str(fds[0]),
                    str(os.getpid()),
                    pass_fds=fds,
                    stdin=DEVNULL,
                )
            except OSError as error:  # out of processes, memory or descriptors
                ours.close()
                self._ended(f"cannot start: {error.strerror}")
                return
        self.failure = ""
        self.pid = self._process.pid
        self._gone.clear()
        channel = reports(self._take, self._lost)
        await channel.open(ours)
        self._channel = channel
        channel.send(Begin(self._settings, self.number, list(fds[1:])))
        if self._fallback:
            channel.send(Fallback(allowed=True))
        self.offer()
        if self._stopping.is_set():  # told so while it was being started
            self.kill()
        status = await self._end_of(self._process)
        self._ended(self.failure or _how_it_ended(status))

    async def _end_of(self, process: Process) -> int:
        # Process and channel end together, in either order: what a dead one said last is
        # still in its channel, and one that let go of its channel is about to end.
        exit_ = spawn(process.wait(), name=f"{self.name} exit")
        gone = spawn(self._gone.wait(), name=f"{self.name} channel")
        await asyncio.wait({exit_, gone}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({exit_, gone}, timeout=_LAST_WORDS_S)
        if not exit_.done():
            self.kill(replace=True)
        if not gone.done() and self._channel is not None:
            self._channel.close()
        await asyncio.wait({exit_, gone})
        return exit_.result()

    def _ended(self, reason: str) -> None:
        self.failure = reason
        if not self._stopping.is_set():
            self.deaths += 1
        self._process = self._channel = self.pid = None
        self.serves = False
        self._held = set()
        self._outstanding = self.acknowledged = 0
        self.digest = ""
        self.refused = {}
        if self._pull is not None and not self._pull.done():
            self._pull.set_result(None)
        self._owner.changed(self)

    def _lost(self, error: Exception | None) -> None:
        if error is not None and not isinstance(error, OSError):
            # It lives on, but nothing it says can be understood.
            self.failure = str(error)
            self.kill(replace=True)
        self._gone.set()

    def _take(self, report: Report) -> None:
        match report:
            case Started():
                _log.debug("worker started", extra={"worker": self.name, "pid": report.pid})
            case Applied():
                self._outstanding = 0
                self.acknowledged = report.serial
                self.digest = report.digest
                self.refused = report.refused
                self._owner.changed(self)
                self.offer()
            case Serving():
                self.serves = self.ever_served = True
                self._owner.changed(self)
            case Pulled():
                self._owner.read(self, report.readings)
                if self._pull is not None and not self._pull.done():
                    self._pull.set_result(None)
            case Lines():
                self._owner.lines(report.text, report.lines)
            case Asks():
                self._owner.asked(self, report.asks)
            case Failed():
                self.failure = report.reason

    def _send(self, order: Endpoints | Fallback | Flush | Pull | Announce | Grants | Drain) -> None:
        if self._channel is not None:
            self._channel.send(order)


def _chunks(units: dict[str, bytes]) -> Iterator[dict[str, bytes]]:
    chunk: dict[str, bytes] = {}
    size = 0
    for digest, encoded in units.items():
        if chunk and size + len(encoded) > _UNITS_PER_FRAME:
            yield chunk
            chunk, size = {}, 0
        chunk[digest] = encoded
        size += len(encoded)
    if chunk:
        yield chunk


def _how_it_ended(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exited with {status}"
