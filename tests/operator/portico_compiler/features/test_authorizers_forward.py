"""Login proxies as authorizers: from a manifest to the contract."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import scopes
from portico_compiler.features.authorizers import authorizer
from portico_compiler.manifests.access import AuthorizerSpec
from portico_compiler.problems import Reason
from portico_ir.access import Authorizer, ForwardAuthorizer
from portico_ir.model import ApiKind, Broken, ServiceTarget, UrlTarget

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: login, namespace: default}
spec: {ports: [{port: 4180}]}
"""
URL: dict[str, Any] = {"url": "https://login.example/auth"}


def made(**fields: Any) -> tuple[Authorizer | Broken, list[tuple[str, Reason]]]:
    base = {
        "apiRef": {"name": "shop"},
        "authorizerType": "REQUEST",
        "extensions": {"forwardAuth": {}},
    }
    scope = scopes.scope(SERVICE, kind=ApiKind.REST)
    spec = msgspec.convert({**base, **fields}, AuthorizerSpec)
    found = authorizer("default/login", spec, scope)
    return found, [(problem.field, problem.reason) for problem in scope.problems]


def test_what_is_asked_and_what_it_sees() -> None:
    names = {"requestHeaders": ["Cookie", "cookie", "X-A"], "responseHeaders": ["X-User"]}
    assert made(**URL, extensions={"forwardAuth": names}) == (
        ForwardAuthorizer(
            name="default/login",
            target=UrlTarget(url="https://login.example/auth"),
            request_headers=("cookie", "x-a"),
            response_headers=("x-user",),
        ),
        [],
    )
    found, problems = made(service={"name": "login", "port": 4180, "path": "/oauth2/auth"})
    assert problems == []
    assert isinstance(found, ForwardAuthorizer)
    assert isinstance(found.target, ServiceTarget)
    assert found.request_headers == ("authorization", "cookie")


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({}, "spec.extensions.forwardAuth", Reason.MISSING_FIELD),
        ({"function": "auth"}, "spec.function", Reason.INVALID_COMBINATION),
        (
            {**URL, "identitySource": "method.request.header.Cookie"},
            "spec.identitySource",
            Reason.INVALID_COMBINATION,
        ),
        (
            {**URL, "authorizerResultTtl": "5m"},
            "spec.authorizerResultTtl",
            Reason.INVALID_COMBINATION,
        ),
        (
            {**URL, "authorizerType": "TOKEN"},
            "spec.extensions.forwardAuth",
            Reason.INVALID_COMBINATION,
        ),
        (
            {**URL, "extensions": {"forwardAuth": {"requestHeaders": ["Cookie", "Host"]}}},
            "spec.extensions.forwardAuth.requestHeaders[1]",
            Reason.INVALID_VALUE,
        ),
        (
            {**URL, "extensions": {"forwardAuth": {"responseHeaders": ["a b"]}}},
            "spec.extensions.forwardAuth.responseHeaders[0]",
            Reason.INVALID_VALUE,
        ),
    ],
)
def test_what_nobody_would_read_is_refused(
    fields: dict[str, Any], field: str, reason: Reason
) -> None:
    found, problems = made(**fields)
    assert isinstance(found, Broken)
    assert problems == [(field, reason)]


def test_no_time_to_keep_is_no_contradiction() -> None:
    assert made(**URL, authorizerResultTtl="0s")[1] == []
