"""Upstreams: what an answer may look like, what is made of it, and which connection survives.

Rows for design.md §13 ("From upstreams") and §6: a broken or too large head is 504 on a RestApi
and 503 on an HttpApi; after the first byte an error can only cut the connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from engine import Engine
from raw_http import Cut, RawClient
from raw_upstream import CLOSE, HOLD, OK, RESET, Exchange, Script, Step, Wait
from wire_rules import HTTP, REST, get, request, still_open

NETWORK = b'{"message":"Network error communicating with endpoint"}'
UNAVAILABLE = b'{"message":"Service Unavailable"}'
FAILED = {REST: (504, NETWORK), HTTP: (503, UNAVAILABLE)}
TIMED_OUT = {REST: (504, b'{"message":"Endpoint request timed out"}'), HTTP: (503, UNAVAILABLE)}


@dataclass(frozen=True, kw_only=True)
class Row:
    """What an upstream sends, and what becomes of it."""

    id: str
    because: str
    sends: bytes
    """Everything, in one write."""
    then: Literal["keeps", "closes", "resets"] = "keeps"
    """What the upstream does with its connection."""
    status: int = 200
    """0: the answer is a failure of the endpoint."""
    body: bytes = b""
    method: bytes = b"GET"
    reuses: bool | None = False
    """Whether the connection serves the next request; None: it may."""

    @property
    def script(self) -> Script:
        ends: dict[str, Step] = {"keeps": HOLD, "closes": CLOSE, "resets": RESET}
        return (self.sends, ends[self.then])


def head(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def ok(*lines: bytes, body: bytes = b"") -> bytes:
    return head(b"HTTP/1.1 200 OK", *lines, body=body)


CL2 = b"Content-Length: 2"
TE = b"Transfer-Encoding: chunked"
CHUNKS = b"2\r\nok\r\n0\r\n\r\n"

BROKEN = "design §6: a broken head is a failure of the endpoint"
SPLIT = "RFC 9112 §6.3: a response whose framing is ambiguous is not to be passed on"
LARGE = "design §6: a too large head is a failure of the endpoint"
BEHIND = "design §13: bytes after a response drop the connection from the pool"
HEADLESS = "design §13: HEAD with Content-Length must not swallow the next response"
INTERIM = "RFC 9110 §15.2: any number of 1xx may come before the final response"
CLOSE_END = "RFC 9112 §6.3: without framing the end of the connection ends the body"


def broken(id: str, sends: bytes, because: str = BROKEN) -> Row:
    return Row(id=id, because=because, sends=sends, status=0)


HEADS = [
    broken("nothing-like-http", b"hello there\r\n\r\n"),
    broken("tls", bytes.fromhex("15030300020228") + b"\r\n\r\n"),
    broken("a-request", get(b"/x")),
    broken("html-alone", b"<html>HTTP/0.9 says hello</html>\r\n\r\n"),
    broken("no-version", head(b"200 OK", CL2, body=b"ok")),
    broken("http-2.0", head(b"HTTP/2.0 200 OK", CL2, body=b"ok")),
    broken("http-1.2", head(b"HTTP/1.2 200 OK", CL2, body=b"ok")),
    broken("http-lower-case", head(b"http/1.1 200 OK", CL2, body=b"ok")),
    broken("rtsp", head(b"RTSP/1.0 200 OK", CL2, body=b"ok")),
    broken("status-two-digits", head(b"HTTP/1.1 20 OK", CL2, body=b"ok")),
    broken("status-four-digits", head(b"HTTP/1.1 2000 OK", CL2, body=b"ok")),
    broken("status-letters", head(b"HTTP/1.1 abc OK", CL2, body=b"ok")),
    broken("status-000", head(b"HTTP/1.1 000 No", CL2, body=b"ok")),
    broken("status-099", head(b"HTTP/1.1 099 No", CL2, body=b"ok")),
    broken("status-missing", head(b"HTTP/1.1", CL2, body=b"ok")),
    broken("two-spaces", head(b"HTTP/1.1  200 OK", CL2, body=b"ok")),
    broken("header-no-colon", ok(b"nonsense", CL2, body=b"ok")),
    broken("header-no-name", ok(b": x", CL2, body=b"ok")),
    broken("header-space-before-colon", ok(b"A : b", CL2, body=b"ok")),
    broken("header-space-in-name", ok(b"A B: c", CL2, body=b"ok")),
    broken("header-fold", ok(b"A: b", b" c", CL2, body=b"ok")),
    broken("header-bare-cr", ok(b"A: b\rC: d", CL2, body=b"ok")),
    broken("header-bare-lf", ok(b"A: b\nC: d", CL2, body=b"ok")),
    broken("header-nul", ok(b"A: b\x00c", CL2, body=b"ok")),
    broken("header-control", ok(b"A: b\x01c", CL2, body=b"ok")),
    broken("head-of-bare-lf", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    broken("reason-with-cr", head(b"HTTP/1.1 200 O\rK", CL2, body=b"ok")),
    broken("cl-and-te", ok(CL2, TE, body=CHUNKS), SPLIT),
    broken("te-and-cl", ok(TE, CL2, body=CHUNKS), SPLIT),
    broken("cl-twice", ok(CL2, b"Content-Length: 3", body=b"ok!"), SPLIT),
    broken("cl-twice-the-same", ok(CL2, CL2, body=b"ok"), SPLIT),
    broken("cl-list", ok(b"Content-Length: 2, 2", body=b"ok"), SPLIT),
    broken("cl-minus", ok(b"Content-Length: -2", body=b"ok"), SPLIT),
    broken("cl-plus", ok(b"Content-Length: +2", body=b"ok"), SPLIT),
    broken("cl-empty", ok(b"Content-Length:", body=b"ok"), SPLIT),
    broken("cl-hex", ok(b"Content-Length: 0x2", body=b"ok"), SPLIT),
    broken("cl-2-64", ok(b"Content-Length: 18446744073709551618", body=b"ok"), SPLIT),
    broken("te-gzip", ok(b"Transfer-Encoding: gzip", body=b"ok"), SPLIT),
    broken("te-gzip-chunked", ok(b"Transfer-Encoding: gzip, chunked", body=CHUNKS), SPLIT),
    broken("te-chunked-gzip", ok(b"Transfer-Encoding: chunked, gzip", body=CHUNKS), SPLIT),
    broken("te-identity", ok(b"Transfer-Encoding: identity", body=b"ok"), SPLIT),
    broken("te-twice", ok(TE, TE, body=CHUNKS), SPLIT),
    broken("te-in-1.0", head(b"HTTP/1.0 200 OK", TE, body=CHUNKS), SPLIT),
    broken(
        "length-in-trailers",
        ok(TE, body=b"2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n"),
        SPLIT,
    ),
    broken(
        "100-with-length",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" + ok(CL2, body=b"ok"),
        "RFC 9112 §6.3: a 1xx has no body, so a length in it is ambiguous",
    ),
    broken(
        "switch-nobody-asked-for",
        head(b"HTTP/1.1 101 Switching", b"Connection: Upgrade", b"Upgrade: websocket"),
    ),
    broken("switch-without-upgrade", head(b"HTTP/1.1 101 Switching")),
    broken("one-large-header", ok(b"A: " + b"a" * 100_000, CL2, body=b"ok"), LARGE),
    broken("large-reason", head(b"HTTP/1.1 200 " + b"K" * 100_000, CL2, body=b"ok"), LARGE),
    broken("many-headers", ok(*(b"A: b",) * 1000, CL2, body=b"ok"), LARGE),
    broken("head-that-never-ends", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000, LARGE),
    broken("interim-answers-that-never-end", b"HTTP/1.1 102 Wait\r\n\r\n" * 10_000, LARGE),
    Row(id="closes-before-a-byte", because=BROKEN, sends=b"", then="closes", status=0),
    Row(id="resets-before-a-byte", because=BROKEN, sends=b"", then="resets", status=0),
    Row(
        id="closes-in-the-head",
        because=BROKEN,
        sends=b"HTTP/1.1 200 OK\r\nCont",
        then="closes",
        status=0,
    ),
    Row(
        id="resets-in-the-head",
        because=BROKEN,
        sends=b"HTTP/1.1 200 OK\r\nCont",
        then="resets",
        status=0,
    ),
    Row(
        id="closes-after-100",
        because=BROKEN,
        sends=b"HTTP/1.1 100 Continue\r\n\r\n",
        then="closes",
        status=0,
    ),
]

GOOD = [
    Row(id="length", because="RFC 9112 §6.3", sends=ok(CL2, body=b"ok"), body=b"ok", reuses=True),
    Row(id="chunked", because="RFC 9112 §7.1", sends=ok(TE, body=CHUNKS), body=b"ok", reuses=True),
    Row(
        id="chunked-extension",
        because="RFC 9112 §7.1.1: ignored",
        sends=ok(TE, body=b"2;a=b\r\nok\r\n0;c\r\n\r\n"),
        body=b"ok",
        reuses=True,
    ),
    Row(
        id="chunked-trailers",
        because="design §13: trailers are dropped",
        sends=ok(TE, b"Trailer: A", body=b"2\r\nok\r\n0\r\nA: b\r\n\r\n"),
        body=b"ok",
        reuses=True,
    ),
    Row(id="empty", because="RFC 9112 §6.3", sends=ok(b"Content-Length: 0"), reuses=True),
    Row(
        id="no-reason",
        because="RFC 9112 §4: the reason may be empty",
        sends=head(b"HTTP/1.1 200 ", CL2, body=b"ok"),
        body=b"ok",
        reuses=True,
    ),
    Row(
        id="unknown-status",
        because="RFC 9110 §15: any status of a known class",
        sends=head(b"HTTP/1.1 299 Odd", CL2, body=b"ok"),
        status=299,
        body=b"ok",
        reuses=True,
    ),
    Row(
        id="204",
        because="RFC 9112 §6.3: no body",
        status=204,
        sends=head(b"HTTP/1.1 204 No Content"),
        reuses=True,
    ),
    Row(
        id="304-with-length",
        because="RFC 9112 §6.3: no body, whatever the length says",
        status=304,
        sends=head(b"HTTP/1.1 304 Not Modified", b"Content-Length: 9"),
        reuses=True,
    ),
    Row(
        id="announces-close",
        because="RFC 9112 §9.6",
        sends=ok(CL2, b"Connection: close", body=b"ok"),
        body=b"ok",
    ),
    Row(
        id="1.0",
        because="RFC 9112 §9.3",
        sends=head(b"HTTP/1.0 200 OK", CL2, body=b"ok"),
        body=b"ok",
    ),
    Row(
        id="1.0-keep-alive",
        because="RFC 9112 §9.3",
        sends=head(b"HTTP/1.0 200 OK", CL2, b"Connection: keep-alive", body=b"ok"),
        body=b"ok",
        reuses=True,
    ),
    Row(
        id="keep-alive-0",
        because="design §6.6: idle shorter than the upstream's Keep-Alive",
        sends=ok(CL2, b"Keep-Alive: timeout=0", body=b"ok"),
        body=b"ok",
    ),
    Row(id="close-delimited", because=CLOSE_END, sends=ok(body=b"ok"), then="closes", body=b"ok"),
    Row(
        id="close-delimited-1.0",
        because=CLOSE_END,
        sends=head(b"HTTP/1.0 200 OK", body=b"ok"),
        then="closes",
        body=b"ok",
    ),
    Row(
        id="close-delimited-looks-like-more",
        because=CLOSE_END,
        sends=ok(body=b"ok" + OK),
        then="closes",
        body=b"ok" + OK,
    ),
    Row(id="close-delimited-of-nothing", because=CLOSE_END, sends=ok(), then="closes"),
    Row(
        id="100-first",
        because=INTERIM,
        sends=b"HTTP/1.1 100 Continue\r\n\r\n" + ok(CL2, body=b"ok"),
        body=b"ok",
        reuses=True,
    ),
    Row(
        id="103-and-102-first",
        because=INTERIM,
        sends=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
        + ok(CL2, body=b"ok"),
        body=b"ok",
        reuses=True,
    ),
    Row(
        id="offers-h2c",
        because="RFC 9110 §7.8: an offer in an answer is no switch",
        sends=ok(CL2, b"Connection: Upgrade", b"Upgrade: h2c", body=b"ok"),
        body=b"ok",
        reuses=True,
    ),
    Row(
        id="header-obs-text",
        because="RFC 9110 §5.5: opaque data",
        sends=ok(b"A: caf\xc3\xa9", CL2, body=b"ok"),
        body=b"ok",
        reuses=True,
    ),
    Row(
        id="head-length",
        because=HEADLESS,
        method=b"HEAD",
        sends=ok(b"Content-Length: 999"),
        reuses=True,
    ),
    Row(id="head-chunked", because=HEADLESS, method=b"HEAD", sends=ok(TE), reuses=True),
    Row(id="head-no-framing", because=HEADLESS, method=b"HEAD", sends=ok(), reuses=None),
    Row(id="head-with-a-body", because=BEHIND, method=b"HEAD", sends=ok(CL2, body=b"ok")),
    Row(id="head-with-a-chunked-body", because=BEHIND, method=b"HEAD", sends=ok(TE, body=CHUNKS)),
    Row(
        id="head-with-an-answer-for-a-body",
        because=BEHIND,
        method=b"HEAD",
        sends=ok(b"Content-Length: %d" % len(OK), body=OK),
    ),
    Row(id="bytes-behind", because=BEHIND, sends=ok(CL2, body=b"ok!"), body=b"ok"),
    Row(id="crlf-behind", because=BEHIND, sends=ok(CL2, body=b"ok\r\n"), body=b"ok"),
    Row(id="answer-behind", because=BEHIND, sends=ok(CL2, body=b"ok") + OK, body=b"ok"),
    Row(id="answer-behind-chunks", because=BEHIND, sends=ok(TE, body=CHUNKS) + OK, body=b"ok"),
    Row(
        id="answer-behind-204",
        because=BEHIND,
        status=204,
        sends=head(b"HTTP/1.1 204 No Content") + OK,
    ),
    Row(
        id="204-with-a-body",
        because=BEHIND,
        status=204,
        sends=head(b"HTTP/1.1 204 No Content", CL2, body=b"ok"),
    ),
    Row(
        id="answer-behind-304",
        because=BEHIND,
        status=304,
        sends=head(b"HTTP/1.1 304 Not Modified", b"Content-Length: %d" % len(OK)) + OK,
    ),
    Row(id="garbage-behind", because=BEHIND, sends=ok(CL2, body=b"ok") + b"\x00" * 9, body=b"ok"),
]

ROWS = HEADS + GOOD


@pytest.mark.parametrize("host", [REST, HTTP], ids=["rest", "http"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_row(row: Row, host: bytes, engine: Engine) -> None:
    """The answer; that the client's connection goes on; and which connection upstream does."""
    up = engine.upstream
    up.forget()
    # A script that holds would wait for the gateway to end the connection it is to reuse.
    up.scripts[b"/row"] = row.script if row.reuses is False else (row.sends,)
    wanted = (row.status, row.body) if row.status else FAILED[host]
    with RawClient(engine.port) as client:
        client.send(request(row.method, b"/row", host=host))
        answer = client.read_answer(row.method.decode())
        assert (answer.status, answer.body) == wanted, answer.raw
        client.send(get(b"/next"))
        following = client.read_answer()
        assert (following.status, following.body) == (200, b"ok"), following.raw
        still_open(client)
    first = [one.connection for one in up.exchanges if one.target == b"/row"]
    after = [one.connection for one in up.exchanges if one.target == b"/next"]
    if row.reuses:
        assert first == after
    elif row.reuses is False:
        assert not set(first) & set(after)
    assert not up.garbage


