"""`portico dev`: the whole gateway on a developer's machine, reloading as files change.

Called by `main`. Promises: ports are taken first; backends accept before traffic does; a
file that cannot be read keeps the last good configuration and is reported once; a broken
Route answers 500 and leaves the others alone; Ctrl-C ends requests, then backends.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import uvloop

from portico_cli import engine, overview
from portico_cli.configuration import Configuration, Loader
from portico_cli.crash import internal_error
from portico_cli.processes import Backends
from portico_cli.render import Printer, count, place
from portico_cli.watch import Watch
from portico_compiler import Problem
from portico_compiler.world import Settings as WorldSettings
from portico_dataplane.settings import Settings
from portico_dataplane.tasks import spawn
from portico_dataplane.workers.sockets import ListenError

_DRAIN_S = 2.0


class Options(NamedTuple):
    """What the command line says."""

    paths: Sequence[str]
    host: str
    port: int
    admin_port: int
    tls_port: int | None
    """None: no https."""
    self_signed: bool
    workers: int
    backends: str | None
    base_domain: str
    limits: Mapping[str, float]
    """Fields of `Settings`."""


def run(options: Options) -> int:
    """Serve until told to stop; returns the exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(options))


async def _serve(options: Options) -> int:
    settings = Settings(
        host=options.host,
        port=options.port,
        admin_port=options.admin_port,
        tls_port=options.tls_port,
        tls_self_signed=options.self_signed,
        workers=options.workers,
        access_log="dev",
        log_level="warning",
        drain_seconds=_DRAIN_S,
        drain_delay_s=0.0,
        **options.limits,  # type: ignore[arg-type]  # as `limit_arguments` read them
    )
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    try:
        ports = engine.Ports(settings)
    except ListenError as error:
        print(f"portico dev: {error}", file=sys.stderr)
        return 1
    session = _Session(options, ports, engine.make(ports.settings, ports))
    try:
        return await session.run(stop)
    finally:
        await session.close()


class _Session:
    """One run of dev: what was loaded last, and what was shown of it."""

    def __init__(self, options: Options, ports: engine.Ports, served_by: engine.Engine) -> None:
        self._engine = served_by
        self._ports = ports
        self._loader = Loader(options.paths, options.backends)
        self._watch = Watch(options.paths, self._loader.backends_files_named())
        self._printer = Printer()
        self._backends = Backends(self._printer_line)
        self._settings = WorldSettings(
            base_domain=options.base_domain,
            local_paths=True,
            sole_api_fallback=True,
            egress_open=True,
            port=ports.traffic_port,
            tls_port=ports.tls_port,
        )
        self._shown: overview.State | None = None
        self._reported: dict[str, Problem] = {}
        self._unreadable: dict[str, Problem] = {}

    async def run(self, stop: asyncio.Event) -> int:
        """Load, serve, and load again on every change, until told to stop."""
        await self._engine.start()
        serving = spawn(self._follow(), name="files")
        stopped = spawn(stop.wait(), name="stop")
        ends: set[asyncio.Future[object]] = {serving, stopped, self._engine.failed}  # type: ignore[arg-type]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._engine.failed.done():
                reason = self._engine.failed.result()
                print(f"portico dev: no worker starts: {reason}", file=sys.stderr)
                return 1
            if serving.done():
                serving.result()  # raises: only a bug ends it
            self._printer.line()
            self._printer.line("stopping", "dim")
            return 0
        finally:
            for task in (serving, stopped):
                task.cancel()
            await asyncio.gather(serving, stopped, return_exceptions=True)

    async def close(self) -> None:
        """Requests first, then what answers them."""
        await self._engine.stop()
        await self._backends.stop()

    async def _follow(self) -> None:
        while True:
            self._watch.mark()
            try:
                # In a thread: thousands of files take longer than a request may wait.
                configuration = await asyncio.to_thread(self._loader.load, self._settings)
                await self._take(configuration)
            except Exception as error:  # a bug; what serves goes on, and the next edit may help
                self._printer.line(internal_error(error), "red")
            await self._watch.changed()

    async def _take(self, configuration: Configuration) -> None:
        if configuration.unreadable:
            # Only what is unreadable: the rest would be about a configuration with holes.
            self._engine.reload_failed()
            self._report_unreadable(configuration.unreadable)
            return
        self._report(configuration.problems)
        await self._backends.run(
            {name: b.command for name, b in configuration.backends.items() if b.command}
        )
        refused = await self._engine.apply(configuration.compiled.snapshot)
        for unit, reason in refused.items():
            self._printer.line(f"error: {unit} is refused: {reason}", "red")
        state = await asyncio.to_thread(overview.state_of, configuration, refused)
        if self._shown is None:
            self._introduce(configuration, state)
        else:
            overview.differences(self._printer, self._shown, state)
            self._printer.line(f"reloaded: {overview.summary(configuration)}", "dim")
        self._shown = state

    def _introduce(self, configuration: Configuration, state: overview.State) -> None:
        printer = self._printer
        overview.everything(printer, state)
        printer.line(overview.summary(configuration))
        port = self._ports.traffic_port
        secure = self._ports.tls_port
        https = f" and https://localhost:{secure}" if secure is not None else ""
        admin = self._ports.admin_port
        printer.line(f"serving http://localhost:{port}{https}, admin on port {admin}")
        curl = overview.curl_line(configuration, port)
        if curl:
            printer.line(f"try: {printer.paint(curl, 'bold')}")
        printer.line("watching for changes; Ctrl-C ends", "dim")

    def _report_unreadable(self, problems: list[Problem]) -> None:
        """Each once, however often its file is saved with it."""
        now = _by_text(problems)
        if now.keys() - self._unreadable.keys():
            self._print_new(now, self._unreadable)
            kept = "the last good configuration serves on" if self._shown else "nothing serves yet"
            self._printer.line(f"{kept}; waiting for the files to change", "yellow")
        self._unreadable = now

    def _report(self, problems: list[Problem]) -> None:
        """Problems that were not there before, and those that are solved."""
        now = _by_text(problems)
        self._print_new(now, self._reported)
        for key, problem in {**self._reported, **self._unreadable}.items():
            if key not in now:
                subject = str(problem.object) if problem.object.kind else ""
                parts = [place(problem, None), subject, problem.field, str(problem.reason)]
                self._printer.line(f"solved: {': '.join(p for p in parts if p)}", "green")
        self._reported, self._unreadable = now, {}

    def _print_new(self, now: dict[str, Problem], known: dict[str, Problem]) -> None:
        new = [problem for key, problem in now.items() if key not in known]
        for problem in new[: overview.MOST_ROWS]:
            self._printer.problem(problem, self._loader.files.line_of(problem))
        if len(new) > overview.MOST_ROWS:
            self._printer.line(f"… and {count(len(new) - overview.MOST_ROWS, 'more problem')}")

    def _printer_line(self, text: str) -> None:
        self._printer.line(text, "dim")


def _by_text(problems: list[Problem]) -> dict[str, Problem]:
    """Problems by what they say, without the line: an edit further up moves that."""
    return {f"{p.source.file if p.source else ''}: {p._replace(source=None)}": p for p in problems}
