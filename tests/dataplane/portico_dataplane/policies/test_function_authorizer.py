"""Function authorizers decide as AWS has it, and every failure refuses (AWS §4.10, §6.1)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from portico_dataplane.core.authorizer_cache import AnswerCache
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.messages import Headers, Request
from portico_dataplane.core.verdicts import (
    CONTINUE,
    CallFunction,
    FunctionAnswer,
    Need,
    Reject,
    Unavailable,
    Verdict,
)
from portico_dataplane.policies.authorizer_answer import Answer
from portico_dataplane.policies.function_authorizer import FunctionAuthorizerPolicy
from portico_ir.access import FunctionAuthorizer, IdentitySource
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, Broken, LambdaProxy, Route
from portico_ir.patterns import BadPattern
from portico_ir.targets import UrlTarget
from sample_requests import NOON_MS, make_request, match_of

REST, HTTP = ApiKind.REST, ApiKind.HTTP
TARGET = UrlTarget(url="http://127.0.0.1:9000")
TOKEN = IdentitySource(place="header", name="Authorization")
ALLOW = {
    "principalId": "user",
    "policyDocument": {
        "Version": "2012-10-17",
        "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}],
    },
}


def policy(effect: str, resource: str) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {"principalId": "user", "policyDocument": {"Statement": statement}}


def returned(value: object, status: int = 200, error: str = "") -> FunctionAnswer:
    return FunctionAnswer(status, error, json.dumps(value).encode())


class Guard:
    """A policy with a cache, and the clock of its requests."""

    def __init__(self, kind: ApiKind = REST, payload: str = "", **fields: Any) -> None:
        self.kind = kind
        self.now = NOON_MS
        self.spec = FunctionAuthorizer(
            **{
                "name": "default/auth",
                "kind": "TOKEN" if kind is REST else "REQUEST",
                "target": TARGET,
                "function": "auth",
                "sources": (TOKEN,),
                **fields,
            }
        )
        self.cache: AnswerCache[Answer] = AnswerCache(self.spec)
        integration = (
            LambdaProxy(target=TARGET, function="f", payload_format="2.0")
            if payload == "2.0"
            else Broken(reason="a test calls nothing")
        )
        key = "GET /pets/{petId}"
        route = Route(key=key, match=match_of(kind, key), integration=integration)
        self.policy = FunctionAuthorizerPolicy(self.spec, kind, route, self.cache)

    def request(
        self, token: str | None = "allow", target: str = "/pets/7", headers: Headers | None = None
    ) -> Request:
        sent = [
            *(headers or []),
            *([(b"Authorization", token.encode())] if token is not None else []),
        ]
        request = make_request(self.kind, target=target, headers=sent)
        request.received_ms = self.now
        request.caller = Caller()
        return request

    def asks(self, request: Request) -> Need:
        verdict = self.policy.on_request(request)
        assert isinstance(verdict, Need), verdict
        return verdict

    def says(self, answer: FunctionAnswer | Unavailable, request: Request | None = None) -> Verdict:
        request = request or self.request()
        request.caller.authorizer_latency_ms = 12.6
        return self.asks(request).then(answer)


def refused(verdict: Verdict) -> Reject:
    assert isinstance(verdict, Reject), verdict
    return verdict


# --- asking -----------------------------------------------------------------------------------


def test_a_function_is_invoked_with_the_event() -> None:
    guard = Guard(timeout_ms=7000, function="auth:live")
    effect = guard.asks(guard.request()).effect
    assert isinstance(effect, CallFunction)
    assert effect.target == TARGET
    assert effect.path == "/2015-03-31/functions/auth:live/invocations"
    assert effect.timeout_ms == 7000
    assert effect.question
    assert effect.flight is None
    assert json.loads(effect.body) == {
        "type": "TOKEN",
        "authorizationToken": "allow",
        "methodArn": "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/$default/GET/pets/7",
    }


def test_a_service_gets_the_event_as_it_is() -> None:
    guard = Guard(function="")
    effect = guard.asks(guard.request()).effect
    assert effect.path == ""
    assert (b"Content-Type", b"application/json") in effect.headers
    assert guard.says(returned(ALLOW)) is CONTINUE


@pytest.mark.parametrize("token", [None, "", "  "])
def test_without_a_token_nobody_is_asked(token: str | None) -> None:
    guard = Guard()
    assert refused(guard.policy.on_request(guard.request(token))).kind is ErrorKind.UNAUTHORIZED


def test_one_missing_source_is_enough() -> None:
    second = IdentitySource(place="querystring", name="b")
    guard = Guard(kind=HTTP, sources=(TOKEN, second))
    assert isinstance(guard.policy.on_request(guard.request()), Reject)
    assert isinstance(guard.policy.on_request(guard.request(target="/pets/7?b=")), Reject)
    assert isinstance(guard.policy.on_request(guard.request(target="/pets/7?b=1")), Need)


def test_without_sources_everybody_is_asked_about() -> None:
    """AWS §6.1: always called, and never remembered."""
    guard = Guard(sources=(), ttl_s=0)
    for _ in range(2):
        assert guard.says(returned(ALLOW), guard.request(None)) is CONTINUE


def test_tokens_of_another_form_are_refused_unasked() -> None:
    """AWS §6.1: identityValidationExpression matches the whole token."""
    guard = Guard(validation="x-[a-z]+")
    for token in ("X-123", "x-abc1", "ax-abc"):
        assert refused(guard.policy.on_request(guard.request(token))).kind is ErrorKind.UNAUTHORIZED
    assert isinstance(guard.policy.on_request(guard.request("x-abc")), Need)
    with pytest.raises(BadPattern):
        Guard(validation="(")


def test_an_arn_that_policies_cannot_name() -> None:
    """AWS §6.1: 414; HTTP APIs have no such limit."""
    prefix = len("arn:aws:execute-api:us-east-1:000000000000:abcdef1234/$default/GET")
    fits = "/" + "x" * (1600 - prefix - 1)
    guard = Guard()
    assert isinstance(guard.policy.on_request(guard.request(target=fits)), Need)
    verdict = refused(guard.policy.on_request(guard.request(target=fits + "x")))
    assert verdict.kind is ErrorKind.URI_TOO_LONG
    assert isinstance(Guard(HTTP).policy.on_request(Guard(HTTP).request(target=fits + "x")), Need)


# --- deciding ---------------------------------------------------------------------------------


def test_allowed() -> None:
    guard = Guard()
    request = guard.request()
    context = {"tenant": "blue", "n": 7}
    verdict = guard.says(returned(ALLOW | {"context": context, "usageIdentifierKey": "k"}), request)
    assert verdict is CONTINUE
    caller = request.caller
    assert caller.principal == "user"
    assert caller.usage_key == "k"
    assert caller.authorizer == {"principalId": "user", "tenant": "blue", "n": "7"}
    assert caller.event == {
        "principalId": "user",
        "tenant": "blue",
        "n": "7",
        "integrationLatency": 13,
    }


def test_denied() -> None:
    """AWS §2.3."""
    guard = Guard()
    explicit = refused(guard.says(returned(policy("Deny", "*"))))
    assert explicit.kind is ErrorKind.ACCESS_DENIED
    assert explicit.message == (
        "User is not authorized to access this resource with an explicit deny"
    )
    implicit = refused(guard.says(returned(policy("Allow", "arn:aws:execute-api:*:*:*/*/POST/*"))))
    assert implicit.kind is ErrorKind.ACCESS_DENIED
    assert implicit.message is None


@pytest.mark.parametrize(
    ("effect", "resource", "said", "allowed"),
    [
        ("Allow", "*", "allow", True),
        ("Allow", "*", "", True),
        ("Allow", "arn:none", "allow", True),
        ("Allow", "arn:none", "", False),
        ("Deny", "*", "allow", False),
        ("Deny", "*", "", False),
        ("Deny", "arn:none", "allow", True),
    ],
)
def test_with_a_resource_policy(effect: str, resource: str, said: Any, allowed: bool) -> None:
    """AWS §3.21, table A."""
    guard = Guard()
    request = guard.request()
    request.caller.resource_policy = said
    verdict = guard.says(returned(policy(effect, resource)), request)
    assert (verdict is CONTINUE) is allowed


def test_http_apis_answer_forbidden() -> None:
    guard = Guard(HTTP, simple=True, payload_format="2.0", payload="2.0")
    request = guard.request()
    assert guard.says(returned({"isAuthorized": True, "context": {"n": 1}}), request) is CONTINUE
    assert request.caller.event == {"lambda": {"n": 1}}
    assert request.caller.authorizer == {"n": 1}
    verdict = refused(guard.says(returned({"isAuthorized": False})))
    assert (verdict.kind, verdict.message) == (ErrorKind.ACCESS_DENIED, None)
    with_policy = Guard(HTTP, payload_format="2.0")
    verdict = refused(with_policy.says(returned(policy("Deny", "*"))))
    assert (verdict.kind, verdict.message) == (ErrorKind.ACCESS_DENIED, None)


# --- failing ----------------------------------------------------------------------------------

FAILURE, CONFIGURATION = ErrorKind.AUTHORIZER_FAILURE, ErrorKind.AUTHORIZER_CONFIGURATION_ERROR


@pytest.mark.parametrize(
    ("answer", "kind", "cause"),
    [
        (returned({"errorMessage": "Unauthorized"}, error="Unhandled"), ErrorKind.UNAUTHORIZED, ""),
        (returned({"errorMessage": "unauthorized"}, error="Unhandled"), FAILURE, "unauthorized"),
        (returned({"errorMessage": "Unauthorized "}, error="Unhandled"), FAILURE, "Unauthorized "),
        (returned({"errorMessage": "kaboom"}, error="Unhandled"), FAILURE, "kaboom"),
        (returned("kaboom", error="Handled"), FAILURE, "Handled"),
        (FunctionAnswer(200, "Unhandled", b"{"), FAILURE, "Unhandled"),
        (returned(ALLOW, error="Unhandled"), FAILURE, "Unhandled"),
        (returned({"Message": "no function"}, status=404), CONFIGURATION, "404"),
        (returned({}, status=429), FAILURE, "429"),
        (returned(ALLOW, status=500), FAILURE, "500"),
        (returned({}), CONFIGURATION, "principalId"),
        (returned(None), CONFIGURATION, "object"),
        (FunctionAnswer(200, "", b""), CONFIGURATION, "JSON"),
        (Unavailable(ErrorKind.INTEGRATION_TIMEOUT, "no answer in time"), FAILURE, "in time"),
        (Unavailable(ErrorKind.INTEGRATION_FAILURE, "refused"), FAILURE, "refused"),
        (Unavailable(ErrorKind.NO_ENDPOINT, "nothing is ready"), FAILURE, "nothing"),
        (Unavailable(ErrorKind.OVERLOAD, "too many"), FAILURE, "too many"),
        (Unavailable(ErrorKind.API_CONFIGURATION_ERROR, "private"), CONFIGURATION, "private"),
        (Unavailable(ErrorKind.MALFORMED_FUNCTION_ANSWER, "too large"), CONFIGURATION, "large"),
    ],
)
def test_every_failure_refuses(
    answer: FunctionAnswer | Unavailable, kind: ErrorKind, cause: str
) -> None:
    """AWS §6.1; the cause is for the log, the client reads the text of the kind."""
    for guard in (Guard(), Guard(ttl_s=300, stale_ms=60_000)):
        verdict = refused(guard.says(answer))
        assert verdict.kind is kind
        assert verdict.cause.startswith("default/auth: ")
        assert cause in verdict.cause
        assert verdict.message is None
        assert not verdict.headers
        assert len(guard.cache) == 0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, ErrorKind.UNAUTHORIZED),
        (403, ErrorKind.ACCESS_DENIED),
        (302, CONFIGURATION),
        (404, CONFIGURATION),
        (503, FAILURE),
    ],
)
def test_a_service_may_refuse_by_its_status(status: int, kind: ErrorKind) -> None:
    """Ours; an Invoke API means something else by it."""
    assert refused(Guard(function="").says(returned({}, status=status))).kind is kind
    invoked = refused(Guard().says(returned({}, status=status))).kind
    assert invoked in (FAILURE, CONFIGURATION)


def test_a_service_cannot_raise() -> None:
    """The header is Lambda's; a service has its status."""
    assert Guard(function="").says(returned(ALLOW, error="Unhandled")) is CONTINUE


