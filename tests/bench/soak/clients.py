"""The clients of `make soak`, one coroutine for each way to use a gateway.

Every one of them knows what it must be answered and says so when it is not. Pauses make the load
steady and moderate: what is looked for is what goes wrong in an hour, not how fast it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from soak.backend import PIECE, SMALL

HOST: Final = "soak.default.bench.internal"
MB: Final = 1024 * 1024
PATIENCE_S: Final = 30.0
LAG: Final = 5
"""So many edits an answer may be behind: two workers take them one after the other."""


class Unexpected(Exception):
    """An answer that is not the one there should be."""


class Soak:
    """What is shared: where the gateway is, which edits were made, and what came of it all."""

    def __init__(self, port: int, until: float) -> None:
        self.port = port
        self.until = until
        self.edits = 0
        """Written; the route may answer as any of the last few."""
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []

    @property
    def is_over(self) -> bool:
        """Time is up."""
        return time.monotonic() >= self.until

    async def run(self, name: str, once: Callable[[Soak], Awaitable[int]]) -> None:
        """Again and again; `once` says how many things it did."""
        while not self.is_over:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    self.done[name] += await once(self)
            except (Unexpected, OSError, EOFError, TimeoutError) as why:
                self.faults.append(f"{name}: {type(why).__name__}: {why}")
                await asyncio.sleep(0.5)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def _connected(soak: Soak) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", soak.port, limit=MB)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", f"Host: {HOST}", *lines, "", "")).encode()


async def _answered(reader: asyncio.StreamReader, status: int = 200) -> int:
    """Length of the answer's body, which is still to be read."""
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 %d " % status):
        raise Unexpected(f"answered {head[:300]!r}")
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


async def _is(reader: asyncio.StreamReader, body: bytes) -> None:
    got = await reader.readexactly(await _answered(reader))
    if got != body:
        raise Unexpected(f"answered {got[:100]!r} for {body[:100]!r}")


async def keep_alive(soak: Soak) -> int:
    """A browser's connection."""
    count = random.randint(50, 500)
    async with _connected(soak) as (reader, writer):
        for done in range(count):
            if soak.is_over:
                return done
            writer.write(_head("GET", "/small"))
            await _is(reader, SMALL)
            await asyncio.sleep(random.uniform(0, 0.04))
    return count


async def close(soak: Soak) -> int:
    """A connection for each request."""
    async with _connected(soak) as (reader, writer):
        writer.write(_head("GET", "/small", "Connection: close"))
        await _is(reader, SMALL)
        if await reader.read(1):
            raise Unexpected("more than the answer")
    await asyncio.sleep(random.uniform(0, 0.1))
    return 1


async def large(soak: Soak) -> int:
    """Eight megabytes down, five up."""
    async with _connected(soak) as (reader, writer):
        writer.write(_head("GET", "/large"))
        left, at = await _answered(reader), 0
        while left:
            piece = await reader.read(min(left, 65536))
            if not piece:
                raise EOFError(f"{left} bytes of a large answer are missing")
            if piece[0] != at % 256:
                raise Unexpected(f"byte {at} is {piece[0]}")
            left, at = left - len(piece), at + len(piece)
        writer.write(_head("POST", "/sink", f"Content-Length: {5 * MB}"))
        for _ in range(5 * MB // len(PIECE)):
            writer.write(PIECE)
            await writer.drain()
        await _is(reader, b"%d" % (5 * MB))
    await asyncio.sleep(random.uniform(0.5, 1.5))
    return 2


async def slow(soak: Soak) -> int:
    """Writes its request in pieces, and takes its time over the answer."""
    async with _connected(soak) as (reader, writer):
        head = _head("GET", "/large")
        for start in range(0, len(head), 20):
            writer.write(head[start : start + 20])
            await asyncio.sleep(0.05)
        left = await _answered(reader)
        while left:
            piece = await reader.read(min(left, 256 * 1024))
            if not piece:
                raise EOFError(f"{left} bytes of a slow answer are missing")
            left -= len(piece)
            await asyncio.sleep(0.1)
    return 1


async def aborted(soak: Soak) -> int:
    """Leaves somewhere in the middle, half of the time with a reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", soak.port)
    request = random.choice(
        (_head("GET", "/large"), _head("POST", "/sink", "Content-Length: 100000") + b"x" * 5000)
    )
    writer.write(request[: random.randint(1, len(request))])
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(random.uniform(0, 0.2)):
            await reader.read(random.randint(1, MB))
    if random.random() < 0.5:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    await asyncio.sleep(random.uniform(0, 0.1))
    return 1


async def tunnel(soak: Soak) -> int:
    """A WebSocket's connection: bytes there and back for some seconds."""
    count = random.randint(20, 200)
    async with _connected(soak) as (reader, writer):
        writer.write(_head("GET", "/tunnel", "Connection: Upgrade", "Upgrade: websocket"))
        await _answered(reader, 101)
        for number in range(count):
            if soak.is_over:
                return number
            data = b"%06d" % number * random.randint(1, 2000)
            writer.write(data)
            if await reader.readexactly(len(data)) != data:
                raise Unexpected("the tunnel gave other bytes back")
            await asyncio.sleep(random.uniform(0, 0.1))
    return count


async def edited(soak: Soak) -> int:
    """The route that is edited all the time: answered by a version of now."""
    async with _connected(soak) as (reader, writer):
        for done in range(100):
            if soak.is_over:
                return done
            least = soak.edits - LAG
            writer.write(_head("GET", "/edited"))
            said = int(await reader.readexactly(await _answered(reader)))
            if not least <= said <= soak.edits:
                raise Unexpected(f"version {said} at {soak.edits}")
            await asyncio.sleep(random.uniform(0, 0.05))
    return 100


KINDS: Final = (
    ("keep-alive", keep_alive, 8),
    ("close", close, 4),
    ("large", large, 2),
    ("slow", slow, 4),
    ("aborted", aborted, 4),
    ("tunnel", tunnel, 4),
    ("edited", edited, 4),
)
"""Name, what it does, and how many at once."""
