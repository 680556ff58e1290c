"""What CEL cannot see: fields that are a text or a mapping, such as `function`.

Called by `schema`. A CRD leaves such a field without a type, and CEL leaves out fields without a
type, so the rules that ask whether one is there are said a second time as value validations. The
API server then refuses what the twin in `portico_compiler.rules` refuses, in words of its own.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def of_struct(place: str) -> Schema:
    """Value validations of a struct, or of a field `Struct.field`."""
    return _VALIDATIONS.get(place, {})


def _given(*fields: str) -> Schema:
    return {"required": list(fields)}


def _none_of(*fields: str) -> Schema:
    return {"not": {"anyOf": [_given(field) for field in fields]}}


def _other_than(field: str, *values: str) -> Schema:
    """A `not`, because a failed enum would tell the user that the value itself is wrong."""
    return {"not": {"properties": {field: {"enum": list(values)}}}}


def _any(*schemas: Schema) -> Schema:
    """The API server reports the first of these, so that comes first which a user can mend."""
    return {"anyOf": list(schemas)}


_TEXT = {"maxProperties": 0}
"""Holds for a text: it has no properties. (An empty mapping lacks what is required.)"""
_ONE_OF_SERVICE_AND_URL = _any(
    _given("service") | _none_of("url"), _given("url") | _none_of("service"), _TEXT
)
_FILLED = {"properties": {"identitySource": {"minLength": 1, "minItems": 1}}}

_VALIDATIONS: dict[str, Schema] = {
    # rules.integration_has_one_target
    "Integration": {
        "allOf": [
            _any(_given("function"), _other_than("type", "AWS_PROXY")),
            _any(_none_of("function"), _other_than("type", "MOCK", "HTTP", "HTTP_PROXY")),
            _any(_given("function"), _given("service"), _given("url"), _other_than("type", "AWS")),
            _any(_none_of("function"), _none_of("service", "url"), _other_than("type", "AWS")),
        ]
    },
    # rules.integration_function_says_where
    "Integration.function": _ONE_OF_SERVICE_AND_URL,
    # rules.authorizer_says_how_it_decides
    "AuthorizerSpec": {
        "allOf": [
            _any(
                _given("function"),
                _given("service"),
                _given("url"),
                _other_than("authorizerType", "TOKEN", "REQUEST"),
            ),
            _any(
                _none_of("function"),
                _none_of("service", "url"),
                _other_than("authorizerType", "TOKEN", "REQUEST"),
            ),
            _any(_given("identitySource") | _FILLED, _other_than("authorizerType", "TOKEN")),
        ]
    },
    "AuthorizerSpec.function": _ONE_OF_SERVICE_AND_URL,
}
