"""The TLS handshakes of a worker: how many at once, whose turn it is, what became of them.

Owned by `http/listeners.py`, asked by each `http/tls.py`. A handshake costs a millisecond of CPU,
a request a twentieth. Promises: a flood of handshakes is bounded and is answered a few
milliseconds at a time, so that requests on open connections go on in between; failures are
counted by cause and logged sparsely.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from portico_dataplane.core.crowd import TOTAL
from portico_dataplane.core.tls_facts import TlsFacts
from portico_dataplane.effects.certificates import CertificateStore
from portico_dataplane.http.alerts import Cause
from portico_ir.errors import ErrorKind

if TYPE_CHECKING:
    from portico_dataplane.app import Gateway
    from portico_dataplane.http.connection import ClientConnection
    from portico_dataplane.http.deadlines import Slot
    from portico_dataplane.http.tls import TlsStream

_log = logging.getLogger(__name__)

_TURN_S: Final = 0.005
"""How long handshakes are answered before requests have their turn."""
_MOST_LOGGED: Final = 10
_LOG_PERIOD_S: Final = 10.0
_METHODS: Final = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"PATCH ", b"OPTIONS ")

COMPLETED: Final = "completed"
"""Beside the causes of failures, a result in metrics."""


class Handshakes:
    """All TLS connections of one worker."""

    def __init__(
        self,
        gateway: Gateway,
        certificates: CertificateStore,
        connect: Callable[[], ClientConnection],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.certificates = certificates
        self.open = 0
        """Connections whose handshake is over."""
        self.results: dict[str, int] = {}
        """How many ended how."""
        self._gateway = gateway
        self._connect = connect
        self._pending: dict[TlsStream, str] = {}
        """Each with its client's address."""
        self._ending: set[TlsStream] = set()
        """Failed, and told why: they read on for a moment."""
        self._queue: deque[TlsStream] = deque()
        self._turn_asked = False
        self._period_began = 0.0
        self._logged = 0
        self._unlogged = 0

    @property
    def pending(self) -> int:
        """Under way."""
        return len(self._pending)

    def admit(self, stream: TlsStream) -> bool:
        """Whether there is room for one more."""
        settings = self._gateway.settings
        pending = len(self._pending)
        if pending >= settings.tls_max_handshakes:
            return False
        crowd = self._gateway.crowd
        if pending + len(self._gateway.connections) >= settings.max_connections:
            crowd.refused[TOTAL] += 1
            return False
        client = stream.client
        if not crowd.enter(client):
            return False
        self._pending[stream] = client
        return True

    def wait(self, stream: TlsStream, seconds: float | None = None) -> Slot:
        """A deadline; by default that of a handshake, the same as of a request's head."""
        if seconds is None:
            seconds = self._gateway.settings.head_timeout_s
        return self._gateway.deadlines.schedule(stream, seconds)

    def enqueue(self, stream: TlsStream) -> None:
        """Answer it when its turn has come."""
        self._queue.append(stream)
        if not self._turn_asked:
            self._turn_asked = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        end = time.monotonic() + _TURN_S
        queue = self._queue
        while queue:
            stream = queue.popleft()
            try:
                stream.begin()
            except Exception:
                _log.exception("a handshake could not be answered")  # and those behind it can
                stream.abort()
            if time.monotonic() >= end:
                break
        self._turn_asked = bool(queue)
        if queue:
            self.loop.call_soon(self._turn)

    def opened(self, stream: TlsStream, facts: TlsFacts) -> ClientConnection:
        """It has come through: the connection that reads from here on."""
        self._pending.pop(stream, None)  # the connection counts from here on
        self.open += 1
        self._count(COMPLETED)
        connection = self._connect()
        connection.tls = facts
        return connection

    def failed(self, stream: TlsStream, cause: Cause, reason: str = "") -> None:
        """It has not."""
        client = self._pending.pop(stream, None)
        if client is not None:
            self._gateway.crowd.leave(client)
        self._count(cause.value)
        now = time.monotonic()
        if now - self._period_began >= _LOG_PERIOD_S:
            if self._unlogged:
                _log.info("TLS handshakes failed", extra={"not_logged": self._unlogged})
            self._period_began, self._logged, self._unlogged = now, 0, 0
        self._logged += 1
        if self._logged > _MOST_LOGGED:
            self._unlogged += 1
            return
        name = stream.server_name
        if cause is Cause.BROKEN:
            reason = self.certificates.failure(name)
        _log.info(
            "TLS handshake failed",
            extra={
                "cause": cause.value,
                "reason": reason,
                "server_name": name,
                "client": stream.client,
            },
        )

    def may_linger(self, stream: TlsStream) -> bool:
        """Whether one that failed may be told: as many as may be in their handshake."""
        if len(self._ending) >= self._gateway.settings.tls_max_handshakes:
            return False
        self._ending.add(stream)
        return True

    def gone(self, stream: TlsStream) -> None:
        """One that failed is closed."""
        self._ending.discard(stream)

    def _count(self, result: str) -> None:
        self.results[result] = self.results.get(result, 0) + 1

    def answer_in_plain(self, data: bytes) -> bytes:
        """To who speaks HTTP on this port: told so, as nginx does; to others nothing."""
        if data.startswith(_METHODS):
            return self._gateway.refusal(ErrorKind.BAD_REQUEST)
        return b""

    def abort(self) -> None:
        """Cut those under way."""
        for stream in list(self._pending):
            stream.abort()