def test_ids_are_unique() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)


# --- after the first byte an error can only cut -------------------------------------------------

CUTS: list[tuple[str, bytes, Step]] = [
    ("length-closes", ok(b"Content-Length: 9", body=b"part"), CLOSE),
    ("length-resets", ok(b"Content-Length: 9", body=b"part"), RESET),
    ("chunk-closes", ok(TE, body=b"9\r\npart"), CLOSE),
    ("chunk-resets", ok(TE, body=b"9\r\npart"), RESET),
    ("chunks-close", ok(TE, body=b"4\r\npart\r\n"), CLOSE),
    ("last-chunk-closes", ok(TE, body=b"4\r\npart\r\n0\r\n"), CLOSE),
    ("close-delimited-resets", ok(body=b"part"), RESET),
    ("chunk-size-bad", ok(TE, body=b"4\r\npart\r\nzz\r\n"), HOLD),
    ("chunk-too-long", ok(TE, body=b"4\r\npartial\r\n0\r\n\r\n"), HOLD),
    ("chunk-size-2-64", ok(TE, body=b"4\r\npart\r\n10000000000000000\r\n"), HOLD),
]


@pytest.mark.parametrize("host", [REST, HTTP], ids=["rest", "http"])
@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut[0])
def test_a_body_that_breaks_cuts_the_client(
    cut: tuple[str, bytes, Step], host: bytes, engine: Engine
) -> None:
    """It must not look whole: fewer bytes than its length, no last chunk, no clean end."""
    sends, then = cut[1:]
    up = engine.upstream
    waiting = Wait()
    at = sends.index(b"\r\n\r\n") + 4
    body = sends[at:]
    # What breaks it comes only after the client has the first of it.
    good = body.index(b"part") + 4
    up.scripts[b"/cut"] = (sends[: at + good], waiting, sends[at + good :], then)
    with RawClient(engine.port) as client:
        client.send(get(b"/cut", host=host))
        client.wait_for(b"part")
        waiting.event.set()
        with pytest.raises(Cut):
            client.read_answer()


