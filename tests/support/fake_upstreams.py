"""Upstream connections without sockets: a transport that records, a dialer that does as told.

Used by tests of pools and connections, which are about order and bookkeeping: which connection,
when, and what becomes of it. Nothing here waits for time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from portico_dataplane.effects.dialer import DialError, DialKind
from portico_dataplane.http.upstream import UpstreamConnection

P = TypeVar("P", bound=asyncio.Protocol)

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Wire(asyncio.Transport):
    """A transport that keeps what is written and says how it was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.ended = ""
        """`abort` or `close`."""
        self.unsent = 0
        """What `get_write_buffer_size` says."""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def writelines(self, list_of_data: Any) -> None:
        self.written += b"".join(list_of_data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no limit."""

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return bool(self.ended)

    def abort(self) -> None:
        self.ended = "abort"

    def close(self) -> None:
        self.ended = self.ended or "close"


@dataclass
class Attempt:
    """One call of `connect`."""

    host: str
    port: int
    options: dict[str, Any]
    decided: asyncio.Future[None]

    def succeed(self) -> None:
        """It connects."""
        self.decided.set_result(None)

    def fail(self, kind: DialKind = DialKind.CONNECT) -> None:
        """It does not."""
        self.decided.set_exception(DialError(kind, "refused"))


class FakeDialer:
    """Stands for `effects.dialer.Dialer`; `manual`: each attempt waits for the test's word."""

    def __init__(self, *, manual: bool = False) -> None:
        self.attempts: list[Attempt] = []
        self.manual = manual

    async def connect(
        self,
        protocol_factory: Callable[[], P],
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
        timeout_s: float,
        trusted: bool = False,
    ) -> tuple[asyncio.Transport, P]:
        """A protocol on a wire."""
        options = {
            "tls": tls,
            "server_hostname": server_hostname,
            "session": session,
            "timeout_s": timeout_s,
            "trusted": trusted,
        }
        attempt = Attempt(host, port, options, asyncio.get_running_loop().create_future())
        self.attempts.append(attempt)
        if not self.manual:
            attempt.succeed()
        await attempt.decided
        wire, protocol = Wire(), protocol_factory()
        protocol.connection_made(wire)
        return wire, protocol


class FakeDeadlines:
    """Keeps who waits; nothing ever comes due by itself."""

    def __init__(self) -> None:
        self.waiting: set[Any] = set()

    def schedule(self, waiting: Any, seconds: float) -> set[Any]:
        """Enter it."""
        self.waiting.add(waiting)
        return self.waiting

    def at(self, when: float, waiting: Any) -> set[Any]:
        """Enter it."""
        return self.schedule(waiting, when)

    def expire(self) -> None:
        """Everything that waits is due."""
        due, self.waiting = self.waiting, set()
        for one in due:
            one.on_deadline()


class User:
    """Who sends on a connection; keeps everything it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.connection: UpstreamConnection | None = None

    def on_connection(self, connection: UpstreamConnection) -> None:
        self.connection = connection

    def on_no_connection(self, error: DialError | None) -> None:
        self.told.append(("none", None if error is None else error.kind))

    def on_response(self, connection: UpstreamConnection, body: bytes, complete: bool) -> None:
        self.told.append(("response", connection.answer.status, body, complete))

    def on_response_body(self, body: bytes, complete: bool) -> None:
        self.told.append(("body", body, complete))

    def on_upstream_lost(self, cause: str) -> None:
        self.told.append(("lost", cause))

    def on_upstream_paused(self, paused: bool) -> None:
        self.told.append(("paused", paused))

    def on_upgraded(self, connection: UpstreamConnection, rest: bytes) -> None:
        self.told.append(("upgraded", rest))

    def on_tunnel_data(self, data: bytes) -> None:
        self.told.append(("tunnel", data))

    @property
    def wire(self) -> Wire:
        """What its connection writes to."""
        assert self.connection is not None
        transport = self.connection.transport
        assert isinstance(transport, Wire)
        return transport

    def call(self, answer: bytes = OK, *, method: bytes = b"GET") -> UpstreamConnection:
        """Send a request and be answered; the connection stays with this user."""
        connection = self.connection
        assert connection is not None
        connection.send(self, method + b" / HTTP/1.1\r\n\r\n", bodiless=method == b"HEAD")
        connection.data_received(answer)
        return connection
