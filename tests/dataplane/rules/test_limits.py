"""Limits: how large and how slow a request may be, and what answers when it is more.

Design.md §13: 8 KB line, 10,240 B header block, 100 headers, 10 s for a head, a minimum body
rate; §6: too large is 431, too slow 408, both close. Times are injected through Settings, as
short as they can be; no test asserts how long something took.
"""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from engine import Engine
from raw_http import RawClient
from wire_rules import (
    HTTP,
    REST,
    Expect,
    Rule,
    Seen,
    accepted,
    check,
    check_answer,
    get,
    refused,
    request,
)

LARGE = "Request header fields too large"
LINE = "design §13: 8 KB line; §6: 431, close"
BLOCK = "design §13: 10,240 B header block; §6: 431, close"
COUNT = "design §13: 100 headers; §6: 431, close"
BODY = "AWS §2.3: body over the limit, 413"


def large(id: str, because: str, *sends: bytes) -> Rule:
    return refused(id, because, *sends, status=431, message=LARGE)


def padded(count: int, host: bytes = REST) -> bytes:
    """A GET whose header block, empty line included, has `count` bytes."""
    start = b"Host: " + host + b"\r\n"
    fill = count - len(start) - len(b"A: \r\n") - len(b"\r\n")
    return b"GET /x HTTP/1.1\r\n" + start + b"A: " + b"a" * fill + b"\r\n\r\n"


def lined(count: int, host: bytes = REST) -> bytes:
    """A GET whose request line, without its CRLF, has `count` bytes."""
    return get(b"/" + b"x" * (count - len(b"GET / HTTP/1.1")), host=host)


def numbered(count: int, host: bytes = REST) -> bytes:
    """A GET of `count` header fields, Host included."""
    return get(b"/x", *(b"A%d: b" % number for number in range(count - 1)), host=host)


HEADS = [
    accepted("line-of-8-kb", LINE, lined(8192), line=lined(8192).split(b"\r\n")[0]),
    large("line-of-8-kb-and-one", LINE, lined(8193)),
    large("line-of-100-kb", LINE, lined(100_000)),
    large("line-that-never-ends", LINE, b"GET /" + b"x" * 100_000),
    large("line-of-a-long-method", LINE, b"G" * 100_000),
    accepted("block-under-the-limit", BLOCK, padded(10_200), line=b"GET /x HTTP/1.1"),
    large("block-over-the-limit", BLOCK, padded(10_300)),
    large("block-of-13-mb", BLOCK, padded(13_000_000)),
    large("block-that-never-ends", BLOCK, get(b"/x")[:-2] + b"A: " + b"a" * 13_000_000),
    large("block-of-one-name", BLOCK, get(b"/x")[:-2] + b"A" * 100_000),
    large("block-in-many-writes", BLOCK, get(b"/x")[:-2], *(b"A: " + b"a" * 997 + b"\r\n",) * 20),
    accepted("100-headers", COUNT, numbered(100), line=b"GET /x HTTP/1.1"),
    large("101-headers", COUNT, numbered(101)),
    large("1000-headers", COUNT, numbered(1000)),
    large("http-api-line", LINE, lined(8193, host=HTTP)),
    large("http-api-block", BLOCK, padded(10_300, host=HTTP)),
    Rule(
        id="limits-start-anew",
        because="a limit is one head's, not the connection's",
        sends=(padded(10_000) + lined(8000) + numbered(100),),
        answers=(Expect(status=200), Expect(status=200), Expect(status=200)),
        then="stays",
        upstream=(
            Seen(line=b"GET /x HTTP/1.1"),
            Seen(line=lined(8000).split(b"\r\n")[0]),
            Seen(line=b"GET /x HTTP/1.1"),
        ),
    ),
]

# The routes of these tests take 1 MB (engine.py): AWS's and our default of 10 MB is only slower.
OVER = 1024 * 1024 + 1

