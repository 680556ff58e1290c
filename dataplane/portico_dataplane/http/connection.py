"""A client's connection: bytes in, one request at a time, bytes out.

Made by the gateway's server for each accepted socket. It frames (heads through
`http/head.py`, bodies through `http/body.py`), limits, times out and applies back-pressure;
what a request means is the exchange's business. Promises: one request is in progress at a
time; bytes behind it stay unparsed and bounded; a refused head is answered and the
connection closed, with the answer delivered (lingering close, RFC 9112 §9.6).
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final, cast

from portico_dataplane.core.tls_facts import TlsFacts
from portico_dataplane.http import door
from portico_dataplane.http.body import ChunkedBody, LengthBody, MalformedBody
from portico_dataplane.http.deadlines import Slot
from portico_dataplane.http.exchange import Exchange
from portico_dataplane.http.head import CHUNKED, RequestHead, fault_so_far, parse, too_large
from portico_dataplane.http.stall import Stall, reset
from portico_ir.errors import ErrorKind

if TYPE_CHECKING:
    from portico_dataplane.app import Gateway

_LINGER_S: Final = 2.0
_DRAIN_LIMIT: Final = 64 * 1024
"""A refused request's remaining body up to this size is read, so that the connection lives."""
_WRITE_HIGH: Final = 256 * 1024


