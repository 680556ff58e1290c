"""One stream to one operator replica, opened again whenever it ends.

Kept by the feed, one per address. Promises: frames of the operator reach the owner in order; of
what the pod says only the latest of each kind is sent; a stream that ends is tried again after a
growing, jittered while; a new token goes into the open stream.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
from typing import Final, Protocol, assert_never

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from portico_dataplane.feed.choice import Choosable
from portico_dataplane.feed.files import Address, Missing, TokenFile, TrustFile
from portico_dataplane.feed.offers import Offered, Received, offered
from portico_ir.codec import Undecodable, digest
from portico_ir.leases import Exchange, Settlement
from portico_ir.model import IR_VERSION, Endpoint
from portico_ir.secrets import Redacted
from portico_ir.stream import (
    PATH,
    UNITS_PATH,
    Acknowledgement,
    Addresses,
    Advance,
    Follow,
    Hello,
    Keeping,
    Offer,
    Settle,
    Settled,
    Token,
    Unknown,
    decode_from_operator,
    encode_frame,
)

_log = logging.getLogger(__name__)

_FIRST_BACKOFF_S: Final = 0.2
_MOST_BACKOFF_S: Final = 5.0
_HEARTBEAT_S: Final = 10.0
_CONNECT_S: Final = 10.0
_UNIT_S: Final = 20.0
_TOKEN_CHECK_S: Final = 30.0
_MOST_FRAME: Final = 64 * 1024 * 1024


class UnitError(Exception):
    """A unit that could not be had now, and why."""

    def __init__(self, why: str, *, is_passing: bool = False) -> None:
        """`is_passing`: the operator says itself that it cannot answer now."""
        super().__init__(why)
        self.is_passing = is_passing


class Owner(Protocol):
    """What a link tells the feed."""

    def hello(self) -> Hello:
        """The pod's first frame."""
        ...

    def opened(self, link: Link) -> None:
        """The operator has greeted."""
        ...

    def said(self, link: Link) -> None:
        """Its offer, its marks or its addresses have changed."""
        ...

    def kept(self, link: Link) -> None:
        """The operator keeps leases, or no longer."""
        ...

    def settled(self, link: Link, settlement: Settlement) -> None:
        """It has answered an exchange."""
        ...

    def closed(self, link: Link) -> None:
        """The stream has ended."""
        ...


