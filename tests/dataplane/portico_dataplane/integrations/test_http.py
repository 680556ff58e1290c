"""HTTP_PROXY: which backend, which request line, which headers (AWS §2.4, §3.4, §3.7, §3.8)."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_upstreams import FakeDeadlines, FakeDialer
from portico_dataplane.core.messages import Request
from portico_dataplane.core.templates import BadTemplate
from portico_dataplane.effects.dialer import Dialer
from portico_dataplane.http.head import RequestHead, parse
from portico_dataplane.http.pools import Upstreams
from portico_dataplane.http.targets import Targets
from portico_dataplane.integrations.http import HttpForward, Unforwardable
from portico_dataplane.settings import Settings
from portico_ir.model import (
    ApiKind,
    FromContext,
    FromLiteral,
    FromRequest,
    HttpProxy,
    ParameterMapping,
    ServiceTarget,
    Source,
    Target,
    UrlTarget,
)
from sample_requests import TRACE, make_request

REST, HTTP = ApiKind.REST, ApiKind.HTTP
SERVICE = ServiceTarget(upstream="d/pets:80", host="pets.svc:80")
API_ID = "abcdef1234"


class Sent(NamedTuple):
    """What a backend would be sent."""

    upstream: str
    line: str
    headers: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]


def forward(*targets: Target, kind: ApiKind = REST, **spec: Any) -> HttpForward:
    registry = Upstreams(Settings(), cast(Dialer, FakeDialer()), FakeDeadlines())
    found = Targets(registry)
    proxy = HttpProxy(targets=targets or (SERVICE,), **spec)
    prepared = tuple(found.prepared(target) for target in proxy.targets)
    return HttpForward(proxy, kind, API_ID, prepared, found.by_address)


def read(
    line: str = "GET /pets/7 HTTP/1.1",
    *headers: str,
    kind: ApiKind = REST,
    parameters: dict[str, str] | None = None,
) -> tuple[RequestHead, Request]:
    """A client's head, parsed and routed."""
    lines = (line, "Host: api.example.test", *headers)
    head = parse("\r\n".join(lines).encode("utf-8", "surrogateescape"), 100)
    assert isinstance(head, RequestHead), head
    request = make_request(kind, head.method, line.split(" ")[1], path_parameters=parameters)
    request.lines = head.fields.lines
    request._headers = None
    return head, request


def sent(
    prepared: HttpForward,
    line: str = "GET /pets/7 HTTP/1.1",
    *headers: str,
    kind: ApiKind = REST,
    parameters: dict[str, str] | None = None,
    framing: bytes = b"",
) -> Sent:
    head, request = read(line, *headers, kind=kind, parameters=parameters)
    destination = prepared.destination(request)
    assert destination is not None
    raw = prepared.head(request, head.fields, destination, framing)
    assert raw.endswith(b"\r\n\r\n")
    first, *lines = raw[:-4].decode("utf-8", "surrogateescape").split("\r\n")
    pairs = [(name, value) for name, _, value in (one.partition(": ") for one in lines)]
    return Sent(destination.upstream.key, first, pairs)


def mapping(place: Any, name: str, source: Source | str) -> ParameterMapping:
    """`integration.request.<place>.<name>` from a source; a text is a literal."""
    if isinstance(source, str):
        source = FromLiteral(value=source)
    return ParameterMapping(place=place, name=name, source=source)


def client(place: Any, name: str, *, multi: bool = False) -> FromRequest:
    return FromRequest(place=place, name=name, multi=multi)


