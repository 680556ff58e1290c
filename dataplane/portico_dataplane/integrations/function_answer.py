"""What a function returned, made into an answer: AWS §3.27 (REST), §4.4 and §4.5 (HTTP APIs).

Called by `integrations/function.py` with the bytes of the Invoke API's answer. Promises: never
raises, whatever a function returns; what is malformed is `Reject(MALFORMED_FUNCTION_ANSWER)` with
the cause for the log only; no name or value can break out of its header line. Framing (lengths,
dates) and id headers are not in the answer: whoever writes it adds them.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec

from portico_dataplane.core.messages import Headers, Response
from portico_dataplane.core.verdicts import Reject
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind

_REST_KEYS: Final = frozenset(
    {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
)
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_STATUS: Final = re.compile(r"[0-9]{3}")

_REST_TYPE: Final = b"application/json"
_HTTP_TYPE: Final = b"text/plain; charset=utf-8"
"""Of an explicit answer without a content type; an inferred one is JSON (AWS §4.4)."""

# What a function cannot say: framing, hop-by-hop (RFC 9110 §7.6.1), and the gateway's own trace id.
_DROPPED: Final = frozenset(
    {
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"x-amzn-trace-id",
    }
)
_DROPPED_BY_HTTP: Final = _DROPPED | {b"apigw-requestid", b"connection", b"content-length", b"date"}
# AWS §3.8, the Lambda column.
_DROPPED_BY_REST: Final = _DROPPED | {b"expect", b"host", b"via"}
_RENAMED_BY_REST: Final = frozenset(
    {
        b"authorization",
        b"connection",
        b"content-length",
        b"content-md5",
        b"date",
        b"max-forwards",
        b"server",
        b"user-agent",
        b"www-authenticate",
        b"x-amz-apigw-id",
        b"x-amzn-requestid",
    }
)


class _Malformed(Exception):
    """Not an answer; the message is for the log."""


def convert(
    api_kind: ApiKind, payload_format: str, raw: bytes, function_error: str
) -> Response | Reject:
    """The answer to the client, or why there is none.

    `raw` is what the function returned, as JSON; `function_error` is `X-Amz-Function-Error`.
    """
    if function_error:
        return Reject(ErrorKind.FUNCTION_FAILURE, f"function error: {function_error}")
    try:
        if api_kind is not ApiKind.HTTP:
            return _rest(raw)
        return _http_v2(raw) if payload_format == "2.0" else _http_v1(raw)
    except _Malformed as malformed:
        return Reject(ErrorKind.MALFORMED_FUNCTION_ANSWER, str(malformed))


def _parsed(raw: bytes) -> Any:
    try:
        if b"\\ud" in raw or b"\\uD" in raw:
            # JavaScript may return half of a surrogate pair, which msgspec does not take.
            return json.loads(raw.decode("utf-8"), parse_constant=_refused)
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise _Malformed(f"not JSON: {error}") from None


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


# --- REST (AWS §3.27) -----------------------------------------------------------------------


def _rest(raw: bytes) -> Response:
    answer = _parsed(raw)
    if not isinstance(answer, dict):
        raise _Malformed("not an object")
    unknown = sorted(answer.keys() - _REST_KEYS)
    if unknown:
        raise _Malformed(f"unknown member {unknown[0]!r}")
    if answer.get("isBase64Encoded") not in (None, True, False):
        raise _Malformed("isBase64Encoded is not a boolean")
    given = answer.get("statusCode")
    status = 200 if given is None else _status(given)
    headers = _multi_first(
        _single_values(answer.get("headers")), _multi_values(answer.get("multiValueHeaders"))
    )
    # Without binary media types base64 goes out as it is (AWS §3.6).
    return _response(ApiKind.REST, status, headers, _text(answer.get("body")), _REST_TYPE)


def _multi_first(single: Headers, multi: Headers) -> Headers:
    """Names in both maps are one header: the lists' values first, in the lists' spelling."""
    spelt = {name.lower(): name for name, _ in multi}
    return multi + [(spelt.get(name.lower(), name), value) for name, value in single]


# --- HTTP APIs (AWS §4.4, §4.5) -------------------------------------------------------------


def _http_v1(raw: bytes) -> Response:
    answer = _parsed(raw)
    if not isinstance(answer, dict):
        raise _Malformed("not an object")
    single = _single_values(answer.get("headers"))
    spelt = {name.lower(): name for name, _ in single}
    # The reverse of REST: the single value first.
    headers = single + [
        (spelt.get(name.lower(), name), value)
        for name, value in _multi_values(answer.get("multiValueHeaders"))
    ]
    # statusCode is required; members that are not known are ignored.
    status = _status(answer.get("statusCode"))
    return _response(ApiKind.HTTP, status, headers, _http_body(answer), _HTTP_TYPE)


def _http_v2(raw: bytes) -> Response:
    try:
        answer = _parsed(raw)
    except _Malformed:
        # Whatever is not JSON is the body (AWS §4.4).
        return _inferred(raw)
    if isinstance(answer, str):
        return _inferred(answer.encode("utf-8", "replace"))
    if not isinstance(answer, dict) or answer.get("statusCode") is None:
        if isinstance(answer, dict) and "errorMessage" in answer:
            # What a runtime returns for a function that failed, whoever wrote it (recorded).
            raise _Malformed("an object with errorMessage and without statusCode")
        return _inferred(raw)
    headers = _single_values(answer.get("headers"))
    headers += [(b"set-cookie", _value(cookie)) for cookie in _cookies(answer.get("cookies"))]
    status = _status(answer["statusCode"])
    return _response(ApiKind.HTTP, status, headers, _http_body(answer), _HTTP_TYPE)


def _inferred(body: bytes) -> Response:
    return Response(200, [(b"Content-Type", b"application/json")], body)


def _cookies(cookies: object) -> list[str]:
    if cookies is None:
        return []
    if not isinstance(cookies, list):
        raise _Malformed("cookies is not a list")
    return [text for text in (_scalar(cookie, "cookies") for cookie in cookies) if text is not None]


def _http_body(answer: dict[str, Any]) -> bytes:
    body = _text(answer.get("body"))
    encoded = answer.get("isBase64Encoded")
    if encoded not in (None, True, False):
        raise _Malformed("isBase64Encoded is not a boolean")
    if not encoded:
        return body
    try:
        return b64decode(b"".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _Malformed("isBase64Encoded, but the body is not base64") from None


# --- members --------------------------------------------------------------------------------


def _status(given: object) -> int:
    """A final status: an integer, or its three digits as text (recorded); nothing else."""
    if isinstance(given, str) and _STATUS.fullmatch(given):
        given = int(given)
    # A boolean is an int to Python; an interim status would leave the client waiting for more.
    if isinstance(given, bool) or not isinstance(given, int) or not 200 <= given <= 599:
        raise _Malformed("statusCode is not a status")
    return given


def _scalar(value: object, where: str) -> str | None:
    """Text, or a number or boolean as JSON spells it; None for null."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        try:
            return str(value)
        except ValueError:
            # More digits than Python converts.
            raise _Malformed(f"{where} holds a number that is too long") from None
    raise _Malformed(f"{where} holds neither text nor a number")


