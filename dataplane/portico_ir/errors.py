"""ErrorKind: every way a request can end without its integration's answer.

The names are AWS's gateway response types (AWS §3.12) where AWS has one, so that users can
override them by name; the rest are ours and say so.
"""

from __future__ import annotations

import enum


class ErrorKind(enum.StrEnum):
    """Closed: `core/errors.py` maps each to an answer per kind of API, exhaustively."""

    ACCESS_DENIED = "ACCESS_DENIED"
    API_CONFIGURATION_ERROR = "API_CONFIGURATION_ERROR"
    AUTHORIZER_CONFIGURATION_ERROR = "AUTHORIZER_CONFIGURATION_ERROR"
    AUTHORIZER_FAILURE = "AUTHORIZER_FAILURE"
    BAD_REQUEST_PARAMETERS = "BAD_REQUEST_PARAMETERS"
    BAD_REQUEST_BODY = "BAD_REQUEST_BODY"
    EXPIRED_TOKEN = "EXPIRED_TOKEN"
    INTEGRATION_FAILURE = "INTEGRATION_FAILURE"
    INTEGRATION_TIMEOUT = "INTEGRATION_TIMEOUT"
    INVALID_API_KEY = "INVALID_API_KEY"
    INVALID_SIGNATURE = "INVALID_SIGNATURE"
    MISSING_AUTHENTICATION_TOKEN = "MISSING_AUTHENTICATION_TOKEN"
    """REST: no token, or no such route and method."""
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
    THROTTLED = "THROTTLED"
    UNAUTHORIZED = "UNAUTHORIZED"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    WAF_FILTERED = "WAF_FILTERED"

    # Ours: AWS has the situation but no type for it, or cannot have it.
    URI_TOO_LONG = "URI_TOO_LONG"
    """The ARN of the method is longer than policies can name: 414 (AWS §6.1)."""
    MALFORMED_FUNCTION_ANSWER = "MALFORMED_FUNCTION_ANSWER"
    """A function's answer is not a response: REST 502 (36 bytes), HTTP 500 (AWS §2.3)."""
    FUNCTION_FAILURE = "FUNCTION_FAILURE"
    """The function raised: REST 502, HTTP 500."""
    NO_ENDPOINT = "NO_ENDPOINT"
    """Nothing is ready behind the route: 503."""
    BROKEN_ROUTE = "BROKEN_ROUTE"
    """The route is broken or not built: 500."""
    UNKNOWN_HOST = "UNKNOWN_HOST"
    """No API answers to this host: 403."""
    UNKNOWN_STAGE = "UNKNOWN_STAGE"
    """REST 403 Forbidden, HTTP 404 Not Found."""
    NO_MAPPING = "NO_MAPPING"
    """A domain of one's own, and no mapping takes the path: 403 (AWS §8.2)."""
    NO_ROUTING_RULE = "NO_ROUTING_RULE"
    """A domain that only has rules, and none matches: 404 (AWS §8.4)."""
    TLS_REQUIRED = "TLS_REQUIRED"
    """The domain asks for TLS settings that a plaintext connection does not have: 403."""
    MISDIRECTED_REQUEST = "MISDIRECTED_REQUEST"
    """The host is another domain's than the handshake was for: 421 (RFC 9110 §15.5.20)."""
    DEFAULT_ENDPOINT_DISABLED = "DEFAULT_ENDPOINT_DISABLED"
    """REST 403, HTTP 404 (AWS §8.6)."""
    NOT_FOUND = "NOT_FOUND"
    """HTTP API: no route: 404."""
    BAD_REQUEST = "BAD_REQUEST"
    """The head or framing is unparsable or refused: 400, close."""
    HEAD_TOO_LARGE = "HEAD_TOO_LARGE"
    """431, close."""
    HEAD_TIMEOUT = "HEAD_TIMEOUT"
    """408, close."""
    OVERLOAD = "OVERLOAD"
    """503: too much is queued."""
    INTERNAL = "INTERNAL"
    """A bug of ours: 500."""
