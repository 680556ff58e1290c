"""x-amazon-apigateway-integration as spec.integration."""

from __future__ import annotations

from typing import Any

import pytest

from openapi_documents import ANY, FUNCTION, complaints, document, operation, remarks, taken
from portico_compiler.openapi.importer import Kind
from portico_compiler.openapi.integrations import function_name

INVOKE = FUNCTION.partition("arn:aws:lambda")[0]


def integration_of(extension: dict[str, Any], kind: Kind = "RestApi", path: str = "/x") -> Any:
    specs, imported = taken(document({path: {"get": operation(extension)}}), kind)
    return specs[f"GET {path}"].get("integration"), imported


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        (FUNCTION.format("fn"), "fn"),
        (FUNCTION.format("fn:alias"), "fn:alias"),
        (FUNCTION.format("${stageVariables.fn}"), "${stageVariables.fn}"),
        (FUNCTION.format("fn:${stageVariables.alias}"), "fn:${stageVariables.alias}"),
        ("arn:aws-cn:lambda:cn-north-1:123456789012:function:fn", "fn"),
        (FUNCTION.format("fn").replace("invocations", "response-streaming-invocations"), "fn"),
        (f"{INVOKE}${{stageVariables.arn}}/invocations", "${stageVariables.arn}"),
        ("arn:aws:apigateway:us-east-1:sqs:path/1/queue", None),
        ("arn:aws:states:us-east-1:1:stateMachine:x", None),
        ("http://example.com", None),
        ("", None),
    ],
)
def test_function_names(uri: str, name: str | None) -> None:
    assert function_name(uri) == name


def test_every_field_of_a_rest_integration() -> None:
    extension = {
        "type": "http",
        "uri": "https://${stageVariables.host}/v/{id}?q=${stageVariables.q}",
        "httpMethod": "post",
        "timeoutInMillis": 1500,
        "connectionType": "internet",
        "credentials": "arn:aws:iam::1:role/r",
        "passthroughBehavior": "when_no_match",
        "contentHandling": "CONVERT_TO_TEXT",
        "cacheNamespace": "n",
        "cacheKeyParameters": ["method.request.path.id"],
        "responseTransferMode": "stream",
        "tlsConfig": {"insecureSkipVerification": True},
        "requestParameters": {"integration.request.path.id": "method.request.path.id"},
        "requestTemplates": {"application/json": "$input.body", "text/x": None},
        "responses": {
            "default": {"statusCode": 200, "responseTemplates": {"application/json": None}},
            "4\\d{2}": {
                "statusCode": "404",
                "responseParameters": {"method.response.header.X": "'y'"},
                "contentHandling": "convert_to_binary",
            },
        },
    }
    found, imported = integration_of(extension, path="/x/{id}")
    assert not imported.problems
    assert found == {
        "type": "HTTP",
        "url": "https://${stageVariables.host}/v/{id}?q=${stageVariables.q}",
        "httpMethod": "POST",
        "timeout": "1500ms",
        "connectionType": "INTERNET",
        "credentials": "arn:aws:iam::1:role/r",
        "passthroughBehavior": "WHEN_NO_MATCH",
        "contentHandling": "CONVERT_TO_TEXT",
        "cacheNamespace": "n",
        "cacheKeyParameters": ["method.request.path.id"],
        "responseTransferMode": "STREAM",
        "tlsConfig": {"insecureSkipVerification": True},
        "requestParameters": {"integration.request.path.id": "method.request.path.id"},
        "requestTemplates": {"application/json": "$input.body", "text/x": ""},
        "responses": {
            "default": {"statusCode": "200", "responseTemplates": {"application/json": ""}},
            "4\\d{2}": {
                "statusCode": "404",
                "responseParameters": {"method.response.header.X": "'y'"},
                "contentHandling": "CONVERT_TO_BINARY",
            },
        },
    }


def test_every_field_of_an_http_integration() -> None:
    extension = {
        "type": "HTTP_PROXY",
        "uri": "http://example.com/{id}",
        "httpMethod": "ANY",
        "payloadFormatVersion": 1.0,
        "timeoutInMillis": 30000,
        "requestParameters": {"append:querystring.n": 1},
        "responseParameters": {404: {"overwrite:statuscode": 200}},
        "tlsConfig": {"serverNameToVerify": "example.org"},
    }
    found, imported = integration_of(extension, "HttpApi", "/x/{id}")
    assert complaints(imported) == []
    assert found == {
        "type": "HTTP_PROXY",
        "url": "http://example.com/{id}",
        "httpMethod": "ANY",
        "payloadFormatVersion": "1.0",
        "timeout": "30s",
        "requestParameters": {"append:querystring.n": "1"},
        "responseParameters": {"404": {"overwrite:statuscode": "200"}},
        "tlsConfig": {"serverNameToVerify": "example.org"},
    }