# --- where it goes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "line", "parameters", "expected"),
    [
        (SERVICE, "GET /pets/7 HTTP/1.1", {}, "/pets/7"),
        (SERVICE, "GET /pets/7?a=b&a HTTP/1.1", {}, "/pets/7?a=b&a"),
        (SERVICE, "GET /p%20x/a%2Fb//c?x=%2B HTTP/1.1", {}, "/p%20x/a%2Fb//c?x=%2B"),
        (SERVICE, "GET /pets?x=? HTTP/1.1", {}, "/pets?x=?"),
        (UrlTarget(url="http://h"), "GET /pets HTTP/1.1", {}, "/"),
        (UrlTarget(url="http://h/v1"), "GET /pets HTTP/1.1", {}, "/v1"),
        (UrlTarget(url="http://h/v1"), "GET /pets?a=b HTTP/1.1", {}, "/v1?a=b"),
        (UrlTarget(url="http://h/v1?k=v"), "GET /pets HTTP/1.1", {}, "/v1?k=v"),
        (UrlTarget(url="http://h/v1?k=v"), "GET /pets?a=b HTTP/1.1", {}, "/v1?k=v&a=b"),
        (UrlTarget(url="http://h?k=v"), "GET /pets?a=b HTTP/1.1", {}, "/?k=v&a=b"),
        (UrlTarget(url="http://h/v1/{id}"), "GET /pets/7 HTTP/1.1", {"id": "7"}, "/v1/7"),
        # Variables stay as the client wrote them: nothing is decoded on the way.
        (UrlTarget(url="http://h/{id}"), "GET /a%2Fb HTTP/1.1", {"id": "a%2Fb"}, "/a%2Fb"),
        (UrlTarget(url="http://h/{id}"), "GET /a%20+b HTTP/1.1", {"id": "a%20+b"}, "/a%20+b"),
        (UrlTarget(url="http://h/{p}"), "GET /a//b/ HTTP/1.1", {"p": "a//b/"}, "/a//b/"),
        (UrlTarget(url="http://h/x?q={id}"), "GET /a HTTP/1.1", {"id": "a&b=c"}, "/x?q=a%26b%3Dc"),
        (ServiceTarget(upstream="a", host="h", path="/v1/{id}"), "GET /p/7?x HTTP/1.1",
         {"id": "7"}, "/v1/7?x"),
        (UrlTarget(url="http://h/b", append_path=True), "GET /a/b?c HTTP/1.1", {}, "/b/a/b?c"),
        (UrlTarget(url="http://h/base/", append_path=True), "GET /a HTTP/1.1", {}, "/base/a"),
        (UrlTarget(url="http://h", append_path=True), "GET /a/ HTTP/1.1", {}, "/a/"),
        (UrlTarget(url="http://h/b?k", append_path=True), "GET /a?c HTTP/1.1", {}, "/b/a?k&c"),
    ],
)  # fmt: skip
def test_request_lines(
    target: Target, line: str, parameters: dict[str, str], expected: str
) -> None:
    found = sent(forward(target), line, parameters=parameters)
    assert found.line == f"GET {expected} HTTP/1.1"


@pytest.mark.parametrize(("spec", "expected"), [("", "PUT"), ("POST", "POST"), ("GET", "GET")])
def test_methods(spec: str, expected: str) -> None:
    """Empty is the client's (AWS §4.3: ANY keeps the client's method)."""
    assert sent(forward(method=spec), "PUT /x HTTP/1.1").line == f"{expected} /x HTTP/1.1"


def test_the_version_is_our_own() -> None:
    assert sent(forward(), "GET /x HTTP/1.0").line == "GET /x HTTP/1.1"


def test_the_framing_goes_last_and_as_it_is() -> None:
    found = sent(forward(), framing=b"Content-Length: 5\r\n")
    assert found.headers[-1] == ("Content-Length", "5")


@pytest.mark.parametrize(
    ("weights", "shares"),
    [((1, 1), (10, 10)), ((3, 1), (15, 5)), ((0, 1), (0, 20)), ((1, 0), (20, 0))],
)
def test_weights_are_shares(weights: tuple[int, ...], shares: tuple[int, ...]) -> None:
    prepared = forward(
        *(
            ServiceTarget(upstream=f"s{number}", host="h", weight=weight)
            for number, weight in enumerate(weights)
        )
    )
    keys = [sent(prepared).upstream for _ in range(20)]
    assert tuple(keys.count(f"http:service:s{number}") for number in (0, 1)) == shares


def test_no_weight_at_all_is_no_destination() -> None:
    prepared = forward(*(ServiceTarget(upstream=str(n), host="h", weight=0) for n in (1, 2)))
    assert prepared.destination(read()[1]) is None


# --- a host that a request chooses ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "value", "key", "host"),
    [
        ("http://{h}.test/x", "a", "http:url:a.test:80", "a.test"),
        ("https://{h}/x", "a.test", "https:url:a.test:443", "a.test"),
        ("http://{h}/x", "a.test:81", "http:url:a.test:81", "a.test:81"),
        ("http://x.test:{h}/x", "8080", "http:url:x.test:8080", "x.test:8080"),
    ],
)
def test_a_host_with_a_variable(url: str, value: str, key: str, host: str) -> None:
    found = sent(forward(UrlTarget(url=url)), parameters={"h": value})
    assert (found.upstream, found.all("host"), found.target) == (key, [host], "/x")


