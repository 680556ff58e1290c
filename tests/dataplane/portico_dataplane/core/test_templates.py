"""URL and path templates: AWS §3.4 (`{name}` in URIs), §4.3, design §3 and §13."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.templates import BadTemplate, Place, UrlTemplate, encode

TARGET = re.compile(r"/[!-~]*")


def path_of(text: str, **values: str) -> tuple[str, str]:
    url = UrlTemplate.of_path(text).render(values)
    return url.path, url.query


def test_a_static_url_is_rendered_once() -> None:
    template = UrlTemplate.of_url("https://Api.example:8443/v1/pets?x=1&y=%20")
    url = template.render({})
    assert url == ("https", "api.example", 8443, "Api.example:8443", "/v1/pets", "x=1&y=%20")
    assert template.is_static
    assert template.host_is_static
    assert template.names == frozenset()
    assert template.render({}) is url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://h", ("http", "h", 80, "h", "", "")),
        ("https://h", ("https", "h", 443, "h", "", "")),
        ("HTTP://h/", ("http", "h", 80, "h", "/", "")),
        ("http://h?x=1", ("http", "h", 80, "h", "", "x=1")),
        ("http://h/a?b?c", ("http", "h", 80, "h", "/a", "b?c")),
        ("http://[::1]:81/a", ("http", "::1", 81, "[::1]:81", "/a", "")),
        ("http://my_svc.ns:80/", ("http", "my_svc.ns", 80, "my_svc.ns:80", "/", "")),
        ("http://10.0.0.1/x", ("http", "10.0.0.1", 80, "10.0.0.1", "/x", "")),
        ("http://example.org./x", ("http", "example.org.", 80, "example.org.", "/x", "")),
    ],
)  # fmt: skip
def test_urls_are_taken_apart(text: str, expected: tuple) -> None:
    assert UrlTemplate.of_url(text).render({}) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftp://h/", "begins with"),
        ("//h/", "begins with"),
        ("/just/a/path", "begins with"),
        ("", "begins with"),
        ("{scheme}://h/", "begins with"),
        ("http://", "host"),
        ("http:///a", "host"),
        ("http://user@h/", "host"),
        ("http://user:password@h/", "host"),
        ("http://h:port/", "host"),
        ("http://h:/", "host"),
        ("http://h:123456/", "host"),
        ("http://h:70000/", "port"),
        ("http://h:0/", "port"),
        ("http://a b/", "host"),
        ("http://a..b/", "host"),
        ("http://-a/", "host"),
        ("http://b\u00fccher.example/", "host"),
        ("http://h/a#b", "fragment"),
        ("http://h\\@g/", "backslash"),
        ("http://h/a\r\nX: y", "control"),
        ("http://h/\x00", "control"),
        ("http://h/{a", "brace"),
        ("http://h/a}", "brace"),
        ("http://h/{}", "name"),
        ("http://h/{a b}", "name"),
        ("http://h/{proxy+}", "without its plus"),
        ("http://h/a/../b", "segment"),
        ("http://h/./b", "segment"),
        ("http://h/%2e%2E/b", "segment"),
        ("http://h/..%2f", "segment"),
    ],
)
def test_what_cannot_be_a_url_is_refused_when_parsed(text: str, why: str) -> None:
    with pytest.raises(BadTemplate, match=why):
        UrlTemplate.of_url(text)


@pytest.mark.parametrize("text", ["/a/../b", "/{a", "/\n", "/a#b", "/{proxy+}"])
def test_what_cannot_be_a_path_is_refused_when_parsed(text: str) -> None:
    with pytest.raises(BadTemplate):
        UrlTemplate.of_path(text)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("/v1/pets", ("/v1/pets", "")),
        ("v1/pets", ("/v1/pets", "")),
        ("", ("", "")),
        ("?x=1", ("", "x=1")),
        ("/a b/caf\u00e9", ("/a%20b/caf%C3%A9", "")),
        ("/a%20b%2F", ("/a%20b%2F", "")),
        ("/a?discount=5%&x=[1]&y=a|b", ("/a", "discount=5%25&x=[1]&y=a%7Cb")),
        ("/p;m=1/a:b@c", ("/p;m=1/a:b@c", "")),
    ],
)
def test_what_an_author_may_write(text: str, rendered: tuple[str, str]) -> None:
    assert path_of(text) == rendered


def test_values_go_in_verbatim() -> None:
    assert path_of("/v1/{petId}/toys", petId="a%20b%2Fc") == ("/v1/a%20b%2Fc/toys", "")
    assert path_of("/{a}-{b}.json", a="1", b="t+a@g.c") == ("/1-t+a@g.c.json", "")


def test_greedy_values_keep_their_slashes() -> None:
    assert path_of("/files/{proxy}", proxy="a//b/c%2Fd") == ("/files/a//b/c%2Fd", "")


def test_a_variable_may_stand_anywhere() -> None:
    template = UrlTemplate.of_url("https://{shop}.example:{port}/v1/{id}?x={id}&{k}={v}")
    assert template.names == {"shop", "port", "id", "k", "v"}
    assert not template.host_is_static
    values = {"shop": "a", "port": "444", "id": "1", "k": "y", "v": "z"}
    assert template.render(values) == (
        "https", "a.example", 444, "a.example:444", "/v1/1", "x=1&y=z",
    )  # fmt: skip
    with pytest.raises(BadTemplate):
        template.origin()


def test_the_origin_of_a_url_with_a_variable_path() -> None:
    template = UrlTemplate.of_url("http://h:81/{x}")
    assert template.host_is_static
    assert not template.is_static
    assert template.origin()[:4] == ("http", "h", 81, "h:81")


def test_a_missing_value_is_a_key_error() -> None:
    for text in ("/{x}", "/a?b={x}"):
        with pytest.raises(KeyError):
            UrlTemplate.of_path(text).render({"y": "1"})
    with pytest.raises(KeyError):
        UrlTemplate.of_url("http://{x}/").render({})
    # What a stage does not define stays in the text, and has no value.
    with pytest.raises(KeyError):
        UrlTemplate.of_path("/${stageVariables.x}").render({})


def test_a_raw_path_value_adds_nothing_to_a_query() -> None:
    """In a path `a&admin=true` is one segment; in a query it would be a second parameter."""
    path, query = path_of("/f?x={v}", v="a&admin=true;b+c#d?e%26")
    assert parse_qsl(query) == [("x", "a&admin=true;b+c#d?e&")]
    assert path == "/f"


@pytest.mark.parametrize("value", ["a?b", "a#b", "a b", "a\u00e9", "5%", "a\\b"])
def test_a_path_value_ends_no_path(value: str) -> None:
    path, query = path_of("/f/{v}", v=value)
    assert query == ""
    assert unquote(path) == f"/f/{value}"


@pytest.mark.parametrize("value", ["a\r\nHost: x", "a\n", "\x00", "\x7f", "a\tb"])
@pytest.mark.parametrize("text", ["/f/{v}", "/f?x={v}"])
def test_a_control_character_is_refused(text: str, value: str) -> None:
    with pytest.raises(BadTemplate, match="control"):
        UrlTemplate.of_path(text).render({"v": value})


@pytest.mark.parametrize("value", ["..", ".", "%2e%2e", "a/../../b", "..%2fb", "%2E", "a%5c.."])
def test_a_value_climbs_out_of_no_path(value: str) -> None:
    """Values of a header or query were never checked as the client's path is."""
    with pytest.raises(BadTemplate, match="segment"):
        UrlTemplate.of_path("/tenant/{v}/data").render({"v": value})


