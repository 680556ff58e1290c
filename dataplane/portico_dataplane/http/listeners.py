"""Where a worker accepts: plaintext and TLS, each with or without a load balancer's preface.

Owned by the gateway. Promises: a plaintext connection costs what it did without TLS; whatever is
accepted and not yet a client connection is bounded, has a deadline, and ends with the gateway.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from portico_dataplane.effects.certificates import CertificateStore, FileCertificate, Source
from portico_dataplane.http.connection import ClientConnection
from portico_dataplane.http.handshakes import Handshakes
from portico_dataplane.http.preface import Preface
from portico_dataplane.http.tls import Origin, TlsStream
from portico_dataplane.telemetry.readings import HANDSHAKES, PREFACES
from portico_ir.domains import DomainUnit

if TYPE_CHECKING:
    from portico_dataplane.app import Gateway
    from portico_dataplane.settings import Settings


class Listeners:
    """Every listening socket of one gateway."""

    def __init__(self, gateway: Gateway, find: Callable[[str], DomainUnit | None]) -> None:
        self._gateway = gateway
        self._plain: list[asyncio.Server] = []
        self._secure: list[asyncio.Server] = []
        self._prefaces: set[Preface] = set()
        self._refused: dict[str, int] = {}
        """How many connections had no good preface, and why."""
        settings = gateway.settings
        store = CertificateStore(find, _default(settings), settings.tls_contexts)
        self.handshakes = Handshakes(gateway, store, lambda: ClientConnection(gateway))

    async def open(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on these; the one on the TLS port is told by its number."""
        settings = self._gateway.settings
        for listening in sockets:
            secure = listening.getsockname()[1] == settings.tls_port
            await self._open(secure, sock=listening)

    async def open_by_settings(self) -> None:
        """Accept where the settings say. OSError: port in use."""
        settings = self._gateway.settings
        await self._open(False, host=settings.host or None, port=settings.port)
        if settings.tls_port is not None:
            await self._open(True, host=settings.host or None, port=settings.tls_port)

    async def _open(
        self,
        secure: bool,
        *,
        sock: socket.socket | None = None,
        host: str | None = None,
        port: int = 0,
    ) -> None:
        loop = asyncio.get_running_loop()
        accepted = self._secured if secure else self._accepted
        if self._gateway.settings.proxy_protocol:
            accepted = self._prefaced_secured if secure else self._prefaced
        backlog = self._gateway.settings.backlog
        if sock is not None:
            server = await loop.create_server(accepted, sock=sock, backlog=backlog)
        else:
            server = await loop.create_server(accepted, host, port, backlog=backlog)
        (self._secure if secure else self._plain).append(server)

    # Factories.

    def _accepted(self) -> asyncio.Protocol:
        return ClientConnection(self._gateway)

    def _secured(self) -> asyncio.Protocol:
        return TlsStream(self.handshakes)

    def _prefaced(self) -> asyncio.Protocol:
        return Preface(self._gateway, self._prefaces, self._refused, self._begin)

    def _prefaced_secured(self) -> asyncio.Protocol:
        return Preface(self._gateway, self._prefaces, self._refused, self._begin_secured)

    def _begin(self, transport: asyncio.Transport, origin: Origin | None, rest: bytes) -> None:
        connection = ClientConnection(self._gateway)
        transport.set_protocol(connection)
        if origin is not None:
            connection.peer, connection.port = origin
        connection.connection_made(transport)
        if rest and not transport.is_closing():
            connection.data_received(rest)

    def _begin_secured(
        self, transport: asyncio.Transport, origin: Origin | None, rest: bytes
    ) -> None:
        stream = TlsStream(self.handshakes, origin)
        transport.set_protocol(stream)
        stream.connection_made(transport)
        if rest:
            stream.data_received(rest)

    # What others ask.

    @property
    def port(self) -> int:
        """The plaintext port in use."""
        return _port(self._plain)

    @property
    def tls_port(self) -> int:
        """The TLS port in use; 0: none."""
        return _port(self._secure) if self._secure else 0

    def gauges(self) -> dict[str, float]:
        """Momentary values, for metrics."""
        return {
            "tls_connections": self.handshakes.open,
            "tls_handshakes_in_progress": self.handshakes.pending,
        }

    def counters(self) -> dict[str, float]:
        """What only grows: `family.label`."""
        results = self.handshakes.results
        counted = {f"{HANDSHAKES}.{name}": float(count) for name, count in results.items()}
        for name, count in self._refused.items():
            counted[f"{PREFACES}.{name}"] = float(count)
        return counted

    def close(self) -> None:
        """Accept no more."""
        for server in (*self._plain, *self._secure):
            server.close()

    def abort(self) -> None:
        """Cut what has not become a client connection."""
        self.close()
        for preface in list(self._prefaces):
            preface.abort()
        self.handshakes.abort()


def _port(servers: list[asyncio.Server]) -> int:
    return int(servers[0].sockets[0].getsockname()[1])


def _default(settings: Settings) -> Source | None:
    """Where the certificate of names comes from that no domain has one for."""
    if settings.tls_certificate:
        return FileCertificate(settings.tls_certificate, settings.tls_key)
    if settings.tls_self_signed:
        from portico_dataplane.effects.self_signed import SelfSigned  # large, and for dev only

        return SelfSigned()
    return None
