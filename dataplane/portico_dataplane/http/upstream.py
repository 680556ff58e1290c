"""Connections towards backends: one protocol, one pool per address, one registry.

`http/exchange.py` takes a connection, sends, and is told head, body and end; the pool keeps
what may be used again. Promises: bounded per address, idle ones closed before the backend
would (its `Keep-Alive: timeout` is honoured), one that becomes readable while idle is dropped,
a connection with anything left over is never reused. Lives outside any Runtime.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Protocol, cast

from portico_dataplane.core.balancing import Balancer
from portico_dataplane.core.forwarding import DEFAULT_TYPE
from portico_dataplane.core.retries import RetryBudget
from portico_dataplane.effects.dialer import DialError, Dialer
from portico_dataplane.http import lines
from portico_dataplane.http.body import ChunkedBody, MalformedBody
from portico_dataplane.http.lines import RESPONSE_LINES, Blocks, Line
from portico_dataplane.tasks import spawn
from portico_ir.model import Endpoint

if TYPE_CHECKING:
    import ssl

    from portico_dataplane.http.deadlines import Deadlines
    from portico_dataplane.settings import Settings

CLOSE_DELIMITED: Final = -2
CHUNKED: Final = -1

# What the next byte of a connection is.
_IDLE: Final = 0
_HEAD: Final = 1
_LENGTH: Final = 2
_CHUNKS: Final = 3
_UNTIL_CLOSE: Final = 4
_TUNNEL: Final = 5

_VERSION: Final = b"HTTP/1."
_STATUS_LINE: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?"
)
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


class AnswerHead:
    """What the head of an answer says; shared by every answer with the same head."""

    status: int
    lines: list[Line]
    """Header lines in order; nobody changes them."""
    rest: bytes
    """Those a REST API lets through, as they go on (with a Content-Type in any case)."""
    http: bytes
    """Those an HTTP API lets through."""
    content_length: int = CLOSE_DELIMITED
    """Bytes of body, or CHUNKED, or CLOSE_DELIMITED."""
    keep_alive: bool = True
    idle_timeout: float = math.inf
    """Seconds after which the backend may close, as its Keep-Alive says."""
    dated: bool = False
    """Whether there is a Date."""
    typed: bool = False
    """Whether there is a Content-Type."""
    named: frozenset[bytes] = frozenset()
    """Fields that Connection names."""

    def with_lines(self, found: list[Line]) -> AnswerHead:
        """The same answer with other header lines."""
        head = AnswerHead()
        head.status = self.status
        head.content_length = self.content_length
        head.keep_alive = self.keep_alive
        head.idle_timeout = self.idle_timeout
        head.named = self.named
        head.dated = self.dated
        head.typed = self.typed
        head.take_lines(found)
        return head

    def take_lines(self, found: list[Line]) -> None:
        """Set the lines, and what goes on of them."""
        self.lines = found
        passed = [line for line in found if line.lower not in self.named] if self.named else found
        rest = [line.rest for line in passed]
        if not self.typed:
            rest.append(DEFAULT_TYPE)
        self.rest = b"".join(rest)
        self.http = b"".join([line.http for line in passed])


_answers: Final[Blocks[AnswerHead]] = Blocks()


def read_answer(raw: bytes, most_headers: int) -> AnswerHead | str:
    """The head in `raw` (without its empty line), or what is wrong with it."""
    again = _answers.older(raw)
    if again is not None:
        return again
    text = raw.split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(text[0])
    if status_line is None:
        return "the status line is malformed"
    if len(text) > most_headers + 1:
        return "the answer has too many headers"
    head = AnswerHead()
    head.status = int(status_line.group(2))
    del text[0]
    known = RESPONSE_LINES.known
    found: list[Line] = []
    for one in text:
        line = known.get(one) or RESPONSE_LINES.read(one)
        if line is None:
            return "a header line is malformed"
        found.append(line)
    special = [line for line in found if line.code]
    fault = _understand(head, special, status_line.group(1) == b"0")
    if fault:
        return fault
    head.take_lines(found)
    _answers.remember(raw, head)
    return head


def _understand(head: AnswerHead, special: list[Line], old: bool) -> str:
    lengths = codings = options = 0
    for line in special:
        code = line.code
        if code == lines.CONTENT_TYPE:
            head.typed = True
        elif code == lines.DATE:
            head.dated = True
        elif code == lines.CONTENT_LENGTH:
            lengths += 1
            head.content_length = line.number
            if line.number < 0:
                return "a Content-Length that is no number"
        elif code == lines.CONNECTION:
            options |= line.options
            head.named = head.named | line.named
        elif code == lines.TRANSFER_ENCODING:
            codings += 1
            head.content_length = CHUNKED
            if line.value.lower() != b"chunked":
                return "a Transfer-Encoding other than chunked"
        elif code == lines.KEEP_ALIVE:
            head.idle_timeout = min(head.idle_timeout, _idle_timeout(line.value))
    # RFC 9112 §6.3: framing that can be read in two ways is not passed on.
    if lengths + codings > 1 or (codings and old):
        return "ambiguous framing"
    if head.status < 200 and (lengths or codings):
        return "an interim answer with a body"
    if head.status == 101 and not options & lines.UPGRADES:
        return "101 without an upgrade"
    if old:
        head.keep_alive = options & (lines.KEEPS | lines.CLOSE) == lines.KEEPS
    else:
        head.keep_alive = not options & lines.CLOSE
    return ""


def _idle_timeout(keep_alive: bytes) -> float:
    for part in keep_alive.split(b","):
        key, _, number = part.strip().partition(b"=")
        if key.lower() == b"timeout" and number.isdigit() and len(number) < 7:
            # A second earlier than the backend: it may close while our request travels.
            return max(0.0, int(number) - 1.0)
    return math.inf


class UpstreamConnection(asyncio.Protocol):
    """One connection to one address. Answers to one user at a time.

    Framing is ours in both directions (RFC 9112 §6): `content_length` says which.
    """

    __slots__ = (
        "_bodiless",
        "_chunked",
        "_interim",
        "_partial",
        "_pool",
        "_state",
        "answer",
        "closed",
        "idle_since",
        "idle_timeout",
        "keep_alive",
        "left",
        "received",
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
        if self.keep_alive and self._state == _IDLE:
            self.reused = True
            self._pool.give_back(self)
        else:
            self.close()

    def close(self) -> None:
        """Close at once; the user hears nothing more."""
        self.user = None
        if not self.closed:
            self.closed = True
            self._pool.lost(self)
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
            head = _answers.known.get(raw) or read_answer(raw, self._pool.most_headers)
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
        if self.closed:
            return
        self.closed = True
        self._pool.lost(self)
        if user is not None:
            user.on_upstream_lost(str(exc) if exc else "the backend closed the connection")

    def pause_writing(self) -> None:
        if self.user is not None:
            self.user.on_upstream_paused(True)

    def resume_writing(self) -> None:
        if self.user is not None:
            self.user.on_upstream_paused(False)


class Pool:
    """Connections to one address of one upstream."""

    __slots__ = (
        "_dialing",
        "_idle",
        "_open",
        "_upstream",
        "_waiting",
        "endpoint",
        "head_limit",
        "idle_timeout",
        "most_headers",
        "retired",
        "watched",
    )

    def __init__(self, upstream: Upstream, endpoint: Endpoint) -> None:
        settings = upstream.registry.settings
        self._upstream = upstream
        self.endpoint = endpoint
        self.idle_timeout = settings.upstream_idle_timeout_s
        self.head_limit = settings.upstream_head_limit
        self.most_headers = settings.upstream_max_headers
        self.retired = False
        self.watched = False
        """Whether the sweep for idle connections knows of this pool."""
        """The address left: what comes back is closed."""
        self._idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self._dialing = 0
        self._waiting: deque[UpstreamUser] = deque()

    def take(self) -> UpstreamConnection | None:
        """An idle connection, the one used last (its window is warm), if there is one."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if not connection.closed and not connection.transport.is_closing():
                return connection
        return None

    def connect(self, user: UpstreamUser) -> None:
        """Make a connection for `user`, or queue it; it is told either way."""
        settings = self._upstream.registry.settings
        if len(self._open) + self._dialing < settings.upstream_max_connections:
            self._dialing += 1
            spawn(self._dial(user), name=f"dial {self.endpoint.host}:{self.endpoint.port}")
        elif len(self._waiting) < settings.upstream_max_waiting:
            self._waiting.append(user)
        else:
            user.on_no_connection(None)

    def forget(self, user: UpstreamUser) -> None:
        """`user` no longer waits."""
        if user in self._waiting:
            self._waiting.remove(user)

    async def _dial(self, user: UpstreamUser) -> None:
        upstream = self._upstream
        try:
            _, connection = await upstream.registry.dialer.connect(
                lambda: UpstreamConnection(self),
                self.endpoint.host,
                self.endpoint.port,
                tls=upstream.tls,
                server_hostname=upstream.server_name,
                timeout_s=upstream.registry.settings.connect_timeout_s,
                trusted=upstream.trusted,
            )
        except DialError as error:
            self._dialing -= 1
            user.on_no_connection(error)
            self._serve_waiting()
            return
        except BaseException:
            self._dialing -= 1
            raise
        self._dialing -= 1
        self._open.add(connection)
        user.on_connection(connection)

    def give_back(self, connection: UpstreamConnection) -> None:
        """`connection` may serve another request."""
        if self._waiting:
            self._waiting.popleft().on_connection(connection)
            return
        settings = self._upstream.registry.settings
        full = len(self._idle) >= settings.upstream_max_idle
        if full or self.retired or connection.idle_timeout <= 0:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if not self.watched:
            self.watched = True
            self._upstream.registry.watch(self)

    def lost(self, connection: UpstreamConnection) -> None:
        """`connection` is no more."""
        self._open.discard(connection)
        if connection.user is None and connection in self._idle:
            self._idle.remove(connection)
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        if self._waiting:
            self.connect(self._waiting.popleft())

    def sweep(self, now: float) -> bool:
        """Close what has been idle too long; whether any idle ones are left."""
        for connection in [c for c in self._idle if now - c.idle_since >= c.idle_timeout]:
            connection.close()
        self.watched = bool(self._idle)
        return self.watched

    def retire(self) -> None:
        """The address is gone: close what nobody uses, and the rest when it comes back."""
        self.retired = True
        for connection in list(self._idle):
            connection.close()

    def close(self) -> None:
        """Close everything."""
        for connection in list(self._open):
            connection.close()

    @property
    def idle(self) -> int:
        """Connections nobody uses."""
        return len(self._idle)

    @property
    def open(self) -> int:
        """Connections in all."""
        return len(self._open)