def test_dots_made_of_two_values_are_refused() -> None:
    with pytest.raises(BadTemplate, match="segment"):
        UrlTemplate.of_path("/t/{a}{b}").render({"a": ".", "b": "."})
    assert path_of("/t/{a}.{b}", a="a", b="b") == ("/t/a.b", "")


@pytest.mark.parametrize(
    "value",
    ["", "a/b", "a@b", "a?b", "a#b", "a b", "a:1", "a%2eb", "[::1]", "a..b", "\u00e9", "a\n", "\\"],
)  # fmt: skip
def test_a_rendered_host_is_a_host(value: str) -> None:
    template = UrlTemplate.of_url("http://{v}.internal.example/x")
    with pytest.raises(BadTemplate, match="host"):
        template.render({"v": value})


@pytest.mark.parametrize("value", ["0", "99999", "8a", "80@evil", "80/", ""])
def test_a_rendered_port_is_a_port(value: str) -> None:
    with pytest.raises(BadTemplate, match="port"):
        UrlTemplate.of_url("http://h:{v}/x").render({"v": value})


@pytest.mark.parametrize(
    ("place", "text", "raw"),
    [
        (Place.SEGMENT, "a/b c?", "a%2Fb%20c%3F"),
        (Place.SEGMENT, "a+b&c=d;e", "a+b&c=d;e"),
        (Place.SEGMENTS, "a/b c", "a/b%20c"),
        (Place.QUERY, "a/b c+d&e=\u00e9", "a%2Fb%20c%2Bd%26e%3D%C3%A9"),
        (Place.SEGMENT, "\r\n%", "%0D%0A%25"),
        (Place.QUERY, "\udcff", "%FF"),
    ],
)
def test_text_is_encoded_for_its_place(place: Place, text: str, raw: str) -> None:
    assert encode(text, place) == raw


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(BadTemplate):
        encode("\ud800", Place.SEGMENT)
    with pytest.raises(BadTemplate):
        UrlTemplate.of_path("/{v}").render({"v": "\ud800"})


ANY_TEXT = st.text(alphabet=st.characters(codec=None))


@given(ANY_TEXT, ANY_TEXT)
def test_whatever_the_values_the_target_is_one(a: str, b: str) -> None:
    template = UrlTemplate.of_path("/v1/{a}/x{b}?q={a}&r={b}")
    try:
        url = template.render({"a": a, "b": b})
    except BadTemplate:
        return
    target = f"{url.path}?{url.query}"
    assert TARGET.fullmatch(target)
    assert "#" not in target
    assert "?" not in url.path
    assert [name for name, _ in parse_qsl(url.query, keep_blank_values=True)] == ["q", "r"]
    assert not {".", ".."} & set(unquote(url.path).split("/"))


@given(st.text(alphabet="ab/{}?#%.@:[]\\ \r\né1"))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    for parse in (UrlTemplate.of_path, lambda rest: UrlTemplate.of_url(f"http://{rest}")):
        try:
            template = parse(text)
            url = template.render(dict.fromkeys(template.names, "v"))
        except BadTemplate:
            continue
        assert TARGET.fullmatch(url.path or "/")
        assert not re.search(r"[/@?#\\\s]", url.authority)
