"""The structural schema of a kind, from the JSON schema of its struct.

Called by `definition`. A CRD's schema is narrower than JSON schema: no references, one type for
each value, no null. So references are put in place, null goes (the API server prunes it, as
`validation` does), and a value with several types becomes int-or-string or stays free. Promises:
constraints, enums, required fields and scalar defaults are the struct's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico_compiler import validation
from portico_compiler.crds import docstrings
from portico_compiler.crds.cel import of_keys, of_place
from portico_compiler.crds.unions import of_struct

Schema = dict[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
REFERENCES = frozenset({"Ref", "ApiRef", "SecretKeyRef"})
"""Structs that change as a whole: half a reference means nothing."""
_CONSTRAINTS = (
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)


def document(kind: str) -> Schema:
    """Schema of a kind's document without envelope."""
    return _Builder(validation.schema_of(kind)["$defs"]).struct(kind)


class _Builder:
    """Walks one kind's schema; a place is `Struct.field`, with `[]` for what it holds."""

    def __init__(self, structs: Mapping[str, Schema]) -> None:
        self._structs = structs

    def struct(self, name: str) -> Schema:
        """An object with the fields of a struct."""
        source = self._structs[name]
        properties = {
            field: self.field(f"{name}.{field}", node, docstrings.of_field(name, field))
            for field, node in source["properties"].items()
        }
        schema: Schema = {
            "description": docstrings.of_struct(name),
            "type": "object",
            "properties": properties,
        }
        if source["required"]:
            schema["required"] = list(source["required"])
        if name in REFERENCES:
            schema["x-kubernetes-map-type"] = "atomic"
        return schema | of_struct(name) | _rules(of_place(name))

    def field(self, place: str, node: Schema, text: str) -> Schema:
        """A field: its own words before those of its type, and its default."""
        schema = self.value(place, node)
        kind_text = schema.pop("description", "")
        described = _sentence(text)
        if _own_description(node):
            described = f"{described} Must be {_own_description(node)}."
        elif not described:
            described = kind_text
        default = _default(node)
        if default is not None:
            schema["default"] = default
        return {"description": described} | schema

    def value(self, place: str, node: Schema) -> Schema:
        """Any value."""
        options = [option for option in node.get("anyOf", ()) if option.get("type") != "null"]
        if len(options) == 1:
            return self.value(place, options[0])
        if "$ref" in node:
            schema = self.struct(node["$ref"].rpartition("/")[2])
        elif "anyOf" in node:
            schema = self.union(place, options)
        elif "enum" in node:
            schema = {"type": "string", "enum": list(node["enum"])}
        elif node["type"] == "array":
            schema = {"type": "array", "items": self.value(f"{place}[]", node["items"])}
        elif "additionalProperties" in node:
            inner = self.value(f"{place}[]", node["additionalProperties"])
            schema = {"type": "object", "additionalProperties": inner}
        elif node["type"] == "object":
            schema = {"type": "object", PRESERVE: True}
        else:
            schema = {"type": node["type"]}
            if node["type"] == "integer":
                schema["format"] = "int64"
        schema |= {name: node[name] for name in _CONSTRAINTS if name in node}
        return _with(schema, of_place(place) + of_keys(place, node.get("propertyNames")))

    def union(self, place: str, options: list[Schema]) -> Schema:
        """Several types: int-or-string, or free with what can be said of each."""
        constraints = {n: option[n] for option in options for n in _CONSTRAINTS if n in option}
        if {option.get("type") for option in options} == {"integer", "string"}:
            either = [{"type": "integer"}, {"type": "string"}]
            return {INT_OR_STRING: True, "anyOf": either} | constraints
        schema: Schema = {PRESERVE: True} | constraints
        for option in options:
            if "$ref" in option:
                struct = self.struct(option["$ref"].rpartition("/")[2])
                schema |= {n: struct[n] for n in ("properties", "required") if n in struct}
        return schema | of_struct(place)


def _with(schema: Schema, rules: list[Schema]) -> Schema:
    """More rules beside those that a struct brought along."""
    every = schema.get("x-kubernetes-validations", []) + rules
    return schema | _rules(every)


def _rules(rules: list[Schema]) -> Schema:
    return {"x-kubernetes-validations": rules} if rules else {}


def _default(node: Schema) -> Any:
    """A scalar default, or {} for a struct; an empty list or mapping is the same as none."""
    value = node.get("default")
    if isinstance(value, dict):
        return {} if "$ref" in node else None
    return None if isinstance(value, list | tuple) else value


def _own_description(node: Schema) -> str:
    """What a constrained type says of itself: its sentence for users."""
    found = [
        option["description"]
        for option in (node, *node.get("anyOf", ()))
        if "description" in option and "$ref" not in option
    ]
    return ", or ".join(found)


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "?", "!")) else f"{text}."
