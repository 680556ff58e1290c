"""Identity sources in the spelling of each kind of API (AWS §4.9, §4.10, §5.8, §6.1)."""

from __future__ import annotations

import pytest

from portico_compiler.features.identity_sources import parse, texts
from portico_ir.access import IdentitySource
from portico_ir.model import ApiKind


@pytest.mark.parametrize(
    ("kind", "text", "place", "name"),
    [
        (ApiKind.HTTP, "$request.header.Authorization", "header", "Authorization"),
        (ApiKind.HTTP, "$request.querystring.x-y", "querystring", "x-y"),
        (ApiKind.HTTP, "$context.identity.sourceIp", "context", "identity.sourceIp"),
        (ApiKind.HTTP, "$stageVariables.v", "stageVariable", "v"),
        (ApiKind.REST, "method.request.header.Auth", "header", "Auth"),
        (ApiKind.REST, "method.request.querystring.q", "querystring", "q"),
        (ApiKind.REST, "context.httpMethod", "context", "httpMethod"),
        (ApiKind.REST, "stageVariables.v", "stageVariable", "v"),
        (ApiKind.WEBSOCKET, "route.request.header.Auth", "header", "Auth"),
        (ApiKind.WEBSOCKET, "route.request.querystring.q", "querystring", "q"),
    ],
)
def test_sources(kind: ApiKind, text: str, place: str, name: str) -> None:
    source = parse(text, kind)
    assert isinstance(source, IdentitySource)
    assert (source.place, source.name) == (place, name)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ApiKind.HTTP, "method.request.header.Authorization"),
        (ApiKind.HTTP, "Authorization"),
        (ApiKind.HTTP, ""),
        (ApiKind.HTTP, "$request.path.id"),
        (ApiKind.REST, "$request.header.Authorization"),
        (ApiKind.REST, "method.request.path.id"),
        (ApiKind.REST, "method.request.header"),
        (ApiKind.WEBSOCKET, "method.request.header.A"),
    ],
)
def test_another_spelling_says_which_there_are(kind: ApiKind, text: str) -> None:
    fault = parse(text, kind)
    assert isinstance(fault, str)
    assert repr(text) in fault
    assert "header.NAME" in fault


@pytest.mark.parametrize(
    "text",
    [
        "$request.header.",
        "$request.header.a b",
        "$request.header.a:b",
        "$request.header.a\r\nb",
        "$request.querystring.",
        "$request.querystring.a b",
        "$context.a..b",
        "$stageVariables.a.b",
    ],
)
def test_names_that_nothing_has(text: str) -> None:
    assert isinstance(parse(text, ApiKind.HTTP), str)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, ()),
        ("", ()),
        ((), ()),
        (" , ", ()),
        ("a", ("a",)),
        ("a, b,c", ("a", "b", "c")),
        (("a", "b, c"), ("a", "b", "c")),
    ],
)
def test_a_list_or_a_text_with_commas(
    said: str | tuple[str, ...] | None, found: tuple[str, ...]
) -> None:
    assert texts(said) == found
