"""Models, validators and what a method declares: the REST side of an operation (AWS §3.3, §3.11).

Called by importer.py (models of the API) and routes.py (per operation). Promises: a declaration
that restricts requests and is not understood is a finding, so that its Route fails closed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from portico_compiler.openapi.document import MAX_DEPTH, Json, Node
from portico_compiler.openapi.names import model_name

VALIDATOR = "x-amazon-apigateway-request-validator"
VALIDATORS = "x-amazon-apigateway-request-validators"

MODEL_URL = "https://apigateway.amazonaws.com/restapis/{api}/models/{name}"
"""How models refer to each other (AWS §3.11)."""

_PLACES = {"path": "path", "query": "querystring", "header": "header"}
_SCHEMAS = ("#/components/schemas/", "#/definitions/")
_MODEL = re.compile(r"[A-Za-z0-9]+\Z")
_STATUS = re.compile(r"[1-5][0-9][0-9]\Z")
_DEFAULT_STATUS = "200"


class Models:
    """The API's models: those that the document names, and schemas found inside operations."""

    def __init__(self, root: Node, api: str) -> None:
        self._api = api
        self.specs: dict[str, dict[str, Any]] = {}
        for name, node in self._declared(root).items():
            if _MODEL.match(name):
                self._keep(name, node)
            else:
                node.wrong("a model's name consists of letters and digits")

    def of(self, schema: Node, method: str, path: str, media_type: str) -> str:
        """Name of the model for a schema where it is used; empty when there is none."""
        reference = schema["$ref"].value
        if isinstance(reference, str) and reference.startswith(_SCHEMAS):
            name = reference.rpartition("/")[2]
            if name in self.specs:
                return name
            schema.dangling(f"there is no model {name!r}")
            return ""
        inline = schema.followed()
        if not inline.mapping():
            return ""
        name = model_name(method, path, media_type)
        self._keep(name, inline)
        return name

    def _declared(self, root: Node) -> Node:
        if root["openapi"].present:
            return root["components"]["schemas"]
        return root["definitions"]

    def _keep(self, name: str, node: Node) -> None:
        schema = self._linked(node.mapping(), node, 0)
        self.specs[name] = {"contentType": "application/json", "schema": schema}

    def _linked(self, value: Json, node: Node, depth: int) -> Json:
        """References between schemas of the document as references between models."""
        if depth > MAX_DEPTH:
            return None
        if isinstance(value, list):
            return [self._linked(child, node, depth + 1) for child in value]
        if not isinstance(value, Mapping):
            return value
        reference = value.get("$ref")
        if isinstance(reference, str):
            if not reference.startswith(_SCHEMAS):
                node.unsupported(f"$ref {reference!r} does not lead to a schema of the document")
                return {"not": {}}  # nothing is valid: an unknown rule must not let all through
            name = reference.rpartition("/")[2]
            return {"$ref": MODEL_URL.format(api=self._api, name=name)}
        return {key: self._linked(child, node, depth + 1) for key, child in value.items()}


def parameters(item: Node, operation: Node, path: str) -> dict[str, bool]:
    """`requestParameters`: those of the path item and the operation, and the path's variables."""
    declared: dict[tuple[str, str], bool] = {}
    for place in [*item["parameters"].elements(), *operation["parameters"].elements()]:
        parameter = place.reporting_to(operation.findings).followed()
        where, name = parameter["in"].text(), parameter["name"].text()
        if not name and where != "body":
            parameter["name"].missing("a parameter needs a name")
        elif where in _PLACES:
            declared[where, name] = bool(parameter["required"].flag())
        elif where not in ("cookie", "body", "formData"):
            parameter["in"].wrong("must be path, query, header or cookie")
    for name in re.findall(r"\{([^{}]+?)\+?\}", path):
        declared["path", name] = True  # AWS §9.1: declared whether the document says so or not
    return {
        f"method.request.{_PLACES[where]}.{name}": required
        for (where, name), required in declared.items()
    }


def request_models(
    operation: Node, item: Node, root: Node, models: Models, method: str, path: str
) -> dict[str, str]:
    """`requestModels`: media type to model."""
    if root["openapi"].present:
        content = operation["requestBody"].followed()["content"]
        schemas = [(type_, node.followed()["schema"]) for type_, node in content.items()]
    else:
        types = operation["consumes"].texts() or root["consumes"].texts() or ["application/json"]
        schemas = [
            (type_, place.reporting_to(operation.findings).followed()["schema"])
            for place in [*item["parameters"].elements(), *operation["parameters"].elements()]
            for type_ in types
            if place.followed()["in"].text() == "body"
        ]
    named = {type_: models.of(node, method, path, type_) for type_, node in schemas}
    return {type_: name for type_, name in named.items() if name}


def validator(operation: Node, root: Node) -> dict[str, bool] | None:
    """`requestValidator`: the operation's, or the document's."""
    place = operation[VALIDATOR]
    if not place.present:
        place = root[VALIDATOR].reporting_to(operation.findings)
    if not place.present:
        return None
    rules = root[VALIDATORS][place.text()].reporting_to(operation.findings)
    if not rules.present:
        place.dangling(f"there is no request validator {place.text()!r}")
        return None
    return {
        key: bool(rules[key].flag()) for key in ("validateRequestBody", "validateRequestParameters")
    }


def method_responses(operation: Node, models: Models) -> dict[str, dict[str, Any]]:
    """`methodResponses`: status to the headers and models declared for it."""
    declared: dict[str, dict[str, Any]] = {}
    for status, place in operation["responses"].items():
        # AWS §9.1: `default` is kept as 200. Ranges (`4XX`) and extensions declare no response.
        key = _DEFAULT_STATUS if status == "default" else status
        if not _STATUS.match(key) or (status == "default" and _DEFAULT_STATUS in declared):
            continue
        response = place.followed()
        declared[key] = {}
        headers = {
            name: bool(header.followed()["required"].flag())
            for name, header in response["headers"].items()
        }
        if headers:
            declared[key]["headers"] = headers
        named = _response_models(response, models)
        if named:
            declared[key]["models"] = named
    return declared


def _response_models(response: Node, models: Models) -> dict[str, str]:
    schemas = [(type_, node["schema"]) for type_, node in response["content"].items()]
    if response["schema"].present:  # Swagger 2
        schemas.append(("application/json", response["schema"]))
    named = {}
    for type_, schema in schemas:
        reference = schema["$ref"].value
        name = reference.rpartition("/")[2] if isinstance(reference, str) else ""
        # A schema written out here only feeds generated clients: nothing of it is enforced.
        if name in models.specs:
            named[type_] = name
    return named
