"""Our own share of a request, without sockets: `python tests/bench/micro.py [--shapes static,…]`.

For whoever works on the hot path. Drives the real engine (gateway, connection, exchange, upstream
connection) over transports that only count, so what is left is the CPU time of our modules and
what they call. Interpreted and compiled (`make compiled`) take turns in processes of their own;
the least of many short stretches is reported, because everything else a machine does only adds.
`--profile` says where it goes instead.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import uvloop
from rich.console import Console
from rich.table import Table

from benchmark import compiled, snapshots
from benchmark.processes import pinned
from benchmark.shapes import HTTP, REST, SHAPES, routes
from portico_ir.model import ApiKind

# --- the engine, in a process of its own ------------------------------------------------------


class Receiver(Protocol):
    """A connection's protocol."""

    def connection_made(self, transport: Any) -> None: ...

    def data_received(self, data: bytes) -> None: ...


class Sink:
    """A transport that takes everything and sends nothing."""

    def __init__(self) -> None:
        self.writes = 0
        self.last = b""

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.last = data

    def writelines(self, data: list[bytes]) -> None:
        self.write(b"".join(data))

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return ("127.0.0.1", 8080)

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, **limits: int) -> None:
        """There is no buffer."""

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        raise SystemExit(f"the engine closed a connection after {self.last!r}")

    abort = pause_reading = resume_reading = write_eof = can_write_eof = close


class Backends:
    """Stands for the dialer: every address is reached at once, by a connection to nowhere."""

    def __init__(self) -> None:
        self.connections: list[Receiver] = []

    async def connect(
        self, factory: Callable[[], Receiver], host: str, port: int, **more: Any
    ) -> tuple[Sink, Receiver]:
        connection, transport = factory(), Sink()
        self.connections.append(connection)
        connection.connection_made(transport)
        return transport, connection


class Bench:
    """An engine with one client, ready to be measured."""

    def __init__(self, client: Receiver, answers: Sink, backends: Backends) -> None:
        self._client = client
        self._answers = answers
        self._backends = backends

    async def warm(self, name: str) -> None:
        """Connect to the backend, check one answer, fill what is remembered."""
        shape = SHAPES[name]
        if shape.answer and not self._backends.connections:
            self._client.data_received(shape.requests[0])
            while not self._backends.connections:
                await asyncio.sleep(0)
            self._backends.connections[0].data_received(shape.answer)
        before = self._answers.writes
        self.run(name, 2_000)
        wanted = b"HTTP/1.1 20"
        if self._answers.writes - before != 2_000 or not self._answers.last.startswith(wanted):
            raise SystemExit(f"{name}: answered {self._answers.last!r}")

    def run(self, name: str, count: int) -> float:
        """CPU microseconds a request."""
        _, requests, answer = SHAPES[name]
        data_in = self._client.data_received
        data_back = self._backends.connections[0].data_received if answer else None
        rounds, rest = divmod(count, len(requests))
        work = requests * rounds + requests[:rest]
        before = time.process_time()
        if data_back is None:
            for request in work:
                data_in(request)
        else:
            for request in work:
                data_in(request)
                data_back(answer)
        return (time.process_time() - before) / count * 1e6


async def _bench() -> Bench:
    from benchmark.scale_probe import NoLines
    from portico_dataplane.app import Gateway
    from portico_dataplane.http.connection import ClientConnection
    from portico_dataplane.settings import Settings
    from portico_dataplane.telemetry.meters import StageMeters

    day = 86_400.0  # nothing may expire while the other engine has its turn
    settings = Settings(
        access_log="off",
        idle_timeout_s=day,
        upstream_idle_timeout_s=day,
        max_connection_age_s=day,
        max_connection_requests=1 << 60,
    )
    gateway: Any = Gateway(settings, meters=StageMeters(), lines=NoLines())
    await gateway.start([])
    backends = gateway.upstreams.dialer = Backends()
    applied = await gateway.apply(
        snapshots.pair(routes(ApiKind.REST), REST, routes(ApiKind.HTTP), HTTP)
    )
    if applied.refused:
        raise SystemExit(f"refused: {applied.refused}")
    client, answers = ClientConnection(gateway), Sink()
    client.connection_made(answers)  # type: ignore[arg-type]
    return Bench(client, answers, backends)


async def serve() -> None:
    """Measure what standard input asks for, line by line: shape, count."""
    bench = await _bench()
    for line in sys.stdin:
        name, count = line.split()
        await bench.warm(name)
        print(bench.run(name, int(count)), flush=True)


async def profile(name: str, top: int) -> None:
    """Functions by their own time; those of compiled modules do not show."""
    bench = await _bench()
    await bench.warm(name)
    profiler = cProfile.Profile()
    profiler.enable()
    bench.run(name, 10_000)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(top)


# --- taking turns -----------------------------------------------------------------------------


class Engine:
    """One engine's process."""

    def __init__(self, compiled_modules: bool) -> None:
        core = max(os.sched_getaffinity(0))
        self._process = subprocess.Popen(
            pinned(core, [sys.executable, __file__, "--serve"]),
            env=compiled.environment() if compiled_modules else None,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self, name: str, count: int) -> float:
        """CPU microseconds a request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{name} {count}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


def compare(shapes: list[str], stretches: int, count: int, console: Console) -> None:
    """The table."""
    why = compiled.prepare(console)
    engines = {"interpreted": Engine(False)}
    if why:
        console.print(f"[yellow]interpreted only: {why}[/]", highlight=False)
    else:
        engines["compiled"] = Engine(True)
    table = Table(title="own CPU µs/request: least (median)", title_justify="left")
    for column in ("shape", *engines, "÷"):
        table.add_column(column, justify="left" if column == "shape" else "right")
    for name in shapes:
        found: dict[str, list[float]] = {engine: [] for engine in engines}
        for _ in range(stretches):
            for engine, running in engines.items():
                found[engine].append(running.measure(name, count))
        cells = [f"{min(times):.1f} ({statistics.median(times):.1f})" for times in found.values()]
        least = [min(times) for times in found.values()]
        table.add_row(f"{name}: {SHAPES[name].meaning}", *cells, f"{least[-1] / least[0]:.2f}")
    for running in engines.values():
        running.end()
    console.print(table)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", default=",".join(SHAPES), help=f"of {','.join(SHAPES)}")
    parser.add_argument("--stretches", type=int, default=15, help="of each engine and shape (15)")
    parser.add_argument("--count", type=int, default=1_000, help="requests a stretch (1000)")
    parser.add_argument("--profile", action="store_true", help="functions, interpreted")
    parser.add_argument("--top", type=int, default=45, help="functions to print")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    shapes = [name for name in options.shapes.split(",") if name]
    if not set(shapes) <= set(SHAPES):
        parser.error(f"choose shapes from {', '.join(SHAPES)}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if options.serve:
            runner.run(serve())
        elif options.profile:
            for name in shapes:
                runner.run(profile(name, options.top))
        else:
            width = None if sys.stdout.isatty() else 110
            compare(shapes, options.stretches, options.count, Console(width=width))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
