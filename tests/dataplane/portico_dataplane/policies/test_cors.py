"""corsConfiguration, rule by rule (AWS §4.7; what a browser needs: Fetch §3.2)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.messages import Headers, Response
from portico_dataplane.policies.cors import CorsPolicy
from portico_ir.policies import Cors

SITE = "https://www.example.com"
FULL = Cors(
    allow_origins=(SITE, "http://localhost:3000"),
    allow_methods=("GET", "OPTIONS", "POST"),
    allow_headers=("x-apigateway-header", "Content-Type"),
    expose_headers=("x-apigateway-header", "x-amz-date"),
    max_age=3600,
    allow_credentials=True,
)


def preflight(
    spec: Cors,
    origin: str | None = SITE,
    method: str | None = "GET",
    headers: str | None = None,
    *,
    sent: str = "OPTIONS",
) -> Response | None:
    given = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }
    lines: Headers = [(b"Host", b"api")]
    lines += [(name.encode(), value.encode()) for name, value in given.items() if value is not None]
    return CorsPolicy(spec).preflight(sent, lines)


def answered(spec: Cors, *given: Any) -> dict[str, str]:
    response = preflight(spec, *given)
    assert response is not None
    assert (response.status, response.body) == (204, b"")
    return shown(response.headers)


def decorated(spec: Cors, origin: str | None, headers: Headers | None = None) -> dict[str, str]:
    request: Headers = [(b"Host", b"api")]
    if origin is not None:
        request.append((b"origin", origin.encode()))
    return shown(CorsPolicy(spec).decorate(request, headers or []))


def shown(headers: Headers) -> dict[str, str]:
    assert len({name.lower() for name, _ in headers}) == len(headers)
    return {name.decode(): value.decode() for name, value in headers}


# --- preflight ------------------------------------------------------------------------------


def test_a_preflight_that_is_allowed() -> None:
    assert answered(FULL, SITE, "GET", "content-type") == {
        "Access-Control-Allow-Origin": SITE,
        "Access-Control-Allow-Methods": "GET,OPTIONS,POST",
        "Access-Control-Allow-Headers": "x-apigateway-header,Content-Type",
        "Access-Control-Max-Age": "3600",
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin",
    }


@pytest.mark.parametrize(
    ("origin", "method", "headers"),
    [
        ("https://evil.example", "GET", None),
        ("https://www.example.com.evil.example", "GET", None),
        ("http://www.example.com", "GET", None),
        ("https://www.example.com:8443", "GET", None),
        ("null", "GET", None),
        ("", "GET", None),
        (SITE, "DELETE", None),
        (SITE, "get", None),
        (SITE, "", None),
        (SITE, "GET", "x-other"),
        (SITE, "GET", "content-type, x-other"),
    ],
)
def test_a_preflight_that_is_allowed_in_part_or_not_at_all(
    origin: str, method: str, headers: str | None
) -> None:
    """204 and no CORS header: the browser refuses."""
    assert answered(FULL, origin, method, headers) == {"Vary": "Origin"}


@pytest.mark.parametrize(
    "headers", ["", "CONTENT-TYPE", " content-type ,x-apigateway-header", "content-type,,"]
)
def test_header_names_have_no_case(headers: str) -> None:
    assert "Access-Control-Allow-Origin" in answered(FULL, SITE, "GET", headers)


@pytest.mark.parametrize(
    ("origin", "method", "sent"),
    [
        (None, "GET", "OPTIONS"),
        (SITE, None, "OPTIONS"),
        (None, None, "OPTIONS"),
        (SITE, "GET", "GET"),
        (SITE, "GET", "POST"),
    ],
)
def test_what_is_no_preflight_goes_on(origin: str | None, method: str | None, sent: str) -> None:
    assert preflight(FULL, origin, method, sent=sent) is None


def test_an_options_that_reached_no_route() -> None:
    response = CorsPolicy(FULL).unrouted_options()
    assert (response.status, response.body) == (204, b"")
    assert shown(response.headers) == {"Vary": "Origin"}
    assert CorsPolicy(Cors(allow_origins=("*",))).unrouted_options().headers == []


def test_what_is_not_configured_is_not_said() -> None:
    spec = Cors(allow_origins=("*",), allow_methods=("*",))
    assert answered(spec, "https://a.example", "PURGE") == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "*",
    }


@pytest.mark.parametrize("max_age", [-1, 0, 86400])
def test_max_age(max_age: int) -> None:
    spec = Cors(allow_origins=("*",), allow_methods=("GET",), max_age=max_age)
    assert answered(spec)["Access-Control-Max-Age"] == str(max_age)


def test_stars_without_credentials() -> None:
    spec = Cors(allow_origins=("*",), allow_methods=("*",), allow_headers=("*",))
    assert answered(spec, "https://a.example", "DELETE", "x-any") == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "*",
        "Access-Control-Allow-Headers": "*",
    }


def test_stars_with_credentials_are_spelt_out() -> None:
    """A browser takes `*` for a name when it sends credentials (Fetch §3.2.3)."""
    spec = Cors(
        allow_origins=("https://*",),
        allow_methods=("*",),
        allow_headers=("*",),
        allow_credentials=True,
    )
    assert answered(spec, "https://a.example", "DELETE", "x-any, x-other") == {
        "Access-Control-Allow-Origin": "https://a.example",
        "Access-Control-Allow-Methods": "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Headers": "x-any, x-other",
        "Vary": "Origin",
    }
    assert "Access-Control-Allow-Headers" not in answered(spec, "https://a.example", "GET")


def test_requested_headers_on_several_lines() -> None:
    lines: Headers = [
        (b"origin", SITE.encode()),
        (b"access-control-request-method", b"GET"),
        (b"access-control-request-headers", b"content-type"),
        (b"access-control-request-headers", b"x-other"),
    ]
    response = CorsPolicy(FULL).preflight("OPTIONS", lines)
    assert response is not None
    assert shown(response.headers) == {"Vary": "Origin"}


# --- origins --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "origin", "echoed"),
    [
        (("*",), "https://a.example", "*"),
        (("*",), "null", "*"),
        (("https://*",), "https://a.example", "https://a.example"),
        (("https://*",), "https://a.example:8443", "https://a.example:8443"),
        (("HTTPS://*",), "https://a.example", "https://a.example"),
        (("https://*",), "http://a.example", None),
        (("https://*",), "https://", None),
        (("https://*",), "null", None),
        (("http://*",), "http://localhost:3000", "http://localhost:3000"),
        (("http://*",), "https://a.example", None),
        (("http://*", "https://b.example"), "https://b.example", "https://b.example"),
        (("https://WWW.Example.com",), "https://www.example.com", "https://www.example.com"),
        (("https://www.example.com",), "https://WWW.example.com", "https://WWW.example.com"),
        (("https://*.example.com",), "https://a.example.com", None),
        (("null",), "null", "null"),
        ((), "https://a.example", None),
    ],
)
def test_which_origins_are_allowed(
    allowed: tuple[str, ...], origin: str, echoed: str | None
) -> None:
    spec = Cors(allow_origins=allowed, allow_methods=("GET",))
    assert decorated(spec, origin).get("Access-Control-Allow-Origin") == echoed
    assert answered(spec, origin).get("Access-Control-Allow-Origin") == echoed


def test_everybody_never_gets_credentials() -> None:
    """AWS refuses this configuration; should it get here, nobody's cookies go along."""
    spec = Cors(allow_origins=("*",), allow_methods=("GET",), allow_credentials=True)
    assert decorated(spec, SITE) == {"Access-Control-Allow-Origin": "*"}
    assert "Access-Control-Allow-Credentials" not in answered(spec)