def test_a_body_that_breaks_at_once_is_an_error_or_a_cut(engine: Engine) -> None:
    """Head and break in one write: a whole answer it must not be."""
    engine.upstream.scripts[b"/cut"] = (ok(b"Content-Length: 9", body=b"part"), CLOSE)
    with RawClient(engine.port) as client:
        client.send(get(b"/cut"))
        try:
            answer = client.read_answer()
        except Cut:
            return
        assert (answer.status, answer.body) == FAILED[REST]


# --- connections that go stale ------------------------------------------------------------------


def test_unsolicited_bytes_drop_an_idle_connection(engine: Engine) -> None:
    """Design §6.6: one that became readable while idle is dropped. Otherwise the next client
    would get an answer to nobody's question."""
    up = engine.upstream
    up.forget()
    late = Wait()
    up.scripts[b"/poison"] = (OK, late, OK.replace(b"ok", b"no"), HOLD)
    with RawClient(engine.port) as client:
        client.send(get(b"/poison"))
        assert client.read_answer().body == b"ok"
        late.event.set()
        poisoned = up.exchanges[0]
        up.wait_for(lambda: bool(poisoned.ended), "the end of the poisoned connection")
        client.send(get(b"/x"))
        assert client.read_answer().body == b"ok"


@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["fin", "reset"])
def test_an_idle_connection_that_ends_is_forgotten(engine: Engine, end: Step) -> None:
    up = engine.upstream
    up.forget()
    late = Wait()
    up.scripts[b"/stale"] = (OK, late, end)
    with RawClient(engine.port) as client:
        client.send(get(b"/stale"))
        assert client.read_answer().body == b"ok"
        open_before = engine.ask(lambda: engine.gateway.upstreams.counts()[0])
        late.event.set()
        engine.until(
            lambda: engine.gateway.upstreams.counts()[0] < open_before, "the connection is gone"
        )
        client.send(request(b"POST", b"/x"))
        assert client.read_answer().body == b"ok"


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        (b"GET", b"", 200),
        (b"PUT", b"hello", 200),
        (b"DELETE", b"", 200),
        (b"HEAD", b"", 200),
        (b"POST", b"hello", 504),
        (b"PATCH", b"hello", 504),
    ],
)
def test_what_is_sent_again(engine: Engine, method: bytes, body: bytes, status: int) -> None:
    """Design §6.6, RFC 9110 §9.2.2: only when the method is idempotent and the body replayable."""
    up = engine.upstream
    seen: dict[int, int] = {}

    def script(exchange: Exchange) -> Script:
        seen[exchange.connection] = seen.get(exchange.connection, 0) + 1
        return (OK,) if seen[exchange.connection] == 1 else (CLOSE,)

    up.scripts[b"/again"] = script
    with RawClient(engine.port) as client:
        client.send(get(b"/again"))
        assert client.read_answer().status == 200
        up.forget()
        client.send(request(method, b"/again", b"Content-Length: %d" % len(body), body=body))
        answer = client.read_answer(method.decode())
        assert answer.status == status
    attempts = [one for one in up.exchanges if one.method == method]
    assert len(attempts) == (2 if status == 200 else 1)
    assert {one.body for one in attempts} == {body}


