"""Rules of APIs, Stages and PorticoClasses."""

from __future__ import annotations

from typing import Any

import pytest

from portico_compiler import validation
from portico_compiler.rules.apis import template_fault


def fields(kind: str, **spec: Any) -> list[str]:
    return [fault.field for fault in validation.read(kind, {"spec": spec}).faults]


@pytest.mark.parametrize("kind", ["RestApi", "HttpApi"])
@pytest.mark.parametrize(
    ("cors", "field"),
    [
        ({"allowOrigins": ["*"]}, None),
        ({"allowOrigins": ["https://a"], "allowCredentials": True}, None),
        ({"allowOrigins": ["https://*"], "allowCredentials": True}, None),
        ({"allowOrigins": ["https://a", "*"], "allowCredentials": True}, "allowCredentials"),
        ({"maxAge": "24h"}, None),
        ({"maxAge": "25h"}, "maxAge"),
    ],
)
def test_cors(kind: str, cors: dict[str, Any], field: str | None) -> None:
    expected = [f"spec.corsConfiguration.{field}"] if field else []
    assert fields(kind, corsConfiguration=cors) == expected


@pytest.mark.parametrize("kind", ["RestApi", "HttpApi", "WebSocketApi"])
def test_functions(kind: str) -> None:
    functions = {
        "a": {"url": "http://x"},
        "b": {},
        "c": {"url": "u", "service": {"name": "d", "port": 1}},
    }
    assert fields(kind, functions=functions) == ["spec.functions.b", "spec.functions.c"]


@pytest.mark.parametrize(
    ("key", "fine"),
    [
        ("*/*", True),
        ("~1pets/GET", True),
        ("~1/ANY", True),
        ("~1pets~1{petId}/POST", True),
        ("pets/GET", True),
        ("*/GET", False),
        ("/pets/GET", False),
        ("~1pets/get", False),
        ("~1pets", False),
        ("GET /pets", False),
        ("/GET", False),
    ],
)
def test_method_settings(key: str, fine: bool) -> None:
    """AWS §3.15."""
    found = fields("Stage", apiRef={"name": "a"}, stageName="p", methodSettings={key: {}})
    assert (found == []) is fine


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("$context.requestId", True),
        ("", False),
        ("  ", False),
        ("a" * 3072, True),
        ("ä" * 1537, False),
    ],
)
def test_access_log_formats(text: str, fine: bool) -> None:
    """AWS §10.1."""
    log = {"format": text}
    found = fields("Stage", apiRef={"name": "a"}, stageName="p", accessLogSettings=log)
    assert found == ([] if fine else ["spec.accessLogSettings.format"])


@pytest.mark.parametrize(
    ("template", "fine"),
    [
        ("{api}.{namespace}.{baseDomain}", True),
        ("{api}-{namespace}.{baseDomain}", True),
        ("{api}.{namespace}.gw.example", True),
        ("{api}.{baseDomain}", False),
        ("{namespace}.{baseDomain}", False),
        ("{api}.{namespace}.{team}", False),
        ("{api}.{namespace}/x", False),
        ("{api}.{namespace}.{", False),
        (".{api}.{namespace}", False),
        ("", False),
    ],
)
def test_address_templates(template: str, fine: bool) -> None:
    assert (template_fault(template) == "") is fine
    if template:
        expected = [] if fine else ["spec.addressTemplate"]
        assert fields("PorticoClass", addressTemplate=template) == expected


def test_ranges() -> None:
    proxies = ["10.0.0.0/8", "10.0.0.1", "::1", "10.0.0.1/8", "1.2.3", "10.0.0.0/33"]
    found = fields("PorticoClass", trustedProxies=proxies)
    assert found == ["spec.trustedProxies[4]", "spec.trustedProxies[5]"]


ALLOW: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "execute-api:Invoke",
    "Resource": "execute-api:/*",
}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"Version": "2012-10-17", "Statement": [ALLOW]}, []),
        ('{"Statement": []}', ["spec.policy.Statement"]),
        ("{", ["spec.policy"]),
        ({}, ["spec.policy.Statement"]),
        ({"Statement": [ALLOW, ALLOW | {"Effect": "allow"}]}, ["spec.policy.Statement[1].Effect"]),
        ({"Statement": [{**ALLOW, "Sid": "x" * 9_000}]}, ["spec.policy"]),
    ],
)
def test_resource_policies(policy: object, expected: list[str]) -> None:
    """AWS §3.21: at most 8192 characters, and understood whole."""
    assert fields("RestApi", policy=policy) == expected
