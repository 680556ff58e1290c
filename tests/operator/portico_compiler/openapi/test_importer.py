"""Whole documents: the API object, stages, names, unreadable input, and any input at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openapi_documents import FUNCTION, MOCK, complaints, document, operation, remarks, taken
from portico_compiler.openapi import import_document
from portico_compiler.openapi.importer import Kind


def test_every_field_of_a_rest_api() -> None:
    given_ = document(
        {"/a": {"get": operation()}},
        x_amazon_apigateway_api_key_source="authorizer",
        x_amazon_apigateway_binary_media_types=["image/*"],
        x_amazon_apigateway_minimum_compression_size="100",
        x_amazon_apigateway_policy={"Statement": []},
        x_amazon_apigateway_gateway_responses={
            "DEFAULT_4XX": {
                "statusCode": 418,
                "responseParameters": {"gatewayresponse.header.X": "'y'"},
                "responseTemplates": {"application/json": "{}"},
            },
            "THROTTLED": {"statusCode": None},
        },
    )
    given_["info"] |= {"description": "what it does", "version": 1.5}
    specs, imported = taken(given_, functions={"fn": {"url": "http://f.example"}})
    assert not imported.problems
    assert specs["RestApi"] == {
        "description": "what it does",
        "version": "1.5",
        "apiKeySource": "AUTHORIZER",
        "binaryMediaTypes": ["image/*"],
        "minimumCompressionSize": 100,
        "policy": {"Statement": []},
        "gatewayResponses": {
            "DEFAULT_4XX": {
                "statusCode": "418",
                "responseParameters": {"gatewayresponse.header.X": "'y'"},
                "responseTemplates": {"application/json": "{}"},
            },
            "THROTTLED": {},
        },
        "functions": {"fn": {"url": "http://f.example"}},
    }


def test_every_field_of_an_http_api() -> None:
    cors = {
        "allowOrigins": ["https://a.example"],
        "allowMethods": "GET",
        "allowHeaders": ["x"],
        "exposeHeaders": ["y"],
        "maxAge": "10",
        "allowCredentials": True,
    }
    given_ = document(
        {}, x_amazon_apigateway_cors=cors, x_amazon_apigateway_importexport_version="1.0"
    )
    specs, imported = taken(given_, "HttpApi")
    assert not imported.problems
    assert specs["HttpApi"]["corsConfiguration"] == cors | {"allowMethods": ["GET"], "maxAge": 10}


@pytest.mark.parametrize("where", ["root", "server"])
def test_a_disabled_default_endpoint(where: str) -> None:
    configuration = {
        "x-amazon-apigateway-endpoint-configuration": {
            "disableExecuteApiEndpoint": True,
            "vpcEndpointIds": ["vpce-1"],
        }
    }
    given_ = document({})
    given_ |= configuration if where == "root" else {"servers": [{"url": "/"} | configuration]}
    specs, imported = taken(given_)
    assert specs["RestApi"]["disableExecuteApiEndpoint"] is True
    assert complaints(imported) == []
    assert len(remarks(imported)) == 1


def test_extensions_of_the_root_that_are_not_taken() -> None:
    given_ = document({"/a": {"get": operation()}})
    given_ |= {
        "x-amazon-apigateway-documentation": {},
        "x-amazon-apigateway-cors": {"allowOrigins": ["*"]},
        "x-amazon-apigateway-surprise": 1,
        "x-other": 1,
        "x-amazon-apigateway-gateway-responses": {"NO_SUCH_TYPE": {}},
    }
    specs, imported = taken(given_)
    assert complaints(imported) == [
        ("x-amazon-apigateway-surprise", "UnknownField"),
        ("x-amazon-apigateway-gateway-responses.NO_SUCH_TYPE", "UnknownField"),
    ]
    assert remarks(imported) == ["x-amazon-apigateway-documentation", "x-amazon-apigateway-cors"]
    assert "corsConfiguration" not in specs["RestApi"]


def test_a_long_description_is_cut() -> None:
    given_ = document({})
    given_["info"]["description"] = "x" * 5_000
    specs, imported = taken(given_)
    assert len(specs["RestApi"]["description"]) == 1_024
    assert remarks(imported) == ["info.description"]


def test_a_stage_with_variables() -> None:
    specs, imported = taken(document({}), "HttpApi", stage="$default", variables={"a": "b"})
    assert specs["Stage"] == {
        "apiRef": {"kind": "HttpApi", "name": "api"},
        "stageName": "$default",
        "variables": {"a": "b"},
    }
    names = {each["kind"]: each["metadata"]["name"] for each in imported.objects}
    assert names["Stage"].startswith("api-default-")


def test_objects_are_ours_and_in_the_namespace() -> None:
    imported = import_document(
        document({"/a": {"get": operation()}}), kind="HttpApi", name="shop", namespace="team"
    )
    assert [each["kind"] for each in imported.objects] == ["HttpApi", "Route"]
    for each in imported.objects:
        assert each["apiVersion"] == "portico.dev/v1alpha1"
        assert each["metadata"]["namespace"] == "team"
    assert str(imported.problems[0].object) == "HttpApi team/shop"


def test_aws_variables_come_from_the_caller() -> None:
    uri = FUNCTION.format("fn").replace("us-east-1", "${AWS::Region}")
    uri = uri.replace("123456789012", "${AWS::AccountId}")
    given_ = document({"/a": {"get": operation({"type": "aws_proxy", "uri": uri})}})
    given_["x-amazon-apigateway-policy"] = {"Resource": "arn:${AWS::Partition}:x:${AWS::Region}"}
    specs, imported = taken(given_, region="eu-west-1", account_id="210987654321")
    assert complaints(imported) == []
    assert specs["RestApi"]["policy"] == {"Resource": "arn:aws:x:eu-west-1"}
    assert specs["GET /a"]["integration"]["function"] == "fn"


def test_one_edit_moves_one_object() -> None:
    paths = {f"/p{i}/{{id}}": {"get": operation()} for i in range(5)}
    _, before = taken(document(paths))
    paths["/new"] = {"get": operation()}
    paths["/p3/{id}"]["get"] = operation(MOCK, operationId="renamed")
    _, after = taken(document(paths))
    old = {each["metadata"]["name"]: each for each in before.objects}
    new = {each["metadata"]["name"]: each for each in after.objects}
    assert len(new) == len(old) + 1
    assert len([name for name in old if old[name] != new[name]]) == 1


@pytest.mark.parametrize(
    ("kind", "given_", "field", "reason"),
    [
        ("RestApi", None, "", "MalformedDocument"),
        ("RestApi", [], "", "MalformedDocument"),
        ("RestApi", "openapi: 3.0.1", "", "MalformedDocument"),
        ("RestApi", {}, "", "MalformedDocument"),
        ("RestApi", {"openapi": "3.1.0"}, "openapi", "NotImplemented"),
        ("RestApi", {"openapi": "4"}, "openapi", "NotImplemented"),
        ("RestApi", {"swagger": "1.2"}, "swagger", "NotImplemented"),
        ("HttpApi", {"swagger": "2.0"}, "swagger", "NotImplemented"),
    ],
)
def test_documents_that_are_not_read(kind: Kind, given_: Any, field: str, reason: str) -> None:
    imported = import_document(given_, kind=kind, name="api")
    assert imported.objects == []
    assert (field, reason) in complaints(imported)


@pytest.mark.parametrize("version", ["3.0.0", "3.0.3", 3.0])
def test_versions_that_are_read(version: Any) -> None:
    imported = import_document({"openapi": version, "paths": {}}, kind="HttpApi", name="api")
    assert imported.problems == []


def test_a_document_without_paths() -> None:
    _, imported = taken({"openapi": "3.0.1"})
    assert complaints(imported) == [("paths", "MissingField")]


# --- whatever comes -------------------------------------------------------------------------

WORDS = [
    "openapi", "paths", "/a", "/a/{b}", "get", "x-amazon-apigateway-any-method", "security", "$ref",
    "x-amazon-apigateway-integration", "type", "uri", "responses", "default", "statusCode",
    "requestParameters", "parameters", "name", "in", "required", "schema", "components",
    "securitySchemes", "schemas", "x-amazon-apigateway-authorizer", "servers", "url", "variables",
    "x-amazon-apigateway-request-validator", "x-amazon-apigateway-request-validators", "content",
    "x-amazon-apigateway-cors", "x-amazon-apigateway-gateway-responses", "tlsConfig", "requestBody",
]  # fmt: skip
TEXTS = [
    "",
    "#/paths",
    "#/components/schemas/A",
    "mock",
    "http_proxy",
    "jwt",
    "A",
    "${stageVariables.x}",
]
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(WORDS + TEXTS), st.text()
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.integers()), inner, max_size=5),
    ),
    max_leaves=30,
)


def whole() -> dict[str, Any]:
    """A document that uses most of what there is, to be broken in one place."""
    schema = {"$ref": "#/components/schemas/A"}
    item: dict[str, Any] = {
        "parameters": [{"name": "q", "in": "query", "required": True}],
        "get": operation(
            {
                "type": "http",
                "uri": "http://e/{id}",
                "requestParameters": {"integration.request.path.id": "method.request.path.id"},
                "responses": {"default": {"statusCode": 200, "responseTemplates": {"a/b": "x"}}},
                "tlsConfig": {"insecureSkipVerification": True},
            },
            security=[{"auth": ["s"]}],
            requestBody={"content": {"application/json": {"schema": schema}}},
            responses={"200": {"headers": {"X": {"required": True}}}},
        ),
    }
    return document(
        {"/a/{id}": item},
        components={
            "schemas": {"A": {"type": "object", "properties": {"self": schema}}},
            "securitySchemes": {
                "auth": {
                    "type": "apiKey",
                    "x-amazon-apigateway-authorizer": {
                        "type": "request",
                        "authorizerUri": FUNCTION.format("a"),
                        "identitySource": "a,b",
                    },
                }
            },
        },
        servers=[{"url": "/x", "variables": {"basePath": {"default": "y"}}}],
        security=[{"auth": []}],
        x_amazon_apigateway_gateway_responses={"THROTTLED": {"statusCode": "429"}},
        x_amazon_apigateway_cors={"allowOrigins": ["*"]},
    )


def places(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    return [
        place
        for key, child in children
        for place in [(*prefix, key), *places(child, (*prefix, key))]
    ]


@given(st.sampled_from(places(whole())), values, st.sampled_from(["RestApi", "HttpApi"]))
def test_a_document_broken_anywhere_never_raises(
    place: tuple[Any, ...], value: Any, kind: Kind
) -> None:
    broken = whole()
    at: Any = broken
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    imported = import_document(broken, kind=kind, name="api", base_path="split")
    json.dumps(imported.objects)
    for each in imported.objects:
        if each["kind"] == "Route":
            assert each["spec"]["routeKey"]


@given(values, st.sampled_from(["RestApi", "HttpApi"]))
def test_anything_at_all_never_raises(paths: Any, kind: Kind) -> None:
    import_document({"openapi": "3.0.1", "paths": paths}, kind=kind, name="api")
    import_document(paths, kind=kind, name="api")