class Upstream:
    """Everything that answers for one target: its addresses, their health, their pools."""

    __slots__ = (
        "_pools",
        "balancer",
        "budget",
        "key",
        "registry",
        "server_name",
        "sole",
        "tls",
        "trusted",
    )

    def __init__(
        self,
        registry: Upstreams,
        key: str,
        *,
        tls: ssl.SSLContext | None,
        server_name: str,
        trusted: bool,
    ) -> None:
        self.registry = registry
        self.key = key
        self.tls = tls
        self.server_name = server_name if tls is not None else None
        self.trusted = trusted
        """A Service resolved by reference; anything else is checked at connect time."""
        self.balancer = Balancer()
        self.budget = RetryBudget()
        self.sole: Pool | None = None
        """The one pool when there is one address: no choice to make."""
        self._pools: dict[Endpoint, Pool] = {}

    def update(self, endpoints: Iterable[Endpoint]) -> None:
        """Replace the addresses; connections to those that left end when their answer does."""
        wanted = tuple(endpoints)
        for endpoint in [e for e in self._pools if e not in wanted]:
            self._pools.pop(endpoint).retire()
        self.balancer.update(wanted)
        self.sole = self._pool(wanted[0]) if len(wanted) == 1 else None

    def pick(self, now: float) -> Pool | None:
        """The pool of the address to use next; `None`: there is no address."""
        if self.sole is not None:
            return self.sole
        endpoint = self.balancer.pick(now)
        return None if endpoint is None else self._pool(endpoint)

    def _pool(self, endpoint: Endpoint) -> Pool:
        pool = self._pools.get(endpoint)
        if pool is None:
            pool = self._pools[endpoint] = Pool(self, endpoint)
        return pool

    def pools(self) -> Iterable[Pool]:
        """Every pool."""
        return self._pools.values()

    def __repr__(self) -> str:
        return f"<{self.key} {len(self._pools)} addresses, {self.balancer!r}>"


