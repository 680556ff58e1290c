"""AWS_PROXY, prepared: a request becomes an invocation, its answer becomes the response.

Made by `build.py` for each route with a function, asked by `http/exchange.py` once the body is
there. Pure: it says which call it needs (`Need(CallFunction)`) and what the answer of that call
means; the performer makes the call, with the request's trace id. The wire is Lambda's Invoke API.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import msgspec

from portico_dataplane.core.identifiers import answered_trace_id
from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import (
    CallFunction,
    FunctionAnswer,
    Need,
    Reject,
    Respond,
    Unavailable,
    Verdict,
)
from portico_dataplane.integrations.function_answer import convert
from portico_dataplane.integrations.function_event import build, trace_of
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, LambdaProxy

_INVOKE: Final = "/2015-03-31/functions/{}/invocations"
_HEADERS: Final = (
    (b"Content-Type", b"application/json"),
    (b"X-Amz-Invocation-Type", b"RequestResponse"),
)
_encode: Final = msgspec.json.Encoder().encode


class FunctionIntegration:
    """A route's function."""

    __slots__ = ("_path", "_payload_format", "_target", "_timeout_ms", "max_request_body")

    def __init__(self, spec: LambdaProxy) -> None:
        self.max_request_body = spec.max_request_body
        self._target = spec.target
        # A qualifier (`name:alias`) may stay as it is; anything else is one path segment.
        self._path = _INVOKE.format(quote(spec.function, safe=":"))
        self._payload_format = spec.payload_format
        self._timeout_ms = spec.timeout_ms

    def on_request(self, request: Request, body: bytes) -> Verdict:
        """The invocation with its event, and what its answer means."""
        event = build(request, body, self._payload_format)
        trace = trace_of(request)
        call = CallFunction(
            self._target,
            self._path,
            _HEADERS,
            _encode(event),
            self._timeout_ms,
        )
        kind = request.api.kind

        def then(answer: FunctionAnswer | Unavailable) -> Verdict:
            return self._verdict(kind, answered_trace_id(trace, request.request_id), answer)

        return Need(call, then)

    def _verdict(
        self, kind: ApiKind, trace: str, answer: FunctionAnswer | Unavailable
    ) -> Respond | Reject:
        if isinstance(answer, Unavailable):
            return Reject(answer.kind, answer.cause)
        if not 200 <= answer.status <= 299:
            # The Invoke API itself refused: no such function, throttled, not permitted.
            cause = f"the Invoke API answered {answer.status}"
            return Reject(ErrorKind.FUNCTION_FAILURE, cause)
        converted = convert(kind, self._payload_format, answer.body, answer.function_error)
        if isinstance(converted, Reject):
            return converted
        if kind is not ApiKind.HTTP:
            # Answered by AWS, AWS_PROXY and HTTP; not on HTTP APIs, not on errors (AWS §2.4).
            converted.headers.append((b"X-Amzn-Trace-Id", trace.encode("latin-1")))
        return Respond(converted)
