"""A function's route: the call it needs, and what each outcome of the call means."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from portico_dataplane.core.identifiers import answered_trace_id
from portico_dataplane.core.messages import Response
from portico_dataplane.core.verdicts import (
    FunctionAnswer,
    Need,
    Reject,
    Respond,
    Unavailable,
    Verdict,
)
from portico_dataplane.integrations.function import FunctionIntegration
from portico_dataplane.integrations.function_event import build
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, LambdaProxy, ServiceTarget
from sample_requests import REQUEST_ID, TRACE, make_request

TARGET = ServiceTarget(upstream="default/fn:80", host="fn.default.svc.cluster.local:80")


def needed(kind: ApiKind = ApiKind.REST, body: bytes = b"", **spec: Any) -> Need:
    integration = FunctionIntegration(LambdaProxy(**{"target": TARGET, "function": "pets", **spec}))
    need = integration.on_request(make_request(kind), body)
    assert isinstance(need, Need)
    return need


def outcome(kind: ApiKind, answer: FunctionAnswer | Unavailable, **spec: Any) -> Verdict:
    return needed(kind, **spec).then(answer)


@pytest.mark.parametrize(
    ("kind", "payload_format"),
    [(ApiKind.REST, "1.0"), (ApiKind.HTTP, "1.0"), (ApiKind.HTTP, "2.0")],
)
def test_the_call(kind: ApiKind, payload_format: Any) -> None:
    call = needed(kind, b"{}", payload_format=payload_format, timeout_ms=1234).effect
    assert call.target is TARGET
    assert call.path == "/2015-03-31/functions/pets/invocations"
    assert call.headers == (
        (b"Content-Type", b"application/json"),
        (b"X-Amz-Invocation-Type", b"RequestResponse"),
    )
    assert call.timeout_ms == 1234
    assert msgspec.json.decode(call.body) == build(make_request(kind), b"{}", payload_format)


@pytest.mark.parametrize(
    ("function", "path"),
    [
        ("pets:live", "pets:live"),
        ("a b/../c?d#e", "a%20b%2F..%2Fc%3Fd%23e"),
        ("x\r\nX-Evil: 1", "x%0D%0AX-Evil:%201"),
        ("λ", "%CE%BB"),
    ],
)
def test_a_function_s_name_is_one_segment(function: str, path: str) -> None:
    call = needed(function=function).effect
    assert call.path == f"/2015-03-31/functions/{path}/invocations"


def test_the_limit_of_a_body_is_the_route_s() -> None:
    spec = LambdaProxy(target=TARGET, function="f", max_request_body=9)
    assert FunctionIntegration(spec).max_request_body == 9


def test_rest_answers_the_trace_id() -> None:
    """AWS §2.4: on AWS_PROXY of REST APIs, with every part."""
    verdict = outcome(ApiKind.REST, FunctionAnswer(200, "", b'{"statusCode": 201}'))
    assert isinstance(verdict, Respond)
    assert verdict.response.status == 201
    trace = answered_trace_id(TRACE, REQUEST_ID).encode()
    assert (b"X-Amzn-Trace-Id", trace) in verdict.response.headers


@pytest.mark.parametrize("payload_format", ["1.0", "2.0"])
def test_http_apis_do_not(payload_format: Any) -> None:
    answer = FunctionAnswer(200, "", b'{"statusCode": 201}')
    verdict = outcome(ApiKind.HTTP, answer, payload_format=payload_format)
    assert isinstance(verdict, Respond)
    assert [name for name, _ in verdict.response.headers] == [b"Content-Type"]


def test_the_format_decides_what_an_answer_means() -> None:
    answer = FunctionAnswer(200, "", b'"text"')
    assert isinstance(outcome(ApiKind.HTTP, answer, payload_format="1.0"), Reject)
    verdict = outcome(ApiKind.HTTP, answer, payload_format="2.0")
    assert isinstance(verdict, Respond)
    assert isinstance(verdict.response, Response)
    assert verdict.response.body == b"text"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (FunctionAnswer(200, "Unhandled", b'{"statusCode": 200}'), ErrorKind.FUNCTION_FAILURE),
        (FunctionAnswer(200, "", b"null"), ErrorKind.MALFORMED_FUNCTION_ANSWER),
        (FunctionAnswer(404, "", b'{"Type": "User"}'), ErrorKind.FUNCTION_FAILURE),
        (FunctionAnswer(429, "", b""), ErrorKind.FUNCTION_FAILURE),
        (FunctionAnswer(500, "", b'{"statusCode": 200}'), ErrorKind.FUNCTION_FAILURE),
        (FunctionAnswer(302, "", b""), ErrorKind.FUNCTION_FAILURE),
        (Unavailable(ErrorKind.INTEGRATION_TIMEOUT, "29 s"), ErrorKind.INTEGRATION_TIMEOUT),
        (Unavailable(ErrorKind.INTEGRATION_FAILURE, "reset"), ErrorKind.INTEGRATION_FAILURE),
        (Unavailable(ErrorKind.NO_ENDPOINT, "none"), ErrorKind.NO_ENDPOINT),
    ],
)
def test_calls_that_bring_no_answer(answer: FunctionAnswer | Unavailable, kind: ErrorKind) -> None:
    verdict = outcome(ApiKind.REST, answer)
    assert isinstance(verdict, Reject)
    assert verdict.kind is kind
    assert verdict.cause


def test_requests_do_not_share_their_trace() -> None:
    integration = FunctionIntegration(LambdaProxy(target=TARGET, function="f"))
    first = integration.on_request(make_request(), b"")
    other = integration.on_request(make_request(trace_id="Root=1-00000000-" + "0" * 24), b"")
    assert isinstance(first, Need)
    assert isinstance(other, Need)
    answer = FunctionAnswer(200, "", b"{}")
    for need, root in ((other, b"Root=1-0000"), (first, TRACE.encode())):
        verdict = need.then(answer)
        assert isinstance(verdict, Respond)
        assert dict(verdict.response.headers)[b"X-Amzn-Trace-Id"].startswith(root)
