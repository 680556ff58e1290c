"""What a load balancer says first, taken off a connection before anybody else sees it.

Put by `http/listeners.py` in front of plaintext and TLS alike where `--proxy-protocol` is on.
Promises: only who is among the class's `trustedProxies` is believed, and nobody else is let in at
all; who says nothing in time, or nonsense, is cut. Then the client's address is the one it names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from portico_dataplane.core import proxy_protocol
from portico_dataplane.core.crowd import TOTAL
from portico_dataplane.core.proxy_protocol import Unread
from portico_dataplane.http.tls import Origin

if TYPE_CHECKING:
    from portico_dataplane.app import Gateway
    from portico_dataplane.http.deadlines import Slot

Begin = Callable[[asyncio.Transport, Origin | None, bytes], None]
"""Goes on with the connection: its ends, when they were told, and the bytes that came."""


class Preface(asyncio.Protocol):
    """One connection until its header is read."""

    def __init__(
        self, gateway: Gateway, waiting: set[Preface], refused: dict[str, int], begin: Begin
    ) -> None:
        self._gateway = gateway
        self._waiting = waiting
        self._refused = refused
        self._begin = begin
        self._held = b""
        self._slot: Slot = set()

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        gateway = self._gateway
        peer = transport.get_extra_info("peername")
        if not isinstance(peer, tuple) or not gateway.trusts(peer[0]):
            self._refuse("untrusted")
            return
        if len(self._waiting) + len(gateway.connections) >= gateway.settings.max_connections:
            gateway.crowd.refused[TOTAL] += 1
            self._refuse("overload")
            return
        self._waiting.add(self)
        self._slot = gateway.deadlines.schedule(self, gateway.settings.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        self._held += data
        read = proxy_protocol.read(self._held)
        if read is Unread.INCOMPLETE:
            return
        self._end()
        if isinstance(read, Unread):
            self._refuse("missing" if read is Unread.MISSING else "malformed")
            return
        origin = Origin(read.source, read.destination_port) if read.source else None
        self._begin(self._transport, origin, self._held[read.size :])

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def on_deadline(self) -> None:
        """Nothing, or half of it, came in time."""
        self._refuse("timeout")

    def abort(self) -> None:
        """Cut it."""
        self._end()
        self._transport.abort()

    def _refuse(self, cause: str) -> None:
        self._refused[cause] = self._refused.get(cause, 0) + 1
        self.abort()

    def _end(self) -> None:
        self._waiting.discard(self)
        self._slot.discard(self)
