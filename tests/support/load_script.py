"""Load that counts every failure, for a pod, where there is only Python.

Run by `PodClient` as `python -c SOURCE URL AUTHORITY METHODS CONNECTIONS SECONDS`. Each connection
sends one request after the other; every second one is a new connection each time. Nothing is
tried again, whatever the reason. The first line out says that every connection has had an answer;
the end of the input, or of the seconds, ends it; the last line out is the report as JSON.
"""

from __future__ import annotations

import asyncio
import collections
import json
import sys
import time
import urllib.parse

PATIENCE_S = 30.0
PAUSE_S = 0.02
"""Between two requests: connections of thinking clients are idle when a pod ends."""
Kept = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Failed(Exception):
    """An answer that no client wants."""


class Load:
    """What was sent, and what became of it."""

    def __init__(self, url: str, authority: str, methods: list[str]) -> None:
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port or 80
        target = f"{parts.path}?{parts.query}"
        self.heads = [
            f"{method} {target} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 0\r\n"
            for method in methods
        ]
        self.answered = 0
        self.opened = 0
        self.slowest: list[tuple[float, str]] = []
        self.failures: list[str] = []
        self.statuses: collections.Counter[int] = collections.Counter()
        self.served: set[int] = set()
        self.all_served = asyncio.Event()
        self.ended = asyncio.Event()

    async def clients(self, count: int) -> None:
        """All of them, until the end."""
        await asyncio.gather(*(self.client(number, count) for number in range(count)))

    async def client(self, number: int, count: int) -> None:
        """One connection after the other, one request after the other."""
        kept: Kept | None = None
        keeps = number % 2 == 0
        turn = number // 2
        while not self.ended.is_set():
            head = self.heads[turn % len(self.heads)]
            turn += 1
            started = time.time()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    if kept is None:
                        self.opened += 1
                        kept = await asyncio.open_connection(self.host, self.port)
                    stays = await self.exchange(kept, head, keeps)
                self.answered += 1
                self.slowest = sorted([*self.slowest, (started - time.time(), clock(started))])[:3]
                self.served.add(number)
                if len(self.served) == count:
                    self.all_served.set()
            except (OSError, EOFError, Failed, asyncio.LimitOverrunError) as why:
                stays = False
                self.note(started, head, kept, why)
            if kept is not None and not stays:
                kept[1].close()
                kept = None
            await asyncio.sleep(PAUSE_S)
        if kept is not None:
            kept[1].close()

    async def exchange(self, kept: Kept, head: str, keeps: bool) -> bool:
        """One request; whether the connection stays."""
        reader, writer = kept
        writer.write(f"{head}Connection: {'keep-alive' if keeps else 'close'}\r\n\r\n".encode())
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        status = int(lines[0].split(" ")[1])
        fields = dict(line.partition(": ")[::2] for line in lines[1:])
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        self.statuses[status] += 1
        if not 200 <= status < 300:
            raise Failed(f"{status} {body[:200]!r}")
        return keeps and "close" not in fields.get("connection", "")

    def note(self, started: float, head: str, kept: Kept | None, why: Exception) -> None:
        """A failure, so that it can be found in logs."""
        took = time.time() - started
        place = kept[1].get_extra_info("sockname") if kept else "not connected"
        method = head.partition(" ")[0]
        what = f"{type(why).__name__}: {why}"
        self.failures.append(f"{clock(started)} +{took:.3f}s {method} {place} {what}")

    def report(self) -> str:
        """As JSON."""
        return json.dumps(
            {
                "answered": self.answered,
                "opened": self.opened,
                "statuses": self.statuses,
                "slowest": [f"{at} {-took:.3f}s" for took, at in self.slowest],
                "failed": len(self.failures),
                "failures": self.failures[:50],
            }
        )


def clock(moment: float) -> str:
    """As logs have it."""
    return time.strftime("%H:%M:%S", time.gmtime(moment)) + f".{moment % 1 * 1000:03.0f}"


async def told_to_end(seconds: float) -> None:
    """The end of the input, or of the seconds."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        async with asyncio.timeout(seconds):
            await reader.read()
    except TimeoutError:
        pass


async def conduct(load: Load, seconds: float) -> None:
    """Say when it has begun, and end it."""
    async with asyncio.timeout(seconds):
        await load.all_served.wait()
    print("begun", flush=True)
    await told_to_end(seconds)
    load.ended.set()


async def main(url: str, authority: str, methods: str, count: str, seconds: str) -> None:
    """Load until told to end."""
    load = Load(url, authority, methods.split(","))
    try:
        await asyncio.gather(load.clients(int(count)), conduct(load, float(seconds)))
    finally:
        print(load.report(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
