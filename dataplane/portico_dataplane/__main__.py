"""`python -m portico_dataplane --snapshot snapshot.json --port 8080 --workers N`.

In a cluster: `--operator HOST:PORT --token-file … --ca-file … --last-good DIR` instead of a file.
Wiring of a pod's process: settings, sockets, supervisor, feed, admin port, signals. Exit codes:
0 ended in order; 1 the snapshot or a port cannot be had, or no worker starts; 2 wrong usage.
Whatever a user did wrong is one line on standard error, never a traceback.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import uvloop

from portico_dataplane.admin import AdminServer
from portico_dataplane.effects.certificates import FileCertificate, Unreadable
from portico_dataplane.effects.stores.operator import OperatorStore
from portico_dataplane.feed.feed import Feed
from portico_dataplane.feed.files import Resolver, TokenFile, TrustFile
from portico_dataplane.feed.lastgood import LastGood
from portico_dataplane.feed.times import Times
from portico_dataplane.settings import Settings, parse
from portico_dataplane.tasks import spawn
from portico_dataplane.telemetry import operator_log
from portico_dataplane.telemetry.line_writer import LineWriter
from portico_dataplane.workers import sockets as listening
from portico_dataplane.workers.slot import WORKER
from portico_dataplane.workers.snapshot_file import SnapshotError, load
from portico_dataplane.workers.supervisor import Supervisor
from portico_ir.model import Snapshot

_log = logging.getLogger("portico_dataplane")

_FLUSH_S: Final = 2.0


def main() -> int:
    """Run until told to end; returns the exit code."""
    settings = parse(sys.argv[1:], os.environ)
    operator_log.configure(settings.log_level, "supervisor")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings))


async def _run(settings: Settings, command: Sequence[str] = WORKER) -> int:
    try:
        snapshot = load(settings.snapshot) if settings.snapshot else None
        if settings.tls_certificate:
            FileCertificate(settings.tls_certificate, settings.tls_key).read()
        settings, slots = listening.listen_for(settings)
        admin = listening.listen_once(settings.admin_host, settings.admin_port)
        if settings.admin_socket:
            admin.append(listening.listen_unix(settings.admin_socket))
    except (SnapshotError, listening.ListenError, Unreadable) as error:
        return _refuse(str(error))
    _log.info(
        "listening",
        extra={
            "traffic": [listening.shown(sock) for sock in listening.plain(slots[0], settings)],
            "tls": [listening.shown(sock) for sock in listening.secure(slots[0], settings)],
            "admin": [listening.shown(sock) for sock in admin],
            "workers": settings.workers,
        },
    )
    writer = LineWriter(os.dup(1) if sys.stdout is not None else os.open(os.devnull, os.O_WRONLY))
    store = OperatorStore() if settings.operators else None
    supervisor = Supervisor(settings, slots, writer, command, store)
    server = AdminServer(supervisor)
    await server.start(admin)
    supervisor.start()
    try:
        return await _serve(settings, supervisor, snapshot, store)
    finally:
        await server.close()
        await asyncio.to_thread(writer.close, _FLUSH_S)
        if settings.admin_socket:
            os.unlink(settings.admin_socket)


async def _serve(
    settings: Settings,
    supervisor: Supervisor,
    snapshot: Snapshot | None,
    store: OperatorStore | None,
) -> int:
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(name, told.put_nowait, name)
    reload = asyncio.Event()
    if snapshot is not None:
        source = _feed(settings, supervisor, snapshot, reload)
    else:
        source = _stream(settings, supervisor, store)
    feed = spawn(source, name="feed")
    try:
        stop = spawn(_until_stopped(told, reload), name="signals")
        ends: set[asyncio.Future[Any]] = {stop, supervisor.hopeless}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            stop.cancel()
            await supervisor.close()
            return _refuse(f"no worker starts: {supervisor.hopeless.result()}")
        delay = settings.drain_delay_s if stop.result() is signal.SIGTERM else 0.0
        _log.info("draining", extra={"delay_s": delay, "seconds": settings.drain_seconds})
        drain = spawn(supervisor.drain(delay), name="drain")
        hurry = spawn(_until_stopped(told, reload), name="signals")
        ends = {drain, hurry}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not drain.done():
            _log.warning("told twice to end: requests in flight are cut")
            drain.cancel()
            await supervisor.close()
            return 1
        hurry.cancel()
        return 0
    finally:
        feed.cancel()


async def _until_stopped(
    told: asyncio.Queue[signal.Signals], reload: asyncio.Event
) -> signal.Signals:
    while True:
        name = await told.get()
        if name is not signal.SIGHUP:
            return name
        reload.set()


async def _feed(
    settings: Settings, supervisor: Supervisor, snapshot: Snapshot, reload: asyncio.Event
) -> None:
    while True:
        applied = await supervisor.apply(snapshot)
        _log.info("serving", extra={"digest": applied.digest, "workers": applied.acknowledged})
        for unit, reason in applied.refused.items():
            _log.error("unit refused", extra={"unit": unit, "reason": reason})
        snapshot = await _next(settings, supervisor, reload)


async def _stream(settings: Settings, supervisor: Supervisor, store: OperatorStore | None) -> None:
    feed = Feed(
        supervisor,
        Resolver(settings.operators),
        TokenFile(settings.token_file),
        TrustFile(settings.ca_file),
        last_good=LastGood(settings.last_good) if settings.last_good else None,
        store=store,
        pod=socket.gethostname(),
        build=_build(),
        times=Times(last_good_s=settings.last_good_after_s, fallback_s=settings.fallback_after_s),
    )
    await feed.run()


def _build() -> str:
    try:
        return version("portico")
    except PackageNotFoundError:  # run from a checkout
        return ""


async def _next(settings: Settings, supervisor: Supervisor, reload: asyncio.Event) -> Snapshot:
    """The file's next good content; a bad one is reported and the last good one serves on."""
    while True:
        await reload.wait()
        reload.clear()
        try:
            return await asyncio.to_thread(load, settings.snapshot)
        except SnapshotError as error:
            supervisor.reload_failed()
            _log.error("snapshot not reloaded", extra={"reason": str(error)})


def _refuse(reason: str) -> int:
    sys.stderr.write(f"portico_dataplane: {reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
