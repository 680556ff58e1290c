"""A tunnel: after 101 bytes pass both ways, unparsed (WebSocket to a Service).

Made by `http/forwarding.py` when the backend has switched; from then on it is the exchange's work
and the user of the backend's connection. Promises: bounded memory both ways; what one side said
before it left reaches the other, as long as that one takes it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from portico_dataplane.http.stall import Stall

if TYPE_CHECKING:
    from portico_dataplane.effects.dialer import DialError
    from portico_dataplane.http.deadlines import Slot
    from portico_dataplane.http.exchange import Exchange
    from portico_dataplane.http.upstream import UpstreamConnection


class Tunnel:
    """One tunnel, until either side leaves."""

    __slots__ = ("_connection", "_exchange", "_slot", "_stall")

    def __init__(self, exchange: Exchange, connection: UpstreamConnection) -> None:
        self._exchange = exchange
        self._connection = connection
        settings = exchange.gateway.settings
        rate = settings.min_write_rate
        self._stall = Stall(connection.transport, settings.write_timeout_s, rate)
        self._slot: Slot | None = None

    def begin(self, head: bytes) -> None:
        """Pass on the backend's switch, then whatever the client has sent meanwhile."""
        client = self._exchange.client
        client.transport.write(head)
        early = client.become_tunnel()
        if early:
            self._connection.transport.write(early)

    # --- the client's side --------------------------------------------------------------------

    def on_request_body(self, piece: bytes, complete: bool) -> None:
        """Never: a request for a tunnel has no body."""

    def on_client_tunnel_data(self, data: bytes) -> None:
        """Bytes from the client."""
        self._connection.transport.write(data)

    def on_client_paused(self, paused: bool) -> None:
        """The client is behind (or not any more): so is the backend."""
        self._connection.hold(paused)

    # --- the backend's side -------------------------------------------------------------------

    def on_tunnel_data(self, data: bytes) -> None:
        """Bytes from the backend."""
        exchange = self._exchange
        exchange.outcome.response_length += len(data)
        exchange.client.transport.write(data)

    def on_upstream_paused(self, paused: bool) -> None:
        """The backend is behind: read no more from the client. Its leaving would go unnoticed
        meanwhile, so this has an end."""
        self._exchange.client.pause_body(paused)
        self._stall.rest()
        if paused:
            self._stall.watch(time.monotonic())
            self._wake()

    def on_upstream_lost(self, cause: str) -> None:
        """The backend left."""
        self._exchange.end_tunnel()

    def on_deadline(self) -> None:
        """Time to look whether the backend takes anything."""
        self._slot = None
        if self._stall.stalled(time.monotonic()):
            self._connection.close()
            self._exchange.cut("the backend took nothing for too long")
        else:
            self._wake()

    def _wake(self) -> None:
        deadlines = self._exchange.gateway.deadlines
        if self._slot is None and self._stall.due < float("inf"):
            self._slot = deadlines.at(self._stall.due, self)

    def end(self) -> None:
        """The exchange is over; the client's last words are still the backend's."""
        if self._slot is not None:
            self._slot.discard(self)
        self._connection.finish()

    # --- what does not happen any more ----------------------------------------------------------

    def on_connection(self, connection: UpstreamConnection) -> None:
        """Never."""

    def on_no_connection(self, error: DialError | None) -> None:
        """Never."""

    def on_response(self, connection: UpstreamConnection, body: bytes, complete: bool) -> None:
        """Never."""

    def on_response_body(self, body: bytes, complete: bool) -> None:
        """Never."""

    def on_upgraded(self, connection: UpstreamConnection, rest: bytes) -> None:
        """Never."""
