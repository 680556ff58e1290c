"""The backend of `make bench-scale`: answers 200 with the path it was asked for.

Run by `bed` as a process of its own, so that its work is nobody else's. Arguments: address, port.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop


class Answering(asyncio.Protocol):
    """One connection; requests without bodies, as the benchmark sends them."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        # uvloop's transports are not registered as asyncio's.
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Every whole head is a request."""
        *heads, self._pending = (self._pending + data).split(b"\r\n\r\n")
        for head in heads:
            body = head.split(b" ", 2)[1]
            assert self._transport is not None
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )


async def serve(host: str, port: int) -> None:
    """Until it is killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, host, port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1], int(sys.argv[2])))
