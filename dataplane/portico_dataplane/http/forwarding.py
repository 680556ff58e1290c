"""Passing one request on: connect, send, stream both ways, retry, tunnel.

Made by an exchange whose route is HTTP_PROXY; it is the user of the upstream connection.
Callbacks only. Promises: back-pressure in both directions, retries by `core/retries.py` and no
other rule, the connection is released or closed exactly once, and whatever goes wrong ends in
`exchange.reject` (before the first byte) or `exchange.cut` (after it).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from portico_dataplane.core.load import Share
from portico_dataplane.core.retries import REPLAY_LIMIT, SETTLING_S, may_retry
from portico_dataplane.effects.dialer import DialError, DialKind, failure_of
from portico_dataplane.http import answer
from portico_dataplane.http.body import LAST_CHUNK, chunk
from portico_dataplane.http.head import CHUNKED
from portico_dataplane.http.pools import Pool, Upstream
from portico_dataplane.http.tunnel import Tunnel
from portico_dataplane.http.upstream import UpstreamConnection
from portico_dataplane.integrations.http import HttpForward, Unforwardable
from portico_ir.errors import ErrorKind

if TYPE_CHECKING:
    from portico_dataplane.http.deadlines import Slot
    from portico_dataplane.http.exchange import Exchange

_BARE: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
_ONE_WRITE: Final = 65_536
"""Up to this size head and body are joined and written at once."""


class Forwarding:
    """One request on its way to a backend and back."""

    # Defaults live on the class: a request without a body, retry or tunnel sets hardly any.
    _connection: UpstreamConnection | None = None
    _queued_in: Pool | None = None
    _body: list[bytes] | None = None
    """Body kept for a connection still being made or a retry; None: none, or too large."""
    _body_size = 0
    _request_sent = False
    _attempts = 0
    _slot: Slot | None = None
    _pause: asyncio.TimerHandle | None = None
    _chunks_out = False
    _tunnel = False
    _done = False
    _share: Share | None = None
    """Of the backend, while the request is one of those it has."""

    _upstream: Upstream
    _pool: Pool
    _head: bytes
    _method: str
    _sent_at: float
    _timeout_from: float

    def __init__(self, exchange: Exchange, forward: HttpForward) -> None:
        self._exchange = exchange
        self._forward = forward

    # --- towards the backend ------------------------------------------------------------------

    def start(self) -> None:
        """Choose a destination, write the head, get a connection."""
        exchange, forward = self._exchange, self._forward
        head, request = exchange.head, exchange.request
        method = self._method = forward.method or request.method
        length = head.fields.content_length
        if length == 0:
            self._request_sent = True
            if head.fields.upgrade == b"websocket" and method == "GET" and head.version == "1.1":
                self._tunnel = True
                framing = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
            else:
                # RFC 9110 §8.6: methods that expect content say that there is none.
                framing = b"" if method in _BARE else b"Content-Length: 0\r\n"
        else:
            self._body = []
            chunked = length == CHUNKED
            framing = answer.CHUNKED if chunked else b"Content-Length: %d\r\n" % length
        try:
            destination = forward.destination(request)
            if destination is None:
                exchange.reject(ErrorKind.NO_ENDPOINT, "every weight is 0")
                return
            self._head = forward.head(request, head.fields, destination, framing)
        except Unforwardable as error:
            exchange.reject(ErrorKind.API_CONFIGURATION_ERROR, str(error))
            return
        upstream = self._upstream = destination.upstream
        if not exchange.gateway.load.burden(upstream.share):
            exchange.reject(ErrorKind.OVERLOAD)
            return
        self._share = upstream.share
        upstream.budget.earn()
        self._attempt()

    def _attempt(self) -> None:
        self._attempts += 1
        upstream = self._upstream
        pool = upstream.pick(self._exchange.started, self._attempts)
        if pool is None:
            cause = f"nothing is ready behind {upstream.key}"
            self._exchange.reject(ErrorKind.NO_ENDPOINT, cause)
            return
        self._pool = pool
        connection = pool.take()
        if connection is not None:
            self.on_connection(connection)
        else:
            self._queued_in = pool
            pool.connect(self)
            if self._slot is None and not self._done:
                # Behind requests that stream for hours it must not wait as long.
                self._timeout_from = time.monotonic()
                self._wake_in(self._forward.timeout_s)

    def on_connection(self, connection: UpstreamConnection) -> None:
        """Send the head, and the body as far as it is here."""
        self._queued_in = None
        if self._done:
            connection.release()
            return
        self._connection = connection
        head = self._head
        if self._body:
            head += b"".join(self._body)
            if self._body_size > REPLAY_LIMIT:
                self._body = None
        now = self._sent_at = self._timeout_from = time.monotonic()
        connection.send(self, head, bodiless=self._method == "HEAD")
        if self._slot is None:
            deadlines = self._exchange.gateway.deadlines
            self._slot = deadlines.at(now + self._forward.timeout_s, self)
        if not self._request_sent and self._body_size:
            self._exchange.client.pause_body(False)

    def on_no_connection(self, error: DialError | None) -> None:
        """The address could not be reached; another one may."""
        self._queued_in = None
        if self._done:
            return
        if error is None:
            self._exchange.reject(ErrorKind.OVERLOAD, "too many requests wait for a connection")
            return
        if error.kind is DialKind.REFUSED_BY_POLICY:
            self._exchange.reject(failure_of(error), str(error))
            return
        upstream, endpoint = self._upstream, self._pool.endpoint
        upstream.balancer.failed(endpoint, time.monotonic())
        again = (upstream.trusted or upstream.sole is None) and may_retry(
            written=False, method=self._method, replayable=True, attempts=self._attempts
        )
        if again and upstream.budget.spend():
            if upstream.is_moving(endpoint):
                self._pause = asyncio.get_running_loop().call_later(SETTLING_S, self._attempt)
            else:
                self._attempt()
        else:
            self._exchange.reject(failure_of(error), str(error))

    def on_request_body(self, piece: bytes, complete: bool) -> None:
        """The client's body, piece by piece."""
        if self._done:
            return
        exchange = self._exchange
        size = self._body_size = self._body_size + len(piece)
        if size > self._forward.max_request_body:
            exchange.refuse_body(ErrorKind.REQUEST_TOO_LARGE)
            return
        if exchange.head.fields.content_length == CHUNKED:
            piece = chunk(piece) if piece else b""
            if complete:
                piece += LAST_CHUNK
        self._request_sent = complete
        kept = self._body
        connection = self._connection
        if connection is None:
            # Still connecting: the body waits, bounded.
            if kept is not None:
                kept.append(piece)
            if size >= REPLAY_LIMIT and not complete:
                exchange.client.pause_body(True)
            return
        self._timeout_from = time.monotonic()
        if kept is not None:
            if size <= REPLAY_LIMIT:
                kept.append(piece)
            else:
                self._body = None
        connection.transport.write(piece)

    def on_upstream_paused(self, paused: bool) -> None:
        """The backend takes no more bytes for now: neither do we."""
        if self._done:
            return
        self._exchange.client.pause_body(paused)

    # --- from the backend ---------------------------------------------------------------------

    def on_response(self, connection: UpstreamConnection, body: bytes, complete: bool) -> None:
        """The backend's head, and what came with it: goes out as one write."""
        exchange = self._exchange
        now = self._timeout_from = time.monotonic()
        outcome = exchange.outcome
        status = outcome.status = outcome.integration_status = connection.answer.status
        outcome.integration_latency_ms = (now - self._sent_at) * 1000
        upstream = self._upstream
        if upstream.sole is None:
            upstream.balancer.answered(self._pool.endpoint, status, now)
        if not self._request_sent:
            # Answered before its body was read: the rest of it would be read as a request.
            exchange.keep_alive = False
        if exchange.head.method == "HEAD":
            # The route may call with another method: what that one has for a body ends here.
            body, complete = b"", True
        framing = self._framing(connection, status, body, complete)
        head = exchange.proxied_head(connection, framing)
        outcome.response_length = len(body)
        transport = exchange.client.transport
        if not body:
            transport.write(head)
        elif self._chunks_out:
            transport.write(head + chunk(body))
        elif len(body) < _ONE_WRITE:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        if complete:
            self._complete(now)
        elif self._slot is not None and self._forward.timeout_s > self._body_timeout():
            self._wake_in(self._body_timeout())

    def _body_timeout(self) -> float:
        return self._exchange.gateway.settings.upstream_body_timeout_s

    def _framing(
        self, connection: UpstreamConnection, status: int, body: bytes, complete: bool
    ) -> bytes:
        """Length and connection lines towards the client (RFC 9112 §6)."""
        exchange = self._exchange
        length = connection.answer.content_length
        if exchange.head.method == "HEAD" or status == 304:
            lines = b"Content-Length: %d\r\n" % length if length >= 0 else b""
        elif status == 204:
            lines = b""
        elif complete:
            lines = b"Content-Length: %d\r\n" % len(body)
        elif length >= 0:
            lines = b"Content-Length: %d\r\n" % length
        elif exchange.head.version == "1.1":
            self._chunks_out = True
            lines = answer.CHUNKED
        else:
            exchange.keep_alive = False  # HTTP/1.0: the end of the connection ends the body
            lines = b""
        return lines + exchange.connection_line()

    def on_response_body(self, body: bytes, complete: bool) -> None:
        """More of the backend's body."""
        exchange = self._exchange
        transport = exchange.client.transport
        if body:
            self._timeout_from = time.monotonic()
            exchange.outcome.response_length += len(body)
            if self._chunks_out:
                transport.writelines((b"%x\r\n" % len(body), body, b"\r\n"))
            else:
                transport.write(body)
        if complete:
            self._complete(time.monotonic())

    def _complete(self, now: float) -> None:
        exchange = self._exchange
        if self._chunks_out:
            exchange.client.transport.write(LAST_CHUNK)
        connection, self._connection = self._connection, None
        if connection is not None:
            if not self._request_sent or (
                self._body_size and connection.transport.get_write_buffer_size()
            ):
                connection.close()  # answered before it has taken the whole body
            else:
                connection.release()
        exchange.finish(now)

    def on_client_paused(self, paused: bool) -> None:
        """The client is behind (or not any more): so is the backend."""
        connection = self._connection
        if connection is None:
            return
        if not paused:
            self._timeout_from = time.monotonic()
        connection.hold(paused)

    def on_upstream_lost(self, cause: str) -> None:
        """The backend's connection broke."""
        connection, self._connection = self._connection, None
        if self._done or connection is None:
            return
        exchange = self._exchange
        if exchange.answered:
            exchange.cut(cause)
            return
        upstream = self._upstream
        if connection.received or not connection.reused:
            upstream.balancer.failed(self._pool.endpoint, time.monotonic())
        replayable = self._request_sent and (self._body is not None or not self._body_size)
        if connection.refused:
            exchange.reject(ErrorKind.API_CONFIGURATION_ERROR, cause)
            return
        again = not connection.received and may_retry(
            written=True, method=self._method, replayable=replayable, attempts=self._attempts
        )
        if again and upstream.budget.spend():
            self._attempt()
        else:
            exchange.reject(ErrorKind.INTEGRATION_FAILURE, cause)

    # --- tunnel -------------------------------------------------------------------------------

    def on_upgraded(self, connection: UpstreamConnection, rest: bytes) -> None:
        """101: from here on bytes pass both ways, unparsed."""
        exchange = self._exchange
        if not self._tunnel:
            exchange.reject(ErrorKind.INTEGRATION_FAILURE, "an upgrade nobody asked for")
            return
        outcome = exchange.outcome
        outcome.status = outcome.integration_status = 101
        outcome.integration_latency_ms = (time.monotonic() - self._sent_at) * 1000
        outcome.response_length = len(rest)
        exchange.answered = True
        exchange.keep_alive = False
        upstream = self._upstream
        if upstream.sole is None:
            upstream.balancer.succeeded(self._pool.endpoint)
        self._connection = None
        self.end()
        tunnel = Tunnel(exchange, connection)
        connection.user = tunnel
        exchange.hand_over(tunnel)
        tunnel.begin(answer.upgrade_head(connection.answer.lines) + rest)

    def on_tunnel_data(self, data: bytes) -> None:
        """Never: the tunnel is told."""

    # --- time, end ----------------------------------------------------------------------------

    def on_deadline(self) -> None:
        """The integration's timeout or, while a body streams, its idle timeout (AWS §3.20)."""
        exchange = self._exchange
        self._slot = None
        if self._done:
            return
        limit = self._body_timeout() if exchange.answered else self._forward.timeout_s
        left = self._timeout_from + limit - time.monotonic()
        if left > 0:
            self._wake_in(left)
        elif exchange.answered:
            exchange.cut("the backend sent nothing for too long")
        else:
            if self._connection is not None:
                self._upstream.balancer.failed(self._pool.endpoint, time.monotonic())
            exchange.reject(ErrorKind.INTEGRATION_TIMEOUT, "no answer in time")

    def _wake_in(self, seconds: float | None) -> None:
        """`on_deadline` then, and not when it was said before; None: not at all."""
        if self._slot is not None:
            self._slot.discard(self)
            self._slot = None
        if seconds is not None:
            self._slot = self._exchange.gateway.deadlines.schedule(self, seconds)

    def end(self) -> None:
        """The exchange is over: hold nothing any more."""
        self._done = True
        if self._share is not None:
            self._share.held -= 1
            self._share = None
        self._wake_in(None)
        if self._pause is not None:
            self._pause.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if self._queued_in is not None:
            self._queued_in.forget(self)
            self._queued_in = None
