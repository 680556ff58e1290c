"""TLS between a socket and a client connection, its context chosen by the client's first message.

Made by `http/listeners.py` for each accepted connection; protocol of the socket's transport and
transport of `http/connection.py`. Neither loop's own TLS will do: both keep alerts to themselves,
report nothing unsent while megabytes are, and cut slow readers when closing. Promises: what is
unsent, paused or closed is so as without TLS; a client that is refused is told why by an alert.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from portico_dataplane.core import client_hello
from portico_dataplane.core.client_hello import ClientHello, Unread
from portico_dataplane.core.tls_facts import TlsFacts, client_certificate
from portico_dataplane.effects.certificates import Refused
from portico_dataplane.http.alerts import Alert, Cause, answer_to, cause_of, words

if TYPE_CHECKING:
    from portico_dataplane.http.deadlines import Slot
    from portico_dataplane.http.handshakes import Handshakes

_RECORD: Final = 16_384
_SLICE: Final = 65_536
"""Bytes that pass OpenSSL's buffers at once: they keep the size of the largest, per connection."""
_HELD: Final = client_hello.MOST_BYTES + _RECORD
"""Bytes behind a hello that waits for its turn; then reading pauses."""
_LINGER_S: Final = 2.0

# What a connection is at.
_HELLO: Final = 0
_QUEUED: Final = 1
_HANDSHAKE: Final = 2
_OPEN: Final = 3
_ENDED: Final = 4
"""Whatever still comes is dropped."""


class Origin(NamedTuple):
    """Both ends of a connection, as a load balancer tells them."""

    source: str
    port: int
    """The one the client reached."""