class Link:
    """The stream to one address."""

    def __init__(self, address: Address, token: TokenFile, trust: TrustFile, owner: Owner) -> None:
        self.address = address
        self.is_open = False
        """The operator has greeted, and the stream has not ended since."""
        self.wanted = True
        """The address is still among the operators'; otherwise the link ends with its stream."""
        self.build = ""
        self.state = Choosable(0, "", {}, {})
        """What it could offer."""
        self.digest = ""
        self.offer: Offered | None = None
        """The latest manifest it sent since the pod began to follow it."""
        self.received = Received()
        """Units that came with manifests, until the owner takes them."""
        self.sequence: int | None = None
        self.upstreams: dict[str, tuple[Endpoint, ...]] = {}
        """Addresses as of `sequence`."""
        self.version = 0
        """How new they are."""
        self.failure = ""
        """Why there is no stream."""
        self.term = -1
        """Since when this operator keeps leases, as elections go; -1: it does not."""
        self._token = token
        self._trust = trust
        self._owner = owner
        self._session: aiohttp.ClientSession | None = None
        self._shown: Redacted | None = None
        self._outgoing: dict[str, bytes] = {}
        self._wake = asyncio.Event()

    # What the feed says.

    def follow(self, *, on: bool, content: str) -> None:
        """Take configuration from here, or no longer."""
        self.offer, self.sequence, self.upstreams = None, None, {}
        self._queue("follow", Follow(on=on, content=content))

    def acknowledge(self, said: Acknowledgement) -> None:
        """Report what serves."""
        self._queue("acknowledgement", said)

    def settle(self, exchange: Exchange) -> None:
        """Settle leases with this operator, which keeps them."""
        self._queue("settle", Settle(exchange=exchange))

    def _queue(self, kind: str, frame: Follow | Acknowledgement | Settle | Token) -> None:
        if self.is_open:
            self._outgoing[kind] = encode_frame(frame)
            self._wake.set()

    async def fetch(self, known: str) -> bytes:
        """The unit with this digest; raises `UnitError`."""
        session = self._session
        if session is None or not self.is_open:
            raise UnitError("the stream has ended")
        try:
            async with session.get(
                self._url(UNITS_PATH + known),
                headers=self._authorization(),
                ssl=self._trust.context(),
                timeout=aiohttp.ClientTimeout(total=_UNIT_S),
            ) as answer:
                encoded = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError, Missing) as error:
            raise UnitError(_told(error)) from error
        if answer.status != 200:
            raise UnitError(f"answered {answer.status}", is_passing=answer.status == 503)
        if digest(encoded) != known:
            raise UnitError("its bytes are not those the manifest names")
        return encoded

    # Life.

    async def run(self) -> None:
        """Keep a stream open as long as the address is wanted."""
        backoff = 0.0
        while self.wanted:
            try:
                greeted = await self._live()
            except Exception:  # a bug must not cost the pod its operator for good
                _log.exception("stream failed")
                greeted = False
            if greeted:
                backoff = 0.0
            # Even the first retry is jittered: a fleet must not come back in one instant.
            await asyncio.sleep(random.uniform(0.5, 1.0) * (backoff or _FIRST_BACKOFF_S))
            backoff = min(_MOST_BACKOFF_S, 2 * (backoff or _FIRST_BACKOFF_S))

    async def _live(self) -> bool:
        """One stream; whether the operator greeted."""
        greeted, self.build, self._outgoing, self.term = False, "", {}, -1
        connector = aiohttp.TCPConnector(
            resolver=_Pinned(self.address), keepalive_timeout=60, use_dns_cache=False
        )
        try:
            async with aiohttp.ClientSession(connector=connector) as self._session:
                async with asyncio.timeout(_CONNECT_S):
                    stream = await self._session.ws_connect(
                        self._url(PATH),
                        headers=self._authorization(),
                        ssl=self._trust.context(),
                        heartbeat=_HEARTBEAT_S,
                        max_msg_size=_MOST_FRAME,
                        timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                    )
                try:
                    async with asyncio.timeout(_CONNECT_S):
                        await stream.send_bytes(encode_frame(self._owner.hello()))
                    await asyncio.gather(self._read(stream), self._write(stream))
                finally:
                    await stream.close()  # the session ends the socket, not the stream
                greeted = self.build != ""
                self._failed(f"closed with {stream.close_code}")
        except aiohttp.WSServerHandshakeError as error:
            self._failed(f"refused with {error.status}")
        except (aiohttp.ClientError, OSError, TimeoutError, Missing) as error:
            self._failed(_told(error))
        finally:
            self._session = None
            self._ended()
        return greeted

    def _failed(self, why: str) -> None:
        if why != self.failure:  # said once, not at every attempt
            _log.warning("no operator stream", extra={"address": str(self.address), "reason": why})
        self.failure = why

    async def _read(self, stream: aiohttp.ClientWebSocketResponse[bool]) -> None:
        try:
            async for message in stream:
                if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                    continue
                try:
                    self._take(message.data)
                except Undecodable as error:
                    _log.warning("frame not readable", extra={"reason": str(error)})
                    return
        finally:
            self._ended()
            await stream.close()
            self._wake.set()

    def _ended(self) -> None:
        if self.is_open:
            self.is_open = False
            self._owner.closed(self)

    async def _write(self, stream: aiohttp.ClientWebSocketResponse[bool]) -> None:
        while not stream.closed:
            try:
                async with asyncio.timeout(_TOKEN_CHECK_S):
                    await self._wake.wait()
            except TimeoutError:
                self._renew()
            self._wake.clear()
            outgoing, self._outgoing = self._outgoing, {}
            try:
                for frame in outgoing.values():
                    await stream.send_bytes(frame)
            except (ConnectionError, aiohttp.ClientError):
                await stream.close()  # the reader notices, and tells

    def _take(self, data: bytes | str) -> None:
        frame = decode_from_operator(data)
        match frame:
            case Hello():
                self.build = frame.build
                self.digest = frame.digest
                changed = frame.changed or frame.marks
                self.state = Choosable(frame.ir_version, frame.content, frame.marks, changed)
                self.is_open, self.failure = True, ""
                _log.info(
                    "operator stream open",
                    extra={"address": str(self.address), "build": frame.build},
                )
                self._owner.opened(self)
                return
            case Offer():
                self.received.add(frame.units)
                self.offer = offered(frame)
                self.digest = self.offer.digest
                # One that offers what cannot be read is followed only when there is no other.
                version = 0 if self.offer.fault else IR_VERSION
                self.state = Choosable(version, self.offer.content, frame.marks, self.offer.changed)
            case Advance():
                self.digest = frame.digest
                self.state = self.state._replace(
                    content=frame.content,
                    marks=frame.marks,
                    changed=frame.changed or frame.marks,
                )
            case Addresses():
                self._take_addresses(frame)
            case Keeping():
                self.term = frame.term
                self._owner.kept(self)
                return
            case Settled():
                self._owner.settled(self, frame.settlement)
                return
            case Unknown():
                return  # a newer operator says more than this version knows of
            case _:
                assert_never(frame)
        self._owner.said(self)

    def _take_addresses(self, frame: Addresses) -> None:
        if frame.since is None:
            self.upstreams = dict(frame.upstreams)
        elif frame.since == self.sequence:
            # A new dict: the one before may be on its way to the workers.
            gone = set(frame.removed)
            kept = {name: found for name, found in self.upstreams.items() if name not in gone}
            self.upstreams = kept | frame.upstreams
        elif self.sequence is None:
            return  # on its way since before the pod asked for all of them
        else:
            raise Undecodable(f"endpoints since {frame.since}, but this is at {self.sequence}")
        self.sequence, self.version = frame.sequence, frame.version
        self.state = self.state._replace(marks=frame.marks)

    def _renew(self) -> None:
        try:
            token = self._token.read()
        except Missing as error:
            _log.warning("token not renewed", extra={"reason": str(error)})
            return
        if token != self._shown:
            self._shown = token
            self._queue("token", Token(token=token))

    def _authorization(self) -> dict[str, str]:
        self._shown = self._token.read()
        return {"Authorization": f"Bearer {self._shown.reveal()}"}

    def _url(self, path: str) -> str:
        name = f"[{self.address.name}]" if ":" in self.address.name else self.address.name
        return f"https://{name}:{self.address.port}{path}"


class _Pinned(AbstractResolver):
    """Answers with one address: each link goes to its replica, under the name they share."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self._address.host
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Nothing to close."""


def _told(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"certificate not trusted: {error.certificate_error}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason}"
    return str(error) or type(error).__name__
