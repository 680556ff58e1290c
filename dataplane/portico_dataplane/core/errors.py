"""The one place where an ErrorKind becomes an answer (design §6.8, §9 rule 10).

Called by `http/exchange.py` and `http/connection.py` for whatever did not come from an
integration, and by `core/context.py` for `$context.error`. Promises: every kind has an answer
for every kind of API (mypy and a test see to it); nothing of a cause, an exception or a path
ever gets into one; bodies and headers are prepared at import. Texts are AWS §2.3, §3.12 and the
table in design §6, as recorded where AWS was recorded.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple, assert_never

from portico_dataplane.core.identifiers import id_headers
from portico_dataplane.core.messages import Headers, Response
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind


class _Answer(NamedTuple):
    """What a kind of error looks like to a client."""

    status: int
    message: str | None
    """None is JSON's null: a failed REST authorizer (AWS §2.3)."""
    error_type: str = ""
    """`x-amzn-ErrorType` without its suffix `Exception`; REST only."""
    key: str = "message"
    """Policies refuse with a capital M (AWS §15.10)."""
    colon: str = ":"
    """AWS has a space after the colon where its integration layer speaks (AWS §2.3, §18)."""


def _internal(status: int) -> _Answer:
    # 36 bytes, recorded for malformed answers and for routes whose mapping is illegal (AWS §18).
    return _Answer(status, "Internal server error", "InternalServerError", colon=": ")


def _forbidden() -> _Answer:
    return _Answer(403, "Forbidden", "Forbidden")


def _rest(kind: ErrorKind) -> _Answer:
    """The answer of a REST API, of a WebSocket handshake, and where no API is known."""
    match kind:
        case ErrorKind.MISSING_AUTHENTICATION_TOKEN | ErrorKind.EXPIRED_TOKEN:
            return _rest_token(kind)
        case ErrorKind.ACCESS_DENIED | ErrorKind.INVALID_SIGNATURE | ErrorKind.UNAUTHORIZED:
            return _rest_token(kind)
        case ErrorKind.API_CONFIGURATION_ERROR | ErrorKind.BROKEN_ROUTE | ErrorKind.INTERNAL:
            return _internal(500)
        case ErrorKind.MALFORMED_FUNCTION_ANSWER | ErrorKind.FUNCTION_FAILURE:
            return _internal(502)
        case ErrorKind.AUTHORIZER_CONFIGURATION_ERROR:
            return _Answer(500, None, "AuthorizerConfiguration")
        case ErrorKind.AUTHORIZER_FAILURE:
            return _Answer(500, None, "AuthorizerFailure")
        case ErrorKind.INTEGRATION_FAILURE:
            text = "Network error communicating with endpoint"
            return _Answer(504, text, "InternalServerError")
        case ErrorKind.INTEGRATION_TIMEOUT:
            return _Answer(504, "Endpoint request timed out", "InternalServerError")
        case ErrorKind.BAD_REQUEST_PARAMETERS:
            return _Answer(400, "Missing required request parameters", "BadRequest")
        case ErrorKind.BAD_REQUEST_BODY:
            return _Answer(400, "Invalid request body", "BadRequest")
        case ErrorKind.UNSUPPORTED_MEDIA_TYPE:
            return _Answer(415, "Unsupported Media Type", "BadRequest")
        case ErrorKind.REQUEST_TOO_LARGE:
            return _Answer(413, "Request Too Long", "RequestTooLarge")
        case ErrorKind.URI_TOO_LONG:
            return _Answer(414, "Request URI too long", "RequestUriTooLong")
        case ErrorKind.QUOTA_EXCEEDED:
            return _Answer(429, "Limit Exceeded", "LimitExceeded")
        case ErrorKind.THROTTLED:
            return _Answer(429, "Too Many Requests", "TooManyRequests")
        case ErrorKind.INVALID_API_KEY | ErrorKind.WAF_FILTERED | ErrorKind.UNKNOWN_HOST:
            return _forbidden()
        case ErrorKind.UNKNOWN_STAGE | ErrorKind.DEFAULT_ENDPOINT_DISABLED:
            return _forbidden()
        case ErrorKind.NO_MAPPING | ErrorKind.TLS_REQUIRED:
            return _forbidden()
        case ErrorKind.MISDIRECTED_REQUEST:
            return _Answer(421, "Misdirected Request", "MisdirectedRequest")
        case ErrorKind.RESOURCE_NOT_FOUND | ErrorKind.NOT_FOUND | ErrorKind.NO_ROUTING_RULE:
            return _Answer(404, "Not Found", "NotFound")
        case ErrorKind.NO_ENDPOINT | ErrorKind.OVERLOAD:
            return _Answer(503, "Service Unavailable", "ServiceUnavailable")
        case ErrorKind.BAD_REQUEST | ErrorKind.HEAD_TOO_LARGE | ErrorKind.HEAD_TIMEOUT:
            return _head(kind)
        case _:
            assert_never(kind)


