"""MOCK: which status, which response, which body (AWS §3.4, §3.5, §3.10)."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.messages import Headers, Response
from portico_dataplane.core.verdicts import Reject, Respond
from portico_dataplane.integrations.mock import MockIntegration
from portico_ir.errors import ErrorKind
from portico_ir.model import Mock, MockResponse, MockTemplate
from sample_requests import make_request

JSON = "application/json"
OK = MockTemplate(content_type=JSON, status=200)
DEFAULT = MockResponse(pattern="", status=200)
Passthrough = Literal["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"]


def answer(mock: Mock, body: bytes = b"", **request: Any) -> Response | Reject:
    verdict = MockIntegration(mock).on_request(make_request(**request), body)
    assert isinstance(verdict, Respond | Reject)
    return verdict.response if isinstance(verdict, Respond) else verdict


def status_of(mock: Mock, body: bytes = b"", **request: Any) -> int | ErrorKind:
    given = answer(mock, body, **request)
    return given.kind if isinstance(given, Reject) else given.status


def typed(content_type: str) -> Headers:
    return [(b"Content-Type", content_type.encode())]


# --- the answer -----------------------------------------------------------------------------


def test_a_constant_answer() -> None:
    mock = Mock(
        templates=(OK,),
        responses=(
            MockResponse(
                pattern="",
                status=201,
                headers=(("X-Own", "λ"),),
                templates=((JSON, '{"a": 1}'),),
            ),
        ),
    )
    given = answer(mock)
    assert isinstance(given, Response)
    assert (given.status, given.body) == (201, b'{"a": 1}')
    assert given.headers == [(b"X-Own", "λ".encode()), (b"Content-Type", b"application/json")]


def test_a_content_type_of_its_own() -> None:
    """AWS §2.4: application/json only when nobody set one."""
    response = MockResponse(pattern="", status=200, headers=(("content-type", "text/html"),))
    given = answer(Mock(templates=(OK,), responses=(response,)))
    assert isinstance(given, Response)
    assert given.headers == [(b"content-type", b"text/html")]


def test_answers_share_nothing_that_can_be_changed() -> None:
    mock = MockIntegration(Mock(templates=(OK,), responses=(DEFAULT,)))
    for _ in range(2):
        verdict = mock.on_request(make_request(), b"")
        assert isinstance(verdict, Respond)
        assert len(verdict.response.headers) == 1
        verdict.response.headers.append((b"X", b"y"))


def test_the_limit_of_a_body_is_the_route_s() -> None:
    assert MockIntegration(Mock(max_request_body=7)).max_request_body == 7


# --- passthrough (AWS §3.5, the table) --------------------------------------------------------

UNSUPPORTED = ErrorKind.UNSUPPORTED_MEDIA_TYPE
CONFIGURATION = ErrorKind.API_CONFIGURATION_ERROR


@pytest.mark.parametrize(
    ("templates", "content_type", "when_no_match", "when_no_templates", "never"),
    [
        ((OK,), None, 200, 200, 200),
        ((OK,), "", 200, 200, 200),
        ((OK,), "application/json", 200, 200, 200),
        ((OK,), "Application/JSON; charset=utf-8", 200, 200, 200),
        ((OK,), "application/xml", 404, UNSUPPORTED, UNSUPPORTED),
        ((), None, 404, 404, UNSUPPORTED),
        ((), "application/xml", 404, 404, UNSUPPORTED),
    ],
)
def test_passthrough(
    templates: tuple[MockTemplate, ...],
    content_type: str | None,
    when_no_match: Any,
    when_no_templates: Any,
    never: Any,
) -> None:
    """A body that is let by stands for the rendered template: here it says 404."""
    responses = (DEFAULT, MockResponse(pattern="404", status=404))
    headers = typed(content_type) if content_type is not None else []
    behaviours: dict[Passthrough, Any] = {
        "WHEN_NO_MATCH": when_no_match,
        "WHEN_NO_TEMPLATES": when_no_templates,
        "NEVER": never,
    }
    for passthrough, wanted in behaviours.items():
        mock = Mock(templates=templates, passthrough=passthrough, responses=responses)
        assert status_of(mock, b'{"statusCode": 404}', headers=headers) == wanted


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"statusCode": 404}', 404),
        (b'{"a": [1], "statusCode": 404}', 404),
        # The lenient parser (AWS §18).
        (b"{statusCode: 404}", 404),
        (b'{ "statusCode" : 404, }', 404),
        (b"{'statusCode':404}", 404),
        (b"", CONFIGURATION),
        (b"<a>1</a>", CONFIGURATION),
        (b'{"statusCode": "404"}', CONFIGURATION),
        (b'{"statusCode": true}', CONFIGURATION),
        (b'{"statusCode": 404.5}', CONFIGURATION),
        (b'{"statusCode": 99999}', CONFIGURATION),
        (b"[404]", CONFIGURATION),
        (b"404", CONFIGURATION),
        (b"\xff", CONFIGURATION),
        (b"[" * 100_000, CONFIGURATION),
    ],
)
def test_a_body_as_the_rendered_template(body: bytes, wanted: Any) -> None:
    mock = Mock(responses=(DEFAULT, MockResponse(pattern="404", status=404)))
    assert status_of(mock, body) == wanted


# --- status ---------------------------------------------------------------------------------

BY_STATUS = (
    MockResponse(pattern=r"4\d{2}", status=404),
    MockResponse(pattern=r"5\d{2}", status=503),
    DEFAULT,
)
FROM_S = (MockTemplate(content_type=JSON, status_param="s"),)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("400", 404),
        ("599", 503),
        ("302", 200),
        ("%34%30%30", 404),
        ("%20400%20", 404),
        ("600", CONFIGURATION),
        ("099", CONFIGURATION),
        ("4000", CONFIGURATION),
        ("40", CONFIGURATION),
        ("x", CONFIGURATION),
        ("", CONFIGURATION),
        ("%D9%A4%D9%A0%D9%A0", CONFIGURATION),
    ],
)
def test_a_status_that_the_path_says(value: str, wanted: Any) -> None:
    mock = Mock(templates=FROM_S, responses=BY_STATUS)
    assert status_of(mock, path_parameters={"s": value}) == wanted


def test_where_a_parameter_is_sought() -> None:
    """AWS §3.9: path, then query string, then header; §3.7: the last value."""
    mock = Mock(templates=FROM_S, responses=BY_STATUS)
    headers: Headers = [(b"s", b"500"), (b"S", b"200")]
    given: dict[str, Any] = {"target": "/x?s=200&s=4%30%30", "headers": headers}
    assert status_of(mock, path_parameters={"s": "302"}, **given) == 200
    assert status_of(mock, **given) == 404
    assert status_of(mock, target="/x?S=400", headers=headers) == 503
    assert status_of(mock, target="/x") is CONFIGURATION


def test_a_template_without_a_status() -> None:
    """AWS §3.4: anything else answers 500."""
    mock = Mock(templates=(MockTemplate(content_type=JSON),), responses=(DEFAULT,))
    assert status_of(mock, b'{"statusCode": 200}') is CONFIGURATION


def test_the_first_of_two_templates_for_one_type() -> None:
    twice = (OK, MockTemplate(content_type="APPLICATION/json", status=500))
    assert status_of(Mock(templates=twice, responses=BY_STATUS)) == 200


# --- selection (AWS §3.10) --------------------------------------------------------------------


def selected(status: int, *responses: tuple[str, int]) -> int | ErrorKind:
    mock = Mock(
        templates=(MockTemplate(content_type=JSON, status=status),),
        responses=tuple(MockResponse(pattern=pattern, status=own) for pattern, own in responses),
    )
    return status_of(mock)


@pytest.mark.parametrize(
    ("status", "responses", "wanted"),
    [
        (404, [(r"4\d{2}", 400)], 400),
        # The whole status, not a part of it.
        (404, [("4", 400), ("40", 400), ("", 200)], 200),
        (201, [(r"4\d{2}", 404)], CONFIGURATION),
        (200, [], CONFIGURATION),
        (201, [("", 500), (r"2\d{2}", 200)], 200),
        # Several match: the one whose own status it is, else the first.
        (404, [(r"\d{3}", 200), (r"4\d{2}", 404)], 404),
        (404, [(r"4\d{2}", 404), (r"\d{3}", 200)], 404),
        (403, [(r"\d{3}", 200), (r"4\d{2}", 404)], 200),
        (404, [("404", 404), ("4..", 404)], 404),
        # `.*` is the default, and matches its own status like any other pattern.
        (403, [(".*", 200), ("4..", 404)], 404),
        (200, [("2..", 201), (".*", 200)], 200),
        (302, [(".*", 200), ("4..", 404)], 200),
        # The first of several defaults.
        (302, [("", 200), ("", 201)], 200),
        # A pattern that is none selects nothing.
        (404, [("(", 400), ("4..", 404)], 404),
        (404, [("(", 400)], CONFIGURATION),
        (404, [("(4", 400), ("", 200)], 200),
    ],
)
def test_selection(status: int, responses: list[tuple[str, int]], wanted: Any) -> None:
    assert selected(status, *responses) == wanted


def test_a_pattern_that_searches_for_ever_does_not() -> None:
    assert selected(404, (r"((\d?){99}){99}x", 400), ("", 200)) == 200


# --- body (AWS §3.5) ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("templates", "accept", "body"),
    [
        ((), None, b""),
        (((JSON, "json"), ("application/xml", "xml")), None, b"json"),
        (((JSON, "json"), ("application/xml", "xml")), "application/xml", b"xml"),
        (((JSON, "json"), ("application/xml", "xml")), "application/xml; charset=UTF-8", b"xml"),
        (((JSON, "json"), ("application/xml", "xml")), "application/xml,application/json", b"xml"),
        (((JSON, "json"), ("application/xml", "xml")), "text/html", b"json"),
        (((JSON, "json"), ("application/xml", "xml")), "*/*", b"json"),
        ((("application/xml", "xml"), ("text/html", "html")), "text/plain", b"xml"),
        ((("application/xml", "xml"), ("text/html", "html")), None, b"xml"),
        ((("application/xml", "xml"), ("text/html", "html")), "TEXT/html", b"html"),
        ((("application/xml", "xml"),), "text/html", b"xml"),
        # An empty template for JSON: nothing (AWS: force "unmapped").
        (((JSON, ""), ("application/xml", "xml")), "text/html", b""),
        (((JSON, "first"), (JSON, "second")), None, b"first"),
    ],
)
def test_which_template_makes_the_body(
    templates: tuple[tuple[str, str], ...], accept: str | None, body: bytes
) -> None:
    mock = Mock(
        templates=(OK,), responses=(MockResponse(pattern="", status=200, templates=templates),)
    )
    headers: Headers = [(b"Accept", accept.encode())] if accept is not None else []
    given = answer(mock, headers=headers)
    assert isinstance(given, Response)
    assert given.body == body


@given(
    st.binary(max_size=60),
    st.binary(max_size=20),
    st.binary(max_size=20),
    st.text(max_size=8),
    st.sampled_from(["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"]),
)
def test_no_request_raises(
    body: bytes, content_type: bytes, accept: bytes, name: str, passthrough: Passthrough
) -> None:
    mock = Mock(
        templates=(MockTemplate(content_type=JSON, status_param=name),),
        passthrough=passthrough,
        responses=BY_STATUS,
    )
    headers: Headers = [(b"Content-Type", content_type), (b"Accept", accept)]
    assert status_of(mock, body, headers=headers)
