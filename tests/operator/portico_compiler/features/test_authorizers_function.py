"""Authorizers that are functions or services: from a manifest to the contract (AWS §4.10, §6.1)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import scopes
from portico_compiler.features.authorizers import authorizer
from portico_compiler.manifests.access import AuthorizerSpec
from portico_compiler.manifests.shapes import FunctionEndpoint
from portico_compiler.problems import Reason
from portico_ir.access import Authorizer, FunctionAuthorizer, IdentitySource
from portico_ir.model import ApiKind, Broken, ServiceTarget, UrlTarget

FUNCTIONS = {"auth": FunctionEndpoint(url="http://functions.example")}
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: auth, namespace: default}
spec: {ports: [{port: 80}]}
"""
TOKEN: dict[str, Any] = {
    "apiRef": {"name": "shop"},
    "authorizerType": "TOKEN",
    "identitySource": "method.request.header.Auth",
    "function": "auth",
}
REQUEST: dict[str, Any] = {
    "apiRef": {"name": "shop"},
    "authorizerType": "REQUEST",
    "function": "auth",
}
HTTP: dict[str, Any] = {
    "apiRef": {"kind": "HttpApi", "name": "shop"},
    "authorizerType": "REQUEST",
    "function": "auth",
}
AUTH = IdentitySource(place="header", name="Auth")
TARGET = UrlTarget(url="http://functions.example")


def made(
    base: dict[str, Any], *, variables: dict[str, str] | None = None, **more: Any
) -> tuple[Authorizer | Broken, list[tuple[str, Reason]]]:
    kind = ApiKind.HTTP if base is HTTP else ApiKind.REST
    scope = scopes.scope(
        SERVICE, kind=kind, functions=FUNCTIONS, variables={} if variables is None else variables
    )
    fields = {name: value for name, value in {**base, **more}.items() if value is not None}
    found = authorizer("default/who", msgspec.convert(fields, AuthorizerSpec), scope)
    return found, [(problem.field, problem.reason) for problem in scope.problems]


def good(base: dict[str, Any], **more: Any) -> FunctionAuthorizer:
    found, problems = made(base, **more)
    assert problems == []
    assert isinstance(found, FunctionAuthorizer)
    return found


def test_a_token_authorizer() -> None:
    """AWS §6.1: kept for five minutes unless something else is said."""
    assert good(TOKEN, identityValidationExpression="x-[a-z]+") == FunctionAuthorizer(
        name="default/who",
        kind="TOKEN",
        target=TARGET,
        function="auth",
        sources=(AUTH,),
        validation="x-[a-z]+",
        ttl_s=300,
        stale_ms=60_000,
    )


def test_a_request_authorizer() -> None:
    said = "method.request.header.Auth, method.request.querystring.q,context.path"
    assert good(REQUEST, identitySource=said).sources == (
        AUTH,
        IdentitySource(place="querystring", name="q"),
        IdentitySource(place="context", name="path"),
    )
    always = good(REQUEST)
    assert always.sources == ()
    assert always.ttl_s == 0


def test_on_an_http_api() -> None:
    """AWS §4.10: nothing is kept unless it is asked for; format 2.0, as the console has it."""
    source = {"identitySource": "$request.header.Auth"}
    assert good(HTTP, **source) == FunctionAuthorizer(
        name="default/who",
        kind="REQUEST",
        target=TARGET,
        function="auth",
        payload_format="2.0",
        sources=(AUTH,),
    )
    assert good(HTTP, **source, authorizerPayloadFormatVersion="1.0").payload_format == "1.0"
    assert good(HTTP, **source, enableSimpleResponses=True).simple
    assert good(HTTP, **source, authorizerResultTtl="5m").ttl_s == 300
    assert good(HTTP, authorizerResultTtl="5m").ttl_s == 0


@pytest.mark.parametrize(
    ("ttl", "stale", "expected"),
    [
        ("0s", None, (0, 0)),
        ("0s", "1m", (0, 0)),
        ("10s", None, (10, 10_000)),
        ("1h", None, (3600, 60_000)),
        ("10s", "5m", (10, 300_000)),
        ("1h", "0s", (3600, 0)),
        ("1500ms", None, (2, 1_500)),
    ],
)
def test_how_long_answers_live(ttl: str, stale: str | None, expected: tuple[int, int]) -> None:
    extensions = None if stale is None else {"staleIfError": stale}
    found = good(TOKEN, authorizerResultTtl=ttl, extensions=extensions)
    assert (found.ttl_s, found.stale_ms) == expected