# --- remembering ------------------------------------------------------------------------------


def test_an_answer_is_given_again_and_judged_anew() -> None:
    """AWS §6.1: the policy is kept, and held against each request's own ARN."""
    guard = Guard(ttl_s=300)
    only = "arn:aws:execute-api:*:*:*/*/GET/pets/7"
    assert guard.says(returned(policy("Allow", only))) is CONTINUE
    request = guard.request()
    assert guard.policy.on_request(request) is CONTINUE
    assert request.caller.event == {"principalId": "user", "integrationLatency": 0}
    other = refused(guard.policy.on_request(guard.request(target="/pets/8")))
    assert other.kind is ErrorKind.ACCESS_DENIED
    assert isinstance(guard.policy.on_request(guard.request("other")), Need)
    guard.now += 300_000
    assert isinstance(guard.policy.on_request(guard.request()), Need)


def test_a_refusal_is_remembered_too() -> None:
    guard = Guard(ttl_s=300)
    assert refused(guard.says(returned(policy("Deny", "*"))))
    assert refused(guard.policy.on_request(guard.request())).kind is ErrorKind.ACCESS_DENIED


def test_without_a_time_nothing_is_remembered() -> None:
    guard = Guard()
    assert guard.says(returned(ALLOW)) is CONTINUE
    assert isinstance(guard.policy.on_request(guard.request()), Need)
    assert len(guard.cache) == 0


