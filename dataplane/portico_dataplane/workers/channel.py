"""The channel between the supervisor and one worker: frames of msgpack over a socketpair.

A frame is four bytes of length, big-endian, and one message of a closed union; each side
decodes only what the other may say. Promises: a truncated or oversize frame ends the channel
with an error instead of being guessed at; `send` never blocks, and `buffered` says how much
the other side has not taken, so that lines can be dropped before memory fills.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from portico_dataplane.settings import Settings
from portico_dataplane.telemetry.readings import Readings
from portico_ir.leases import Ask, Grant

MAX_FRAME: Final = 64 * 1024 * 1024
"""A unit has at most 500 routes, far below; more is a bug or a foreign process."""

_HEAD: Final = 4


class FrameError(Exception):
    """Bytes that are no frames; the channel is of no more use."""


# --- what the supervisor says ---------------------------------------------------------------


class Begin(msgspec.Struct, frozen=True, tag=True):
    """First message: who you are and where you listen."""

    settings: Settings
    worker: int
    """Slot number; a replacement has its predecessor's."""
    sockets: list[int]
    """File descriptors of the slot's listening sockets."""


class Units(msgspec.Struct, frozen=True, tag=True):
    """Units that the worker lacks, ahead of the manifest that needs them."""

    units: dict[str, bytes]
    """Digest to the unit's bytes."""


class Apply(msgspec.Struct, frozen=True, tag=True):
    """Build what this manifest lists and swap once; answered by `Applied`.

    Afterwards the worker remembers the units of this manifest and no others.
    """

    serial: int
    manifest: bytes
    endpoints: bytes


class Endpoints(msgspec.Struct, frozen=True, tag=True):
    """Addresses changed; no unit did."""

    endpoints: bytes


class Fallback(msgspec.Struct, frozen=True, tag=True):
    """Whether ClusterIPs may stand in for addresses that all fail: no operator tells of others."""

    allowed: bool


class Flush(msgspec.Struct, frozen=True, tag=True):
    """Forget what an authorizer (namespace/name; empty: every one) has answered."""

    authorizer: str


class Pull(msgspec.Struct, frozen=True, tag=True):
    """Send readings; answered by `Pulled`."""

    serial: int


class Announce(msgspec.Struct, frozen=True, tag=True):
    """The end is near: go on accepting, but ask clients to come back elsewhere."""


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Accept no more, give requests in flight `seconds`, then exit."""

    seconds: float


class Grants(msgspec.Struct, frozen=True, tag=True):
    """Answers to `Asks`."""

    grants: list[Grant]
    leaves: int
    """Workers of all pods."""


Order = Begin | Units | Apply | Endpoints | Fallback | Flush | Pull | Announce | Grants | Drain


# --- what a worker says ---------------------------------------------------------------------


class Started(msgspec.Struct, frozen=True, tag=True):
    """The process runs and reads its channel."""

    pid: int


class Applied(msgspec.Struct, frozen=True, tag=True):
    """Acknowledgement of an `Apply`."""

    serial: int
    digest: str
    """Of the manifest, as sent."""
    refused: dict[str, str]
    """Unit id to the reason it keeps its previous version."""


class Serving(msgspec.Struct, frozen=True, tag=True):
    """The first snapshot serves: connections are accepted."""


class Pulled(msgspec.Struct, frozen=True, tag=True):
    """Answer to a `Pull`; serial 0 is the last word of a worker that ends."""

    serial: int
    readings: Readings


class Lines(msgspec.Struct, frozen=True, tag=True):
    """Access log lines for the one writer."""

    text: bytes
    """As they are written."""
    lines: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The worker cannot go on; its process ends. A bug, or something the system refuses."""

    reason: str


class Asks(msgspec.Struct, frozen=True, tag=True):
    """What was counted, and tokens that are wanted (design.md §7)."""

    asks: list[Ask]


Report = Started | Applied | Serving | Pulled | Lines | Asks | Failed


# --- frames ---------------------------------------------------------------------------------


def frame(message: Order | Report) -> bytes:
    """A message as it travels."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise FrameError(f"a message of {len(body)} bytes is longer than {MAX_FRAME}")
    return len(body).to_bytes(_HEAD, "big") + body


_encoder = msgspec.msgpack.Encoder()


class FrameReader:
    """Cuts a stream of bytes into the bodies of frames."""

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = max_frame
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Bodies completed by `data`; `FrameError` when the next one is too long."""
        self._pending += data
        bodies: list[bytes] = []
        start = 0
        while len(self._pending) - start >= _HEAD:
            length = int.from_bytes(self._pending[start : start + _HEAD], "big")
            if length > self._max_frame:
                raise FrameError(f"a frame of {length} bytes is longer than {self._max_frame}")
            end = start + _HEAD + length
            if len(self._pending) < end:
                break
            bodies.append(bytes(self._pending[start + _HEAD : end]))
            start = end
        del self._pending[:start]
        return bodies

    def end(self) -> None:
        """The stream ended; `FrameError` when it did inside a frame."""
        if self._pending:
            raise FrameError(f"the channel ended inside a frame ({len(self._pending)} bytes of it)")


Incoming = TypeVar("Incoming", Order, Report)


class Channel(asyncio.Protocol, Generic[Incoming]):
    """One side of the channel. `orders` and `reports` make them.

    Made first and opened afterwards: uvloop hands over what waits in the socket before `open`
    returns, and who answers it must have the channel by then.
    """

    def __init__(
        self,
        incoming: Any,
        take: Callable[[Incoming], None],
        closed: Callable[[Exception | None], None],
    ) -> None:
        self._decoder: msgspec.msgpack.Decoder[Incoming] = msgspec.msgpack.Decoder(incoming)
        self._reader = FrameReader()
        self._take: Callable[[Incoming], None] = take
        self._closed = closed
        self._error: Exception | None = None
        self._transport: asyncio.Transport | None = None

    async def open(self, sock: socket.socket) -> None:
        """From now on messages are sent and taken."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=sock)

    def send(self, message: Order | Report) -> None:
        """Queue a message; nothing happens when the channel is closed."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(message))

    @property
    def buffered(self) -> int:
        """Bytes that the other side has not taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Send what is queued, then close."""
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not registered as asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._reader.feed(data):
                self._take(self._decoder.decode(body))
        except (FrameError, msgspec.MsgspecError) as error:
            self._abort(error)

    def eof_received(self) -> bool:
        try:
            self._reader.end()
        except FrameError as error:
            self._error = error
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._closed(self._error or exc)

    def _abort(self, error: Exception) -> None:
        self._error = error
        if self._transport is not None:
            self._transport.abort()


def reports(
    take: Callable[[Report], None], closed: Callable[[Exception | None], None]
) -> Channel[Report]:
    """The supervisor's side: `take` gets each report, `closed` the end and its cause."""
    return Channel(Report, take, closed)


def orders(
    take: Callable[[Order], None], closed: Callable[[Exception | None], None]
) -> Channel[Order]:
    """The worker's side."""
    return Channel(Order, take, closed)