@pytest.mark.parametrize(
    "value",
    ["", "a/b", "a@b", "u:p@b", "a b", "a\r\nb", "a%00", "a%2Fb", "a#b", "a?b", "[::1", "a..b",
     "a:0", "a:99999", ":80", "%61"],
)  # fmt: skip
def test_a_value_that_is_no_host_is_refused(value: str) -> None:
    prepared = forward(UrlTarget(url="http://{h}/x"))
    with pytest.raises(Unforwardable):
        prepared.destination(read(parameters={"h": value})[1])


def test_a_variable_that_nothing_fills_is_refused() -> None:
    """AWS §2.3: invalid endpoint address, 500."""
    for url in ("http://h/{id}", "http://h/x?a={id}", "http://{id}/"):
        with pytest.raises(Unforwardable):
            forward(UrlTarget(url=url)).destination(read()[1])


@pytest.mark.parametrize("value", ["..", ".", "a/../b", "%2e%2e", "a/%2E%2E/b"])
def test_a_value_does_not_climb(value: str) -> None:
    target = UrlTarget(url="http://h/v1/{id}/x")
    with pytest.raises(Unforwardable):
        forward(target).destination(read(parameters={"id": value})[1])
    mapped = forward(target, mappings=(mapping("path", "id", value),))
    if "%" in value:  # a literal percent sign is one, and is encoded as one
        assert sent(mapped).target == f"/v1/{value.replace('%', '%25')}/x"
    else:
        with pytest.raises(Unforwardable):
            mapped.destination(read()[1])


# --- headers of every request ---------------------------------------------------------------------


