"""Rules of Authorizers, UsagePlans, DomainNames and ApiMappings."""

from __future__ import annotations

from typing import Any

import pytest

from portico_compiler import validation


def fields(kind: str, **spec: Any) -> list[str]:
    return [fault.field for fault in validation.read(kind, {"spec": spec}).faults]


URL = {"url": "http://x"}
POOLS = {"providerARNs": ["arn"]}
JWT = {"jwtConfiguration": {"issuer": "https://i"}}


@pytest.mark.parametrize(
    ("kind", "type_", "more", "expected"),
    [
        ("RestApi", "TOKEN", URL | {"identitySource": "h"}, []),
        ("RestApi", "TOKEN", URL, ["spec.identitySource"]),
        ("RestApi", "REQUEST", URL, []),
        ("RestApi", "REQUEST", {}, ["spec"]),
        ("RestApi", "REQUEST", URL | {"function": "f"}, ["spec"]),
        ("RestApi", "REQUEST", {"function": {"name": "f"}}, ["spec.function"]),
        ("RestApi", "COGNITO_USER_POOLS", POOLS, []),
        ("RestApi", "COGNITO_USER_POOLS", {}, ["spec.providerARNs"]),
        ("RestApi", "JWT", JWT, ["spec.authorizerType"]),
        ("HttpApi", "JWT", JWT, []),
        ("HttpApi", "JWT", {}, ["spec.jwtConfiguration"]),
        ("HttpApi", "REQUEST", URL, []),
        ("HttpApi", "TOKEN", URL | {"identitySource": "h"}, ["spec.authorizerType"]),
        ("WebSocketApi", "REQUEST", URL, []),
        ("WebSocketApi", "COGNITO_USER_POOLS", POOLS, ["spec.authorizerType"]),
        ("RestApi", "REQUEST", URL | {"authorizerResultTtl": "1h"}, []),
        ("RestApi", "REQUEST", URL | {"authorizerResultTtl": "0s"}, []),
        ("RestApi", "REQUEST", URL | {"authorizerResultTtl": "61m"}, ["spec.authorizerResultTtl"]),
        ("RestApi", "REQUEST", URL | {"extensions": {"staleIfError": "1h"}}, []),
        (
            "RestApi",
            "REQUEST",
            URL | {"extensions": {"staleIfError": "61m"}},
            ["spec.extensions.staleIfError"],
        ),
        ("RestApi", "COGNITO_USER_POOLS", POOLS | {"identityValidationExpression": "[a-z]+"}, []),
        (
            "RestApi",
            "COGNITO_USER_POOLS",
            POOLS | {"identityValidationExpression": "(?<=a)b"},
            ["spec.identityValidationExpression"],
        ),
    ],
)
def test_authorizers(kind: str, type_: str, more: dict[str, Any], expected: list[str]) -> None:
    """AWS §6.1, §6.2, §4.9, §4.10, §5.8."""
    api = {"name": "a", "kind": kind}
    assert fields("Authorizer", apiRef=api, authorizerType=type_, **more) == expected


@pytest.mark.parametrize(
    ("period", "offset", "fine"),
    [
        ("DAY", 0, True),
        ("DAY", 1, False),
        ("WEEK", 6, True),
        ("WEEK", 7, False),
        ("MONTH", 27, True),
        ("MONTH", 28, False),
    ],
)
def test_quotas(period: str, offset: int, fine: bool) -> None:
    """AWS §7.2."""
    found = fields("UsagePlan", quota={"limit": 1, "period": period, "offset": offset})
    assert found == ([] if fine else ["spec.quota.offset"])


def rule(priority: int, actions: int = 1) -> dict[str, Any]:
    action = {"invokeApi": {"apiRef": {"name": "a"}, "stage": "p"}}
    return {"priority": priority, "actions": [action] * actions}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([rule(1), rule(2)], []),
        ([rule(1), rule(1)], ["spec.routingRules[1].priority"]),
        ([rule(1, 0)], ["spec.routingRules[0].actions"]),
        ([rule(1, 2)], ["spec.routingRules[0].actions"]),
    ],
)
def test_routing_rules(rules: list[Any], expected: list[str]) -> None:
    assert fields("DomainName", domainNames=["a.example"], routingRules=rules) == expected


@pytest.mark.parametrize(
    ("allowed", "fine"),
    [
        ({"namespaces": "All"}, True),
        ({"namespaces": "Selector", "selector": {}}, True),
        ({"namespaces": "Selector"}, False),
        ({"namespaces": "Same", "selector": {}}, False),
    ],
)
def test_allowed_mappings(allowed: dict[str, Any], fine: bool) -> None:
    found = fields("DomainName", domainNames=["a.example"], allowedMappings=allowed)
    assert found == ([] if fine else ["spec.allowedMappings.selector"])


@pytest.mark.parametrize(
    ("key", "fine"),
    [("", True), ("orders/v2", True), ("/orders", False), ("orders/", False), ("a//b", False)],
)
def test_mapping_keys(key: str, fine: bool) -> None:
    """AWS §8.2."""
    found = fields("ApiMapping", domainRef={"name": "a"}, apiRef={"name": "a"}, apiMappingKey=key)
    assert found == ([] if fine else ["spec.apiMappingKey"])
