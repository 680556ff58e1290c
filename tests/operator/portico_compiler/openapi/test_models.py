"""Models, validators, declared parameters and responses of REST operations."""

from __future__ import annotations

from typing import Any

import pytest

from openapi_documents import complaints, document, operation, taken

VALIDATORS = {
    "all": {"validateRequestBody": True, "validateRequestParameters": True},
    "params": {"validateRequestParameters": True},
}


def body(schema: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def test_models_refer_to_each_other_by_url() -> None:
    schemas = {
        "A": {"type": "object", "properties": {"b": {"$ref": "#/components/schemas/B"}}},
        "B": {"type": "array", "items": [{"$ref": "#/components/schemas/A"}]},
    }
    specs, imported = taken(document({}, components={"schemas": schemas}))
    url = "https://apigateway.amazonaws.com/restapis/api/models/"
    assert specs["RestApi"]["models"] == {
        "A": {
            "contentType": "application/json",
            "schema": {"type": "object", "properties": {"b": {"$ref": url + "B"}}},
        },
        "B": {
            "contentType": "application/json",
            "schema": {"type": "array", "items": [{"$ref": url + "A"}]},
        },
    }
    assert complaints(imported) == []


def test_request_models_by_reference_and_in_place() -> None:
    given = document(
        {
            "/a": {"post": operation(requestBody=body({"$ref": "#/components/schemas/A"}))},
            "/b": {"post": operation(requestBody=body({"type": "object"}))},
            "/c": {"post": operation(requestBody={"$ref": "#/components/requestBodies/C"})},
        },
        components={
            "schemas": {"A": {"type": "object"}},
            "requestBodies": {"C": body({"$ref": "#/components/schemas/A"})},
        },
    )
    specs, imported = taken(given)
    assert specs["POST /a"]["requestModels"] == {"application/json": "A"}
    name = specs["POST /b"]["requestModels"]["application/json"]
    assert specs["RestApi"]["models"][name]["schema"] == {"type": "object"}
    assert specs["POST /c"]["requestModels"] == {"application/json": "A"}
    assert complaints(imported) == []


def test_swagger_bodies_are_parameters() -> None:
    given = {
        "swagger": "2.0",
        "consumes": ["application/x"],
        "definitions": {"A": {"type": "object"}},
        "paths": {
            "/a": {
                "post": operation(
                    parameters=[{"in": "body", "name": "b", "schema": {"$ref": "#/definitions/A"}}]
                )
            }
        },
    }
    specs, imported = taken(given)
    assert specs["POST /a"]["requestModels"] == {"application/x": "A"}
    assert "requestParameters" not in specs["POST /a"]
    assert complaints(imported) == []


def test_parameters_of_item_operation_and_path() -> None:
    given = document(
        {
            "/p/{id}/{rest+}": {
                "parameters": [
                    {"name": "q", "in": "query", "required": True},
                    {"$ref": "#/components/parameters/H"},
                ],
                "get": operation(
                    parameters=[
                        {"name": "q", "in": "query"},
                        {"name": "c", "in": "cookie", "required": True},
                    ]
                ),
            }
        },
        components={"parameters": {"H": {"name": "X-H", "in": "header", "required": True}}},
    )
    specs, imported = taken(given)
    assert specs["GET /p/{id}/{rest+}"]["requestParameters"] == {
        "method.request.querystring.q": False,
        "method.request.header.X-H": True,
        "method.request.path.id": True,
        "method.request.path.rest": True,
    }
    assert complaints(imported) == []


@pytest.mark.parametrize(
    ("root", "own", "result"),
    [
        (None, None, None),
        ("params", None, {"validateRequestBody": False, "validateRequestParameters": True}),
        (None, "all", {"validateRequestBody": True, "validateRequestParameters": True}),
        ("params", "all", {"validateRequestBody": True, "validateRequestParameters": True}),
    ],
)
def test_the_validator_of_the_operation_or_the_document(
    root: str | None, own: str | None, result: Any
) -> None:
    key = "x-amazon-apigateway-request-validator"
    named: dict[str, Any] = {key: own} if own else {}
    given = document({"/a": {"get": operation(**named)}})
    given["x-amazon-apigateway-request-validators"] = VALIDATORS
    if root:
        given[key] = root
    specs, imported = taken(given)
    assert specs["GET /a"].get("requestValidator") == result
    assert complaints(imported) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"x-amazon-apigateway-request-validator": "unknown"},
        {"requestBody": body({"$ref": "#/components/schemas/Missing"})},
        {"requestBody": body({"$ref": "other.json"})},
        {"requestBody": body({"properties": {"x": {"$ref": "other.json"}}})},
        {"requestBody": "text"},
        {"parameters": [{"in": "query"}]},
        {"parameters": [{"name": "x", "in": "cloud"}]},
        {"parameters": [{"$ref": "#/components/parameters/None"}]},
        {"parameters": [{"name": "x", "in": "query", "required": "yes"}]},
    ],
)
def test_a_restriction_that_is_not_understood_fails_closed(wrong: dict[str, Any]) -> None:
    specs, imported = taken(document({"/a": {"get": operation(**wrong)}}))
    assert complaints(imported)
    assert "integration" not in specs["GET /a"]


def test_a_model_that_cannot_be_named_fails_closed_where_it_is_used() -> None:
    reference = {"$ref": "#/components/schemas/not-a-name"}
    given = document(
        {"/a": {"post": operation(requestBody=body(reference))}, "/b": {"post": operation()}},
        components={"schemas": {"not-a-name": {"type": "object"}}},
    )
    specs, imported = taken(given)
    assert "integration" not in specs["POST /a"]
    assert "integration" in specs["POST /b"]
    assert complaints(imported)[0] == ("components.schemas.not-a-name", "InvalidValue")


def test_declared_responses() -> None:
    responses = {
        "default": {"description": "d"},
        200: {
            "headers": {"X-A": {"schema": {}}, "X-B": {"required": True}},
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}},
        },
        "404": {"$ref": "#/components/responses/Gone"},
        "5XX": {"description": "a range"},
        "x-note": {},
    }
    given = document(
        {"/a": {"get": operation(responses=responses)}},
        components={
            "schemas": {"A": {"type": "object"}},
            "responses": {"Gone": {"headers": {"X-C": {}}}},
        },
    )
    specs, imported = taken(given)
    assert specs["GET /a"]["methodResponses"] == {
        "200": {
            "headers": {"X-A": False, "X-B": True},
            "models": {"application/json": "A"},
        },
        "404": {"headers": {"X-C": False}},
    }
    assert complaints(imported) == []


def test_the_default_response_is_kept_as_200() -> None:
    """AWS §9.1."""
    specs, _ = taken(document({"/a": {"get": operation(responses={"default": {}})}}))
    assert specs["GET /a"]["methodResponses"] == {"200": {}}
