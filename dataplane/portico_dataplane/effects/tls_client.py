"""TLS towards a backend: contexts by what the contract says, and the stream that shakes hands.

Contexts are made by `http/targets.py`, streams by `effects/dialer.py` for each connection.
Promises: TLS 1.2 or 1.3 and HTTP/1.1, whatever the terms; a certificate is never taken for another
name nor after its time, not even where any authority will do; a connection that is cut is not
taken for one that ended; why a handshake failed is told in words without codes.
"""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import time
from typing import Final, cast

from portico_dataplane.effects.certificates import Unusable, load_certificate, told
from portico_dataplane.effects.tls_bytes import ENDED, HANDSHAKE, OPEN, TlsBytes
from portico_ir.targets import UpstreamTls

SESSION_S: Final = 600.0
"""How long a session may be resumed: whoever is resumed is not verified anew."""

_COMPLAINT_S: Final = 10.0
_log = logging.getLogger(__name__)

_OPTIONS: Final = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def client_context(terms: UpstreamTls) -> ssl.SSLContext:
    """A context of AWS §3.22; `Unusable` says what is wrong with the terms. Their server name is
    not part of it."""
    if terms.authorities or terms.any_authority:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = ssl.create_default_context()
    context.options |= _OPTIONS
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if terms.any_authority:
        context.check_hostname = False  # `shaken` looks at name and dates
        context.verify_mode = ssl.CERT_NONE
    elif terms.authorities:
        # A chain may end in any certificate that was named, self-signed or not.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(cadata=terms.authorities)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise Unusable(f"authorities: {told(error)}") from None
    if terms.certificate is not None:
        try:
            load_certificate(context, terms.certificate)
        except (OSError, ValueError) as error:
            raise Unusable(f"certificate and key: {told(error)}") from None
    return context


class AddressTls:
    """What is remembered of one address under one set of terms: the newest session (who resumes it
    is spared the signatures, and is not verified anew), and when it was last complained of."""

    __slots__ = ("_complained_at", "_session", "_until")

    def __init__(self) -> None:
        self._session: ssl.SSLSession | None = None
        self._until = 0.0
        self._complained_at = -math.inf

    def session(self) -> ssl.SSLSession | None:
        """What the next connection may resume."""
        if self._session is not None and time.monotonic() >= self._until:
            self._session = None
        return self._session

    def learn(self, transport: asyncio.BaseTransport) -> None:
        """A connection has had its first answer: by now the backend has sent its ticket
        (RFC 8446 §4.6.1)."""
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        session = tls.session
        if session is not None and (session.has_ticket or session.id):
            self._session = session
            self._until = time.monotonic() + _lifetime(session, tls.getpeercert())

    def complain(self, upstream: str, address: str, error: Exception) -> None:
        """Tell operators why there is no connection, sparsely: a request each would be a flood."""
        now = time.monotonic()
        if now - self._complained_at >= _COMPLAINT_S:
            self._complained_at = now
            extra = {"upstream": upstream, "address": address, "reason": str(error)}
            _log.warning("no TLS with a backend", extra=extra)


def _lifetime(session: ssl.SSLSession, certificate: object) -> float:
    """Seconds; not beyond the end of the certificate, of which a session knows nothing."""
    seconds = min(SESSION_S, float(session.timeout))
    ends = certificate.get("notAfter") if isinstance(certificate, dict) else None
    if isinstance(ends, str):
        seconds = min(seconds, ssl.cert_time_to_seconds(ends) - time.time())
    return seconds


class NoTls(Exception):
    """There is no TLS connection. The text is for operators."""

    def __init__(self, cause: str, *, lost: bool = False) -> None:
        super().__init__(cause)
        self.lost = lost
        """The connection broke; otherwise one side does not want the other."""


class ClientTlsStream(TlsBytes):
    """A connection to a backend: first its handshake, then whoever reads and writes."""

    def __init__(
        self, context: ssl.SSLContext, server_hostname: str, session: ssl.SSLSession | None
    ) -> None:
        """ValueError for a name that cannot stand in a ClientHello."""
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._name = server_hostname
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname, session=session
        )
        self._shaken: asyncio.Future[None] = self._loop.create_future()
        self._cause: Exception | None = None

    async def shaken(self) -> None:
        """When the handshake is over and the other side is who it should be; `NoTls`: it failed."""
        await self._shaken
        if self._tls.context.verify_mode is ssl.CERT_NONE:
            # Large, and for few: `build.py` has loaded it in a thread.
            from portico_dataplane.effects.peer_certificate import fault_of

            der = self._tls.getpeercert(True)
            fault = fault_of(der, self._name) if der else "it shows no certificate"
            if fault:
                raise NoTls(fault)

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """`protocol` reads and writes from here on."""
        self._inner = protocol
        self._phase = OPEN
        protocol.connection_made(self)
        if self._incoming.pending:
            self._read()

    # --- asyncio.Protocol: the socket's side --------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast("asyncio.Transport", transport)
        self._shake()

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase == OPEN:
            self._feed(data)
        elif phase == HANDSHAKE:
            self._incoming.write(data)
            if not self._shaken.done():
                self._shake()

    def eof_received(self) -> bool:
        # Without a close_notify: what has no length may have been cut (RFC 9112 §9.8).
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        was_open, self._phase = self._inner is not None, ENDED
        self._closing = True
        inner, self._inner = self._inner, None
        if was_open and inner is not None:
            inner.connection_lost(self._cause or exc)
        else:
            why = getattr(exc, "strerror", None) or "closed"
            self._fail(NoTls(f"{why} during the handshake", lost=True))

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()  # the alert
            self._fail(NoTls(_words(error)))
            self._raw.close()
        else:
            self._flush()
            if not self._shaken.done():
                self._shaken.set_result(None)

    def _fail(self, why: NoTls) -> None:
        self._phase = ENDED
        if not self._shaken.done():
            self._shaken.set_exception(why)
            self._shaken.exception()  # looked at: nobody may be waiting any more

    def _broken(self, error: ssl.SSLError) -> None:
        # In TLS 1.3 a backend refuses our certificate only after its own handshake is over.
        self._cause = NoTls(_words(error), lost="ALERT" not in (error.reason or ""))
        super()._broken(error)


def _words(error: ssl.SSLError) -> str:
    """What OpenSSL means, without its codes."""
    reason = getattr(error, "reason", None) or ""
    message = getattr(error, "verify_message", "")
    if message:
        return f"the backend's certificate is not accepted: {message}"
    if "ALERT" in reason:
        alert = reason.partition("ALERT_")[2].replace("_", " ").lower()
        return f"the backend refuses: {alert}"
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
        return "no TLS is spoken there"
    return reason.replace("_", " ").lower() or type(error).__name__
