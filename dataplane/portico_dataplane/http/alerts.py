"""Why a handshake failed: as a count, as a text for operators, as an alert for the client.

Used by `http/tls.py`; the names of causes are a label of `portico_tls_handshakes_total`, so the
set is closed. Alerts are those of RFC 8446 §6.2 and are sent in the clear, before any key exists;
once OpenSSL has begun it sends its own.
"""

from __future__ import annotations

import enum
import ssl
from typing import Final, assert_never

from portico_dataplane.core.client_hello import ClientHello, Unread
from portico_dataplane.effects.certificates import Refused


class Cause(enum.Enum):
    """What went wrong."""

    OVERLOAD = "overload"
    """Too many connections, or handshakes under way."""
    TIMEOUT = "timeout"
    CLOSED = "closed"
    """The client left."""
    NOT_TLS = "not_tls"
    MALFORMED = "malformed"
    NO_NAME = "no_server_name"
    UNKNOWN_NAME = "unknown_server_name"
    BROKEN = "broken_certificate"
    """The domain's own: nothing the client could do."""
    NO_PROTOCOL = "no_application_protocol"
    VERSION = "protocol_version"
    CIPHER = "no_shared_cipher"
    NO_CERTIFICATE = "no_client_certificate"
    BAD_CERTIFICATE = "bad_client_certificate"
    ALERT = "client_alert"
    """The client refused ours."""
    OTHER = "other"


class Alert(enum.IntEnum):
    """A description (RFC 8446 §6)."""

    HANDSHAKE_FAILURE = 40
    DECODE_ERROR = 50
    INTERNAL_ERROR = 80
    MISSING_EXTENSION = 109
    UNRECOGNIZED_NAME = 112
    NO_APPLICATION_PROTOCOL = 120

    def record(self) -> bytes:
        """Fatal, as one record."""
        return b"\x15\x03\x01\x00\x02\x02" + bytes((self,))


_CAUSES: Final = {
    "UNSUPPORTED_PROTOCOL": Cause.VERSION,
    "VERSION_TOO_LOW": Cause.VERSION,
    "VERSION_TOO_HIGH": Cause.VERSION,
    "WRONG_VERSION_NUMBER": Cause.VERSION,
    "INAPPROPRIATE_FALLBACK": Cause.VERSION,
    "NO_SHARED_CIPHER": Cause.CIPHER,
    "NO_SUITABLE_KEY_SHARE": Cause.CIPHER,
    "NO_SHARED_SIGNATURE_ALGORITHMS": Cause.CIPHER,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": Cause.CIPHER,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": Cause.NO_CERTIFICATE,
    "CERTIFICATE_VERIFY_FAILED": Cause.BAD_CERTIFICATE,
}


def answer_to(
    refusal: Unread | Refused, hello: ClientHello | None = None
) -> tuple[Cause, Alert | None]:
    """What to count, and what to tell the client, before there is a handshake."""
    match refusal:
        case Unread.NOT_TLS:
            return Cause.NOT_TLS, None
        case Unread.MALFORMED | Unread.TOO_LARGE | Unread.INCOMPLETE:
            return Cause.MALFORMED, Alert.DECODE_ERROR
        case Refused.NO_NAME:
            # RFC 8446 §9.2 has an alert for it; before 1.3 it would not be understood.
            modern = hello is not None and hello.knows_tls_1_3
            return Cause.NO_NAME, Alert.MISSING_EXTENSION if modern else Alert.HANDSHAKE_FAILURE
        case Refused.UNKNOWN_NAME:
            return Cause.UNKNOWN_NAME, Alert.UNRECOGNIZED_NAME  # RFC 6066 §3
        case Refused.BROKEN:
            return Cause.BROKEN, Alert.INTERNAL_ERROR
        case _:
            assert_never(refusal)


def cause_of(error: ssl.SSLError) -> Cause:
    """What OpenSSL means."""
    reason = getattr(error, "reason", None) or ""
    if "_ALERT_" in reason:
        return Cause.ALERT
    return _CAUSES.get(reason, Cause.OTHER)


def words(error: ssl.SSLError) -> str:
    """The same for operators, without codes."""
    told: str = getattr(error, "verify_message", "") or getattr(error, "reason", None) or ""
    return told.replace("_", " ").lower()
