"""What a refusal is called, and what the client is told."""

from __future__ import annotations

import ssl

import pytest

from portico_dataplane.core.client_hello import ClientHello, Unread
from portico_dataplane.effects.certificates import Refused
from portico_dataplane.http.alerts import Alert, Cause, answer_to, cause_of, words

OLD, MODERN = ClientHello("", (), False), ClientHello("", (), True)


@pytest.mark.parametrize(
    ("refusal", "hello", "cause", "alert"),
    [
        (Unread.NOT_TLS, None, Cause.NOT_TLS, None),
        (Unread.MALFORMED, None, Cause.MALFORMED, Alert.DECODE_ERROR),
        (Unread.TOO_LARGE, None, Cause.MALFORMED, Alert.DECODE_ERROR),
        (Refused.NO_NAME, OLD, Cause.NO_NAME, Alert.HANDSHAKE_FAILURE),
        (Refused.NO_NAME, MODERN, Cause.NO_NAME, Alert.MISSING_EXTENSION),
        (Refused.UNKNOWN_NAME, MODERN, Cause.UNKNOWN_NAME, Alert.UNRECOGNIZED_NAME),
        (Refused.BROKEN, MODERN, Cause.BROKEN, Alert.INTERNAL_ERROR),
    ],
)
def test_answers(
    refusal: Unread | Refused, hello: ClientHello | None, cause: Cause, alert: Alert | None
) -> None:
    assert answer_to(refusal, hello) == (cause, alert)


def test_an_alert_is_one_fatal_record() -> None:
    assert Alert.UNRECOGNIZED_NAME.record() == b"\x15\x03\x01\x00\x02\x02\x70"


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("UNSUPPORTED_PROTOCOL", Cause.VERSION),
        ("NO_SHARED_CIPHER", Cause.CIPHER),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", Cause.NO_CERTIFICATE),
        ("CERTIFICATE_VERIFY_FAILED", Cause.BAD_CERTIFICATE),
        ("TLSV1_ALERT_UNKNOWN_CA", Cause.ALERT),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", Cause.ALERT),
        ("BAD_RECORD_TYPE", Cause.OTHER),
        (None, Cause.OTHER),
    ],
)
def test_causes_by_what_openssl_says(reason: str | None, cause: Cause) -> None:
    error = ssl.SSLError(1, "text")
    error.reason = reason  # type: ignore[assignment]
    assert cause_of(error) is cause


def test_words_are_without_codes() -> None:
    error = ssl.SSLError(1, "text")
    assert words(error) == ""
    error.reason = "NO_SHARED_CIPHER"
    assert words(error) == "no shared cipher"
    error.verify_message = "certificate has expired"  # type: ignore[attr-defined]
    assert words(error) == "certificate has expired"
