"""The one way out: every outgoing connection is opened here.

Called by `http/upstream.py` and whatever else connects. Promises: the decision is made on the
resolved address and that very address is dialled, so nothing resolves in between (design,
"Outgoing connections"); names are looked up once for all who ask at the same time; everything
ends within the time given; failures are one `DialError` of a closed set of kinds; a caller
that is cancelled leaves no socket behind.
"""

from __future__ import annotations

import asyncio
import enum
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeVar, assert_never

from portico_dataplane.core.egress import EgressPolicy
from portico_dataplane.effects.tls_client import ClientTlsStream, NoTls
from portico_dataplane.tasks import spawn
from portico_ir.errors import ErrorKind

P = TypeVar("P", bound=asyncio.Protocol)

Resolver = Callable[[str], Awaitable[list[str]]]
"""Host name to addresses, best first; OSError when there are none."""

CACHE_S: Final = 5.0
"""How long an answer of the resolver holds: short, because we do not see its TTL."""
CACHE_FAILED_S: Final = 1.0
_MOST_NAMES: Final = 1024
"""Names remembered; hosts with variables let clients choose them."""


class DialKind(enum.Enum):
    """Why there is no connection."""

    REFUSED_BY_POLICY = "refused by policy"
    DNS = "name not resolved"
    CONNECT = "not connected"
    TLS = "TLS failed"
    TIMEOUT = "timed out"


class DialError(Exception):
    """There is no connection. The text is for the log, never for a client."""

    def __init__(self, kind: DialKind, cause: str) -> None:
        super().__init__(f"{kind.value}: {cause}")
        self.kind = kind
        self.cause = cause


def failure_of(error: DialError) -> ErrorKind:
    """What a request ends with that needed the connection.

    A certificate that one side does not take is a fault of the configuration, as at AWS: "Execution
    failed due to configuration error", 500.
    """
    match error.kind:
        case DialKind.REFUSED_BY_POLICY | DialKind.TLS:
            return ErrorKind.API_CONFIGURATION_ERROR
        case DialKind.DNS | DialKind.CONNECT | DialKind.TIMEOUT:
            return ErrorKind.INTEGRATION_FAILURE
        case _:
            assert_never(error.kind)


class _Looked(NamedTuple):
    """What the resolver said."""

    addresses: tuple[str, ...]
    error: str
    """Why there are none."""
    until: float
    """Loop time at which to ask again."""


