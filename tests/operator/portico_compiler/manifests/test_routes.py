"""Every field of a Route and its integration is read under AWS's name (design.md §3)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from portico_compiler.manifests import routes
from portico_compiler.manifests.shapes import InlineFunction

SERVICE = {"name": "a", "namespace": "b", "port": "web", "path": "/x", "scheme": "https"}
INTEGRATION: dict[str, Any] = {
    "type": "HTTP",
    "service": SERVICE,
    "url": "http://x",
    "function": "f",
    "backends": [{"service": SERVICE, "weight": 3}],
    "httpMethod": "ANY",
    "timeout": "1s",
    "connectionType": "VPC_LINK",
    "credentials": "arn:x",
    "tlsConfig": {
        "insecureSkipVerification": True,
        "serverNameToVerify": "a",
        "caRef": {"name": "a"},
        "clientCertificateRef": {"name": "a", "namespace": "b"},
    },
    "requestParameters": {"a": "b"},
    "requestTemplates": {"a/a": "b"},
    "passthroughBehavior": "NEVER",
    "contentHandling": "CONVERT_TO_TEXT",
    "cacheKeyParameters": ["a"],
    "cacheNamespace": "a",
    "responseTransferMode": "STREAM",
    "responses": {
        "default": {
            "statusCode": 200,
            "responseParameters": {"a": "b"},
            "responseTemplates": {"a/a": "b"},
            "contentHandling": "CONVERT_TO_BINARY",
            "templateSelectionExpression": "$default",
        }
    },
    "responseParameters": {"200": {"a": "b"}},
    "templateSelectionExpression": "a",
    "payloadFormatVersion": "1.0",
    "maxRequestBody": "1Gi",
    "preserveHost": True,
}
SPEC: dict[str, Any] = {
    "apiRef": {"name": "a", "namespace": "b", "kind": "WebSocketApi"},
    "routeKey": "GET /",
    "integration": INTEGRATION,
    "authorizationType": "JWT",
    "authorizerRef": {"name": "a"},
    "authorizationScopes": ["a"],
    "apiKeyRequired": True,
    "throttle": {"rateLimit": 0.5, "burstLimit": 1},
    "extensions": {"clientThrottle": {"rateLimit": 1, "burstLimit": 1}},
    "operationName": "a",
    "requestParameters": {"a": True},
    "requestModels": {"a/a": "b"},
    "requestValidator": {"validateRequestBody": True, "validateRequestParameters": True},
    "methodResponses": {"200": {"headers": {"a": True}, "models": {"a/a": "b"}}},
    "routeResponseSelectionExpression": "$default",
    "routeResponses": {"$default": {"models": {"a": "b"}, "parameters": {"a": True}}},
    "modelSelectionExpression": "a",
}


def test_every_field_is_read() -> None:
    spec = msgspec.convert({"spec": SPEC}, routes.Route).spec
    for struct, given in ((spec, SPEC), (spec.integration, INTEGRATION)):
        assert struct is not None
        names = {f.encode_name: f for f in msgspec.structs.fields(type(struct))}
        assert set(names) == set(given)
        for name, field in names.items():
            assert getattr(struct, field.name) != field.default, name


def test_defaults() -> None:
    given = {"apiRef": {"name": "a"}, "routeKey": "GET /", "integration": {}}
    spec = msgspec.convert(given, routes.RouteSpec)
    assert spec.api_ref.kind == "RestApi"
    assert spec.authorization_type == "NONE"
    assert spec.integration is not None
    assert spec.integration.type == "HTTP_PROXY"
    assert spec.integration.passthrough_behavior == "WHEN_NO_MATCH"


def test_functions_are_names_or_places() -> None:
    inline = {"function": {"name": "f", "url": "http://x"}}
    found = msgspec.convert(inline, routes.Integration)
    assert found.function == InlineFunction(name="f", url="http://x")


@pytest.mark.parametrize(
    "integration",
    [
        {"type": "LAMBDA"},
        {"httpMethod": "get"},
        {"timeout": 29},
        {"service": {"name": "a"}},
        {"service": {"name": "a", "port": 80, "scheme": "h2c"}},
        {"backends": [{"service": SERVICE, "weight": -1}]},
        {"payloadFormatVersion": 1.0},
        {"responseParameters": {"2xx": {}}},
        {"url": ""},
    ],
)
def test_what_an_integration_refuses(integration: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(integration, routes.Integration)
