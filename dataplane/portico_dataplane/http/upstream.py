"""A connection towards a backend: one request at a time, its answer framed.

Made by `http/pools.py`; whoever uses it (`http/forwarding.py`, `http/call.py`) sends and is told
head, body and end. Promises: framing is ours (RFC 9112 §6); a connection with anything left
over, or that became readable while idle, is never used again.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, Protocol, cast

from portico_dataplane.effects.dialer import DialError
from portico_dataplane.effects.tls_client import NoTls
from portico_dataplane.http.body import ChunkedBody, MalformedBody
from portico_dataplane.http.upstream_head import CHUNKED, KNOWN, AnswerHead, read_answer

if TYPE_CHECKING:
    from portico_dataplane.http.deadlines import Slot
    from portico_dataplane.http.pools import Pool

# What the next byte of a connection is.
_IDLE: Final = 0
_HEAD: Final = 1
_LENGTH: Final = 2
_CHUNKS: Final = 3
_UNTIL_CLOSE: Final = 4
_TUNNEL: Final = 5

_VERSION: Final = b"HTTP/1."
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_TOO_LARGE: Final = "the answer's head is too large"
_MOST_INTERIM: Final = 64


class UpstreamUser(Protocol):
    """Who sends on a connection and is told what comes back (an exchange)."""

    def on_connection(self, connection: UpstreamConnection) -> None:
        """A connection is ready; send on it now."""

    def on_no_connection(self, error: DialError | None) -> None:
        """None could be made; nothing was written. `None`: too many were waiting."""

    def on_response(self, connection: UpstreamConnection, body: bytes, complete: bool) -> None:
        """The head (on the connection's fields) and what came with it."""

    def on_response_body(self, body: bytes, complete: bool) -> None:
        """More of the body, or its end."""

    def on_upstream_lost(self, cause: str) -> None:
        """The connection broke or what it sent cannot be understood."""

    def on_upstream_paused(self, paused: bool) -> None:
        """The backend does not (or again does) take bytes."""

    def on_upgraded(self, connection: UpstreamConnection, rest: bytes) -> None:
        """101: the connection is a tunnel from here on."""

    def on_tunnel_data(self, data: bytes) -> None:
        """Bytes of the tunnel."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to one address. Answers to one user at a time.

    Framing is ours in both directions (RFC 9112 §6): `content_length` says which.
    """

    __slots__ = (
        "_bodiless",
        "_chunked",
        "_held",
        "_interim",
        "_partial",
        "_pool",
        "_slot",
        "_state",
        "answer",
        "closed",
        "idle_since",
        "idle_timeout",
        "keep_alive",
        "left",
        "received",
        "refused",
        "reused",
        "transport",
        "user",
    )

    transport: asyncio.Transport
    answer: AnswerHead
    """What came last."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.user: UpstreamUser | None = None
        self.closed = False
        self.reused = False
        self.refused = False
        """The backend does not take the certificate that was shown, or that none was."""
        self.received = False
        """Whether any byte of the current answer came."""
        self.idle_since = 0.0
        self.idle_timeout = pool.idle_timeout
        self.keep_alive = True
        self.left = 0
        """Bytes of body to come, when the length is known."""
        self._state = _IDLE
        self._partial = b""
        self._interim = 0
        self._chunked: ChunkedBody | None = None
        self._bodiless = False
        self._held = False
        self._slot: Slot | None = None

    # --- sending ----------------------------------------------------------------------------

    def send(self, user: UpstreamUser, head: bytes, *, bodiless: bool) -> None:
        """Write a request head (with or without the start of its body).

        `bodiless`: the answer has no body whatever it says (HEAD, RFC 9112 §6.3).
        """
        self.user = user
        self._bodiless = bodiless
        self._state = _HEAD
        self.received = False
        self.transport.write(head)

    def release(self) -> None:
        """The answer is complete and the request was sent whole: may serve another."""
        self.user = None
        if self.closed:
            return
        if not self.reused:
            self.reused = True
            tls = self._pool.tls
            if tls is not None:
                tls.learn(self.transport)
        if self.keep_alive and self._state == _IDLE:
            if self._held:
                self.hold(False)  # the client was behind; the next one must not wait for it
            self._pool.give_back(self)
        else:
            self.close()

    def hold(self, held: bool) -> None:
        """Read nothing for now (or again): the user does not keep up."""
        if not self.closed:
            self._held = held
            if held:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def close(self) -> None:
        """Close at once; the user hears nothing more."""
        self.user = None
        if not self.closed:
            self.closed = True
            self._pool.lost(self)
            self.transport.abort()

    def finish(self) -> None:
        """Close when all that was written has gone out; the user hears nothing more."""
        self.user = None
        if not self.closed:
            self.closed = True
            self._pool.lost(self)
            self.transport.close()
            if self.transport.get_write_buffer_size():
                self._slot = self._pool.expect_end(self)

    def on_deadline(self) -> None:
        """It has not gone out for too long."""
        self.transport.abort()

    # --- asyncio.Protocol -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=256 * 1024)

    def data_received(self, data: bytes) -> None:
        user = self.user
        state = self._state
        if user is None or state == _IDLE:
            # Readable while idle: whatever it is, it is no answer to a request of ours.
            self.keep_alive = False
            if user is None:
                self.close()
        elif state == _HEAD:
            self._head(user, data)
        elif state == _LENGTH:
            left = self.left = self.left - len(data)
            if left <= 0:
                self._state = _IDLE
                if left:
                    data = data[:left]
                    self.keep_alive = False
            user.on_response_body(data, left <= 0)
        elif state == _TUNNEL:
            user.on_tunnel_data(data)
        elif state == _CHUNKS:
            body, complete = self._decoded(data)
            if body or complete:
                user.on_response_body(body, complete)
        else:
            user.on_response_body(data, False)

    def _head(self, user: UpstreamUser, data: bytes) -> None:
        self.received = True
        if self._partial:
            data = self._partial + data
            self._partial = b""
        end = data.find(b"\r\n\r\n")
        while end >= 0:
            if end > self._pool.head_limit:
                self._fail(_TOO_LARGE)
                return
            raw = data[:end]
            head = KNOWN.known.get(raw) or read_answer(raw, self._pool.most_headers)
            if isinstance(head, str):
                self._fail(head)
                return
            self.answer = head
            status = head.status
            rest = data[end + 4 :]
            if status >= 200:
                self._begin_body(user, head, rest)
                return
            if status == 101:
                self._state = _TUNNEL
                user.on_upgraded(self, rest)
                return
            # RFC 9110 §15.2: interim; the final answer follows. So many of them are none.
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                self._fail("interim answers without end")
                return
            data = rest
            end = data.find(b"\r\n\r\n")
        if len(data) > self._pool.head_limit:
            self._fail(_TOO_LARGE)
        elif data[:7] != _VERSION[: len(data[:7])] or _BARE_LF.search(data):
            self._fail("the answer is not HTTP/1")
        else:
            self._partial = data

    def _begin_body(self, user: UpstreamUser, head: AnswerHead, rest: bytes) -> None:
        """The final head is read; `rest` came behind it."""
        self._interim = 0
        self.keep_alive = head.keep_alive
        if head.idle_timeout < self.idle_timeout:
            self.idle_timeout = head.idle_timeout
        length = head.content_length
        if self._bodiless or head.status in (204, 304):
            self._state = _IDLE
            if rest:
                self.keep_alive = False  # never read as the next answer
            user.on_response(self, b"", True)
        elif length >= 0:
            left = self.left = length - len(rest)
            if left > 0:
                self._state = _LENGTH
            else:
                self._state = _IDLE
                if left:
                    # Bytes behind the answer: it is good, the connection is not.
                    rest = rest[:left]
                    self.keep_alive = False
            user.on_response(self, rest, left <= 0)
        elif length == CHUNKED:
            self._state = _CHUNKS
            self._chunked = ChunkedBody()
            body, complete = self._decoded(rest)
            if not self.closed:
                user.on_response(self, body, complete)
        else:
            self._state = _UNTIL_CLOSE
            self.keep_alive = False
            user.on_response(self, rest, False)

    def _decoded(self, data: bytes) -> tuple[bytes, bool]:
        decoder = self._chunked
        assert decoder is not None
        try:
            body = decoder.feed(data)
        except MalformedBody as error:
            self._fail(str(error))
            return b"", False
        if not decoder.complete:
            return body, False
        self._chunked = None
        self._state = _IDLE
        if decoder.rest:
            self.keep_alive = False
        return body, True

    def _fail(self, cause: str) -> None:
        user = self.user
        self.close()
        if user is not None:
            user.on_upstream_lost(cause)

    def eof_received(self) -> bool:
        user = self.user
        if user is not None and self._state == _UNTIL_CLOSE:
            # RFC 9112 §6.3: the end of the connection is the end of the body.
            self._state = _IDLE
            user.on_response_body(b"", True)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        user = self.user
        self.user = None
        if self._slot is not None:
            self._slot.discard(self)
        if self.closed:
            return
        self.closed = True
        self._pool.lost(self)
        if isinstance(exc, NoTls):
            self.refused = not exc.lost
        if user is not None:
            user.on_upstream_lost(str(exc) if exc else "the backend closed the connection")

    def pause_writing(self) -> None:
        if self.user is not None:
            self.user.on_upstream_paused(True)

    def resume_writing(self) -> None:
        if self.user is not None:
            self.user.on_upstream_paused(False)
