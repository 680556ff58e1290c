"""The head of an answer: what it means, and that what is remembered is what was read.

What is refused is a table of tests/dataplane/rules/test_upstreams.py.
"""

from __future__ import annotations

import math

import pytest

from portico_dataplane.http.upstream_head import (
    CHUNKED,
    CLOSE_DELIMITED,
    KNOWN,
    AnswerHead,
    read_answer,
)


def read(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> AnswerHead:
    found = read_answer(b"\r\n".join((status, *lines)), 100)
    assert isinstance(found, AnswerHead), found
    return found


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ((), CLOSE_DELIMITED),
        ((b"Content-Length: 0",), 0),
        ((b"content-length:  12 ",), 12),
        ((b"Transfer-Encoding: Chunked",), CHUNKED),
    ],
)
def test_framing(lines: tuple[bytes, ...], length: int) -> None:
    assert read(*lines).content_length == length


@pytest.mark.parametrize(
    ("version", "line", "keeps"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close", False),
        (b"1.1", b"Connection: x, CLOSE", False),
        (b"1.1", b"Connection: keep-alive", True),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive", True),
        (b"1.0", b"Connection: keep-alive, close", False),
    ],
)
def test_keeping_the_connection(version: bytes, line: bytes, keeps: bool) -> None:
    found = read(*([line] if line else []), status=b"HTTP/%b 200 OK" % version)
    assert found.keep_alive is keeps


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"timeout=5", 4.0), (b"max=3, timeout=20", 19.0), (b"timeout=0", 0.0), (b"max=3", math.inf)],
)
def test_keep_alive(value: bytes, seconds: float) -> None:
    assert read(b"Keep-Alive: " + value).idle_timeout == seconds


def test_what_goes_on() -> None:
    found = read(b"Server: x", b"ETag: y", b"Transfer-Encoding: chunked")
    assert found.rest == (
        b"x-amzn-Remapped-Server: x\r\nETag: y\r\nContent-Type: application/json\r\n"
    )
    assert found.http == b"Server: x\r\nETag: y\r\n"
    assert not found.typed
    assert not found.dated
    other = read(b"Content-Type: text/plain", b"Date: now")
    assert (other.typed, other.dated) == (True, True)
    assert b"application/json" not in other.rest


def test_fields_that_connection_names_end_here() -> None:
    """RFC 9110 §7.6.1."""
    found = read(b"Connection: x-hop, close", b"X-Hop: 1", b"X-Own: 2")
    assert b"X-Hop" not in found.rest + found.http
    assert b"X-Own: 2\r\n" in found.rest
    assert b"X-Own: 2\r\n" in found.http


def test_the_same_head_is_read_once() -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-Once: 1"
    first = read_answer(raw, 100)
    assert KNOWN.known[raw] is first


def test_other_lines_leave_the_shared_head_alone() -> None:
    """CORS changes one answer; the next one with the same head is another client's."""
    found = read(b"X-Own: 2", b"Content-Length: 7", b"Connection: x-hop, close", b"X-Hop: 1")
    before = found.rest, found.http, list(found.lines)
    changed = found.with_lines(found.lines[:1])
    assert (found.rest, found.http, found.lines) == before
    assert changed.http == b"X-Own: 2\r\n"
    assert (changed.status, changed.content_length, changed.keep_alive) == (200, 7, False)
    again = found.with_lines(found.lines)
    assert (again.rest, again.http) == before[:2]


@pytest.mark.parametrize("reason", [b"OK", b"", b"Nothing To See", b"caf\xe9"])
def test_reasons_do_not_matter(reason: bytes) -> None:
    assert read(status=b"HTTP/1.1 299 " + reason).status == 299


def test_faults_are_words() -> None:
    assert read_answer(b"nonsense", 100) == "the status line is malformed"
    assert read_answer(b"HTTP/1.1 200 OK\r\nA: b\r\nC: d", 1) == "the answer has too many headers"
    assert read_answer(b"HTTP/1.1 200 OK\r\nnonsense", 9) == "a header line is malformed"
