"""Who may connect, and who is turned away, and how.

Asked by `http/connection.py` as a connection begins and ends. Promises: whoever is let in is among
the gateway's connections, and counted as its client's, until it is gone; what is turned away costs
a descriptor for two seconds at most, and beyond a bound of such ones not even that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portico_dataplane.core.crowd import TOTAL
from portico_ir.errors import ErrorKind

if TYPE_CHECKING:
    from portico_dataplane.app import Gateway
    from portico_dataplane.http.connection import ClientConnection

MOST_TOLD: Final = 1_024
"""Connections beyond the most that are told so, and linger for it, where the most is large (else a
sixteenth of it); further ones are cut."""


def enter(gateway: Gateway, connection: ClientConnection) -> bool:
    """Whether it may stay; one that may not is told, or cut. Fills in both of its ends."""
    transport = connection.transport
    if not connection.peer:  # otherwise a load balancer has told both
        peer = transport.get_extra_info("peername")
        local = transport.get_extra_info("sockname")
        connection.peer = peer[0] if isinstance(peer, tuple) else ""
        connection.port = local[1] if isinstance(local, tuple) else 0
    crowd = gateway.crowd
    # Over TLS it was counted before its handshake.
    if connection.tls is None and not crowd.enter(connection.peer):
        # At once and without a word: an answer, and waiting until it is read, would cost what the
        # limit is there to save, and whoever does this does not read it.
        transport.abort()
        return False
    gateway.connections.add(connection)
    most = gateway.settings.max_connections
    excess = len(gateway.connections) - most
    if excess <= 0:
        return True
    crowd.refused[TOTAL] += 1
    if excess <= min(MOST_TOLD, 1 + most // 16):
        # This may be any client, whose own doing it is not: it learns that it is no fault.
        connection.refuse(ErrorKind.OVERLOAD)
    else:
        transport.abort()
    return False


def leave(gateway: Gateway, connection: ClientConnection) -> None:
    """It is gone."""
    if connection in gateway.connections:
        gateway.connections.discard(connection)
        gateway.crowd.leave(connection.peer)
