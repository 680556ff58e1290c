"""Paths and operations as Route objects.

Called by importer.py. Promises: every method of every path gives one Route; one that holds
anything we cannot take comes without its integration, and a Route without one answers 500 and
calls nothing (design §3, fail closed).
"""

from __future__ import annotations

from typing import Any

from portico_compiler.openapi.document import Findings, Node
from portico_compiler.openapi.integrations import integration
from portico_compiler.openapi.models import (
    VALIDATOR,
    Models,
    method_responses,
    parameters,
    request_models,
    validator,
)
from portico_compiler.openapi.names import route_name
from portico_compiler.openapi.security import AUTH, requirements

ANY = "x-amazon-apigateway-any-method"
INTEGRATION = "x-amazon-apigateway-integration"
DEFAULT = "$default"
MAX_OPERATION_NAME = 128

_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch"})
_ITEM_KEYS = frozenset({"summary", "description", "servers", "parameters"})
_OPERATION_EXTENSIONS = frozenset({AUTH, INTEGRATION, VALIDATOR})
_HARMLESS_EXTENSIONS = frozenset({"x-amazon-apigateway-documentation"})


class Routes:
    """Takes the routes of one document."""

    def __init__(self, root: Node, kind: str, api: str, models: Models, prefix: str) -> None:
        self._root = root
        self._kind = kind
        self._api = api
        self._models = models
        self._prefix = prefix

    def all(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and spec of every Route, in the order of the document; `apiRef` is the caller's."""
        return [
            (route_name(self._api, method, path), spec)
            for path, item in self._root["paths"].items()
            if not path.startswith("x-")
            for method, path, spec in self._of_path(path, item.followed())
        ]

    def _of_path(self, path: str, item: Node) -> list[tuple[str, str, dict[str, Any]]]:
        made = []
        for key, operation in item.items():
            if key in _METHODS or key == ANY:
                made.append(self._route(path, key, item, operation))
            elif key.startswith("x-amazon-apigateway-"):
                operation.unknown(f"{key} is not known here")
            elif key not in _ITEM_KEYS and not key.startswith("x-"):
                operation.unsupported(f"there are no routes for {key}")
        return made

    def _route(
        self, path: str, key: str, item: Node, operation: Node
    ) -> tuple[str, str, dict[str, Any]]:
        findings = Findings()
        place = operation.reporting_to(findings)
        method = "ANY" if key == ANY else key.upper()
        path = self._path(path, method, place)
        spec: dict[str, Any] = {"routeKey": DEFAULT if path == DEFAULT else f"{method} {path}"}
        place.mapping()  # says so when it is none
        if len(place["operationId"].text()) > MAX_OPERATION_NAME:
            place["operationId"].ignored(f"longer than {MAX_OPERATION_NAME} characters")
        elif place["operationId"].text():
            spec["operationName"] = place["operationId"].text()
        spec |= requirements(place, self._root, self._kind, self._api)
        if self._kind == "RestApi":
            spec |= self._declared(item, place, method, path)
        called = self._integration(place)
        if called and not findings.serious:
            spec["integration"] = called
        for finding in findings:
            operation.findings.add(finding)
        return method, path, spec

    def _path(self, path: str, method: str, place: Node) -> str:
        """As the route key has it; `$default` for the route that takes the rest."""
        default = place["isDefaultRoute"].flag()
        if self._kind == "HttpApi":
            if method == "ANY" and (default or path == f"/{DEFAULT}"):
                return DEFAULT
            if default:
                place["isDefaultRoute"].wrong(f"only {ANY} can be the default route")
            return self._prefix + path if path != "/" or not self._prefix else self._prefix
        # REST has one resource for `/a` and `/a/` (AWS §3.2), so one key.
        return (self._prefix + path).rstrip("/") or "/"

    def _declared(self, item: Node, place: Node, method: str, path: str) -> dict[str, Any]:
        declared = {
            "requestParameters": parameters(item, place, path),
            "requestModels": request_models(place, item, self._root, self._models, method, path),
            "requestValidator": validator(place, self._root),
            "methodResponses": method_responses(place, self._models),
        }
        return {key: value for key, value in declared.items() if value}

    def _integration(self, place: Node) -> dict[str, Any]:
        for key, node in place.items():
            known = key in _OPERATION_EXTENSIONS or key in _HARMLESS_EXTENSIONS
            if key.startswith("x-amazon-apigateway-") and not known:
                node.unknown(f"{key} is not known here")
        if not place[INTEGRATION].present:
            place[INTEGRATION].missing("without an integration nothing can be called")
            return {}
        return integration(place[INTEGRATION].followed(), self._kind)