def _rest_token(kind: ErrorKind) -> _Answer:
    if kind is ErrorKind.MISSING_AUTHENTICATION_TOKEN:
        return _Answer(403, "Missing Authentication Token", "MissingAuthenticationToken")
    if kind is ErrorKind.EXPIRED_TOKEN:
        text = "The security token included in the request is expired"
        return _Answer(403, text, "ExpiredToken")
    if kind is ErrorKind.INVALID_SIGNATURE:
        text = (
            "The request signature we calculated does not match the signature you provided. "
            "Check your secret access key and signing method."
        )
        return _Answer(403, text, "InvalidSignature")
    if kind is ErrorKind.UNAUTHORIZED:
        return _Answer(401, "Unauthorized", "Unauthorized")
    text = "User is not authorized to access this resource"
    return _Answer(403, text, "AccessDenied", key="Message")


def _head(kind: ErrorKind) -> _Answer:
    if kind is ErrorKind.HEAD_TOO_LARGE:
        return _Answer(431, "Request header fields too large", "RequestHeaderFieldsTooLarge")
    if kind is ErrorKind.HEAD_TIMEOUT:
        return _Answer(408, "Request Timeout", "RequestTimeout")
    return _Answer(400, "Bad Request", "BadRequest")


def _http(kind: ErrorKind) -> _Answer:
    """The answer of an HTTP API; these carry no error type (AWS §2.3)."""
    match kind:
        case (
            ErrorKind.API_CONFIGURATION_ERROR
            | ErrorKind.AUTHORIZER_CONFIGURATION_ERROR
            | ErrorKind.AUTHORIZER_FAILURE
            | ErrorKind.MALFORMED_FUNCTION_ANSWER
            | ErrorKind.FUNCTION_FAILURE
            | ErrorKind.BROKEN_ROUTE
            | ErrorKind.INTERNAL
        ):
            return _Answer(500, "Internal Server Error")
        case (
            ErrorKind.INTEGRATION_FAILURE
            | ErrorKind.INTEGRATION_TIMEOUT
            | ErrorKind.NO_ENDPOINT
            | ErrorKind.OVERLOAD
        ):
            return _Answer(503, "Service Unavailable")
        case (
            ErrorKind.ACCESS_DENIED
            | ErrorKind.EXPIRED_TOKEN
            | ErrorKind.INVALID_API_KEY
            | ErrorKind.INVALID_SIGNATURE
            | ErrorKind.MISSING_AUTHENTICATION_TOKEN
            | ErrorKind.NO_MAPPING
            | ErrorKind.TLS_REQUIRED
            | ErrorKind.UNKNOWN_HOST
            | ErrorKind.WAF_FILTERED
        ):
            return _Answer(403, "Forbidden")
        case (
            ErrorKind.NOT_FOUND
            | ErrorKind.NO_ROUTING_RULE
            | ErrorKind.RESOURCE_NOT_FOUND
            | ErrorKind.UNKNOWN_STAGE
            | ErrorKind.DEFAULT_ENDPOINT_DISABLED
        ):
            return _Answer(404, "Not Found")
        case ErrorKind.BAD_REQUEST_PARAMETERS | ErrorKind.BAD_REQUEST_BODY:
            return _Answer(400, "Bad Request")
        case ErrorKind.UNAUTHORIZED:
            return _Answer(401, "Unauthorized")
        case ErrorKind.MISDIRECTED_REQUEST:
            return _Answer(421, "Misdirected Request")
        case ErrorKind.REQUEST_TOO_LARGE:
            return _Answer(413, "Request Entity Too Large")
        case ErrorKind.URI_TOO_LONG:
            return _Answer(414, "URI Too Long")
        case ErrorKind.UNSUPPORTED_MEDIA_TYPE:
            return _Answer(415, "Unsupported Media Type")
        case ErrorKind.QUOTA_EXCEEDED:
            return _Answer(429, "Limit Exceeded")
        case ErrorKind.THROTTLED:
            return _Answer(429, "Too Many Requests")
        case ErrorKind.BAD_REQUEST | ErrorKind.HEAD_TOO_LARGE | ErrorKind.HEAD_TIMEOUT:
            return _head(kind)._replace(error_type="")
        case _:
            assert_never(kind)


