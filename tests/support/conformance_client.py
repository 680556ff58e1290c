"""An HTTP/1.1 client that writes requests byte for byte as a case has them.

Used by conformance_execution: ordinary clients normalise paths and add headers. Promises: what
goes out is the request line, Host, the headers given, and Content-Length when there is a body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from conformance_backends import cut, parse_head, read_body

TIMEOUT = 20.0
"""Seconds for one exchange; only ever spent by a gateway that hangs."""


@dataclass(frozen=True)
class Response:
    """An answer as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class NoAnswer(Exception):
    """The gateway closed the connection, stayed silent, or sent what is no HTTP."""


def request_bytes(
    method: str, target: str, host: str, headers: Sequence[tuple[str, str]], body: bytes
) -> bytes:
    """A request as it stands on the wire."""
    given = {name.lower() for name, _ in headers}
    lines = [f"{method} {target} HTTP/1.1"]
    if "host" not in given:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body and not given & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def exchange(
    port: int,
    method: str,
    target: str,
    *,
    host: str,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """Send one request on a connection of its own and read the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request_bytes(method, target, host, headers, body))
        return await asyncio.wait_for(read_response(reader, method), TIMEOUT)
    except TimeoutError:
        raise NoAnswer(f"no answer within {TIMEOUT:.0f} s") from None
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise NoAnswer(f"no whole answer: {type(error).__name__} {error}") from None
    finally:
        await cut(writer)


async def read_response(reader: asyncio.StreamReader, method: str) -> Response:
    """The next final answer on a connection."""
    status = 100
    headers: list[tuple[str, str]] = []
    while 100 <= status < 200 and status != 101:
        first, headers = parse_head(await reader.readuntil(b"\r\n\r\n"))
        status = int(first.split(" ", 2)[1])
    if method == "HEAD" or status in (101, 204, 304):
        return Response(status, headers, b"")
    return Response(status, headers, await read_body(reader, headers, reader.read))
