"""Connections towards backends: one protocol, one pool per address, one registry.

`http/exchange.py` takes a connection, sends, and is told head, body and end; the pool keeps
what may be used again. Promises: bounded per address, idle ones closed before the backend
would (its `Keep-Alive: timeout` is honoured), one that becomes readable while idle is dropped,
a connection with anything left over is never reused. Lives outside any Runtime.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Protocol, cast

import httptools

from portico_dataplane.core.balancing import Balancer
from portico_dataplane.core.messages import Headers
from portico_dataplane.core.retries import RetryBudget
from portico_dataplane.effects.dialer import DialError, Dialer
from portico_dataplane.tasks import spawn
from portico_ir.model import Endpoint

if TYPE_CHECKING:
    import ssl

    from portico_dataplane.http.deadlines import Deadlines
    from portico_dataplane.settings import Settings

CLOSE_DELIMITED: Final = -2
CHUNKED: Final = -1


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
    """One connection to one address. Answers to one user at a time."""

    __slots__ = (
        "_bodiless",
        "_complete",
        "_head_bytes",
        "_headed",
        "_parser",
        "_pieces",
        "_pool",
        "_raw_left",
        "closed",
        "content_length",
        "headers",
        "idle_since",
        "idle_timeout",
        "keep_alive",
        "received",
        "reused",
        "status",
        "transport",
        "tunnel",
        "user",
    )

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.user: UpstreamUser | None = None
        self.closed = False
        self.tunnel = False
        self.reused = False
        self.received = False
        """Whether any byte of the current answer came."""
        self.idle_since = 0.0
        self.idle_timeout = pool.idle_timeout
        self.status = 0
        self.headers: Headers = []
        self.content_length = CHUNKED
        self.keep_alive = True
        self._parser: httptools.HttpResponseParser | None = None
        self._pieces: list[bytes] = []
        self._headed = self._complete = False
        self._bodiless = False
        self._head_bytes = 0
        self._raw_left = 0

    transport: asyncio.Transport

    # --- sending ----------------------------------------------------------------------------

    def send(self, user: UpstreamUser, head: bytes, *, bodiless: bool) -> None:
        """Write a request head (with or without the start of its body).

        `bodiless`: the answer has no body whatever it says (HEAD, RFC 9112 §6.3).
        """
        self.user = user
        self._bodiless = bodiless
        self._headed = self._complete = self.received = False
        self._head_bytes = self._raw_left = 0
        self.headers = []
        self.content_length = CLOSE_DELIMITED
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self.transport.write(head)

    def release(self) -> None:
        """The answer is complete and the request was sent whole: may serve another."""
        self.user = None
        if self.closed:
            return
        if self.keep_alive and not self.tunnel and not self._raw_left:
            self.reused = True
            self._pool.give_back(self)
        else:
            self.close()

    def close(self) -> None:
        """Close at once; the user hears nothing more."""
        self.user = None
        if not self.closed:
            self._forget()
            self.transport.abort()

    def _forget(self) -> None:
        self.closed = True
        self._parser = None  # it refers to us: break the cycle
        self._pool.lost(self)

    # --- asyncio.Protocol -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=256 * 1024)

    def data_received(self, data: bytes) -> None:
        user = self.user
        if user is None:
            # Readable while idle: whatever it is, it is no answer to a request of ours.
            self.close()
            return
        if self.tunnel:
            user.on_tunnel_data(data)
            return
        self.received = True
        if self._raw_left:
            self._raw(user, data)
            return
        parser = self._parser
        if parser is None:
            return
        headed = self._headed
        if not headed:
            self._head_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(user, data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            if not self._complete:
                self._fail(f"broken answer: {type(error).__name__}")
                return
            # A whole answer, then more: the answer is good, the connection is not.
            self.keep_alive = False
        if not self._headed:
            if self._head_bytes > self._pool.head_limit:
                self._fail("the answer's head is too large")
            return
        if len(self.headers) > self._pool.most_headers:
            self._fail("the answer has too many headers")
            return
        pieces = self._pieces
        if pieces:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._pieces = []
        else:
            body = b""
        complete = self._complete
        if not complete and self.content_length > 0:
            self._go_raw(body if not headed else None)
        if complete:
            self._parser = self._parser if self._reusable_parser() else None
        if not headed:
            user.on_response(self, body, complete)
        elif body or complete:
            user.on_response_body(body, complete)

    def _reusable_parser(self) -> bool:
        # After HEAD llhttp would wait for the body that Content-Length announces.
        return not self._bodiless and self.keep_alive

    def _go_raw(self, body: bytes | None) -> None:
        # The rest of a body of known length needs no parser, and so no copy.
        if body is not None:
            self._raw_left = self.content_length - len(body)
            self._parser = None

    def _raw(self, user: UpstreamUser, data: bytes) -> None:
        left = self._raw_left - len(data)
        if left < 0:
            data = data[:left]
            self.keep_alive = False
            left = 0
        self._raw_left = left
        self._complete = left == 0
        user.on_response_body(data, left == 0)

    def _upgraded(self, user: UpstreamUser, rest: bytes) -> None:
        if self.status != 101:
            self._fail("an upgrade that is none")
            return
        self.tunnel = True
        self._parser = None
        user.on_upgraded(self, rest)

    def _fail(self, cause: str) -> None:
        user = self.user
        self.close()
        if user is not None:
            user.on_upstream_lost(cause)

    def eof_received(self) -> bool:
        user = self.user
        if user is not None and self._headed and not self._complete:
            if self.content_length == CLOSE_DELIMITED and not self.tunnel:
                # RFC 9112 §6.3.8: the end of the connection is the end of the body.
                self._complete = True
                self.keep_alive = False
                user.on_response_body(b"", True)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        user = self.user
        self.user = None
        if self.closed:
            return
        self._forget()
        if user is not None:
            user.on_upstream_lost(str(exc) if exc else "the backend closed the connection")

    def pause_writing(self) -> None:
        if self.user is not None:
            self.user.on_upstream_paused(True)

    def resume_writing(self) -> None:
        if self.user is not None:
            self.user.on_upstream_paused(False)

    # --- llhttp callbacks -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A second answer before we asked: RFC 9112 §9.2 calls it an attack or a bug."""
        if self._complete:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headed:
            return  # a trailer: dropped
        self.headers.append((name, value.rstrip(b" \t") if value[-1:] in b" \t" else value))
        size = len(name)
        if size == 14:
            if name.lower() == b"content-length":
                self.content_length = int(value)
        elif size == 17:
            if name.lower() == b"transfer-encoding":
                self.content_length = CHUNKED
        elif size == 10 and name.lower() == b"keep-alive":
            self._note_keep_alive(value)

    def _note_keep_alive(self, value: bytes) -> None:
        for part in value.split(b","):
            key, _, number = part.strip().partition(b"=")
            if key.lower() == b"timeout" and number.isdigit() and len(number) < 7:
                # A second earlier than the backend: it may close while our request travels.
                self.idle_timeout = min(self._pool.idle_timeout, max(0.0, int(number) - 1.0))

    def on_headers_complete(self) -> None:
        if self._headed:
            return
        parser = self._parser
        if parser is None:
            return
        status = self.status = parser.get_status_code()
        if status < 200 and status != 101:
            self.headers = []  # RFC 9110 §15.2: interim; the final answer follows
            self.content_length = CLOSE_DELIMITED
            return
        self._headed = True
        self.keep_alive = parser.should_keep_alive()
        if self._bodiless or status in (204, 304):
            self._complete = True

    def on_body(self, body: bytes) -> None:
        if self._bodiless:
            self.keep_alive = False  # a body after HEAD: never read as the next answer
        elif not self._complete:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self._headed:
            self._complete = True


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
    )

    def __init__(self, upstream: Upstream, endpoint: Endpoint) -> None:
        settings = upstream.registry.settings
        self._upstream = upstream
        self.endpoint = endpoint
        self.idle_timeout = settings.upstream_idle_timeout_s
        self.head_limit = settings.upstream_head_limit
        self.most_headers = settings.upstream_max_headers
        self.retired = False
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
        return bool(self._idle)

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