class _Prepared(NamedTuple):
    """An answer as bytes, apart from the ids."""

    answer: _Answer
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def _body(answer: _Answer, message: str | None) -> bytes:
    text = json.dumps(message, ensure_ascii=False)
    return f'{{"{answer.key}"{answer.colon}{text}}}'.encode("utf-8", "replace")


def _prepared(answer: _Answer) -> _Prepared:
    headers = [(b"Content-Type", b"application/json")]
    if answer.error_type:
        headers.append((b"x-amzn-ErrorType", f"{answer.error_type}Exception".encode("ascii")))
    return _Prepared(answer, tuple(headers), _body(answer, answer.message))


_REST: Final = {kind: _prepared(_rest(kind)) for kind in ErrorKind}
_HTTP: Final = {kind: _prepared(_http(kind)) for kind in ErrorKind}

_CLOSING: Final = frozenset(
    {ErrorKind.BAD_REQUEST, ErrorKind.HEAD_TOO_LARGE, ErrorKind.HEAD_TIMEOUT}
)


def error_response(
    kind: ErrorKind,
    api_kind: ApiKind | None,
    *,
    request_id: str,
    extended_id: str,
    message: str | None = None,
    error_type: str = "",
) -> Response:
    """The whole answer for an error, ids included; `api_kind` None where no API is known.

    `message` replaces the text where AWS names particulars (which parameters are missing),
    `error_type` that of `x-amzn-ErrorType` where it has one at all.
    """
    prepared = (_HTTP if api_kind is ApiKind.HTTP else _REST)[kind]
    if error_type and prepared.answer.error_type:
        prepared = _prepared(prepared.answer._replace(error_type=error_type))
    headers: Headers = [*prepared.headers, *id_headers(api_kind, request_id, extended_id)]
    body = prepared.body if message is None else _body(prepared.answer, message)
    return Response(prepared.answer.status, headers, body)


def error_message(kind: ErrorKind, api_kind: ApiKind | None) -> str | None:
    """The text a client reads, for `$context.error.message`; None where AWS sends null."""
    return (_HTTP if api_kind is ApiKind.HTTP else _REST)[kind].answer.message


def error_status(kind: ErrorKind, api_kind: ApiKind | None) -> int:
    """The status a client gets."""
    return (_HTTP if api_kind is ApiKind.HTTP else _REST)[kind].answer.status


def closes(kind: ErrorKind) -> bool:
    """Whether the connection ends after this answer: what follows cannot be told apart."""
    return kind in _CLOSING
