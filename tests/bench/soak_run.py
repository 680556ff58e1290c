"""`make soak`: half an hour of mixed load, an edit every second, and no error at all.

A data plane with two workers as users start it, a backend, and clients that keep connections, close
them, move megabytes, dawdle, break off, and tunnel. Prints what was done, what went wrong, and what
the workers' memory and descriptors did; exits 1 when anything went wrong or memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from benchmark import cpu, snapshots, tools
from benchmark.processes import Cores, Running, free_port
from portico_ir import codec
from portico_ir.model import ApiKind, GatewayUnit, HttpProxy, HttpSegments, Route, Unit, UrlTarget
from soak.clients import HOST, KINDS, MB, Soak

HERE = Path(__file__).parent
SETTLE_SHARE = 1 / 3
"""Of the time, in which memory may still grow: caches and free lists fill."""
GROWTH_MB = 3.0
"""From the middle third's median to the last third's, of one worker: more is a leak."""
NOISE = ('"level": "error"', '"level":"error"', "Traceback")


def snapshot(upstream: int, version: int) -> bytes:
    """One HTTP API; `/edited` answers with the version."""
    paths = {
        "/small": "/small",
        "/large": f"/large/{8 * MB}",
        "/sink": "/sink",
        "/tunnel": "/tunnel",
        "/edited": f"/version/{version}",
    }
    routes = [
        Route(
            key=f"ANY {path}",
            match=HttpSegments(method="ANY", path=path),
            integration=HttpProxy(targets=(UrlTarget(url=f"http://127.0.0.1:{upstream}{to}"),)),
            object=f"default{path}",
        )
        for path, to in paths.items()
    ]
    units: dict[str, Unit] = {"gateway": GatewayUnit(egress_open=True)}
    units |= snapshots.api("soak", routes, hosts=(HOST,), kind=ApiKind.HTTP)
    return codec.encode(snapshots.snapshot(units))


async def edit(soak: Soak, gateway: Running, file: Path, upstream: int) -> None:
    """Every second until the end."""
    while not soak.is_over:
        await asyncio.sleep(1.0)
        soak.edits += 1
        beside = file.with_suffix(".new")
        beside.write_bytes(snapshot(upstream, soak.edits))
        beside.replace(file)
        gateway.tell(signal.SIGHUP)


class Sampled:
    """What the workers hold, over time."""

    def __init__(self, gateway: Running) -> None:
        self._gateway = gateway
        self.memory_mb: list[float] = []
        """Of the largest worker."""
        self.descriptors: list[int] = []
        self.workers: set[int] = set()

    async def run(self, soak: Soak) -> None:
        """Until the end."""
        while not soak.is_over:
            await asyncio.sleep(2.0)
            self.take()

    def take(self) -> None:
        """One sample."""
        below = [pid for pid in cpu.tree(self._gateway.pid) if pid != self._gateway.pid]
        self.workers.update(below)
        self.memory_mb.append(max(cpu.resident_bytes(pid) for pid in below) / 1e6)
        self.descriptors.append(max(len(os.listdir(f"/proc/{pid}/fd")) for pid in below))

    @property
    def growth_mb(self) -> float:
        """From the middle third to the last."""
        third = max(1, int(len(self.memory_mb) * SETTLE_SHARE))
        middle, last = self.memory_mb[third : 2 * third], self.memory_mb[-third:]
        return statistics.median(last) - statistics.median(middle or last)


async def load(soak: Soak, gateway: Running, file: Path, upstream: int) -> Sampled:
    """All clients at once."""
    sampled = Sampled(gateway)
    async with asyncio.TaskGroup() as group:
        group.create_task(edit(soak, gateway, file, upstream))
        group.create_task(sampled.run(soak))
        for name, once, count in KINDS:
            for _ in range(count):
                group.create_task(soak.run(name, once))
    await asyncio.sleep(2.0)
    sampled.take()
    return sampled


def measure(minutes: float, folder: Path) -> int:
    """The exit code."""
    upstream, port = free_port(), free_port()
    file, log = folder / "snapshot.json", folder / "portico"
    log.mkdir()
    file.write_bytes(snapshot(upstream, 0))
    cores = Cores()
    serving = [tools.PYTHON, str(HERE / "soak" / "backend.py"), str(upstream)]
    backend = Running("backend", serving, cores.load, folder)
    command = [tools.PYTHON, "-m", "portico_dataplane", "--snapshot", str(file), "--workers", "2"]
    ports = ["--port", str(port), "--admin-port", str(free_port()), "--tls-port", "off"]
    gateway = Running("portico", [*command, *ports, "--access-log", "off"], cores.proxy, log)
    try:
        backend.wait_until_listening(upstream)
        gateway.wait_until_listening(port)
        soak = Soak(port, time.monotonic() + 60 * minutes)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sampled = runner.run(load(soak, gateway, file, upstream))
    finally:
        gateway.end()
        backend.end()
    written = "".join(each.read_text(errors="replace") for each in log.glob("*.log"))
    noise = [line for line in written.splitlines() if any(mark in line for mark in NOISE)]
    return told(minutes, soak, sampled, noise)


def told(minutes: float, soak: Soak, sampled: Sampled, noise: list[str]) -> int:
    """Prints it; the exit code."""
    print(f"{minutes:g} minutes, {soak.edits:,} edits")
    for name, count in soak.done.items():
        print(f"  {name}: {count:,}")
    memory, descriptors = sampled.memory_mb, sampled.descriptors
    print(
        f"memory of the larger worker: first {memory[0]:.1f} MB, most {max(memory):.1f}, "
        f"last {memory[-1]:.1f}; from the middle third to the last {sampled.growth_mb:+.2f}"
    )
    print(f"descriptors: most {max(descriptors)}, after the load {descriptors[-1]}")
    dead = len(sampled.workers) - 2
    for line in (*soak.faults[:20], *noise[:20]):
        print(f"  unexpected: {line[:300]}")
    print(f"unexpected: {len(soak.faults)} answers, {len(noise)} log lines, {dead} dead workers")
    grew = sampled.growth_mb > GROWTH_MB
    if grew:
        print(f"memory grew by more than {GROWTH_MB} MB")
    return 1 if soak.faults or noise or dead or grew else 0


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="portico-soak-") as folder:
        return measure(given.minutes, Path(folder))


if __name__ == "__main__":
    raise SystemExit(main())