# --- every other answer ---------------------------------------------------------------------

BACKEND: Headers = [
    (b"Content-Type", b"text/plain"),
    (b"access-control-allow-origin", b"https://backend.example"),
    (b"Access-Control-Allow-Credentials", b"true"),
    (b"ACCESS-CONTROL-EXPOSE-HEADERS", b"x-backend"),
    (b"Access-Control-Max-Age", b"1"),
    (b"X-Own", b"1"),
]
KEPT = {"Content-Type": "text/plain", "X-Own": "1"}


def test_the_backend_s_headers_are_replaced() -> None:
    assert decorated(FULL, SITE, list(BACKEND)) == {
        **KEPT,
        "Access-Control-Allow-Origin": SITE,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "x-apigateway-header,x-amz-date",
        "Vary": "Origin",
    }


@pytest.mark.parametrize("origin", [None, "https://evil.example"])
def test_and_taken_away_where_nothing_is_allowed(origin: str | None) -> None:
    assert decorated(FULL, origin, list(BACKEND)) == {**KEPT, "Vary": "Origin"}


def test_the_list_given_is_never_changed() -> None:
    given = list(BACKEND)
    for origin in (None, SITE):
        decorated(FULL, origin, given)
        assert given == BACKEND


def test_without_an_origin_nothing_is_copied() -> None:
    """The fast path: most requests have no Origin."""
    policy = CorsPolicy(Cors(allow_origins=("*",)))
    headers: Headers = [(b"Content-Type", b"text/plain"), (b"Vary", b"Accept")]
    assert policy.decorate([(b"Host", b"api")], headers) is headers


@pytest.mark.parametrize(
    ("vary", "shown_as"),
    [
        (None, [b"Origin"]),
        (b"Accept", [b"Accept", b"Origin"]),
        (b"origin", [b"origin"]),
        (b"Accept, ORIGIN", [b"Accept, ORIGIN"]),
        (b"*", [b"*"]),
    ],
)
def test_an_answer_that_depends_on_the_origin_says_so(
    vary: bytes | None, shown_as: list[bytes]
) -> None:
    """Also without an Origin: a cache must not hand that answer to a page (Fetch §3.2.8)."""
    headers: Headers = [(b"vary", vary)] if vary is not None else []
    for request in ([], [(b"Origin", SITE.encode())]):
        found = CorsPolicy(FULL).decorate(request, headers)
        assert [value for name, value in found if name.lower() == b"vary"] == shown_as


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.binary(max_size=20)), max_size=6),
    st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.binary(max_size=20)), max_size=6),
    st.sampled_from([FULL, Cors(), Cors(allow_origins=("*",)), Cors(allow_origins=("https://*",))]),
)
def test_no_message_raises(request: Headers, response: Headers, spec: Cors) -> None:
    policy = CorsPolicy(spec)
    policy.preflight("OPTIONS", request)
    found = policy.decorate(request, response)
    kept = [line for line in response if not line[0].lower().startswith(b"access-control-")]
    assert found[: len(kept)] == kept