def test_a_request_that_always_fails_is_not_sent_for_ever(engine: Engine) -> None:
    up = engine.upstream
    up.forget()
    up.scripts[b"/never"] = (CLOSE,)
    with RawClient(engine.port) as client:
        client.send(get(b"/never"))
        assert client.read_answer().status == 504
        still_open(client)
    assert len([one for one in up.exchanges if one.target == b"/never"]) <= 3


# --- time and order -----------------------------------------------------------------------------


@pytest.mark.parametrize("host", [REST, HTTP], ids=["rest", "http"])
@pytest.mark.parametrize(
    "sends",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 2",
    ],
    ids=["nothing", "half-a-head", "100", "103-and-more"],
)
def test_an_upstream_that_hangs_times_out(engine: Engine, host: bytes, sends: bytes) -> None:
    up = engine.upstream
    up.forget()
    up.scripts[b"/short"] = (sends, HOLD)
    with RawClient(engine.port) as client:
        client.send(get(b"/short", host=host))
        answer = client.read_answer()
        assert (answer.status, answer.body) == TIMED_OUT[host]
        still_open(client)
    call = up.exchanges[0]
    up.wait_for(lambda: bool(call.ended), "the end of the call")


def test_the_timeout_ends_with_the_head(engine: Engine) -> None:
    """Design §6.6: `timeout` runs to the response head; a body may take longer."""
    up = engine.upstream
    slow = Wait()
    up.scripts[b"/short"] = (ok(b"Content-Length: 4", body=b"ab"), slow, b"cd")
    with RawClient(engine.port) as client:
        client.send(get(b"/short"))
        client.wait_for(b"ab")
        # Another request times out meanwhile, which takes as long as this one's timeout.
        with RawClient(engine.port) as other:
            up.scripts[b"/short"] = (HOLD,)
            other.send(get(b"/short"))
            assert other.read_answer().status == 504
        slow.event.set()
        assert client.read_answer().body == b"abcd"


