"""Every field of the three kinds of API is read under AWS's name (design.md §3)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from portico_compiler.manifests import apis

COMMON: dict[str, Any] = {
    "className": "public",
    "description": "all of it",
    "version": "2",
    "disableExecuteApiEndpoint": True,
    "defaultStage": "Never",
    "functions": {"a": {"url": "http://x"}, "b": {"service": {"name": "b", "port": 80}}},
}
CORS = {"allowOrigins": ["*"], "allowMethods": ["GET"], "maxAge": -1}
MODELS = {"Pet": {"contentType": "application/json", "schema": {"type": "object"}}}


def fields(struct: msgspec.Struct) -> set[str]:
    """Encoded names of the fields that are not at their default."""
    return set(msgspec.to_builtins(struct)) - {
        field.encode_name
        for field in msgspec.structs.fields(type(struct))
        if getattr(struct, field.name) == field.default
    }


def test_rest_apis() -> None:
    spec = COMMON | {
        "apiKeySource": "AUTHORIZER",
        "binaryMediaTypes": ["image/*"],
        "minimumCompressionSize": 1024,
        "models": MODELS,
        "gatewayResponses": {"DEFAULT_4XX": {"statusCode": "418", "responseTemplates": {"a": "b"}}},
        "policy": {"Version": "2012-10-17"},
        "corsConfiguration": CORS,
        "openApi": {"openapi": "3.0.1"},
    }
    assert fields(msgspec.convert({"spec": spec}, apis.RestApi).spec) == set(spec)


def test_http_apis() -> None:
    spec = COMMON | {"corsConfiguration": CORS, "openApi": {"openapi": "3.0.1"}}
    assert fields(msgspec.convert({"spec": spec}, apis.HttpApi).spec) == set(spec)


def test_websocket_apis() -> None:
    spec = COMMON | {
        "routeSelectionExpression": "$request.body.kind",
        "apiKeySelectionExpression": "$context.authorizer.usageIdentifierKey",
        "models": MODELS,
    }
    assert fields(msgspec.convert({"spec": spec}, apis.WebSocketApi).spec) == set(spec)


@pytest.mark.parametrize("shape", [apis.RestApi, apis.HttpApi, apis.WebSocketApi])
def test_a_spec_may_be_empty(shape: type[msgspec.Struct]) -> None:
    assert msgspec.convert({}, shape) == msgspec.convert({"spec": {}}, shape)


@pytest.mark.parametrize(
    "spec",
    [
        {"apiKeySource": "QUERY"},
        {"minimumCompressionSize": 10_485_761},
        {"gatewayResponses": {"TEAPOT": {}}},
        {"defaultStage": "Sometimes"},
        {"models": {"a b": {}}},
        {"corsConfiguration": {"maxAge": 86_401}},
    ],
)
def test_what_a_rest_api_refuses(spec: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"spec": spec}, apis.RestApi)