def _text(body: object) -> bytes:
    return (_scalar(body, "body") or "").encode("utf-8", "replace")


def _single_values(headers: object) -> Headers:
    if headers is None:
        return []
    if not isinstance(headers, dict):
        raise _Malformed("headers is not an object")
    return _lines((name, [value]) for name, value in headers.items())


def _multi_values(headers: object) -> Headers:
    if headers is None:
        return []
    if not isinstance(headers, dict):
        raise _Malformed("multiValueHeaders is not an object")
    for name, values in headers.items():
        if values is not None and not isinstance(values, list):
            raise _Malformed(f"multiValueHeaders holds no list for {name!r}")
    return _lines((name, values or []) for name, values in headers.items())


def _lines(named: Iterable[tuple[str, list[object]]]) -> Headers:
    lines: Headers = []
    for name, values in named:
        spelt = name.encode("utf-8", "replace")
        if not _NAME.fullmatch(spelt):
            raise _Malformed(f"{name!r} is no header name")
        for value in values:
            text = _scalar(value, "headers")
            if text is not None:
                lines.append((spelt, _value(text)))
    return lines


def _value(text: str) -> bytes:
    """A header value as bytes; a line break or other control character is refused."""
    try:
        value = text.encode("utf-8")
    except UnicodeEncodeError:
        raise _Malformed("a header value is not Unicode") from None
    if not _VALUE.fullmatch(value):
        raise _Malformed("a header value holds a control character")
    return value.strip(b" \t")


# --- the answer -----------------------------------------------------------------------------


def _response(
    kind: ApiKind, status: int, lines: Headers, body: bytes, default_type: bytes
) -> Response:
    headers = _passed(kind, lines)
    if not any(name.lower() == b"content-type" for name, _ in headers):
        headers.append((b"Content-Type", default_type))
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        # These have no body by definition (RFC 9110 §15.3.5, §15.4.5).
        body = b""
    return Response(status, headers, body)


def _passed(kind: ApiKind, lines: Headers) -> Headers:
    """What is let through: the rest is dropped, or renamed on REST."""
    if kind is ApiKind.HTTP:
        return [line for line in lines if line[0].lower() not in _DROPPED_BY_HTTP]
    passed: Headers = []
    for name, value in lines:
        lower = name.lower()
        if lower in _RENAMED_BY_REST:
            passed.append((b"x-amzn-Remapped-" + name, value))
        elif lower not in _DROPPED_BY_REST:
            passed.append((name, value))
    return passed
