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


def _where(field: str, *values: str) -> Schema:
    return {"properties": {field: {"enum": list(values)}}}


_TEXT = {"maxProperties": 0}
"""Holds for a text: it has no properties. (An empty mapping lacks what is required.)"""
_ONE_OF_SERVICE_AND_URL = {
    "anyOf": [
        _TEXT,
        _given("service") | _none_of("url"),
        _given("url") | _none_of("service"),
    ]
}

_VALIDATIONS: dict[str, Schema] = {
    # rules.integration_has_one_target
    "Integration": {
        "anyOf": [
            _where("type", "MOCK", "HTTP", "HTTP_PROXY") | _none_of("function"),
            _where("type", "AWS_PROXY") | _given("function"),
            _where("type", "AWS") | _given("function") | _none_of("service", "url"),
            _where("type", "AWS") | _given("service") | _none_of("function", "url"),
            _where("type", "AWS") | _given("url") | _none_of("function", "service"),
        ]
    },
    # rules.integration_function_says_where
    "Integration.function": _ONE_OF_SERVICE_AND_URL,
    # rules.authorizer_says_how_it_decides
    "AuthorizerSpec": {
        "allOf": [
            {
                "anyOf": [
                    _where("authorizerType", "JWT", "COGNITO_USER_POOLS"),
                    _given("function") | _none_of("service", "url"),
                    _given("service") | _none_of("function", "url"),
                    _given("url") | _none_of("function", "service"),
                ]
            },
            {
                "anyOf": [
                    _where("authorizerType", "JWT", "COGNITO_USER_POOLS", "REQUEST"),
                    _given("identitySource")
                    | {"properties": {"identitySource": {"minLength": 1, "minItems": 1}}},
                ]
            },
        ]
    },
    "AuthorizerSpec.function": _ONE_OF_SERVICE_AND_URL,
}