def test_a_whole_number_as_payload_format() -> None:
    extension = {"type": "aws_proxy", "uri": FUNCTION.format("fn"), "payloadFormatVersion": 2}
    found, _ = integration_of(extension, "HttpApi")
    assert found == {"type": "AWS_PROXY", "function": "fn", "payloadFormatVersion": "2.0"}


@pytest.mark.parametrize(
    ("kind", "extension", "field", "reason"),
    [
        ("RestApi", {"uri": "http://e"}, ".type", "MissingField"),
        ("RestApi", {"type": "ftp"}, ".type", "NotImplemented"),
        ("RestApi", {"type": ["http"]}, ".type", "InvalidValue"),
        ("HttpApi", {"type": "mock"}, ".type", "NotImplemented"),
        ("HttpApi", {"type": "aws", "uri": FUNCTION.format("f")}, ".type", "NotImplemented"),
        ("RestApi", {"type": "http_proxy"}, ".uri", "MissingField"),
        ("RestApi", {"type": "http_proxy", "uri": "ftp://e"}, ".uri", "InvalidValue"),
        ("RestApi", {"type": "http_proxy", "uri": FUNCTION.format("f")}, ".uri", "NotImplemented"),
        ("RestApi", {"type": "aws_proxy", "uri": "http://e"}, ".uri", "NotImplemented"),
        (
            "RestApi",
            {"type": "aws", "uri": "arn:aws:apigateway:us-east-1:sqs:path/1/q"},
            ".uri",
            "NotImplemented",
        ),
        (
            "HttpApi",
            {"type": "http_proxy", "connectionType": "VPC_LINK", "uri": "arn:aws:elb:listener"},
            ".uri",
            "NotImplemented",
        ),
        (
            "HttpApi",
            {"type": "aws_proxy", "integrationSubtype": "SQS-SendMessage"},
            ".integrationSubtype",
            "NotImplemented",
        ),
        ("RestApi", {"type": "mock", "secretSauce": 1}, ".secretSauce", "UnknownField"),
        (
            "RestApi",
            {"type": "mock", "timeoutInMillis": "soon"},
            ".timeoutInMillis",
            "InvalidValue",
        ),
        (
            "RestApi",
            {"type": "mock", "responses": {"default": {"status": 1}}},
            ".responses.default.status",
            "UnknownField",
        ),
        ("RestApi", "mock", "", "InvalidValue"),
    ],
)
def test_what_cannot_be_taken_fails_closed(
    kind: Kind, extension: Any, field: str, reason: str
) -> None:
    operation_ = {"x-amazon-apigateway-integration": extension}
    specs, imported = taken(document({"/x": {"get": operation_}, "/y": {"get": operation()}}), kind)
    assert "integration" not in specs["GET /x"]
    expected = f"paths[/x].get.x-amazon-apigateway-integration{field}"
    assert (expected, reason) in complaints(imported)
    if kind == "RestApi":
        assert "integration" in specs["GET /y"], "one mistake never takes down its neighbours"


def test_rest_fills_variables_from_mappings_only() -> None:
    """AWS §3.4: `{id}` of the resource is not the `{id}` of the address."""
    extension = {"type": "http_proxy", "uri": "http://e/{id}"}
    found, imported = integration_of(extension, path="/x/{id}")
    assert found is None
    path = "paths[/x/{id}].get.x-amazon-apigateway-integration.uri"
    assert complaints(imported) == [(path, "UnresolvedVariable")]


def test_what_changes_nothing_is_remarked_and_left_out() -> None:
    rest, imported = integration_of(
        {
            "type": "http_proxy",
            "uri": "http://e/",
            "connectionType": "VPC_LINK",
            "connectionId": "abc",
            "payloadFormatVersion": "1.0",
        }
    )
    assert rest == {"type": "HTTP_PROXY", "url": "http://e/", "connectionType": "VPC_LINK"}
    assert len(remarks(imported)) == 2
    assert complaints(imported) == []
    http, imported = integration_of(
        {"type": "http_proxy", "uri": "http://e/", "passthroughBehavior": "never"}, "HttpApi"
    )
    assert http == {"type": "HTTP_PROXY", "url": "http://e/"}
    assert complaints(imported) == []


def test_integrations_by_reference() -> None:
    shared = {"type": "http_proxy", "uri": "http://e/"}
    reference = {"$ref": "#/components/x-amazon-apigateway-integrations/one"}
    given = document(
        {"/x": {ANY: {"x-amazon-apigateway-integration": reference}}},
        components={"x-amazon-apigateway-integrations": {"one": shared}},
    )
    specs, imported = taken(given, "HttpApi")
    assert specs["ANY /x"]["integration"] == {"type": "HTTP_PROXY", "url": "http://e/"}
    assert complaints(imported) == []