def test_a_plain_request_of_a_rest_api() -> None:
    found = sent(forward(), "GET /pets/7 HTTP/1.1", "Accept: */*")
    assert found.headers == [
        ("Host", "pets.svc:80"),
        ("Accept", "*/*"),
        ("User-Agent", f"AmazonAPIGateway_{API_ID}"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
        ("X-Amzn-Apigateway-Api-Id", API_ID),
        ("X-Amzn-Trace-Id", TRACE),
    ]


def test_a_plain_request_of_an_http_api() -> None:
    found = sent(forward(kind=HTTP), "GET /pets/7 HTTP/1.1", "Accept: */*", kind=HTTP)
    assert found.headers == [
        ("Host", "pets.svc:80"),
        ("Accept", "*/*"),
        ("Forwarded", "for=203.0.113.9;host=api.example.test;proto=https"),
        ("X-Amzn-Trace-Id", TRACE),
    ]


@pytest.mark.parametrize("kind", [REST, HTTP])
def test_a_client_s_user_agent_is_kept(kind: ApiKind) -> None:
    found = sent(forward(kind=kind), "GET / HTTP/1.1", "user-agent: mine", kind=kind)
    assert found.all("user-agent") == ["mine"]


@pytest.mark.parametrize("kind", [REST, HTTP])
@pytest.mark.parametrize(
    "name",
    ["X-Amzn-Trace-Id", "X-Forwarded-Proto", "X-Forwarded-Port", "Connection", "Keep-Alive", "TE",
     "Transfer-Encoding", "Trailer", "Upgrade", "Expect", "Proxy-Authorization",
     "Proxy-Connection"],
)  # fmt: skip
def test_what_a_client_says_about_the_hop_goes_no_further(kind: ApiKind, name: str) -> None:
    value = "chunked" if name == "Transfer-Encoding" else "own"
    found = sent(forward(kind=kind), "GET / HTTP/1.1", f"{name}: {value}", kind=kind)
    assert value not in found.all(name)


def test_an_api_id_cannot_be_made_up() -> None:
    found = sent(forward(), "GET / HTTP/1.1", "x-amzn-apigateway-api-id: evil")
    assert found.all("x-amzn-apigateway-api-id") == [API_ID]


def test_the_hops_before_us_are_kept_in_order() -> None:
    hops = ("X-Forwarded-For: 1.1.1.1, 2.2.2.2", "x-forwarded-for: 3.3.3.3")
    assert sent(forward(), "GET / HTTP/1.1", *hops).all("x-forwarded-for") == [
        "1.1.1.1, 2.2.2.2, 3.3.3.3, 203.0.113.9"
    ]
    found = sent(forward(kind=HTTP), "GET / HTTP/1.1", *hops, "Forwarded: for=4.4.4.4", kind=HTTP)
    assert found.all("x-forwarded-for") == []
    assert found.all("forwarded") == [
        "for=4.4.4.4, for=1.1.1.1, for=2.2.2.2, for=3.3.3.3, "
        "for=203.0.113.9;host=api.example.test;proto=https"
    ]


@pytest.mark.parametrize("kind", [REST, HTTP])
@pytest.mark.parametrize("mapped", [False, True], ids=["plain", "with-a-mapping"])
def test_what_connection_names_goes_no_further(kind: ApiKind, mapped: bool) -> None:
    """RFC 9110 §7.6.1, with or without mappings."""
    mappings = (mapping("header", "x-other", "1"),) if mapped else ()
    found = sent(
        forward(kind=kind, mappings=mappings),
        "GET / HTTP/1.1",
        "Connection: X-Hop, close",
        "X-Hop: 1",
        "X-Own: 2",
        kind=kind,
    )
    assert found.all("x-hop") == []
    assert found.all("x-own") == ["2"]


def test_repeated_headers_keep_their_order_and_case() -> None:
    found = sent(forward(), "GET / HTTP/1.1", "x-A: 1", "Cookie: a", "X-a: 2", "Cookie: b")
    assert [one for one in found.headers if one[0].lower() in ("x-a", "cookie")] == [
        ("x-A", "1"),
        ("Cookie", "a"),
        ("X-a", "2"),
        ("Cookie", "b"),
    ]


@pytest.mark.parametrize("preserve", [False, True])
def test_host(preserve: bool) -> None:
    found = sent(forward(preserve_host=preserve))
    assert found.all("host") == ["api.example.test" if preserve else "pets.svc:80"]


def test_a_client_without_host_has_none_to_preserve() -> None:
    prepared = forward(preserve_host=True)
    head = parse(b"GET / HTTP/1.0", 100)
    assert isinstance(head, RequestHead)
    request = make_request()
    request.headers = []
    destination = prepared.destination(request)
    assert destination is not None
    assert b"Host: pets.svc:80\r\n" in prepared.head(request, head.fields, destination, b"")


def test_ports_are_told_apart() -> None:
    """One route serves several listeners."""
    prepared = forward()
    head, request = read()
    for port in (80, 443, 80):
        request.local_port = port
        destination = prepared.destination(request)
        assert destination is not None
        raw = prepared.head(request, head.fields, destination, b"")
        assert b"X-Forwarded-Port: %d\r\n" % port in raw


# --- mappings -------------------------------------------------------------------------------------


def test_the_recorded_merge() -> None:
    """AWS §3.4, the recording, whole."""
    prepared = forward(
        UrlTarget(url="http://h/x?testVar={pathVar}&testQs={qsVar}"),
        mappings=(
            mapping("path", "pathVar", client("path", "pathVariable")),
            mapping("path", "qsVar", client("querystring", "testVar")),
            mapping("querystring", "testQs", client("querystring", "testQueryString")),
            mapping("querystring", "queryString", client("querystring", "testQueryString")),
            mapping("querystring", "testEmptyQs", client("header", "emptyheader")),
            mapping("header", "headerVar", client("header", "foobar")),
        ),
    )
    found = sent(
        prepared,
        "GET /foobar?testQueryString=foo&testVar=bar HTTP/1.1",
        "foobar: from-foobar",
        "headerVar: from-client",
        parameters={"pathVariable": "foobar"},
    )
    pairs = [pair.split("=") for pair in found.target.partition("?")[2].split("&")]
    by_name: dict[str, list[str]] = {}
    for name, value in pairs:
        by_name.setdefault(name, []).append(value)
    assert by_name == {
        "testVar": ["foobar", "bar"],
        "testQs": ["bar", "foo"],
        "testQueryString": ["foo"],
        "queryString": ["foo"],
    }
    assert found.all("headerVar") == ["from-foobar"]


SOURCES: list[tuple[Source | str, list[str]]] = [
    ("literal", ["literal"]),
    ("", [""]),
    (client("path", "petId"), ["a b/c"]),
    (client("path", "none"), []),
    (client("querystring", "q"), ["2 +"]),
    (client("querystring", "q", multi=True), ["1", "2 +"]),
    (client("querystring", "Q"), []),
    (client("querystring", "empty"), [""]),
    (client("querystring", "none", multi=True), []),
    (client("header", "X-H"), ["two"]),
    (client("header", "x-h", multi=True), ["one", "two"]),
    (client("header", "none"), []),
    (FromContext(name="stage"), ["$default"]),
    (FromContext(name="identity.sourceIp"), ["203.0.113.9"]),
    (FromContext(name="unheard.of"), []),
]
CLIENT = (
    "GET /pets/a%20b%2Fc?q=1&q=2+%2B&empty&=x HTTP/1.1",
    "x-h: one",
    "X-H: two",
)


@pytest.mark.parametrize(("source", "values"), SOURCES)
def test_sources_to_headers(source: Source | str, values: list[str]) -> None:
    """AWS §3.7: the last one of several, unless all are asked for; a missing one sets nothing."""
    prepared = forward(mappings=(mapping("header", "X-Mapped", source),))
    found = sent(prepared, *CLIENT, parameters={"petId": "a%20b%2Fc"})
    assert found.all("x-mapped") == values


@pytest.mark.parametrize(("source", "values"), SOURCES)
def test_sources_to_query(source: Source | str, values: list[str]) -> None:
    prepared = forward(mappings=(mapping("querystring", "m", source),))
    found = sent(prepared, *CLIENT, parameters={"petId": "a%20b%2Fc"})
    encoded = {"a b/c": "a%20b%2Fc", "2 +": "2%20%2B", "$default": "%24default"}
    own = "q=1&q=2+%2B&empty&=x"
    expected = [own, *(f"m={encoded.get(value, value)}" for value in values)]
    assert found.target == "/pets/a%20b%2Fc?" + "&".join(expected)


def test_query_names_are_encoded() -> None:
    prepared = forward(mappings=(mapping("querystring", "a&b=c", "1"),))
    assert sent(prepared, "GET /x HTTP/1.1").target == "/x?a%26b%3Dc=1"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (client("path", "petId"), "/v/a%20b%2Fc"),
        (client("querystring", "q"), "/v/2%20+"),
        ("a/b?c#d", "/v/a/b%3Fc%23d"),
        ("100%", "/v/100%25"),
    ],
)
def test_sources_to_path(source: Source | str, expected: str) -> None:
    """A path value goes on as it came; anything else is encoded, slashes apart."""
    prepared = forward(UrlTarget(url="http://h/v/{x}"), mappings=(mapping("path", "x", source),))
    found = sent(prepared, *CLIENT, parameters={"petId": "a%20b%2Fc"})
    assert found.target.partition("?")[0] == expected