def test_where_it_is_asked() -> None:
    inline = {"name": "auth:live", "url": "http://other.example/invoke"}
    found = good(TOKEN, function=inline)
    assert (found.target, found.function) == (
        UrlTarget(url="http://other.example/invoke"),
        "auth:live",
    )
    url = good(TOKEN, function=None, url="https://auth.example/check?full=1")
    assert (url.target, url.function) == (UrlTarget(url="https://auth.example/check?full=1"), "")
    service = good(TOKEN, function=None, service={"name": "auth", "port": 80, "path": "/check"})
    assert isinstance(service.target, ServiceTarget)
    assert (service.target.upstream, service.target.path) == ("default/auth:80", "/check")
    assert not service.target.append_path


def test_stage_variables_are_filled_in() -> None:
    variables = {"name": "auth", "host": "blue.example"}
    assert good(TOKEN, function="${stageVariables.name}", variables=variables).function == "auth"
    url = good(TOKEN, function=None, url="http://${stageVariables.host}/", variables=variables)
    assert url.target == UrlTarget(url="http://blue.example/")


@pytest.mark.parametrize(
    ("base", "more", "field", "reason"),
    [
        (TOKEN, {"identitySource": "method.request.querystring.a"}, "identitySource", "VALUE"),
        (TOKEN, {"identitySource": None}, "identitySource", "VALUE"),
        (TOKEN, {"identitySource": ["method.request.header.A"] * 2}, "identitySource", "VALUE"),
        (REQUEST, {"identitySource": "method.request.path.id"}, "identitySource", "VALUE"),
        (REQUEST, {"identitySource": "$request.header.A"}, "identitySource", "VALUE"),
        (HTTP, {"identitySource": "method.request.header.A"}, "identitySource", "VALUE"),
        (
            REQUEST,
            {"identityValidationExpression": "a"},
            "identityValidationExpression",
            "COMBINATION",
        ),
        (TOKEN, {"enableSimpleResponses": True}, "enableSimpleResponses", "COMBINATION"),
        (
            TOKEN,
            {"authorizerPayloadFormatVersion": "2.0"},
            "authorizerPayloadFormatVersion",
            "COMBINATION",
        ),
        (
            HTTP,
            {"authorizerPayloadFormatVersion": "1.0", "enableSimpleResponses": True},
            "enableSimpleResponses",
            "COMBINATION",
        ),
        (REQUEST, {"authorizerResultTtl": "5m"}, "authorizerResultTtl", "COMBINATION"),
    ],
)
def test_what_would_restrict_nothing(
    base: dict[str, Any], more: dict[str, Any], field: str, reason: str
) -> None:
    found, problems = made(base, **more)
    assert isinstance(found, Broken)
    assert problems == [(f"spec.{field}", Reason[f"INVALID_{reason}"])]


@pytest.mark.parametrize(
    ("more", "field", "reason"),
    [
        ({"function": "other"}, "spec.function", Reason.FUNCTION_UNRESOLVED),
        ({"function": "${stageVariables.x}"}, "spec.function", Reason.UNRESOLVED_VARIABLE),
        (
            {"function": {"name": "f", "url": "ftp://x"}},
            "spec.function.url",
            Reason.INVALID_ADDRESS,
        ),
        ({"function": None}, "spec.function", Reason.MISSING_FIELD),
        ({"function": None, "url": "auth.example"}, "spec.url", Reason.INVALID_ADDRESS),
        ({"function": None, "url": "http://a/{id}"}, "spec.url", Reason.UNRESOLVED_VARIABLE),
        (
            {"function": None, "service": {"name": "gone", "port": 80}},
            "spec.service",
            Reason.SERVICE_NOT_FOUND,
        ),
        (
            {"function": None, "service": {"name": "auth", "port": 81}},
            "spec.service.port",
            Reason.PORT_NOT_FOUND,
        ),
    ],
)
def test_where_nobody_can_be_asked(more: dict[str, Any], field: str, reason: Reason) -> None:
    found, problems = made(TOKEN, **more)
    assert isinstance(found, Broken)
    assert problems == [(field, reason)]
