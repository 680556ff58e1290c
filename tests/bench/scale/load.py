"""Requests while configuration changes: none may fail.

A scenario of `make bench-scale`. The loader is a process of its own: connections that stay open
to every pod, each with a request every few milliseconds, half of them to Routes that are being
edited. Nothing is tried again; whatever is not a 200 is a failure. Run as a program it is that
process: arguments are the seconds at most, then JSON on standard input; it ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

PAUSE_S = 0.010
CONNECTIONS = 4
"""To each pod."""
EDITS_PER_S = 25
TARGETS = 50


async def _connection(
    port: int, questions: list[list[str]], found: Counter[str], over: asyncio.Event
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not over.is_set():
        host, path = random.choice(questions)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
            found[head.split(b" ", 2)[1].decode()] += 1
            if b"connection: close" in head.lower():  # polite: an old connection is replaced
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except (OSError, asyncio.IncompleteReadError) as why:
            found[type(why).__name__] += 1
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(PAUSE_S)
    writer.close()


async def _load(order: dict[str, Any], seconds: float) -> Counter[str]:
    found: Counter[str] = Counter()
    over = asyncio.Event()
    reader = threading.Thread(
        target=_until_told, args=(asyncio.get_running_loop(), over), daemon=True
    )
    reader.start()
    connections = [
        asyncio.create_task(_connection(port, order["questions"], found, over))
        for port in order["ports"]
        for _ in range(CONNECTIONS)
    ]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await over.wait()
    over.set()
    await asyncio.gather(*connections)
    return found


def _until_told(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    sys.stdin.read()
    loop.call_soon_threadsafe(over.set)


class Load:
    """The loader, from outside."""

    def __init__(self, ports: list[int], questions: list[tuple[str, str]], most_s: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(most_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        order = {"ports": ports, "questions": questions}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def end(self) -> Counter[str]:
        """What became of the requests."""
        said, _ = self._process.communicate(timeout=60)
        return Counter(json.loads(said))

    def kill(self) -> None:
        """End it whatever it does."""
        self._process.kill()
        self._process.wait()


def live_edits(bed: Any, size: Any) -> list[Any]:
    """So many edits, none waited for."""
    from scale.measures import Row

    shape = size.ensure_many(bed)
    bed.settle()
    row = Row(f"failed requests during {size.live_edits:,} edits", 0, "failed")
    targets = [
        (random.randrange(shape.apis), random.randrange(shape.routes)) for _ in range(TARGETS)
    ]
    questions = [(bed.world.host(a), bed.world.path(a, n)) for a, n in targets]
    load = Load([pod.port for pod in bed.pods()], questions, 600)
    try:
        costs = bed.costs()
        time.sleep(1.0)
        began = time.monotonic()
        for number in range(size.live_edits):
            time.sleep(max(0.0, began + number / EDITS_PER_S - time.monotonic()))
            bed.world.retarget(*targets[number % (2 * TARGETS) % TARGETS])
        time.sleep(1.0)
        row.detail = costs.each(size.live_edits)
        found = load.end()
    finally:
        load.kill()
    row.samples = sum(found.values())
    row.value = row.samples - found["200"]
    if row.value:
        row.note = ", ".join(f"{count} × {what}" for what, count in found.items() if what != "200")
    return [row]


if __name__ == "__main__":
    given = json.loads(sys.stdin.readline())
    print(json.dumps(asyncio.run(_load(given, float(sys.argv[1])))))