class Upstreams:
    """Every upstream of this worker, by key; outlives Runtimes."""

    SWEEP_S: Final = 1.0

    def __init__(self, settings: Settings, dialer: Dialer, deadlines: Deadlines) -> None:
        self.settings = settings
        self.dialer = dialer
        self._deadlines = deadlines
        self._by_key: dict[str, Upstream] = {}
        self._watched: set[Pool] = set()
        self._sweeping = False

    def get(
        self,
        key: str,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
        trusted: bool,
    ) -> Upstream:
        """The upstream of that key, made when it is new."""
        upstream = self._by_key.get(key)
        if upstream is None:
            upstream = self._by_key[key] = Upstream(
                self, key, tls=tls, server_name=server_name, trusted=trusted
            )
        return upstream

    def retain(self, keys: set[str]) -> None:
        """Forget upstreams that no configuration names any more."""
        for key in [key for key in self._by_key if key not in keys]:
            self.drop(key)

    def drop(self, key: str) -> None:
        """Forget one upstream; connections in use end with their answer."""
        upstream = self._by_key.pop(key, None)
        if upstream is not None:
            upstream.update(())

    def watch(self, pool: Pool) -> None:
        """`pool` has idle connections: sweep it until it has none."""
        self._watched.add(pool)
        if not self._sweeping:
            self._sweeping = True
            self._deadlines.schedule(self, self.SWEEP_S)

    def on_deadline(self) -> None:
        """Sweep."""
        now = time.monotonic()
        self._watched = {pool for pool in self._watched if pool.sweep(now)}
        self._sweeping = bool(self._watched)
        if self._sweeping:
            self._deadlines.schedule(self, self.SWEEP_S)

    def counts(self) -> tuple[int, int]:
        """(open, idle) connections in all."""
        pools = [pool for upstream in self._by_key.values() for pool in upstream.pools()]
        return sum(pool.open for pool in pools), sum(pool.idle for pool in pools)

    def close(self) -> None:
        """Close every connection."""
        for upstream in self._by_key.values():
            for pool in list(upstream.pools()):
                pool.close()
