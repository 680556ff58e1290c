"""Security of operations and Authorizer objects: what is not understood never opens a route."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openapi_documents import FUNCTION, PROXY, complaints, document, operation, remarks, taken
from portico_compiler.openapi.importer import Kind

TOKEN: dict[str, Any] = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "x-amazon-apigateway-authtype": "custom",
    "x-amazon-apigateway-authorizer": {
        "type": "token",
        "authorizerUri": FUNCTION.format("auth"),
        "authorizerResultTtlInSeconds": 60,
        "identityValidationExpression": "^x",
        "authorizerCredentials": "arn:aws:iam::1:role/r",
    },
}
KEY = {"type": "apiKey", "name": "x-api-key", "in": "header"}
IAM = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "x-amazon-apigateway-authtype": "awsSigv4",
}
POOL = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "x-amazon-apigateway-authtype": "cognito_user_pools",
    "x-amazon-apigateway-authorizer": {"type": "cognito_user_pools", "providerARNs": ["arn:a"]},
}
JWT = {
    "type": "oauth2",
    "flows": {},
    "x-amazon-apigateway-authorizer": {
        "type": "jwt",
        "identitySource": "$request.header.Authorization",
        "jwtConfiguration": {"issuer": "https://i.example", "audience": ["a"]},
    },
}
REQUEST: dict[str, Any] = {
    "type": "apiKey",
    "name": "Unused",
    "in": "header",
    "x-amazon-apigateway-authorizer": {
        "type": "request",
        "authorizerUri": FUNCTION.format("auth"),
        "identitySource": "method.request.header.A, method.request.querystring.b",
        "authorizerPayloadFormatVersion": 2.0,
        "enableSimpleResponses": True,
    },
}
SCHEMES: dict[str, Any] = {
    "token": TOKEN,
    "key": KEY,
    "iam": IAM,
    "pool": POOL,
    "jwt": JWT,
    "request": REQUEST,
    "basic": {"type": "http", "scheme": "basic"},
    "other-key": {"type": "apiKey", "name": "X-Secret", "in": "header"},
}
GUARDS = ("authorizationType", "authorizerRef", "authorizationScopes", "apiKeyRequired")


def guard(
    security: Any, kind: Kind = "RestApi", *, root: Any = None, auth: Any = None
) -> tuple[dict[str, Any], list[str], bool]:
    """Guarding fields, reasons of errors, and whether the route calls anything."""
    own = {} if security is None else {"security": security}
    if auth is not None:
        own["x-amazon-apigateway-auth"] = auth
    inherited = {} if root is None else {"security": root}
    named = json.dumps([security, root])
    schemes = {name: each for name, each in SCHEMES.items() if f'"{name}"' in named}
    given = document(
        {"/x": {"get": operation(PROXY, **own)}},
        components={"securitySchemes": schemes},
        **inherited,
    )
    specs, imported = taken(given, kind)
    spec = specs["GET /x"]
    reasons = [reason for _, reason in complaints(imported)]
    return {k: spec[k] for k in GUARDS if k in spec}, reasons, "integration" in spec


CUSTOM = {"authorizationType": "CUSTOM", "authorizerRef": {"name": "api-token"}}


@pytest.mark.parametrize(
    ("security", "fields"),
    [
        (None, {}),
        ([], {}),
        ([{"key": []}], {"apiKeyRequired": True}),
        ([{"token": []}], CUSTOM),
        ([{"token": [], "key": []}], CUSTOM | {"apiKeyRequired": True}),
        # SAM writes one list entry each, and AWS applies them all.
        ([{"token": []}, {"key": []}], CUSTOM | {"apiKeyRequired": True}),
        ([{"iam": []}], {"authorizationType": "AWS_IAM"}),
        (
            [{"pool": ["a/read"]}],
            {
                "authorizationType": "COGNITO_USER_POOLS",
                "authorizerRef": {"name": "api-pool"},
                "authorizationScopes": ["a/read"],
            },
        ),
        ([{"NONE": []}], {}),
    ],
)
def test_requirements_of_rest_operations(security: Any, fields: dict[str, Any]) -> None:
    assert guard(security) == (fields, [], True)


def test_requirements_of_http_operations() -> None:
    jwt = {
        "authorizationType": "JWT",
        "authorizerRef": {"name": "api-jwt"},
        "authorizationScopes": ["r", "w"],
    }
    assert guard([{"jwt": ["r", "w"]}], "HttpApi") == (jwt, [], True)
    custom = {"authorizationType": "CUSTOM", "authorizerRef": {"name": "api-request"}}
    assert guard([{"request": []}], "HttpApi") == (custom, [], True)


def test_root_security_holds_where_an_operation_says_nothing() -> None:
    """AWS §9.1: recorded, although the guide denies it."""
    assert guard(None, root=[{"token": []}]) == (CUSTOM, [], True)
    assert guard([], root=[{"token": []}]) == ({}, [], True)
    assert guard([{"key": []}], root=[{"token": []}]) == ({"apiKeyRequired": True}, [], True)


def test_the_auth_extension() -> None:
    assert guard(None, auth={"type": "AWS_IAM"}) == ({"authorizationType": "AWS_IAM"}, [], True)
    root: list[Any] = [{"token": []}, {"key": []}]
    none = {"authorizationType": "NONE", "apiKeyRequired": True}
    assert guard(None, auth={"type": "none"}, root=root) == (none, [], True)
    iam = {"authorizationType": "AWS_IAM", "apiKeyRequired": True}
    assert guard(None, auth={"type": "AWS_IAM"}, root=root) == (iam, [], True)
    # A requirement that the operation states itself is not undone by it.
    assert guard([{"token": []}], auth={"type": "NONE"}) == (CUSTOM, [], True)


@pytest.mark.parametrize(
    ("kind", "security", "auth", "reason"),
    [
        ("RestApi", [{"missing": []}], None, "RefNotFound"),
        ("RestApi", [{"basic": []}], None, "NotImplemented"),
        ("RestApi", [{"other-key": []}], None, "NotImplemented"),
        ("RestApi", [{"token": []}, {"pool": []}], None, "InvalidValue"),
        ("RestApi", [{"token": []}], {"type": "AWS_IAM"}, "InvalidValue"),
        ("RestApi", [{"jwt": []}], None, "NotImplemented"),
        ("RestApi", "token", None, "InvalidValue"),
        ("RestApi", ["token"], None, "InvalidValue"),
        ("RestApi", None, {"type": "MAGIC"}, "NotImplemented"),
        ("RestApi", [{"token": "x"}], None, "InvalidValue"),
        ("HttpApi", [{"key": []}], None, "NotImplemented"),
        ("HttpApi", [{"token": []}], None, "NotImplemented"),
        ("HttpApi", [{"jwt": []}, {"request": []}], None, "InvalidValue"),
        ("HttpApi", [{"basic": []}], None, "NotImplemented"),
    ],
)
def test_what_is_not_understood_fails_closed(
    kind: Kind, security: Any, auth: Any, reason: str
) -> None:
    _, reasons, usable = guard(security, kind, auth=auth)
    assert reason in reasons
    assert not usable


def test_authorizers_of_a_rest_api() -> None:
    given = document({}, components={"securitySchemes": {"t": TOKEN, "p": POOL, "key": KEY}})
    _, imported = taken(given)
    specs = {
        each["metadata"]["name"]: each["spec"]
        for each in imported.objects
        if each["kind"] == "Authorizer"
    }
    assert specs == {
        "api-t": {
            "apiRef": {"name": "api"},
            "authorizerType": "TOKEN",
            "identitySource": ["method.request.header.Authorization"],
            "identityValidationExpression": "^x",
            "authorizerResultTtl": "60s",
            "function": "auth",
        },
        "api-p": {
            "apiRef": {"name": "api"},
            "authorizerType": "COGNITO_USER_POOLS",
            "identitySource": ["method.request.header.Authorization"],
            "providerARNs": ["arn:a"],
        },
    }
    assert complaints(imported) == []
    assert remarks(imported) == [
        "components.securitySchemes.t.x-amazon-apigateway-authorizer.authorizerCredentials"
    ]


def test_authorizers_of_an_http_api() -> None:
    given = document({}, components={"securitySchemes": {"j": JWT, "r": REQUEST}})
    _, imported = taken(given, "HttpApi")
    reference = {"kind": "HttpApi", "name": "api"}
    found = [each["spec"] for each in imported.objects if each["kind"] == "Authorizer"]
    assert found == [
        {
            "apiRef": reference,
            "authorizerType": "JWT",
            "identitySource": ["$request.header.Authorization"],
            "jwtConfiguration": {"issuer": "https://i.example", "audience": ["a"]},
            # AWS §4.9 takes RSA only, so what is imported does.
            "extensions": {
                "algorithms": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
            },
        },
        {
            "apiRef": reference,
            "authorizerType": "REQUEST",
            "identitySource": ["method.request.header.A", "method.request.querystring.b"],
            "authorizerPayloadFormatVersion": "2.0",
            "enableSimpleResponses": True,
            "function": "auth",
        },
    ]
    assert complaints(imported) == []


def test_swagger_has_its_schemes_elsewhere() -> None:
    given = {
        "swagger": "2.0",
        "securityDefinitions": {"k": KEY},
        "paths": {"/x": {"get": operation(security=[{"k": []}])}},
    }
    specs, imported = taken(given)
    assert specs["GET /x"]["apiKeyRequired"] is True
    assert complaints(imported) == []