def test_a_mapped_variable_goes_before_the_route_s_own() -> None:
    prepared = forward(UrlTarget(url="http://h/{id}"), mappings=(mapping("path", "id", "mapped"),))
    assert sent(prepared, parameters={"id": "own"}).target == "/mapped"


def test_a_missing_source_leaves_the_route_s_own_variable() -> None:
    prepared = forward(
        UrlTarget(url="http://h/{id}"), mappings=(mapping("path", "id", client("header", "no")),)
    )
    assert sent(prepared, parameters={"id": "own"}).target == "/own"


@pytest.mark.parametrize(
    "name", ["X-Own", "User-Agent", "Host", "X-Forwarded-For", "X-Forwarded-Proto", "Accept"]
)
def test_mapped_headers_overwrite(name: str) -> None:
    """AWS §3.4: whatever else would be sent under that name, once, in any spelling."""
    prepared = forward(preserve_host=True, mappings=(mapping("header", name, "mapped"),))
    given = [] if name == "Host" else [f"{name.lower()}: a", f"{name.upper()}: b"]
    found = sent(prepared, "GET / HTTP/1.1", *given)
    assert found.all(name) == ["mapped"]
    assert (name, "mapped") in found.headers


def test_a_mapping_without_a_value_overwrites_nothing() -> None:
    prepared = forward(mappings=(mapping("header", "X-Own", client("header", "none")),))
    assert sent(prepared, "GET / HTTP/1.1", "X-Own: a").all("x-own") == ["a"]


@pytest.mark.parametrize("name", ["TE", "Via", "Proxy-Authenticate", "via"])
def test_some_mapped_headers_never_arrive(name: str) -> None:
    """AWS §18: dropped in silence, no error."""
    prepared = forward(mappings=(mapping("header", name, "x"), mapping("header", "X-Own", "y")))
    found = sent(prepared)
    assert found.all(name) == []
    assert found.all("x-own") == ["y"]


