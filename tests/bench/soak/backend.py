"""The backend of `make soak`, in a process of its own: small, large, a sink, and a tunnel.

`/small` is a little JSON, `/large/N` N bytes, `/sink` says how many bytes it was sent, `/version/N`
says N, and `/tunnel` switches protocols and gives back what it gets. Argument: the port.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import uvloop

SMALL = b'{"id": 1, "name": "Rex"}'
PIECE = bytes(range(256)) * 256


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, until its end."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while await _exchange(reader, writer):
            pass
    writer.close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    head = await reader.readuntil(b"\r\n\r\n")
    path = head.split(b" ", 2)[1]
    taken = 0
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    left = int(rest.partition(b"\r\n")[0]) if found else 0
    while left:
        piece = await reader.read(min(left, 65536))
        if not piece:
            return False
        left -= len(piece)
        taken += len(piece)
    match path.split(b"/")[1:]:
        case [b"tunnel"]:
            writer.write(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            return False
        case [b"large", count]:
            await _large(writer, int(count))
        case [b"sink"]:
            _answer(writer, b"%d" % taken)
        case [b"version", number]:
            _answer(writer, number)
        case _:
            _answer(writer, SMALL)
    await writer.drain()
    return True


def _answer(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def _large(writer: asyncio.StreamWriter, count: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % count)
    while count:
        piece = PIECE[:count]
        writer.write(piece)
        count -= len(piece)
        await writer.drain()


async def main(port: int) -> None:
    """Until it is killed."""
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