def test_who_asks_the_same_meanwhile_waits_for_one_call() -> None:
    guard = Guard(ttl_s=300)
    first, second = guard.request(), guard.request(target="/pets/8")
    needs = [guard.asks(first), guard.asks(second)]
    assert needs[0].effect.flight == needs[1].effect.flight is not None
    assert guard.asks(guard.request("other")).effect.flight != needs[0].effect.flight
    assert Guard(ttl_s=300).asks(guard.request()).effect.flight != needs[0].effect.flight
    answer = returned(ALLOW)
    assert [need.then(answer) for need in needs] == [CONTINUE, CONTINUE]
    assert len(guard.cache) == 1


def test_an_old_answer_stands_in_while_the_authorizer_fails() -> None:
    guard = Guard(ttl_s=300, stale_ms=60_000)
    down = Unavailable(ErrorKind.INTEGRATION_FAILURE, "refused")
    assert guard.says(returned(ALLOW)) is CONTINUE
    guard.now += 300_000
    assert guard.says(down) is CONTINUE
    # The next ones do not even ask.
    assert guard.policy.on_request(guard.request()) is CONTINUE
    guard.now += 59_999
    assert guard.says(down) is CONTINUE
    guard.now += 1
    assert refused(guard.says(down)).kind is FAILURE


def test_what_is_no_failure_of_the_moment_is_never_papered_over() -> None:
    guard = Guard(ttl_s=300, stale_ms=60_000)
    assert guard.says(returned(ALLOW)) is CONTINUE
    guard.now += 300_000
    assert refused(guard.says(returned({}))).kind is CONFIGURATION
    unauthorized = returned({"errorMessage": "Unauthorized"}, error="Unhandled")
    assert refused(guard.says(unauthorized)).kind is ErrorKind.UNAUTHORIZED
