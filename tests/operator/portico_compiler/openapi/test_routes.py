"""Paths and operations as Routes."""

from __future__ import annotations

from typing import Any

import pytest

from openapi_documents import ANY, PROXY, complaints, document, operation, remarks, taken
from portico_compiler.openapi.importer import Kind


def keys(paths: dict[str, Any], kind: Kind = "RestApi", **more: Any) -> list[str]:
    _, imported = taken(document(paths), kind, **more)
    return [each["spec"]["routeKey"] for each in imported.objects if each["kind"] == "Route"]


def test_methods_and_any() -> None:
    item = {
        method: operation()
        for method in ("get", "put", "post", "delete", "options", "head", "patch", ANY)
    }
    assert keys({"/x": item}) == [
        "GET /x",
        "PUT /x",
        "POST /x",
        "DELETE /x",
        "OPTIONS /x",
        "HEAD /x",
        "PATCH /x",
        "ANY /x",
    ]


def test_default_route_of_an_http_api() -> None:
    default = operation(PROXY, isDefaultRoute=True)
    assert keys({"/$default": {ANY: default}}, "HttpApi") == ["$default"]
    assert keys({"/any/path": {ANY: default}}, "HttpApi") == ["$default"]
    assert keys({"/$default": {ANY: operation(PROXY)}}, "HttpApi") == ["$default"]


def test_only_any_can_be_the_default_route() -> None:
    given = document({"/x": {"get": operation(PROXY, isDefaultRoute=True)}})
    specs, imported = taken(given, "HttpApi")
    assert complaints(imported) == [("paths[/x].get.isDefaultRoute", "InvalidValue")]
    assert "integration" not in specs["GET /x"]


def test_trailing_slashes() -> None:
    """AWS §3.2: one resource on REST; §4.2: two paths on HTTP."""
    paths = {"/": {"get": operation(PROXY)}, "/a/": {"get": operation(PROXY)}}
    assert keys(paths) == ["GET /", "GET /a"]
    assert keys(paths, "HttpApi") == ["GET /", "GET /a/"]


def test_path_items_by_reference_and_with_other_keys() -> None:
    given = document(
        {
            "/a": {"$ref": "#/components/pathItems/one"},
            "/b": {"summary": "s", "servers": [], "x-note": 1, "get": operation()},
            "x-note": {"get": {}},
        },
        components={"pathItems": {"one": {"get": operation()}}},
    )
    specs, imported = taken(given)
    assert {key for key in specs if " " in key} == {"GET /a", "GET /b"}
    assert complaints(imported) == []


@pytest.mark.parametrize(
    ("item", "field", "reason"),
    [
        ({"trace": operation()}, "paths[/a].trace", "NotImplemented"),
        ({"fetch": {}}, "paths[/a].fetch", "NotImplemented"),
        (
            {"x-amazon-apigateway-other": {}},
            "paths[/a].x-amazon-apigateway-other",
            "UnknownField",
        ),
        ("text", "paths[/a]", "InvalidValue"),
        ({"$ref": "#/nowhere"}, "paths[/a]", "RefNotFound"),
    ],
)
def test_items_that_cannot_be_taken(item: Any, field: str, reason: str) -> None:
    _, imported = taken(document({"/a": item, "/b": {"get": operation()}}))
    assert complaints(imported) == [(field, reason)]


@pytest.mark.parametrize(
    ("wrong", "field", "reason"),
    [
        ({}, "paths[/a].get.x-amazon-apigateway-integration", "MissingField"),
        ("text", "paths[/a].get", "InvalidValue"),
        (
            operation() | {"x-amazon-apigateway-future": {"only": "friends"}},
            "paths[/a].get.x-amazon-apigateway-future",
            "UnknownField",
        ),
    ],
)
def test_operations_that_cannot_be_taken_fail_closed(wrong: Any, field: str, reason: str) -> None:
    specs, imported = taken(document({"/a": {"get": wrong}, "/b": {"get": operation()}}))
    assert (field, reason) in complaints(imported)
    assert "integration" not in specs["GET /a"]
    assert "integration" in specs["GET /b"]


def test_operation_names() -> None:
    given = document(
        {
            "/a": {"get": operation(operationId="getA")},
            "/b": {"get": operation(operationId="x" * 200)},
        }
    )
    specs, imported = taken(given)
    assert specs["GET /a"]["operationName"] == "getA"
    assert "operationName" not in specs["GET /b"]
    assert remarks(imported) == ["paths[/b].get.operationId"]
    assert "integration" in specs["GET /b"]


def test_http_apis_take_no_declarations() -> None:
    """AWS §4.11: valid, without effect."""
    given = document(
        {
            "/a": {
                "get": operation(
                    PROXY,
                    parameters=[{"name": "q", "in": "query", "required": True}],
                    requestBody={"content": {}},
                    responses={"200": {}},
                )
            }
        }
    )
    specs, imported = taken(given, "HttpApi")
    assert set(specs["GET /a"]) == {"apiRef", "routeKey", "integration"}
    assert complaints(imported) == []


@pytest.mark.parametrize(
    ("mode", "key", "stage"),
    [("ignore", "GET /e", None), ("prepend", "GET /a/b/c/e", None), ("split", "GET /b/c/e", "a")],
)
@pytest.mark.parametrize(
    "where",
    [
        {"servers": [{"url": "https://api.example.com/a/b/c"}]},
        {"servers": [{"url": "/a/b/c"}]},
        {
            "servers": [
                {"url": "https://x.example/other"},
                {"url": "/{basePath}", "variables": {"basePath": {"default": "/a/b/c"}}},
            ]
        },
        {"swagger": "2.0", "basePath": "/a/b/c", "openapi": None},
    ],
)
def test_base_paths(where: dict[str, Any], mode: str, key: str, stage: str | None) -> None:
    """AWS §9.1, its example."""
    given = document({"/e": {"get": operation()}}, **where)
    specs, imported = taken(given, base_path=mode)
    assert key in specs
    assert specs.get("Stage", {}).get("stageName") == stage
    assert complaints(imported) == []


def test_a_base_path_before_the_root() -> None:
    given = document({"/": {"get": operation(PROXY)}}, servers=[{"url": "/a"}])
    assert "GET /a" in taken(given, base_path="prepend")[0]
    assert "GET /a" in taken(given, "HttpApi", base_path="prepend")[0]
    default = document({"/$default": {ANY: operation(PROXY)}}, servers=[{"url": "/a"}])
    assert "$default" in taken(default, "HttpApi", base_path="prepend")[0]
