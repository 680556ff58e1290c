"""Requests, responses, outcomes: what they hold by default."""

from __future__ import annotations

from typing import NamedTuple

from portico_dataplane.core.messages import Outcome, Request, Response


class Line(NamedTuple):
    name: bytes
    value: bytes

    @property
    def lower(self) -> bytes:
        return self.name.lower()


def test_headers_are_made_of_lines_once() -> None:
    request = Request()
    request.lines = [Line(b"Host", b"a"), Line(b"X", b"1"), Line(b"x", b"2")]
    assert request.headers == [(b"Host", b"a"), (b"X", b"1"), (b"x", b"2")]
    assert request.headers is request.headers


def test_a_header_is_found_in_any_case_the_first_one() -> None:
    request = Request()
    came = [(b"HOST", b"a"), (b"X-Own", b"1"), (b"x-own", b"2")]
    request.lines = [Line(*pair) for pair in came]
    for _ in ("as read", "as a list"):
        assert request.header(b"x-own") == b"1"
        assert request.header(b"host") == b"a"
        assert request.header(b"none") is None
        request.headers = came


def test_an_outcome_begins_with_nothing() -> None:
    one, two = Outcome(), Outcome()
    one.status = 200
    assert (two.status, two.response_length, two.integration_latency_ms) == (0, 0, -1.0)
    assert two.error is None


def test_a_response_shows_itself() -> None:
    assert repr(Response(204, [(b"A", b"b")])) == "Response(204, [(b'A', b'b')], b'')"