BODIES = [
    refused(
        "length-over-the-limit",
        BODY,
        request(b"POST", b"/small", b"Content-Length: %d" % OVER),
        status=413,
        message="Request Too Long",
    ),
    refused(
        "length-far-over-the-limit",
        BODY,
        request(b"POST", b"/small", b"Content-Length: 999999999999"),
        status=413,
        message="Request Too Long",
    ),
    refused(
        "http-api-length-over-the-limit",
        BODY,
        request(b"POST", b"/small", b"Content-Length: %d" % OVER, host=HTTP),
        status=413,
        message="Request Entity Too Large",
    ),
    refused(
        "length-over-the-limit-expecting",
        "RFC 9110 §10.1.1: a final status instead of 100",
        request(b"POST", b"/small", b"Content-Length: %d" % OVER, b"Expect: 100-continue"),
        status=413,
        message="Request Too Long",
    ),
    refused(
        "chunks-over-the-limit",
        BODY,
        request(
            b"POST",
            b"/small",
            b"Transfer-Encoding: chunked",
            body=(b"10000\r\n" + b"x" * 65536 + b"\r\n") * 17 + b"0\r\n\r\n",
        ),
        status=413,
        message="Request Too Long",
        upstream=(Seen(line=b"POST /small HTTP/1.1", complete=False),),
    ),
    Rule(
        id="length-at-the-limit",
        because=BODY,
        sends=(
            request(b"POST", b"/small", b"Content-Length: %d" % (OVER - 1), body=b"x" * (OVER - 1)),
        ),
        answers=(Expect(status=200, body=b"ok"),),
        then="stays",
        upstream=(Seen(line=b"POST /small HTTP/1.1", body=b"x" * (OVER - 1)),),
    ),
]

RULES = HEADS + BODIES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule(rule: Rule, engine: Engine) -> None:
    check(rule, engine)


def test_ids_are_unique() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


# --- time -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hasty() -> Iterator[Engine]:
    """An engine that loses patience soon."""
    with Engine(
        head_timeout_s=0.2,
        body_timeout_s=0.2,
        idle_timeout_s=0.4,
        min_body_rate=1_000_000,
    ) as engine:
        yield engine


SLOW = Expect(status=408, has={"connection": b"close"})


@pytest.mark.parametrize(
    "start",
    [
        b"G",
        b"GET /x HTTP/1.1\r\n",
        b"GET /x HTTP/1.1\r\nHost: " + REST,
        get(b"/x")[:-2],
        get(b"/x")[:-1],
    ],
)
def test_a_head_that_stops_is_408(hasty: Engine, start: bytes) -> None:
    hasty.upstream.forget()
    with RawClient(hasty.port) as client:
        client.send(start)
        check_answer(client.read_answer(), SLOW)
        client.expect_end()
    hasty.settle()
    assert [one.target for one in hasty.upstream.exchanges] == [Engine.SETTLED]


def test_a_head_that_trickles_is_408(hasty: Engine) -> None:
    """The time is for the whole head: a byte now and then does not extend it."""
    with RawClient(hasty.port) as client:
        client.send(get(b"/x")[:-2] + b"A: ")
        while not select.select([client.sock], [], [], 0.01)[0]:
            client.send(b"a")
        check_answer(client.read_answer(), SLOW)
        client.expect_end()


def test_a_second_head_that_stops_is_408(hasty: Engine) -> None:
    with RawClient(hasty.port) as client:
        client.send(get(b"/x") + get(b"/y")[:-2])
        assert client.read_answer().status == 200
        check_answer(client.read_answer(), SLOW)
        client.expect_end()


@pytest.mark.parametrize("before", [b"", b"\r\n", get(b"/x")])
def test_an_idle_connection_is_closed_in_silence(hasty: Engine, before: bytes) -> None:
    """Not 408: a client that sends just then would take it for its answer."""
    with RawClient(hasty.port) as client:
        client.send(before)
        if b"GET" in before:
            assert client.read_answer().status == 200
        client.expect_end()


@pytest.mark.parametrize("sent", [b"", b"h", b"hell"])
@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_a_body_that_stops_is_408(hasty: Engine, framing: bytes, sent: bytes) -> None:
    hasty.upstream.forget()
    start = b"5\r\n" if b"chunked" in framing else b""
    with RawClient(hasty.port) as client:
        client.send(request(b"POST", b"/x", framing, body=start + sent))
        check_answer(client.read_answer(), SLOW)
        client.expect_end()
    hasty.settle()
    assert not [one for one in hasty.upstream.exchanges if one.complete and one.body]


def test_a_body_below_the_minimum_rate_is_408(hasty: Engine) -> None:
    """Bytes keep coming, too few of them."""
    with RawClient(hasty.port) as client:
        client.send(request(b"POST", b"/x", b"Content-Length: 1000000"))
        while not select.select([client.sock], [], [], 0.01)[0]:
            client.send(b"x")
        check_answer(client.read_answer(), SLOW)
        client.expect_end()


def test_chunk_framing_does_not_count_as_progress(hasty: Engine) -> None:
    """A body of one-byte chunks with long extensions is as slow as its payload."""
    with RawClient(hasty.port) as client:
        client.send(request(b"POST", b"/x", b"Transfer-Encoding: chunked"))
        while not select.select([client.sock], [], [], 0.01)[0]:
            client.send(b"1;abcdef\r\nx\r\n")
        check_answer(client.read_answer(), SLOW)
        client.expect_end()
