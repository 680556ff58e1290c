"""Small OpenAPI documents for the importer's tests, and a short way to what became of them."""

from __future__ import annotations

from typing import Any

from portico_compiler.openapi import Imported, import_document
from portico_compiler.openapi.importer import Kind
from portico_compiler.problems import Severity

FUNCTION = (
    "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
    "arn:aws:lambda:us-east-1:123456789012:function:{}/invocations"
)
MOCK: dict[str, Any] = {"type": "mock", "requestTemplates": {"application/json": "{}"}}
PROXY: dict[str, Any] = {"type": "http_proxy", "httpMethod": "ANY", "uri": "http://back.example/x"}
INTEGRATION = "x-amazon-apigateway-integration"
ANY = "x-amazon-apigateway-any-method"


def document(paths: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A whole document; keyword `x_amazon_apigateway_cors` becomes the extension's key."""
    extra = {key.replace("_", "-") if key.startswith("x_") else key: more[key] for key in more}
    return {"openapi": "3.0.1", "info": {"title": "t"}, "paths": paths} | extra


def operation(integration: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An operation that calls something."""
    return {INTEGRATION: dict(MOCK if integration is None else integration)} | more


def taken(
    given: object, kind: Kind = "RestApi", name: str = "api", **options: Any
) -> tuple[dict[str, Any], Imported]:
    """Specs by kind and name (Routes by routeKey), and the import itself."""
    imported = import_document(given, kind=kind, name=name, **options)
    specs = {}
    for each in imported.objects:
        spec = each["spec"]
        key = spec["routeKey"] if each["kind"] == "Route" else each["kind"]
        specs[key] = spec
    return specs, imported


def complaints(imported: Imported) -> list[tuple[str, str]]:
    """Path and reason of every error."""
    return [
        (problem.field, str(problem.reason))
        for problem in imported.problems
        if problem.severity is Severity.ERROR
    ]


def remarks(imported: Imported) -> list[str]:
    """Paths of what was left out without harm."""
    return [each.field for each in imported.problems if each.severity is Severity.WARNING]
