"""A call to a function or authorizer: one request, its answer whole.

Made by an exchange when a buffered integration or a policy needs it; uses the same upstreams,
dialer and pools as everything else. Retried only when nothing was written, because an invocation
is not idempotent (RFC 9110 §9.2.2), or when all that was sent is a question. Promises: exactly one
result, unless cancelled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from portico_dataplane.core.load import Share
from portico_dataplane.core.messages import Request
from portico_dataplane.core.retries import SETTLING_S, may_retry
from portico_dataplane.core.templates import BadTemplate
from portico_dataplane.core.verdicts import CallFunction, FunctionAnswer, Unavailable
from portico_dataplane.effects.dialer import DialError, DialKind, failure_of
from portico_dataplane.http.pools import Pool, Upstream
from portico_dataplane.http.upstream import UpstreamConnection
from portico_dataplane.integrations.http import PreparedTarget
from portico_ir.errors import ErrorKind

if TYPE_CHECKING:
    from portico_dataplane.app import Gateway
    from portico_dataplane.http.deadlines import Slot

ANSWER_LIMIT: Final = 10 * 1024 * 1024
"""Bytes of a function's answer (AWS: 6 MB of payload, 10 MB of API Gateway's)."""


class FunctionCall:
    """One invocation in progress."""

    __slots__ = (
        "_attempts",
        "_connection",
        "_deadline",
        "_done",
        "_effect",
        "_gateway",
        "_head",
        "_pause",
        "_pieces",
        "_pool",
        "_request",
        "_share",
        "_size",
        "_slot",
        "_target",
        "_upstream",
    )

    def __init__(
        self,
        gateway: Gateway,
        request: Request,
        target: PreparedTarget,
        effect: CallFunction,
        done: Callable[[FunctionAnswer | Unavailable], None],
    ) -> None:
        self._gateway = gateway
        self._request = request
        self._target = target
        self._effect = effect
        self._done: Callable[[FunctionAnswer | Unavailable], None] | None = done
        self._head = b""
        self._attempts = 0
        self._pieces: list[bytes] = []
        self._size = 0
        self._pool: Pool | None = None
        self._upstream: Upstream | None = None
        self._share: Share | None = None
        self._connection: UpstreamConnection | None = None
        self._slot: Slot | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._deadline = time.monotonic() + effect.timeout_ms / 1000

    def start(self) -> None:
        """Resolve, connect, send."""
        effect = self._effect
        target = self._target
        try:
            url = target.url.render(self._request.path_parameters) if target.url else None
        except (BadTemplate, KeyError) as error:
            self._end(Unavailable(ErrorKind.API_CONFIGURATION_ERROR, str(error)))
            return
        path = (url.path if url is not None else "") or "/"
        if effect.path:
            path = path.rstrip("/") + effect.path
        elif url is not None and url.query:
            path = f"{path}?{url.query}"
        upstream, host_line = target.upstream, target.host_line
        if upstream is None:
            assert url is not None
            upstream = self._gateway.targets.by_address(url.scheme, url.host, url.port, target.tls)
            host_line = f"Host: {url.authority}\r\n".encode("ascii")
        self._upstream = upstream
        if not self._gateway.load.burden(upstream.share):
            self._end(Unavailable(ErrorKind.OVERLOAD, "too many calls are under way"))
            return
        self._share = upstream.share
        upstream.budget.earn()
        parts = [b"%b %b HTTP/1.1\r\n" % (effect.method, path.encode("ascii")), host_line]
        for name, value in effect.headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"X-Amzn-Trace-Id: %b\r\n" % self._request.trace_id.encode("latin-1"))
        if effect.body or effect.method == b"POST":
            parts.append(b"Content-Length: %d\r\n" % len(effect.body))
        parts += (b"\r\n", effect.body)
        self._head = b"".join(parts)
        self._slot = self._gateway.deadlines.schedule(self, effect.timeout_ms / 1000)
        self._attempt()

    def end(self) -> None:
        """The client left; nobody waits for the result."""
        self._done = None
        self._end(None)

    def _attempt(self) -> None:
        upstream = self._upstream
        assert upstream is not None
        self._attempts += 1
        pool = self._pool = upstream.pick(time.monotonic(), self._attempts)
        if pool is None:
            self._end(Unavailable(ErrorKind.NO_ENDPOINT, f"nothing is ready behind {upstream.key}"))
            return
        connection = pool.take()
        if connection is not None:
            self.on_connection(connection)
        else:
            pool.connect(self)

    # --- UpstreamUser -----------------------------------------------------------------------

    def on_connection(self, connection: UpstreamConnection) -> None:
        """Send everything."""
        if self._done is None:
            connection.release()
            return
        self._connection = connection
        connection.send(self, self._head, bodiless=False)

    def on_no_connection(self, error: DialError | None) -> None:
        """Try another address, or give up: nothing was written."""
        pool, upstream = self._pool, self._upstream
        if self._done is None or pool is None or upstream is None:
            return
        if error is None:
            self._end(Unavailable(ErrorKind.OVERLOAD, "too many calls wait for a connection"))
            return
        if error.kind is DialKind.REFUSED_BY_POLICY:
            self._end(Unavailable(failure_of(error), str(error)))
            return
        upstream.balancer.failed(pool.endpoint, time.monotonic())
        elsewhere = upstream.trusted or upstream.sole is None
        if elsewhere and self._may_repeat(written=False) and upstream.budget.spend():
            if upstream.is_moving(pool.endpoint):
                self._pause = asyncio.get_running_loop().call_later(SETTLING_S, self._attempt)
            else:
                self._attempt()
        else:
            self._end(Unavailable(failure_of(error), str(error)))

    def _may_repeat(self, *, written: bool) -> bool:
        return may_retry(written=written, method="POST", replayable=True, attempts=self._attempts)

    def on_response(self, connection: UpstreamConnection, body: bytes, complete: bool) -> None:
        """The answer begins."""
        self.on_response_body(body, complete)

    def on_response_body(self, body: bytes, complete: bool) -> None:
        """The answer goes on, or ends."""
        connection = self._connection
        if connection is None:
            return
        self._size += len(body)
        if self._size > ANSWER_LIMIT:
            self._end(Unavailable(ErrorKind.MALFORMED_FUNCTION_ANSWER, "the answer is too large"))
            return
        self._pieces.append(body)
        if not complete:
            return
        error = b""
        headers: list[tuple[bytes, bytes]] = []
        for line in connection.answer.lines:
            if line.lower == b"x-amz-function-error":
                error = line.value
            if line.lower in self._effect.wanted:
                headers.append((line.name, line.value))
        self._connection = None
        status = connection.answer.status
        pool, upstream = self._pool, self._upstream
        if pool is not None and upstream is not None and upstream.sole is None:
            upstream.balancer.answered(pool.endpoint, status, time.monotonic())
        connection.release()
        body = b"".join(self._pieces)
        self._end(FunctionAnswer(status, error.decode("latin-1"), body, tuple(headers)))

    def on_upstream_lost(self, cause: str) -> None:
        """The connection broke."""
        connection, self._connection = self._connection, None
        stale = connection is not None and connection.reused and not self._size
        refused = connection is not None and connection.refused
        pool, upstream = self._pool, self._upstream
        if self._done is None or pool is None or upstream is None:
            return
        if not stale:
            upstream.balancer.failed(pool.endpoint, time.monotonic())
        elif self._may_repeat(written=not self._effect.question) and upstream.budget.spend():
            # It was closed while it was idle, most likely.
            self._attempt()
            return
        kind = ErrorKind.API_CONFIGURATION_ERROR if refused else ErrorKind.INTEGRATION_FAILURE
        self._end(Unavailable(kind, cause))

    def on_upstream_paused(self, paused: bool) -> None:
        """The whole invocation was written at once; the transport holds it."""

    def on_upgraded(self, connection: UpstreamConnection, rest: bytes) -> None:
        """Never asked for."""
        self._end(Unavailable(ErrorKind.INTEGRATION_FAILURE, "an upgrade nobody asked for"))

    def on_tunnel_data(self, data: bytes) -> None:
        """Never: there is no tunnel."""

    def on_deadline(self) -> None:
        """The function took too long."""
        pool, upstream = self._pool, self._upstream
        if self._connection is not None and pool is not None and upstream is not None:
            upstream.balancer.failed(pool.endpoint, time.monotonic())
        self._end(Unavailable(ErrorKind.INTEGRATION_TIMEOUT, "no answer in time"))

    def _end(self, result: FunctionAnswer | Unavailable | None) -> None:
        done, self._done = self._done, None
        if self._pause is not None:
            self._pause.cancel()
        if self._share is not None:
            self._share.held -= 1
            self._share = None
        if self._slot is not None:
            self._slot.discard(self)
            self._slot = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        elif self._pool is not None:
            self._pool.forget(self)
        if done is not None and result is not None:
            done(result)