class Dialer:
    """Opens connections for one event loop."""

    def __init__(self, policy: EgressPolicy, resolver: Resolver | None = None) -> None:
        self._policy = policy
        self._resolver = _system_resolver if resolver is None else resolver
        self._known: dict[str, _Looked] = {}
        self._asking: dict[str, asyncio.Task[_Looked]] = {}

    async def resolve(self, host: str) -> tuple[str, ...]:
        """The addresses of a host, best first; `DialError` of kind DNS when there are none."""
        if _is_address(host):
            return (host,)
        known = self._known.get(host)
        if known is None or known.until <= asyncio.get_running_loop().time():
            asking = self._asking.get(host)
            if asking is None:
                asking = self._asking[host] = spawn(self._look_up(host), name=f"resolve {host}")
            # One that is cancelled must not take the answer from the others.
            known = await asyncio.shield(asking)
        if not known.addresses:
            raise DialError(DialKind.DNS, f"{host}: {known.error}")
        return known.addresses

    async def connect(
        self,
        protocol_factory: Callable[[], P],
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
        timeout_s: float,
        trusted: bool = False,
    ) -> tuple[asyncio.Transport, P]:
        """A connection, or `DialError`.

        `trusted` says that the address was given by reference (a Service's endpoint), not by a
        URL that somebody wrote; then no policy is asked. `timeout_s` covers everything. A `tls`
        that verifies nothing takes any authority's certificates, for the right name only.
        """
        end = asyncio.get_running_loop().time() + timeout_s
        server_hostname = server_hostname or host
        if tls is not None:
            _check_name(tls, server_hostname)
        try:
            async with asyncio.timeout_at(end):
                addresses = await self.resolve(host)
                if not trusted:
                    addresses = self._permitted(host, addresses)
                if tls is None:
                    return await self._first(_once(protocol_factory), host, addresses, port, end)

                def stream() -> ClientTlsStream:
                    return ClientTlsStream(tls, server_hostname, session)

                transport, secured = await self._first(stream, host, addresses, port, end)
                return secured, await _shaken(transport, secured, protocol_factory, server_hostname)
        except TimeoutError:
            raise DialError(
                DialKind.TIMEOUT, f"{host}:{port}: no connection within {timeout_s:g} s"
            ) from None

    async def _look_up(self, host: str) -> _Looked:
        """Ask the resolver; an answer in any case, because several wait for it."""
        loop = asyncio.get_running_loop()
        try:
            addresses = tuple(dict.fromkeys(await self._resolver(host)))
            error = "" if addresses else "the name has no address"
        except (OSError, UnicodeError) as failure:
            addresses, error = (), _told(failure)
        finally:
            self._asking.pop(host, None)
        until = loop.time() + (CACHE_S if addresses else CACHE_FAILED_S)
        looked = _Looked(addresses, error, until)
        self._known.pop(host, None)
        if len(self._known) >= _MOST_NAMES:
            del self._known[next(iter(self._known))]
        self._known[host] = looked
        return looked

    def _permitted(self, host: str, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """The addresses that may be dialled."""
        permitted = []
        refusal = ""
        for address in addresses:
            reason = self._policy.refusal(host, address)
            if reason:
                refusal = refusal or reason
            else:
                permitted.append(address)
        if not permitted:
            raise DialError(DialKind.REFUSED_BY_POLICY, f"{host}: {refusal}")
        return tuple(permitted)

    async def _first(
        self,
        protocol_factory: Callable[[], P],
        host: str,
        addresses: tuple[str, ...],
        port: int,
        end: float,
    ) -> tuple[asyncio.Transport, P]:
        """A connection to the first address that answers, tried in order; each has an equal
        share of the time that is left, so that a silent one does not use it all."""
        loop = asyncio.get_running_loop()
        causes = []
        for position, address in enumerate(addresses):
            share = (end - loop.time()) / (len(addresses) - position)
            try:
                async with asyncio.timeout(share if position + 1 < len(addresses) else None):
                    # An address is dialled as it is: no loop looks a number up. TCP_NODELAY
                    # is set by both loops.
                    return await loop.create_connection(protocol_factory, address, port)
            except TimeoutError:
                causes.append(f"{address} port {port}: no answer")
            except OSError as failure:
                causes.append(f"{address} port {port}: {_told(failure)}")
        # The name may have moved: the next one to ask looks again.
        self._known.pop(host, None)
        raise DialError(DialKind.CONNECT, "; ".join(causes))


def _once(protocol_factory: Callable[[], P]) -> Callable[[], P]:
    """One protocol for all attempts: uvloop asks for it before it knows that it connects."""
    made: list[P] = []

    def factory() -> P:
        if not made:
            made.append(protocol_factory())
        return made[0]

    return factory


async def _system_resolver(host: str) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]


async def _shaken(
    transport: asyncio.Transport,
    stream: ClientTlsStream,
    protocol_factory: Callable[[], P],
    server_hostname: str,
) -> P:
    """What reads and writes over TLS, on a new connection, which is gone when this fails."""
    try:
        await stream.shaken()
        if stream.is_closing():
            raise NoTls("closed after the handshake", lost=True)
        protocol = protocol_factory()
        stream.hand_over(protocol)
    except NoTls as failure:
        transport.close()  # not aborted: that could destroy the alert, which says why
        kind = DialKind.CONNECT if failure.lost else DialKind.TLS
        raise DialError(kind, f"{server_hostname}: {failure}") from None
    except BaseException:
        transport.abort()
        raise
    return protocol


def _check_name(tls: ssl.SSLContext, server_hostname: str) -> None:
    """Refuse a name that cannot stand in a ClientHello before there is a connection."""
    try:
        tls.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=server_hostname)
    except ValueError as failure:
        raise DialError(DialKind.TLS, f"{server_hostname}: {_told(failure)}") from None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _told(failure: Exception) -> str:
    return getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
