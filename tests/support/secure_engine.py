"""The real engine with a TLS port and domains, and OpenSSL clients for it.

Used by tests of the TLS listener. Clients block; the gateway runs on a loop of its own thread.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import uvloop

from engine import UPSTREAM, Engine, snapshot
from pki import Authority, Pair
from portico_dataplane.http.alerts import Cause
from portico_ir import codec
from portico_ir.domains import DomainUnit, MutualTls, TlsPolicy
from portico_ir.domains import Mapping as DomainMapping
from portico_ir.model import Endpoint, Snapshot, Unit

REST = "api/test/RestApi/rest"
LOOPS: tuple[Callable[[], asyncio.AbstractEventLoop], ...] = (
    uvloop.new_event_loop,
    asyncio.SelectorEventLoop,
)
GET = b"GET /x HTTP/1.1\r\nHost: %b\r\n\r\n"


def domain(
    *hosts: str,
    pair: Pair | None = None,
    policy: TlsPolicy | None = None,
    mutual: str = "",
    **more: Any,
) -> DomainUnit:
    """A DomainName whose every path reaches the REST API."""
    return DomainUnit(
        object=f"test/{hosts[0].replace('*', 'any')}",
        hosts=hosts,
        certificate=pair.contract() if pair is not None else None,
        policy=policy or TlsPolicy(),
        mutual=MutualTls(authorities=mutual) if mutual else None,
        mappings=(DomainMapping(key="", api=REST, stage="$default"),),
        **more,
    )


class SecureEngine(Engine):
    """An engine that has these domains, by unit id or by their first host."""

    def __init__(
        self,
        *domains: DomainUnit,
        loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
        gateway: Unit | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**{"tls_port": 0, **settings})
        self._loop.close()
        self._loop = loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine", daemon=True)
        self._domains = domains
        self._gateway_unit = gateway

    @property
    def tls_port(self) -> int:
        """Where TLS is spoken."""
        return self.gateway.listeners.tls_port

    def results(self) -> dict[str, int]:
        """How handshakes ended so far."""
        return self.ask(lambda: dict(self.gateway.listeners.handshakes.results))

    def until_counted(self, cause: Cause, times: int = 1) -> None:
        """Wait until so many handshakes failed of it."""
        handshakes = self.gateway.listeners.handshakes
        self.until(lambda: handshakes.results.get(cause.value, 0) >= times, f"{cause} is counted")

    def replace(self, *domains: DomainUnit) -> None:
        """Serve these domains from now on."""
        self._domains = domains
        applied = self.run(self.gateway.apply(self._snapshot()))
        assert not applied.refused, applied.refused

    def _snapshot(self) -> Snapshot:
        plain = super()._snapshot()
        units: dict[str, Unit] = {name: codec.decode_unit(raw) for name, raw in plain.units.items()}
        if self._gateway_unit is not None:
            units["gateway"] = self._gateway_unit
        units |= {f"domain/{unit.object}": unit for unit in self._domains}
        endpoints: Mapping[str, tuple[Endpoint, ...]] = plain.endpoints.upstreams
        return snapshot(units, {UPSTREAM: endpoints[UPSTREAM]})


def trusting(
    authority: Authority | None,
    *,
    client: Path | None = None,
    most: ssl.TLSVersion | None = None,
    ciphers: str = "",
    protocols: tuple[str, ...] = ("http/1.1",),
) -> ssl.SSLContext:
    """A client's context; without an authority it believes anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=authority.pem)
    if client is not None:
        context.load_cert_chain(client)
    if most is not None:
        context.maximum_version = most
    if ciphers:
        context.set_ciphers(ciphers)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def connect(
    port: int,
    context: ssl.SSLContext,
    name: str | None,
    *,
    session: ssl.SSLSession | None = None,
    first: bytes = b"",
    receive_buffer: int = 0,
) -> ssl.SSLSocket:
    """A TLS connection; `first` goes before the handshake. An end that is not announced raises."""
    sock = socket.socket()
    try:
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", port))
        if first:
            sock.sendall(first)
        return context.wrap_socket(
            sock, server_hostname=name, session=session, suppress_ragged_eofs=False
        )
    except BaseException:
        sock.close()
        raise


def cut(sock: socket.socket) -> bool:
    """Whether the gateway ended the connection without a word."""
    try:
        return sock.recv(100) == b""
    except ConnectionResetError:
        return True


def answer(sock: ssl.SSLSocket | socket.socket, request: bytes) -> bytes:
    """What comes back to one request, head and body (Content-Length)."""
    sock.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        more = sock.recv(65_536)
        assert more, f"ended within the head: {received!r}"
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        more = sock.recv(65_536)
        assert more, "ended within the body"
        body += more
    return head + b"\r\n\r\n" + body


def get(
    port: int, context: ssl.SSLContext, name: str, *, host: str = "", path: str = "/x"
) -> bytes:
    """One request on one connection."""
    with connect(port, context, name) as sock:
        return answer(sock, f"GET {path} HTTP/1.1\r\nHost: {host or name}\r\n\r\n".encode())
