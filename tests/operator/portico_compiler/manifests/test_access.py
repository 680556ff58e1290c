"""Authorizer, UsagePlan, ApiKey and IamUser are read whole (design.md §3)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from portico_compiler.manifests import access

AUTHORIZER: dict[str, Any] = {
    "apiRef": {"name": "a"},
    "authorizerType": "COGNITO_USER_POOLS",
    "identitySource": ["$request.header.Authorization"],
    "identityValidationExpression": ".*",
    "jwtConfiguration": {"issuer": "https://idp.example", "audience": ["a"]},
    "providerARNs": ["arn:aws:cognito-idp:us-east-1:123456789012:userpool/x"],
    "service": {"name": "a", "port": 80},
    "url": "http://x",
    "function": "f",
    "authorizerPayloadFormatVersion": "2.0",
    "enableSimpleResponses": True,
    "authorizerResultTtl": "5m",
    "extensions": {"algorithms": ["ES256"]},
}
PLAN: dict[str, Any] = {
    "description": "gold",
    "apiStages": [
        {"apiRef": {"name": "a"}, "stage": "prod", "throttle": {"GET /": {"rateLimit": 1}}}
    ],
    "throttle": {"rateLimit": 0.5, "burstLimit": 1},
    "quota": {"limit": 10, "period": "MONTH", "offset": 27},
}
KEY: dict[str, Any] = {
    "description": "acme",
    "enabled": False,
    "customerId": "a",
    "usagePlanRefs": [{"name": "gold"}],
    "secretRef": {"name": "a", "key": "b"},
}
USER: dict[str, Any] = {"accessKeys": [{"secretRef": {"name": "a"}}], "policy": "{}"}


@pytest.mark.parametrize(
    ("shape", "given"),
    [
        (access.Authorizer, AUTHORIZER),
        (access.UsagePlan, PLAN),
        (access.ApiKey, KEY),
        (access.IamUser, USER),
    ],
)
def test_every_field_is_read(shape: Any, given: dict[str, Any]) -> None:
    spec = msgspec.convert({"spec": given}, shape).spec
    names = {f.encode_name: f for f in msgspec.structs.fields(type(spec))}
    assert set(names) == set(given)
    for name, field in names.items():
        assert getattr(spec, field.name) != field.default, name


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        (access.Authorizer, {"apiRef": {"name": "a"}}),
        (access.Authorizer, AUTHORIZER | {"authorizerType": "OIDC"}),
        (access.Authorizer, AUTHORIZER | {"providerArns": []}),
        (access.UsagePlan, {"quota": {"limit": 1, "period": "HOUR"}}),
        (access.UsagePlan, {"quota": {"limit": -1, "period": "DAY"}}),
        (access.UsagePlan, {"throttle": {"rate": 1}}),
        (access.ApiKey, {}),
        (access.ApiKey, {"secretRef": {"name": "a", "key": ""}}),
        (access.IamUser, {"accessKeys": [{}]}),
    ],
)
def test_what_is_refused(shape: Any, spec: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"spec": spec}, shape)
