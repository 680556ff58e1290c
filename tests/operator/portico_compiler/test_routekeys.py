"""The grammar of route keys (AWS §3.2, §4.2, §5.2), and when two are one."""

from __future__ import annotations

import pytest

from portico_compiler import routekeys
from portico_compiler.routekeys import ApiKindName, RouteKey


def parsed(text: str, kind: ApiKindName = "RestApi") -> RouteKey:
    key = routekeys.parse(text, kind)
    assert isinstance(key, RouteKey), key
    return key


@pytest.mark.parametrize(
    ("text", "method", "path", "variables"),
    [
        ("GET /", "GET", "/", ()),
        ("GET /pets/{petId}", "GET", "/pets/{petId}", ("petId",)),
        ("ANY /x/{proxy+}", "ANY", "/x/{proxy+}", ("proxy",)),
        ("OPTIONS /a.b,c:d-e_f/{x}/{y}", "OPTIONS", "/a.b,c:d-e_f/{x}/{y}", ("x", "y")),
        ("GET /a/", "GET", "/a/", ()),
    ],
)
def test_keys_with_a_path(text: str, method: str, path: str, variables: tuple[str, ...]) -> None:
    for kind in ("RestApi", "HttpApi"):
        key = parsed(text, kind)
        assert (key.text, key.method, key.path, key.variables) == (text, method, path, variables)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/pets", "METHOD /path"),
        ("GET", "METHOD /path"),
        ("GET pets", "METHOD /path"),
        ("get /pets", "not a method"),
        ("TRACE /pets", "not a method"),
        ("GET  /pets", "METHOD /path"),
        ("GET /pets//x", "empty segment"),
        ("GET //", "empty segment"),
        ("GET /pets/{id}x", "whole segment"),
        ("GET /pets/x{id}", "whole segment"),
        ("GET /pets/{}", "whole segment"),
        ("GET /pets/{id", "whole segment"),
        ("GET /pets/{a}{b}", "whole segment"),
        ("GET /{proxy+}/x", "nothing may follow"),
        ("GET /{a}/{a}", "twice"),
        ("GET /{a}/{a+}", "twice"),
        ("GET /a/../b", "not a segment"),
        ("GET /a b", "more than"),
        ("GET /a?b", "more than"),
        ("GET /ä", "more than"),
        ("GET /a\n", "more than"),
    ],
)
def test_faults(text: str, says: str) -> None:
    for kind in ("RestApi", "HttpApi"):
        fault = routekeys.parse(text, kind)
        assert isinstance(fault, str)
        assert says in fault


def test_http_paths_take_what_rfc_3986_allows() -> None:
    assert parsed("GET /~me/@x/a%20b/$1;2", "HttpApi").path == "/~me/@x/a%20b/$1;2"
    assert isinstance(routekeys.parse("GET /~me", "RestApi"), str)
    assert isinstance(routekeys.parse("GET /a%2", "HttpApi"), str)


def test_default_is_for_http_and_websocket() -> None:
    assert parsed("$default", "HttpApi").method == ""
    assert parsed("$default", "WebSocketApi").text == "$default"
    assert isinstance(routekeys.parse("$default", "RestApi"), str)
    assert parsed("anything at all", "WebSocketApi").slot == "anything at all"


@pytest.mark.parametrize(
    ("one", "other", "kind", "same"),
    [
        ("GET /pets/{petId}", "GET /pets/{id}", "RestApi", True),
        ("GET /pets/{petId}", "GET /pets/{id}", "HttpApi", True),
        ("GET /pets", "GET /pets/", "RestApi", True),
        ("GET /pets", "GET /pets/", "HttpApi", False),
        ("GET /pets/{id}", "GET /pets/{id+}", "RestApi", False),
        ("GET /pets/{id}", "ANY /pets/{id}", "RestApi", False),
        ("GET /pets/{id}", "GET /pets/id", "RestApi", False),
        ("GET /Pets", "GET /pets", "RestApi", False),
        ("GET /", "GET /{x}", "RestApi", False),
        ("GET /{a}/x", "GET /{b}/y", "RestApi", False),
    ],
)
def test_one_key_is_method_and_path_with_names_erased(
    one: str, other: str, kind: ApiKindName, same: bool
) -> None:
    assert (parsed(one, kind).slot == parsed(other, kind).slot) is same
