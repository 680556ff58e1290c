"""Header lines: strict, remembered, bounded; and AWS §3.8's decision for each name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core import forwarding
from portico_dataplane.http import lines
from portico_dataplane.http.lines import REQUEST_LINES, RESPONSE_LINES, Line, Lines


def request_line(raw: bytes) -> Line:
    found = REQUEST_LINES.read(raw)
    assert found is not None
    return found


DROPPED_BY_REST = (
    "Connection Content-Encoding Content-MD5 Expect Host Max-Forwards Proxy-Authenticate Server TE "
    "Trailer Transfer-Encoding Upgrade Via WWW-Authenticate Keep-Alive Content-Length "
    "Proxy-Connection Proxy-Authorization X-Amzn-Trace-Id X-Amzn-Apigateway-Api-Id"
).split()


@pytest.mark.parametrize("name", DROPPED_BY_REST)
def test_rest_drops_what_aws_drops(name: str) -> None:
    for spelling in (name, name.lower(), name.upper()):
        assert request_line(f"{spelling}: x".encode()).rest == b""


PASSED_BY_REST = (
    "Age Accept Accept-Charset accept-encoding Authorization Date Pragma Range Referer Warn "
    "User-Agent Cookie x-own"
).split()


@pytest.mark.parametrize("name", PASSED_BY_REST)
def test_rest_passes_the_rest_as_spelt(name: str) -> None:
    assert request_line(f"{name}:  v ".encode()).rest == f"{name}: v\r\n".encode()


def test_http_apis_drop_hop_by_hop_only() -> None:
    assert request_line(b"Content-Encoding: gzip").http == b"Content-Encoding: gzip\r\n"
    assert request_line(b"TE: trailers").http == b""


@pytest.mark.parametrize(
    ("raw", "rest", "http"),
    [
        (b"Server: nginx", b"x-amzn-Remapped-Server: nginx\r\n", b"Server: nginx\r\n"),
        (b"date: d", b"x-amzn-Remapped-date: d\r\n", b"date: d\r\n"),
        (b"Content-Length: 2", b"x-amzn-Remapped-Content-Length: 2\r\n", b""),
        (b"x-amzn-RequestId: u", b"x-amzn-Remapped-x-amzn-RequestId: u\r\n", None),
        (b"x-amzn-trace-id: t", b"x-amzn-trace-id: t\r\n", b"x-amzn-trace-id: t\r\n"),
        (b"Transfer-Encoding: chunked", b"", b""),
        (b"Via: 1.1 x", b"", b"Via: 1.1 x\r\n"),
        (b"Content-Encoding: br", b"Content-Encoding: br\r\n", b"Content-Encoding: br\r\n"),
        (b"WWW-Authenticate: Basic", b"x-amzn-Remapped-WWW-Authenticate: Basic\r\n", None),
    ],
)
def test_answers(raw: bytes, rest: bytes, http: bytes | None) -> None:
    found = RESPONSE_LINES.read(raw)
    assert found is not None
    assert found.rest == rest
    if http is not None:
        assert found.http == http


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense",
        b": x",
        b"A : b",
        b"A B: c",
        b" A: b",
        b"\tA: b",
        b"A: b\x00c",
        b"A: b\rc",
        b"A: b\nc",
        b"A: b\x7f",
        b"\xc3\xa9: b",
    ],
)
def test_what_is_no_header_line(raw: bytes) -> None:
    assert REQUEST_LINES.read(raw) is None


def test_what_lines_mean() -> None:
    assert request_line(b"Content-Length: 12").number == 12
    assert request_line(b"Content-Length: +1").number == -1
    assert request_line(b"Content-Length: 9999999999999999999").number == -1
    found = request_line(b"connection: Close, X-Own ,")
    assert (found.options, found.named) == (lines.CLOSE, {b"x-own"})
    assert request_line(b"X-Forwarded-For: 1").code == lines.FORWARDED


def test_memory_is_bounded_and_keeps_what_is_used() -> None:
    memory = Lines({}, forwarding.REQUEST_NAMES)
    memory.read(b"Host: a")
    for number in range(3 * Lines.MOST):
        memory.read(f"X: {number}".encode())
        if b"Host: a" not in memory.known:
            memory.read(b"Host: a")
    assert len(memory.known) <= Lines.MOST
    assert b"Host: a" in memory.known
    long = b"X: " + b"y" * Lines.LONGEST
    assert memory.read(long) is not None
    assert long not in memory.known


@given(st.binary(max_size=60))
def test_reading_never_raises_and_never_lets_a_line_end_through(raw: bytes) -> None:
    found = RESPONSE_LINES.read(raw)
    if found is not None:
        assert b"\r" not in found.value
        assert b"\n" not in found.rest[:-2]
