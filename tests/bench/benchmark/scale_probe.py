"""Applies a snapshot and an edit of it inside one process, and says what that cost the loop.

Run by `scale.py` as a process of its own on the proxy's core. A pause is the CPU time of one
turn of the event loop: what a request would have waited for, without what other processes of
the machine took meanwhile. Arguments: snapshot, edited snapshot. Prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from portico_dataplane import build
from portico_dataplane.app import Gateway
from portico_dataplane.runtime import RouteRuntime
from portico_dataplane.settings import Settings
from portico_dataplane.telemetry.meters import StageMeters
from portico_ir import codec

_AFTERWARDS_S = 0.3
"""Watched after a swap too: what it leaves to the collector would pause requests as well."""


class NoLines:
    """A LineSink for a gateway that writes none."""

    def write(self, line: str) -> None:
        """Nothing."""


class Turns:
    """The longest turn of the running loop, in CPU seconds of this thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = time.thread_time()
        self._longest = 0.0
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        now = time.thread_time()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        self._loop.call_soon(self._turn)

    def take_ms(self) -> float:
        """The longest since the last call."""
        longest, self._longest = self._longest, 0.0
        return longest * 1e3


class Counts:
    """What a build did."""

    def __init__(self) -> None:
        self.units = 0
        self.routes = 0


@contextmanager
def counted() -> Iterator[Counts]:
    """Counts units decoded and routes built meanwhile."""
    counts = Counts()
    decode_unit, route_runtime = codec.decode_unit, RouteRuntime

    def decode(encoded: Any) -> Any:
        counts.units += 1
        return decode_unit(encoded)

    def runtime(*arguments: Any) -> Any:
        counts.routes += 1
        return route_runtime(*arguments)

    codec.decode_unit = decode
    vars(build)["RouteRuntime"] = runtime
    try:
        yield counts
    finally:
        codec.decode_unit = decode_unit
        vars(build)["RouteRuntime"] = route_runtime


async def apply(gateway: Gateway, turns: Turns, document: bytes) -> dict[str, float]:
    """One configuration: seconds from bytes to serving, longest pause, what was made anew."""
    started = time.perf_counter()
    # The supervisor does this, on another thread of another process: time counts, pause not.
    snapshot = codec.decode_snapshot(document)
    await asyncio.sleep(0)
    turns.take_ms()
    with counted() as counts:
        applied = await gateway.apply(snapshot)
    seconds = time.perf_counter() - started
    if applied.refused:
        raise SystemExit(f"refused: {applied.refused}")
    await asyncio.sleep(_AFTERWARDS_S)
    return {
        "seconds": seconds,
        "pause_ms": turns.take_ms(),
        "units": counts.units,
        "routes": counts.routes,
    }


async def probe(before: Path, after: Path) -> dict[str, dict[str, float]]:
    settings = Settings(host="127.0.0.1", port=0)
    gateway = Gateway(settings, meters=StageMeters(), lines=NoLines())
    await gateway.start([])
    turns = Turns()
    first = await apply(gateway, turns, before.read_bytes())
    edit = await apply(gateway, turns, after.read_bytes())
    await gateway.stop()
    return {"first": first, "edit": edit}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(probe(Path(sys.argv[1]), Path(sys.argv[2])))))