@pytest.mark.parametrize(
    "name",
    ["Content-Length", "transfer-encoding", "X-Amzn-Trace-Id", "x-amzn-apigateway-api-id",
     "", "a b", "a:b", "a\r\nX-Evil", "a\n", "ü"],
)  # fmt: skip
def test_headers_that_may_not_be_mapped(name: str) -> None:
    """AWS §3.8: 500. Two of them would frame the request anew; and a name is a token."""
    with pytest.raises(BadTemplate):
        forward(mappings=(mapping("header", name, "x"),))


@pytest.mark.parametrize("method", ["GET /x HTTP/1.1\r\nX:", "a b", "\n", "GÜT"])
def test_a_method_is_a_token(method: str) -> None:
    with pytest.raises(BadTemplate):
        forward(method=method)


@pytest.mark.parametrize("evil", ["%0d%0aX-Evil:%201", "%0a", "%0D", "%00", "a%7f"])
@pytest.mark.parametrize("place", ["querystring", "path"])
def test_a_value_cannot_end_a_header_line(place: str, evil: str) -> None:
    prepared = forward(mappings=(mapping("header", "X-Mapped", client(place, "v")),))
    head, request = read(f"GET /x?v={evil} HTTP/1.1", parameters={"v": evil})
    destination = prepared.destination(request)
    assert destination is not None
    with pytest.raises(Unforwardable):
        prepared.head(request, head.fields, destination, b"")


@pytest.mark.parametrize("evil", ["%0d%0aX-Evil:%201", "%0a", "a%20HTTP/1.1%0d%0a"])
def test_a_value_cannot_end_a_request_line(evil: str) -> None:
    for source in (client("path", "v"), client("querystring", "v")):
        prepared = forward(
            UrlTarget(url="http://h/{v}?a={v}"),
            mappings=(mapping("path", "v", source), mapping("querystring", "b", source)),
        )
        target = sent(prepared, f"GET /x?v={evil} HTTP/1.1", parameters={"v": evil}).target
        assert "\r" not in target
        assert "\n" not in target
        assert " " not in target


def test_bytes_that_are_no_text_pass_unchanged() -> None:
    """RFC 9110 §5.5: opaque data."""
    prepared = forward(mappings=(mapping("header", "X-Mapped", client("header", "X-Raw")),))
    head, request = read("GET / HTTP/1.1", "X-Raw: caf\udce9 \u00fc")
    destination = prepared.destination(request)
    assert destination is not None
    raw = prepared.head(request, head.fields, destination, b"")
    assert b"X-Mapped: caf\xe9 \xc3\xbc\r\n" in raw


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
RAW = st.text("abc/.%?&=;+~-_0Df{}\\ #ü\r\n", max_size=16)


@given(
    target=RAW,
    header=TEXT,
    literal=TEXT,
    variable=RAW,
    names=st.lists(st.sampled_from(("a", "X-B", "Host", "via")), max_size=3),
)
def test_whatever_comes_one_head_goes_out(
    target: str, header: str, literal: str, variable: str, names: list[str]
) -> None:
    """No value of a client or an author ends a line, adds one, or splits the request line."""
    raw = f"GET /{target} HTTP/1.1\r\nHost: a.test\r\nX-H: {header}".encode("utf-8", "replace")
    head = parse(raw, 100)
    if not isinstance(head, RequestHead):
        return
    mappings = (
        *(mapping("header", name, literal) for name in names),
        mapping("header", "X-C", client("header", "x-h")),
        mapping("header", "X-D", client("querystring", "a")),
        mapping("header", "X-E", client("path", "v")),
        mapping("querystring", "m", client("path", "v")),
        mapping("path", "w", client("querystring", "a")),
    )
    urls = ("http://h/{v}", "http://{v}/x", "http://h/x?y={v}", "http://h/{w}")
    targets: list[Target] = [SERVICE, *(UrlTarget(url=url) for url in urls)]
    for one in targets:
        prepared = forward(one, mappings=mappings)
        request = make_request(REST, "GET", f"/{target}", path_parameters={"v": variable})
        request.lines = head.fields.lines
        request._headers = None
        try:
            destination = prepared.destination(request)
            assert destination is not None
            made = prepared.head(request, head.fields, destination, b"")
        except Unforwardable:
            continue
        assert made.endswith(b"\r\n\r\n")
        lines = made[:-4].split(b"\r\n")
        assert len(lines[0].split(b" ")) == 3
        for line in lines:
            assert b"\r" not in line
            assert b"\n" not in line
        assert len([line for line in lines if line.lower().startswith(b"host:")]) == 1
        assert len(lines) <= 1 + 7 + 2 + len(mappings)