class ClientConnection(asyncio.Protocol):
    """The stream port of exchanges, over HTTP/1.1."""

    transport: asyncio.Transport
    peer = ""
    """The other end's address."""
    port = 0
    """The port it reached."""
    tls: TlsFacts | None = None
    closed = False
    exchange: Exchange | None = None
    """The request in progress."""
    requests_left: int
    retire_at: float
    """After this many requests, or at this monotonic time, the connection is closed politely."""

    _pending = b""
    """Bytes not parsed yet."""
    _pumping = False
    _body_bytes = 0
    _checked_bytes = 0
    _paused_by_body = False
    _was_paused = False
    """Since its body was last looked at: that it is slow is not the client's doing."""
    _reading_paused = False
    _lingering = False
    _behind = False
    """The client does not read its answers: no further request is begun."""
    _tunnel = False
    _in_head = False
    _deadline = math.inf
    """When what the client owes us is late."""
    _unread: Stall
    """What it has not taken of its answers."""
    _armed_for = math.inf
    """When the one entry among the deadlines comes up."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._body: LengthBody | ChunkedBody | None = None
        """Reads the body until it is whole (mypyc loses a union's default on the class)."""
        self._slot: Slot = set()
        self.requests_left = int(gateway.settings.max_connection_requests * gateway.jitter())

    # --- asyncio.Protocol -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH)
        gateway = self._gateway
        settings = gateway.settings
        self._unread = Stall(self.transport, settings.write_timeout_s, settings.min_write_rate)
        self.retire_at = time.monotonic() + settings.max_connection_age_s * gateway.jitter()
        if door.enter(gateway, self):
            self._wait(settings.idle_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._tunnel:
            if self.exchange is not None:
                self.exchange.on_client_tunnel_data(data)
            return
        if self._lingering:
            return
        if self._body is not None:
            self._read_body(self._body, data)
        elif self.exchange is None and not self._behind:
            self._pending = self._pending + data if self._pending else data
            if not self._pumping:
                self._pump()
        else:
            self._keep(data)

    def eof_received(self) -> bool:
        # FIN before a whole request: nothing to answer. After it: the client is gone, as nginx
        # and Go have it (uvloop shows half-close and close alike).
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        door.leave(self._gateway, self)
        self._slot.discard(self)
        exchange = self.exchange
        if exchange is not None:
            self.exchange = None
            exchange.on_client_gone()
        self._gateway.connection_closed()

    def pause_writing(self) -> None:
        self._behind = True
        self._must_read()
        if self.exchange is not None:
            self.exchange.on_client_paused(True)

    def resume_writing(self) -> None:
        if not (self._lingering or self.transport.is_closing()):
            self._unread.rest()
        self._behind = False
        if self.exchange is not None:
            self.exchange.on_client_paused(False)
        elif self._pending and not self._tunnel:
            self._pause_reading(False)
            self._pump()

    # --- requests ---------------------------------------------------------------------------

    def _pump(self) -> None:
        """Start requests from the bytes at hand, one at a time."""
        if self._pumping:
            return  # an exchange that ended at once: the loop below goes on
        self._pumping = True
        try:
            while self.exchange is None and self._pending and not self._behind:
                if self.closed or self._lingering or not self._next_request():
                    break
        finally:
            self._pumping = False

    def _next_request(self) -> bool:
        """Parse one head and start its exchange; False when there is no whole head yet."""
        pending = self._pending
        if pending[:2] == b"\r\n":
            pending = pending[2:]  # RFC 9112 §2.2: one empty line before a request is ignored
            if not pending:
                return False
        end = pending.find(b"\r\n\r\n")
        settings = self._gateway.settings
        if end == -1:
            fault = fault_so_far(pending, settings.line_limit, settings.head_limit)
            if fault is not None:
                self.refuse(fault)
                return False
            self._pending = pending
            if not self._in_head:
                self._in_head = True
                self._wait(settings.head_timeout_s)
            return False
        self._in_head = False
        raw = pending[:end]
        limit = settings.line_limit
        fault = too_large(raw, limit, settings.head_limit) if end > limit else None
        head = fault or parse(raw, settings.max_headers)
        if isinstance(head, ErrorKind):
            self.refuse(head)
            return False
        self._pending = pending[end + 4 :]
        self._start(head)
        return True

    def _start(self, head: RequestHead) -> None:
        self._deadline = math.inf
        length = head.fields.content_length
        if length:
            self._body = ChunkedBody() if length == CHUNKED else LengthBody(length)
            self._body_bytes = self._checked_bytes = 0
            self._was_paused = False
        now = time.monotonic()
        self.requests_left -= 1
        gateway = self._gateway
        exchange = self.exchange = Exchange(gateway, self, head, now)
        if gateway.draining or self.requests_left <= 0 or now >= self.retire_at:
            exchange.keep_alive = False
        try:
            exchange.begin()
        except Exception:
            exchange.fail()
        body = self._body
        if body is not None and not self._lingering:
            self._wait(gateway.settings.body_timeout_s)
            if self._pending:
                data, self._pending = self._pending, b""
                self._read_body(body, data)

    def _read_body(self, body: LengthBody | ChunkedBody, data: bytes) -> None:
        try:
            piece = body.feed(data)
        except MalformedBody:
            self._refuse_body(ErrorKind.BAD_REQUEST)
            return
        exchange = self.exchange
        complete = body.complete
        self._body_bytes += len(piece)
        if complete:
            self._body = None
            self._deadline = math.inf
            if body.rest:
                self._keep(body.rest)
        if exchange is None:
            if complete:
                self._next(time.monotonic())
        elif piece or complete:
            exchange.on_request_body(piece, complete)

    def _refuse_body(self, kind: ErrorKind) -> None:
        exchange, self._body = self.exchange, None
        if exchange is not None and not exchange.answered:
            exchange.refuse_body(kind)
        else:
            self.abort()

    def _keep(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) > self._gateway.settings.pipeline_limit:
            self._pause_reading(True)

    def refuse(self, kind: ErrorKind) -> None:
        """Answer a head that no exchange can be made of, and close."""
        self._in_head = False
        self.transport.write(self._gateway.refusal(kind))
        self.linger()

    # --- the stream port of an exchange -----------------------------------------------------

    def finished(self, keep_alive: bool, now: float) -> None:
        """The exchange wrote its whole answer; `now`: monotonic."""
        self.exchange = None
        if self.closed:
            return
        if not keep_alive or self._gateway.closing:
            self.linger()
            return
        if self._body is not None:
            # Answered before its body was read: discard a short rest, else give up on it.
            if self.may_go_on:
                self.pause_body(False)
                self._wait(self._gateway.settings.body_timeout_s)
            else:
                self.linger()
            return
        self._next(now)

    def _next(self, now: float) -> None:
        """One request is over: go on with what is here, or wait."""
        self._deadline = now + self._gateway.settings.idle_timeout_s
        if self._deadline < self._armed_for:
            self._arm(self._deadline)
        if self._reading_paused:
            self.pause_body(False)
        if self._pending:
            self._pump()

    def pause_body(self, paused: bool) -> None:
        """The backend does not keep up: read no more of a body, or a tunnel, for now."""
        self._paused_by_body = paused
        self._was_paused = self._was_paused or paused
        self._pause_reading(paused)

    def _pause_reading(self, paused: bool) -> None:
        if paused == self._reading_paused or self.closed:
            return
        if not paused and (
            self._paused_by_body
            or (self.exchange and len(self._pending) > self._gateway.settings.pipeline_limit)
        ):
            return
        self._reading_paused = paused
        if paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    @property
    def body_complete(self) -> bool:
        """Whether the request's body has been read to its end."""
        return self._body is None

    @property
    def may_go_on(self) -> bool:
        """Whether what is left of the body is short enough to be read and dropped."""
        return self._body is None or self._body.left <= _DRAIN_LIMIT

    def become_tunnel(self) -> bytes:
        """From here on bytes pass unparsed; returns those that already arrived."""
        self._tunnel = True
        self._deadline = math.inf
        rest, self._pending = self._pending, b""
        self._pause_reading(False)
        return rest

    def close_tunnel(self) -> None:
        """The backend closed: flush, then close."""
        self.exchange = None
        if not self.closed:
            self._close()

    def _close(self) -> None:
        """Close once everything is written, as long as the client takes it."""
        self.transport.close()
        self._must_read()

    def abort(self) -> None:
        """Cut the connection: after the first byte of an answer there is no other error."""
        if not self.closed:
            self.transport.abort()

    def linger(self) -> None:
        """Say FIN behind what is written, and read (discarding) until the client closes: to
        close with unread bytes would send a RST that may destroy our answer."""
        if self.closed or self._lingering:
            return
        self._lingering = True
        self._pending = b""
        self.pause_body(False)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._must_read()
        self._wait(_LINGER_S)

    def shut(self) -> None:
        """Drain: close now if nothing is in progress."""
        if self.exchange is None and not self._pending and not self.closed:
            self._close()

    # --- time -------------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._arm(self._deadline)

    def _arm(self, at: float) -> None:
        """Be woken at `at`, or earlier: requests only move deadlines, one entry follows."""
        if at < self._armed_for:
            self._slot.discard(self)
            self._armed_for = at
            self._slot = self._gateway.deadlines.schedule(self, at - time.monotonic())

    def on_deadline(self) -> None:
        """Something took too long, or the deadline moved since it was armed."""
        self._armed_for = math.inf
        if self.closed:
            return
        now = time.monotonic()
        if self._unread.stalled(now):
            reset(self.transport)
            return
        if now >= self._deadline:
            self._deadline = math.inf
            self._expired()
        self._arm(min(self._deadline, self._unread.due))

    def _must_read(self) -> None:
        """From now on the client must take something of what is written, in time."""
        self._unread.watch(time.monotonic())
        self._arm(self._unread.due)

    def _expired(self) -> None:
        if self._lingering:
            if self.transport.get_write_buffer_size():
                self._wait(_LINGER_S)  # it is slow, but the answer is not cut for that
            else:
                self.abort()
        elif self._body is not None:
            self._check_body_rate()
        elif self._in_head:
            self.refuse(ErrorKind.HEAD_TIMEOUT)
        else:
            self._close()

    def _check_body_rate(self) -> None:
        settings = self._gateway.settings
        arrived = self._body_bytes - self._checked_bytes
        self._checked_bytes = self._body_bytes
        excused, self._was_paused = self._was_paused, self._paused_by_body
        if excused or arrived >= max(1.0, settings.min_body_rate * settings.body_timeout_s):
            self._wait(settings.body_timeout_s)
        else:
            self._refuse_body(ErrorKind.HEAD_TIMEOUT)
