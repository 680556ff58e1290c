"""REST parameter mappings (AWS §3.7) and the headers that may not be mapped (AWS §3.8)."""

from __future__ import annotations

import pytest

import scopes
from portico_compiler.features import mappings
from portico_compiler.problems import Reason
from portico_ir.model import Broken, FromContext, FromLiteral, FromRequest, ParameterMapping, Source

X = "integration.request.header.x"


@pytest.mark.parametrize(
    ("expression", "source"),
    [
        ("method.request.path.id", FromRequest(place="path", name="id")),
        ("method.request.querystring.q", FromRequest(place="querystring", name="q")),
        (
            "method.request.multivaluequerystring.q",
            FromRequest(place="querystring", name="q", multi=True),
        ),
        ("method.request.header.X-A.b$", FromRequest(place="header", name="X-A.b$")),
        (
            "method.request.multivalueheader.a",
            FromRequest(place="header", name="a", multi=True),
        ),
        ("context.identity.sourceIp", FromContext(name="identity.sourceIp")),
        ("stageVariables.level", FromLiteral(value="high")),
        ("'text'", FromLiteral(value="text")),
        ("''", FromLiteral(value="")),
        ("'it's'", FromLiteral(value="it's")),
    ],
)
def test_sources(expression: str, source: Source) -> None:
    scope = scopes.scope(variables={"level": "high"})
    found = mappings.mappings({X: expression}, "HTTP_PROXY", scope)
    assert found == (ParameterMapping(place="header", name="x", source=source),)
    assert scope.problems == []


def test_mappings_are_sorted() -> None:
    given = {
        "integration.request.querystring.b": "'1'",
        "integration.request.path.c": "'2'",
        "integration.request.header.a": "'3'",
    }
    found = mappings.mappings(given, "HTTP_PROXY", scopes.scope())
    assert not isinstance(found, Broken)
    assert [(m.place, m.name) for m in found] == [
        ("header", "a"),
        ("path", "c"),
        ("querystring", "b"),
    ]


def test_a_stage_variable_that_is_not_set_maps_nothing() -> None:
    scope = scopes.scope(variables={})
    assert mappings.mappings({X: "stageVariables.level"}, "HTTP_PROXY", scope) == ()
    assert scope.uses_variables
    assert scope.problems == []


@pytest.mark.parametrize(
    ("key", "expression", "reason"),
    [
        ("header.x", "'a'", Reason.INVALID_MAPPING),
        ("integration.request.body", "'a'", Reason.INVALID_MAPPING),
        ("integration.request.header.a b", "'a'", Reason.INVALID_MAPPING),
        ("integration.request.header.", "'a'", Reason.INVALID_MAPPING),
        (X, "true", Reason.INVALID_MAPPING),
        (X, "", Reason.INVALID_MAPPING),
        (X, "text", Reason.INVALID_MAPPING),
        (X, "'open", Reason.INVALID_MAPPING),
        (X, "'a\r\nb: c'", Reason.INVALID_MAPPING),
        (X, "'a\n'", Reason.INVALID_MAPPING),
        (X, "method.request.cookie.a", Reason.INVALID_MAPPING),
        (X, "method.request.multivaluepath.a", Reason.INVALID_MAPPING),
        (X, "method.request.header.a b", Reason.INVALID_MAPPING),
        (X, "method.request.body", Reason.NOT_IMPLEMENTED),
        (X, "method.request.body.a.b[0]", Reason.NOT_IMPLEMENTED),
    ],
)
def test_what_breaks_the_route(key: str, expression: str, reason: Reason) -> None:
    scope = scopes.scope()
    assert isinstance(mappings.mappings({key: expression}, "HTTP_PROXY", scope), Broken)
    assert [p.reason for p in scope.problems] == [reason]


def test_every_fault_is_reported() -> None:
    scope = scopes.scope()
    given = {X: "true", "integration.request.header.y": "false"}
    assert isinstance(mappings.mappings(given, "HTTP_PROXY", scope), Broken)
    assert len(scope.problems) == 2


@pytest.mark.parametrize("type_", ["HTTP_PROXY", "HTTP", "MOCK", "AWS", "AWS_PROXY"])
@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "X-Amzn-Trace-Id", "x-amzn-apigateway-api-id"]
)
def test_headers_forbidden_to_all(type_: str, name: str) -> None:
    key = f"integration.request.header.{name}"
    assert isinstance(mappings.mappings({key: "'a'"}, type_, scopes.scope()), Broken)
    query = {f"integration.request.querystring.{name}": "'a'"}
    assert not isinstance(mappings.mappings(query, type_, scopes.scope()), Broken)


@pytest.mark.parametrize(
    "name", ["Authorization", "connection", "Expect", "proxy-authenticate", "TE"]
)
def test_headers_forbidden_to_aws(name: str) -> None:
    given = {f"integration.request.header.{name}": "'a'"}
    for type_, broken in (("AWS", True), ("AWS_PROXY", True), ("HTTP_PROXY", False)):
        found = mappings.mappings(given, type_, scopes.scope())
        assert isinstance(found, Broken) is broken


@pytest.mark.parametrize("type_", ["AWS_PROXY", "MOCK"])
def test_the_body_is_never_mapped_where_mappings_do_not_apply(type_: str) -> None:
    assert mappings.mappings({X: "method.request.body"}, type_, scopes.scope()) == ()


def test_literals() -> None:
    assert mappings.literal("'a\tb'") == "a\tb"
    assert mappings.literal("'a\x00'") is None
    assert mappings.literal("a") is None
