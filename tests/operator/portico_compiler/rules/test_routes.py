"""Rules of Routes: each with what keeps it and what breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from portico_compiler import validation
from portico_compiler.problems import Reason
from portico_compiler.rules.routes import ROUTE_RULES

URL = {"url": "http://x"}
SERVICE = {"name": "a", "port": 80}
FUNCTION = {"type": "AWS_PROXY", "function": "f"}


def faults(kind: str = "RestApi", key: str = "GET /", **spec: Any) -> list[tuple[str, Reason]]:
    body = {"apiRef": {"name": "a", "kind": kind}, "routeKey": key, "integration": URL} | spec
    body = {name: value for name, value in body.items() if value != "absent"}
    return [(f.field, f.reason) for f in validation.read("Route", {"spec": body}).faults]


@pytest.mark.parametrize(
    ("kind", "key", "fine"),
    [
        ("RestApi", "GET /pets/{id}", True),
        ("RestApi", "$default", False),
        ("HttpApi", "$default", True),
        ("HttpApi", "pets", False),
        ("WebSocketApi", "sendMessage", True),
    ],
)
def test_keys(kind: str, key: str, fine: bool) -> None:
    expected = [] if fine else [("spec.routeKey", Reason.INVALID_VALUE)]
    assert faults(kind, key) == expected


@pytest.mark.parametrize(
    ("kind", "key", "fine"),
    [
        ("RestApi", "GET /", False),
        ("HttpApi", "$default", False),
        ("WebSocketApi", "$connect", True),
        ("WebSocketApi", "$disconnect", True),
        ("WebSocketApi", "$default", True),
        ("WebSocketApi", "sendMessage", False),
    ],
)
def test_routes_call_something(kind: str, key: str, fine: bool) -> None:
    expected = [] if fine else [("spec.integration", Reason.MISSING_FIELD)]
    assert faults(kind, key, integration="absent") == expected


@pytest.mark.parametrize(
    ("integration", "field"),
    [
        (URL, None),
        ({"service": SERVICE}, None),
        ({"backends": [{"service": SERVICE}]}, None),
        (FUNCTION, None),
        ({"type": "MOCK"}, None),
        ({"type": "HTTP", **URL}, None),
        ({"type": "AWS", "function": "f"}, None),
        ({}, "spec.integration"),
        ({"type": "AWS_PROXY"}, "spec.integration"),
        ({"service": SERVICE, **URL}, "spec.integration"),
        ({"service": SERVICE, "backends": [{"service": SERVICE}]}, "spec.integration"),
        ({"function": "f"}, "spec.integration.function"),
        ({"type": "AWS_PROXY", **URL}, "spec.integration.url"),
        ({"type": "MOCK", **URL}, "spec.integration"),
        ({"type": "AWS", "backends": [{"service": SERVICE}]}, "spec.integration.backends"),
    ],
)
def test_targets(integration: dict[str, Any], field: str | None) -> None:
    expected = [(field, Reason.INVALID_COMBINATION)] if field else []
    assert faults(integration=integration) == expected


@pytest.mark.parametrize(
    ("kind", "integration", "fine"),
    [
        ("HttpApi", {"type": "MOCK"}, False),
        ("HttpApi", {"type": "HTTP", **URL}, False),
        ("HttpApi", FUNCTION, True),
        ("RestApi", {"type": "MOCK"}, True),
    ],
)
def test_types_by_api(kind: str, integration: dict[str, Any], fine: bool) -> None:
    expected = [] if fine else [("spec.integration.type", Reason.INVALID_COMBINATION)]
    assert faults(kind, integration=integration) == expected


@pytest.mark.parametrize(
    ("field", "value", "fine"),
    [
        ("timeout", "1ms", True),
        ("timeout", "0s", False),
        ("timeout", "25h", False),
        ("maxRequestBody", "1Gi", True),
        ("maxRequestBody", 0, True),
        ("maxRequestBody", "99999999Ti", False),
        ("maxRequestBody", 2**60, False),
        ("responses", {"4..": {}, "default": {}}, True),
        ("function", {"name": "f"}, False),
    ],
)
def test_values_of_integrations(field: str, value: Any, fine: bool) -> None:
    integration: dict[str, Any] = URL | {field: value}
    if field == "function":
        integration = {"type": "AWS_PROXY", "function": value}
    found = faults(integration=integration)
    assert (found == []) is fine
    assert all(name == f"spec.integration.{field}" for name, _ in found)


def test_response_keys_are_patterns() -> None:
    mock = {"type": "MOCK", "responses": {"4(": {}}}
    assert faults(integration=mock) == [("spec.integration.responses[4(]", Reason.INVALID_VALUE)]
    assert faults("WebSocketApi", "a", integration=mock) == []


@pytest.mark.parametrize(
    ("kind", "type_", "reference", "field"),
    [
        ("RestApi", "NONE", False, None),
        ("RestApi", "AWS_IAM", False, None),
        ("RestApi", "CUSTOM", True, None),
        ("RestApi", "CUSTOM", False, "spec.authorizerRef"),
        ("RestApi", "COGNITO_USER_POOLS", False, "spec.authorizerRef"),
        ("RestApi", "JWT", True, "spec.authorizationType"),
        ("HttpApi", "JWT", True, None),
        ("HttpApi", "JWT", False, "spec.authorizerRef"),
        ("HttpApi", "COGNITO_USER_POOLS", True, "spec.authorizationType"),
        ("WebSocketApi", "JWT", True, "spec.authorizationType"),
        ("WebSocketApi", "CUSTOM", True, None),
    ],
)
def test_authorization(kind: str, type_: str, reference: bool, field: str | None) -> None:
    ref = {"name": "a"} if reference else "absent"
    found = faults(kind, authorizationType=type_, authorizerRef=ref)
    assert found == ([(field, Reason.INVALID_COMBINATION)] if field else [])


@pytest.mark.parametrize(
    ("parameters", "reasons"),
    [
        ({"method.request.path.a": True, "method.request.header.X-b": False}, []),
        ({"route.request.querystring.a": True}, []),
        ({"method.request.cookie.a": True}, [Reason.INVALID_VALUE]),
        ({"header.a": True}, [Reason.INVALID_VALUE]),
        (
            {"method.request.path.a": True, "method.request.header.a": True},
            [Reason.INVALID_COMBINATION],
        ),
    ],
)
def test_request_parameters(parameters: dict[str, bool], reasons: list[Reason]) -> None:
    assert [reason for _, reason in faults(requestParameters=parameters)] == reasons


def test_every_rule_is_a_sentence() -> None:
    assert all("_" in rule.__name__ for rule in ROUTE_RULES)
    assert len(set(ROUTE_RULES)) == len(ROUTE_RULES)