class TlsStream(asyncio.Transport, asyncio.Protocol):
    """One connection: ciphertext on one side, a client connection on the other."""

    def __init__(self, handshakes: Handshakes, origin: Origin | None = None) -> None:
        super().__init__()
        self._handshakes = handshakes
        self._origin = origin
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._phase = _HELLO
        self._held = b""
        """Not given to OpenSSL yet."""
        self._hello: ClientHello | None = None
        self._inner: asyncio.Protocol | None = None
        self._paused = False
        self._closing = False
        self._slot: Slot = set()

    _raw: asyncio.Transport
    _tls: ssl.SSLObject

    # --- asyncio.Protocol: the socket's side --------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast("asyncio.Transport", transport)
        if self._handshakes.admit(self):
            self._slot = self._handshakes.wait(self)
        else:
            self._fail(Cause.OVERLOAD, None)

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase == _OPEN:
            self._feed(data)
        elif phase == _HANDSHAKE:
            self._incoming.write(data)
            self._shake()
        elif phase != _ENDED:
            self._held += data
            if phase == _HELLO:
                self._look()
            elif len(self._held) > _HELD:
                self._raw.pause_reading()

    def eof_received(self) -> bool:
        # Without a close_notify too: HTTP's own framing says what is complete.
        inner = self._inner
        if inner is not None and self._phase == _OPEN:
            inner.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        phase, self._phase = self._phase, _ENDED
        self._closing = True
        self._slot.discard(self)
        inner, self._inner = self._inner, None
        if inner is not None:
            self._handshakes.open -= 1
            inner.connection_lost(exc)
        elif phase != _ENDED:
            self._handshakes.failed(self, Cause.CLOSED)

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def on_deadline(self) -> None:
        """The handshake, or the end of one that failed, took too long."""
        if self._phase == _ENDED:
            self._raw.abort()
        else:
            self._fail(Cause.TIMEOUT, None)

    # --- the handshake ------------------------------------------------------------------------

    @property
    def server_name(self) -> str:
        """What the client asked for; empty: nothing, or nothing yet."""
        return self._hello.server_name if self._hello is not None else ""

    @property
    def client(self) -> str:
        """The other end, for the log."""
        peer = self.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else ""

    def _look(self) -> None:
        hello = client_hello.read(self._held)
        if isinstance(hello, ClientHello):
            self._hello = hello
            self._phase = _QUEUED
            self._handshakes.enqueue(self)
        elif hello is not Unread.INCOMPLETE:
            if hello is Unread.NOT_TLS:
                self._raw.write(self._handshakes.answer_in_plain(self._held))
            self._fail(*answer_to(hello))

    def begin(self) -> None:
        """Its turn to be answered."""
        hello = self._hello
        if self._phase != _QUEUED or hello is None:
            return  # it left while it waited
        if hello.protocols and b"http/1.1" not in hello.protocols:
            # RFC 7301 §3.2; to go on would answer HTTP/2 with HTTP/1.1.
            self._fail(Cause.NO_PROTOCOL, Alert.NO_APPLICATION_PROTOCOL)
            return
        context = self._handshakes.certificates.choose(hello.server_name)
        if isinstance(context, Refused):
            self._fail(*answer_to(context, hello))
            return
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._phase = _HANDSHAKE
        held, self._held = self._held, b""
        self._incoming.write(held)
        if len(held) > _HELD:
            self._raw.resume_reading()
        self._shake()

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()  # the alert
            self._fail(cause_of(error), None, words(error))
        else:
            self._flush()
            self._open()

    def _open(self) -> None:
        self._slot.discard(self)
        self._phase = _OPEN
        self._inner = inner = self._handshakes.opened(self, self._facts())
        inner.connection_made(self)
        if self._incoming.pending:
            self._read()

    def _facts(self) -> TlsFacts:
        tls = self._tls
        cipher = tls.cipher()
        certificate = None
        der = tls.getpeercert(True)
        if der is not None:
            certificate = client_certificate(tls.getpeercert() or {}, der)
        return TlsFacts(
            server_name=self.server_name,
            version=tls.version() or "",
            cipher=cipher[0] if cipher else "",
            client_certificate=certificate,
        )

    def _fail(self, cause: Cause, alert: Alert | None, reason: str = "") -> None:
        """Count, tell, and read on for a moment: to close with unread bytes is a reset, which
        may destroy the alert."""
        self._handshakes.failed(self, cause, reason)
        self._phase = _ENDED
        self._closing = True
        self._held = b""
        self._slot.discard(self)
        if cause in (Cause.OVERLOAD, Cause.TIMEOUT):
            self._raw.abort()
            return
        if alert is not None:
            self._raw.write(alert.record())
        if self._raw.can_write_eof():
            self._raw.write_eof()
        self._raw.resume_reading()
        self._slot = self._handshakes.wait(self, _LINGER_S)

    # --- bytes --------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        if len(data) <= _SLICE:
            self._incoming.write(data)
            self._read()
            return
        view = memoryview(data)
        for start in range(0, len(data), _SLICE):
            self._incoming.write(view[start : start + _SLICE])
            self._read()

    def _read(self) -> None:
        """Hand on what can be decrypted."""
        tls, incoming = self._tls, self._incoming
        data = b""
        ended = False
        try:
            while not self._paused and self._phase == _OPEN:
                piece = tls.read(_RECORD)
                if not piece:  # close_notify
                    ended = True
                    break
                data = data + piece if data else piece
                if not incoming.pending and not tls.pending():
                    break  # instead of asking once more only to be told by an exception
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._flush()
            self._raw.abort()
            return
        if self._outgoing.pending:
            self._flush()
        inner = self._inner
        if inner is None:
            return
        if data:
            inner.data_received(data)
        if ended:
            inner.eof_received()
            self.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())

    def _say_goodbye(self) -> None:
        """close_notify, once; nothing is read any more."""
        if self._phase == _OPEN:
            self._phase = _ENDED
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # it waits for the client's, or the client broke the rules
            self._flush()

    # --- asyncio.Transport: the client connection's side --------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self._phase != _OPEN or not data:
            return
        outgoing = self._outgoing
        try:
            if len(data) <= _SLICE:
                self._tls.write(data)
                self._raw.write(outgoing.read())
                return
            view = memoryview(data)
            pieces = []
            for start in range(0, len(data), _SLICE):
                self._tls.write(view[start : start + _SLICE])
                pieces.append(outgoing.read())
            self._raw.write(b"".join(pieces))
        except ssl.SSLError:
            self._raw.abort()

    def writelines(self, list_of_data: Any) -> None:
        """As one write."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Whether `write_eof` may be called."""
        return self._raw.can_write_eof()

    def write_eof(self) -> None:
        """Say that no more comes, and drop what does (lingering close)."""
        self._say_goodbye()
        self._raw.write_eof()

    def close(self) -> None:
        """Send what is written, then close."""
        if not self._closing:
            self._closing = True
            self._say_goodbye()
            self._raw.close()

    def abort(self) -> None:
        """Close now."""
        self._closing = True
        self._raw.abort()

    def is_closing(self) -> bool:
        """Whether `close` or `abort` was called, or the socket is gone."""
        return self._closing or self._raw.is_closing()

    def pause_reading(self) -> None:
        """Nothing is handed on for now."""
        self._paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Hand on again, what is here first."""
        self._paused = False
        self._raw.resume_reading()
        if self._phase == _OPEN and (self._incoming.pending or self._tls.pending()):
            self._handshakes.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._phase == _OPEN and not self._paused:
            self._read()

    def is_reading(self) -> bool:
        """Whether bytes are handed on."""
        return not self._paused and not self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Somebody else reads from here on."""
        self._inner = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who reads."""
        return self if self._inner is None else self._inner

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Of the socket: nothing is kept here."""
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Bytes that the socket has not taken."""
        return self._raw.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Of the socket."""
        return self._raw.get_write_buffer_limits()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket's, with the client's own ends where a load balancer told them."""
        if name in ("ssl_object", "sslcontext", "cipher") and self._phase >= _HANDSHAKE:
            tls = getattr(self, "_tls", None)
            if tls is None or name == "ssl_object":
                return tls
            return tls.context if name == "sslcontext" else tls.cipher()
        found = self._raw.get_extra_info(name, default)
        if self._origin is not None and isinstance(found, tuple):
            if name == "peername":
                return (self._origin.source, 0)
            if name == "sockname":
                return (found[0], self._origin.port)
        return found
