"""REST parameter mappings: `integration.request.<place>.<name>` from a source (AWS §3.7, §3.8).

Called for every integration of a REST API. Promises: mappings in a fixed order; an expression
that AWS would refuse, or a header that it forbids, breaks the route (AWS §2.3: 500).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, cast

from portico_compiler.features.scope import Scope
from portico_compiler.problems import Reason, field_path
from portico_ir.model import (
    Broken,
    FromContext,
    FromLiteral,
    FromRequest,
    ParameterMapping,
    Source,
)

Place = Literal["path", "querystring", "header"]

_NAME = r"([a-zA-Z0-9._$-]+)"
_KEY = re.compile(rf"integration\.request\.(path|querystring|header)\.{_NAME}\Z")
_REQUEST = re.compile(rf"method\.request\.(multivalue)?(path|querystring|header)\.{_NAME}\Z")
_BODY = re.compile(r"method\.request\.body(\..+)?\Z", re.DOTALL)
_STAGE_VARIABLE = re.compile(r"stageVariables\.([A-Za-z0-9_]+)\Z")
_CONTEXT = re.compile(r"context\.([a-zA-Z0-9._$-]+(\['[^'\[\]]+'\])?)\Z")
"""AWS §6.2: `context.authorizer.claims['custom:role']` too."""
_LITERAL = re.compile(r"'(.*)'\Z", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

FORBIDDEN_HEADERS = frozenset(
    {"content-length", "transfer-encoding", "x-amzn-trace-id", "x-amzn-apigateway-api-id"}
)
"""AWS §3.8: for every type of integration."""
FORBIDDEN_TO_AWS = frozenset({"authorization", "connection", "expect", "proxy-authenticate", "te"})
"""AWS §3.8: for AWS and AWS_PROXY besides, although AWS_PROXY never applies mappings."""


def mappings(
    parameters: Mapping[str, str], type_: str, scope: Scope
) -> tuple[ParameterMapping, ...] | Broken:
    """The mappings of an integration, sorted by place and name."""
    found: list[ParameterMapping] = []
    broken: Broken | None = None
    for key, expression in parameters.items():
        mapping = _mapping(key, expression, type_, scope)
        if isinstance(mapping, Broken):
            broken = broken or mapping
        elif mapping is not None:
            found.append(mapping)
    if broken is not None:
        return broken
    return tuple(sorted(found, key=lambda mapping: (mapping.place, mapping.name)))


def literal(expression: str) -> str | None:
    """The text of `'text'`; None for anything else, and for what could end a header line."""
    match = _LITERAL.match(expression)
    return match[1] if match and not _CONTROL.search(match[1]) else None


def _mapping(
    key: str, expression: str, type_: str, scope: Scope
) -> ParameterMapping | Broken | None:
    field = field_path("spec", "integration", "requestParameters", key)
    match = _KEY.match(key)
    if not match:
        message = f"{key!r} is not integration.request.{{path|querystring|header}}.NAME"
        return scope.broken(field, Reason.INVALID_MAPPING, message)
    place, name = match[1], match[2]
    if place == "header" and _forbidden(name, type_):
        message = f"the header {name} may not be mapped for {type_} (AWS §3.8)"
        return scope.broken(field, Reason.INVALID_MAPPING, message)
    source = _source(expression, field, type_, scope)
    if source is None or isinstance(source, Broken):
        return source
    return ParameterMapping(place=cast("Place", place), name=name, source=source)


def _source(expression: str, field: str, type_: str, scope: Scope) -> Source | Broken | None:
    """None: a stage variable that is not set maps nothing."""
    if match := _REQUEST.match(expression):
        multi, place, name = bool(match[1]), match[2], match[3]
        if not (multi and place == "path"):
            return FromRequest(place=cast("Place", place), name=name, multi=multi)
    if match := _STAGE_VARIABLE.match(expression):
        value = scope.variable(match[1])
        return None if value is None else FromLiteral(value=value)
    if match := _CONTEXT.match(expression):
        return FromContext(name=match[1])
    text = literal(expression)
    if text is not None:
        return FromLiteral(value=text)
    if _BODY.match(expression):
        if type_ in ("AWS_PROXY", "MOCK"):
            return None  # Never applied there.
        message = "mappings from the request's body are not built yet"
        return scope.broken(field, Reason.NOT_IMPLEMENTED, message)
    message = f"{expression!r} is not a mapping expression (AWS §3.7)"
    return scope.broken(field, Reason.INVALID_MAPPING, message)


def _forbidden(name: str, type_: str) -> bool:
    lower = name.lower()
    return lower in FORBIDDEN_HEADERS or (
        type_ in ("AWS", "AWS_PROXY") and lower in FORBIDDEN_TO_AWS
    )
