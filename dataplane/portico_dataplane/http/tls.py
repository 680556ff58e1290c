"""TLS between a socket and a client connection, its context chosen by the client's first message.

Made by `http/listeners.py` for each accepted connection; protocol of the socket's transport and
transport of `http/connection.py`. Promises: what `effects/tls_bytes.py` promises; a client that is
refused is told why by an alert.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from portico_dataplane.core import client_hello
from portico_dataplane.core.client_hello import ClientHello, Unread
from portico_dataplane.core.tls_facts import TlsFacts, client_certificate
from portico_dataplane.effects.certificates import Refused
from portico_dataplane.effects.tls_bytes import (
    ENDED,
    HANDSHAKE,
    HELLO,
    OPEN,
    QUEUED,
    RECORD,
    TlsBytes,
)
from portico_dataplane.http.alerts import Alert, Cause, answer_to, cause_of, words

if TYPE_CHECKING:
    from portico_dataplane.http.deadlines import Slot
    from portico_dataplane.http.handshakes import Handshakes

_HELD: Final = client_hello.MOST_BYTES + RECORD
"""Bytes behind a hello that waits for its turn; then reading pauses."""
_LINGER_S: Final = 2.0


class Origin(NamedTuple):
    """Both ends of a connection, as a load balancer tells them."""

    source: str
    port: int
    """The one the client reached."""


class TlsStream(TlsBytes):
    """One connection: ciphertext on one side, a client connection on the other."""

    def __init__(self, handshakes: Handshakes, origin: Origin | None = None) -> None:
        super().__init__()
        self._handshakes = handshakes
        self._origin = origin
        self._phase = HELLO
        self._loop = handshakes.loop
        self._held = b""
        """Not given to OpenSSL yet."""
        self._hello: ClientHello | None = None
        self._slot: Slot = set()

    # --- asyncio.Protocol: the socket's side --------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast("asyncio.Transport", transport)
        if self._handshakes.admit(self):
            self._slot = self._handshakes.wait(self)
        else:
            self._fail(Cause.OVERLOAD, None)

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase == OPEN:
            self._feed(data)
        elif phase == HANDSHAKE:
            self._incoming.write(data)
            self._shake()
        elif phase != ENDED:
            self._held += data
            if phase == HELLO:
                self._look()
            elif len(self._held) > _HELD:
                self._raw.pause_reading()

    def eof_received(self) -> bool:
        # Without a close_notify too: HTTP's own framing says what is complete.
        inner = self._inner
        if inner is not None and self._phase == OPEN:
            inner.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        phase, self._phase = self._phase, ENDED
        self._closing = True
        self._slot.discard(self)
        inner, self._inner = self._inner, None
        if inner is not None:
            self._handshakes.open -= 1
            inner.connection_lost(exc)
        elif phase != ENDED:
            self._handshakes.failed(self, Cause.CLOSED)
        else:
            self._handshakes.gone(self)

    def on_deadline(self) -> None:
        """The handshake, or the end of one that failed, took too long."""
        if self._phase == ENDED:
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
            self._phase = QUEUED
            self._handshakes.enqueue(self)
        elif hello is not Unread.INCOMPLETE:
            if hello is Unread.NOT_TLS:
                self._raw.write(self._handshakes.answer_in_plain(self._held))
            self._fail(*answer_to(hello))

    def begin(self) -> None:
        """Its turn to be answered."""
        hello = self._hello
        if self._phase != QUEUED or hello is None:
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
        self._phase = HANDSHAKE
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
        self._phase = OPEN
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
        self._phase = ENDED
        self._closing = True
        self._held = b""
        self._slot.discard(self)
        if cause in (Cause.OVERLOAD, Cause.TIMEOUT) or not self._handshakes.may_linger(self):
            self._raw.abort()
            return
        if alert is not None:
            self._raw.write(alert.record())
        if self._raw.can_write_eof():
            self._raw.write_eof()
        self._raw.resume_reading()
        self._slot = self._handshakes.wait(self, _LINGER_S)

    # --- asyncio.Transport: what differs ------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket's, with the client's own ends where a load balancer told them."""
        found = super().get_extra_info(name, default)
        if self._origin is not None and isinstance(found, tuple):
            if name == "peername":
                return (self._origin.source, 0)
            if name == "sockname":
                return (found[0], self._origin.port)
        return found
