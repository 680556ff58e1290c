"""Schemas are structural, and say what the structs say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from portico_compiler import validation
from portico_compiler.crds import schema
from portico_compiler.manifests.kinds import KINDS

OURS = sorted(kind.name for kind in KINDS.values() if kind.ours)
FREE = {
    "Route.spec.integration.function",
    "Authorizer.spec.function",
    "Authorizer.spec.identitySource",
    "RestApi.spec.policy",
    "RestApi.spec.openApi",
    "HttpApi.spec.openApi",
    "IamUser.spec.policy",
    "RestApi.spec.models.*.schema",
    "WebSocketApi.spec.models.*.schema",
}
"""Where a document is the user's own JSON, or a text or a mapping; nowhere else."""


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value of a structural schema, not what stands in its validations."""
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for holder in ("items", "additionalProperties"):
        if holder in node:
            yield from nodes(node[holder], f"{path}.*")


@pytest.mark.parametrize("kind", OURS)
def test_every_value_has_one_type(kind: str) -> None:
    for path, node in nodes(schema.document(kind), kind):
        typed = "type" in node or node.get(schema.INT_OR_STRING) or path in FREE
        assert typed, path
        assert "$ref" not in node
        assert node.get("type") in (
            None,
            "object",
            "array",
            "string",
            "integer",
            "number",
            "boolean",
        )
        if node.get("type") == "object" and path not in FREE:
            assert "properties" in node or "additionalProperties" in node, path


def test_only_what_is_free_in_aws_is_free() -> None:
    free = {
        path
        for kind in OURS
        for path, node in nodes(schema.document(kind), kind)
        if node.get(schema.PRESERVE)
    }
    assert free == FREE


@pytest.mark.parametrize("kind", OURS)
def test_fields_enums_and_defaults_are_those_of_the_structs(kind: str) -> None:
    structs = validation.schema_of(kind)["$defs"]

    def compare(struct: dict[str, Any], node: dict[str, Any]) -> None:
        assert list(node["properties"]) == list(struct["properties"])
        assert node.get("required", []) == struct["required"]
        for name, field in struct["properties"].items():
            made = node["properties"][name]
            options = [o for o in (field, *field.get("anyOf", ())) if o.get("type") != "null"]
            default = field.get("default")
            if default is not None and not isinstance(default, dict | list | tuple):
                assert made["default"] == default
            elif "$ref" not in field:
                assert "default" not in made
            for option in options:
                if "enum" in option:
                    assert made["enum"] == option["enum"]
                if "$ref" in option:
                    inner = structs[option["$ref"].rpartition("/")[2]]
                    if made.get("type") == "object":
                        compare(inner, made)

    compare(structs[kind], schema.document(kind))


def test_a_number_or_a_text_is_int_or_string() -> None:
    service = schema.document("Route")["properties"]["spec"]["properties"]["integration"][
        "properties"
    ]["service"]
    port = service["properties"]["port"]
    assert port[schema.INT_OR_STRING] is True
    assert (port["minimum"], port["maximum"], port["maxLength"]) == (1, 65535, 15)
