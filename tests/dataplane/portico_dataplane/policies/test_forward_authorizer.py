"""A login proxy's answer: a 2xx consents, its refusals go on, everything else fails closed."""

from __future__ import annotations

import pytest

from portico_dataplane.core.caller import Caller
from portico_dataplane.core.messages import Headers, Request
from portico_dataplane.core.verdicts import (
    CONTINUE,
    FunctionAnswer,
    Need,
    Reject,
    Respond,
    Unavailable,
    Verdict,
)
from portico_dataplane.policies.forward_authorizer import MOST_BODY, ForwardAuthorizerPolicy
from portico_ir.access import ForwardAuthorizer
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind
from portico_ir.targets import UrlTarget
from sample_requests import make_request

SPEC = ForwardAuthorizer(
    name="d/login",
    target=UrlTarget(url="http://127.0.0.1:9000/auth"),
    request_headers=("cookie",),
    response_headers=("x-user", "x-role"),
    timeout_ms=7000,
)


def request(headers: Headers | None = None) -> Request:
    made = make_request(ApiKind.REST, target="/pets/7?q=%2F", headers=headers or [])
    made.caller = Caller()
    return made


def asks(asked: Request) -> Need:
    verdict = ForwardAuthorizerPolicy(SPEC).on_request(asked)
    assert isinstance(verdict, Need)
    return verdict


def says(answer: FunctionAnswer | Unavailable, asked: Request | None = None) -> Verdict:
    return asks(asked or request()).then(answer)


def test_the_question() -> None:
    effect = asks(request([(b"COOKIE", b"a=1"), (b"Cookie", b"b=2"), (b"X", b"no")])).effect
    assert (effect.method, effect.body, effect.timeout_ms) == (b"GET", b"", 7000)
    assert effect.question
    assert effect.flight is None
    assert effect.headers[:2] == ((b"COOKIE", b"a=1"), (b"Cookie", b"b=2"))
    shown = dict(effect.headers[2:])
    assert shown[b"X-Forwarded-Uri"] == b"/pets/7?q=%2F"
    assert shown[b"X-Forwarded-Method"] == b"GET"
    assert {b"x-user", b"x-role", b"location", b"set-cookie"} <= set(effect.wanted)


def test_consent() -> None:
    asked = request()
    answer = FunctionAnswer(200, "", b"", ((b"X-User", b"u1"), (b"x-user", b"u2")))
    assert says(answer, asked) is CONTINUE
    assert asked.caller.authorizer == {"x-user": "u1,u2", "x-role": ""}


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 407, 418])
def test_a_refusal_goes_on(status: int) -> None:
    headers = ((b"Location", b"/login"), (b"X-User", b"u1"), (b"Set-Cookie", b"t=1"))
    verdict = says(FunctionAnswer(status, "", b"no", headers))
    assert isinstance(verdict, Respond)
    assert verdict.response.status == status
    assert verdict.response.body == b"no"
    assert verdict.response.headers == [(b"Location", b"/login"), (b"Set-Cookie", b"t=1")]


def test_a_huge_refusal_is_ours() -> None:
    verdict = says(FunctionAnswer(403, "", b"x" * (MOST_BODY + 1)))
    assert isinstance(verdict, Reject)
    assert verdict.kind is ErrorKind.ACCESS_DENIED


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (FunctionAnswer(500, "", b"x"), ErrorKind.AUTHORIZER_FAILURE),
        (FunctionAnswer(429, "", b"x"), ErrorKind.AUTHORIZER_FAILURE),
        (FunctionAnswer(199, "", b"x"), ErrorKind.AUTHORIZER_FAILURE),
        (FunctionAnswer(404, "", b"x"), ErrorKind.AUTHORIZER_CONFIGURATION_ERROR),
        (
            Unavailable(ErrorKind.INTEGRATION_TIMEOUT, "no answer in time"),
            ErrorKind.AUTHORIZER_FAILURE,
        ),
        (
            Unavailable(ErrorKind.API_CONFIGURATION_ERROR, "no such host"),
            ErrorKind.AUTHORIZER_CONFIGURATION_ERROR,
        ),
    ],
)
def test_failures_refuse(answer: FunctionAnswer | Unavailable, kind: ErrorKind) -> None:
    asked = request()
    verdict = says(answer, asked)
    assert isinstance(verdict, Reject)
    assert verdict.kind is kind
    assert verdict.cause.startswith("d/login: ")
    assert asked.caller.authorizer is None