def test_an_answer_before_the_body_is_read(engine: Engine) -> None:
    """RFC 9112 §9.5: a server may answer early; the rest of the body is no request."""
    up = engine.upstream
    up.forget()
    up.answer_early.add(b"/early")
    up.scripts[b"/early"] = (b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", HOLD)
    smuggled = get(b"/smuggled")
    with RawClient(engine.port) as client:
        client.send(request(b"POST", b"/early", b"Content-Length: %d" % (len(smuggled) + 9)))
        answer = client.read_answer()
        assert (answer.status, answer.body) == (403, b"no")
        client.send(smuggled)
        if answer.closes:
            client.expect_end()
        else:
            client.send(b"123456789")
            still_open(client)
    engine.settle()
    targets = [one.target for one in up.exchanges]
    assert b"/smuggled" not in targets
    # Its body was cut short: that connection must not carry another request.
    call = up.exchanges[0]
    up.wait_for(lambda: bool(call.ended), "the end of the connection")


def test_interim_answers_do_not_reach_http_1_0(engine: Engine) -> None:
    """RFC 9110 §15.2: a server must not send a 1xx to an HTTP/1.0 client."""
    up = engine.upstream
    up.scripts[b"/interim"] = (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,)
    with RawClient(engine.port) as client:
        client.send(get(b"/interim", version=b"1.0"))
        assert client.read_answer(interim=True).status == 200
        client.expect_end()
