"""Connections: which requests follow one another on one, and when it ends.

Rows for design.md §6.1: pipelining, half-close, `Connection: close`, HTTP/1.0, HEAD,
`Expect: 100-continue`, tunnels; and §13: bytes after `Connection: close`, hop-by-hop headers.
"""

from __future__ import annotations

import pytest

from engine import Engine
from raw_http import RawClient
from raw_upstream import CLOSE, HOLD, OK, Wait
from wire_rules import (
    HTTP,
    REST,
    Expect,
    Rule,
    Seen,
    check,
    get,
    request,
    still_open,
)

CLOSES = "RFC 9112 §9.6: after `Connection: close` and its answer the connection ends"
BEHIND = "design §13: bytes after `Connection: close`: answer the first, then close"
OLD = "RFC 9112 §9.3: HTTP/1.0 closes unless both sides say keep-alive"
PIPE = "RFC 9112 §9.3.2: answers in the order of the requests; one upstream request each"
HOP = "RFC 9110 §7.6.1: hop-by-hop fields and those that Connection names go no further"
HALF = "design §6.1: FIN after a whole request means the client is gone; before one it closes"
OKAY = Expect(status=200, body=b"ok")
SMUGGLED = get(b"/smuggled")


def seen(*targets: bytes) -> tuple[Seen, ...]:
    return tuple(Seen(line=b"GET %b HTTP/1.1" % target) for target in targets)


CLOSING = [
    Rule(
        id="keep-alive",
        because="RFC 9112 §9.3: persistent by default",
        sends=(get(b"/x"),),
        answers=(OKAY,),
        then="stays",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="keep-alive-said",
        because="RFC 9112 §9.3",
        sends=(get(b"/x", b"Connection: Keep-Alive"),),
        answers=(OKAY,),
        then="stays",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="close",
        because=CLOSES,
        sends=(get(b"/x", b"Connection: close"),),
        answers=(Expect(status=200, body=b"ok", has={"connection": b"close"}),),
        then="closes",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="close-in-any-case",
        because=CLOSES,
        sends=(get(b"/x", b"connection: CLOSE"),),
        answers=(OKAY,),
        then="closes",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="close-among-others",
        because=CLOSES,
        sends=(get(b"/x", b"Connection: keep-alive, foo", b"Connection: bar ,close"),),
        answers=(OKAY,),
        then="closes",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="close-is-no-substring",
        because="RFC 9110 §7.6.1: a list of tokens",
        sends=(get(b"/x", b"Connection: closed, x-close"),),
        answers=(OKAY,),
        then="stays",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="request-behind-close",
        because=BEHIND,
        sends=(get(b"/x", b"Connection: close") + SMUGGLED,),
        answers=(OKAY,),
        then="closes",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="request-behind-close-in-a-second-write",
        because=BEHIND,
        sends=(get(b"/x", b"Connection: close"), SMUGGLED),
        answers=(OKAY,),
        then="closes",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="garbage-behind-close",
        because=BEHIND,
        sends=(get(b"/x", b"Connection: close") + b"\x00\xff" * 1000,),
        answers=(OKAY,),
        then="closes",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="a-megabyte-behind-close",
        because=BEHIND,
        sends=(get(b"/x", b"Connection: close") + b"x" * 1_000_000,),
        answers=(OKAY,),
        then="closes",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="body-then-request-behind-close",
        because=BEHIND,
        sends=(
            request(b"POST", b"/x", b"Connection: close", b"Content-Length: 5", body=b"hello")
            + SMUGGLED,
        ),
        answers=(OKAY,),
        then="closes",
        upstream=(Seen(line=b"POST /x HTTP/1.1", body=b"hello"),),
    ),
    Rule(
        id="refusal-behind-close",
        because=BEHIND,
        sends=(get(b"/x", b"Connection: close") + b"nonsense\r\n\r\n",),
        answers=(OKAY,),
        then="closes",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="error-keeps-the-connection",
        because="an error is an answer like any other",
        sends=(request(b"GET", b"/x", host=b"nobody.test"),),
        answers=(Expect(status=403, message="Forbidden"),),
        then="stays",
    ),
    Rule(
        id="error-with-a-body-not-read",
        because="what was announced is body, not a request",
        sends=(
            request(
                b"POST",
                b"/x",
                b"Content-Length: %d" % len(SMUGGLED),
                host=b"nobody.test",
                body=SMUGGLED,
            )
            + get(b"/y"),
        ),
        answers=(Expect(status=403, message="Forbidden"), OKAY),
        then="stays",
        upstream=seen(b"/y"),
    ),
    Rule(
        id="error-with-a-chunked-body-not-read",
        because="what was announced is body",
        sends=(
            request(
                b"POST",
                b"/x",
                b"Transfer-Encoding: chunked",
                host=b"nobody.test",
                body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
            )
            + SMUGGLED,
        ),
        answers=(Expect(status=403, message="Forbidden", has={"connection": b"close"}),),
        then="closes",
    ),
]

VERSION_1_0 = [
    Rule(
        id="1.0",
        because=OLD,
        sends=(get(b"/x", version=b"1.0"),),
        answers=(Expect(status=200, body=b"ok", framing="length"),),
        then="closes",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="1.0-keep-alive",
        because=OLD,
        sends=(get(b"/x", b"Connection: keep-alive", version=b"1.0"),),
        answers=(Expect(status=200, body=b"ok", has={"connection": b"keep-alive"}),),
        then="stays",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="1.0-without-host",
        because="RFC 9112 §3.2: HTTP/1.0 may have none; no API is named",
        sends=(b"GET /x HTTP/1.0\r\n\r\n",),
        answers=(Expect(status=403, message="Forbidden"),),
        then="closes",
    ),
    Rule(
        id="1.0-request-behind",
        because=OLD,
        sends=(get(b"/x", version=b"1.0") + SMUGGLED,),
        answers=(OKAY,),
        then="closes",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="1.0-with-a-body",
        because=OLD,
        sends=(request(b"POST", b"/x", b"Content-Length: 5", version=b"1.0", body=b"hello"),),
        answers=(OKAY,),
        then="closes",
        upstream=(Seen(line=b"POST /x HTTP/1.1", body=b"hello"),),
    ),
    Rule(
        id="1.0-no-100",
        because="RFC 9110 §10.1.1: no 100 to an HTTP/1.0 client",
        sends=(
            request(
                b"POST",
                b"/x",
                b"Content-Length: 5",
                b"Expect: 100-continue",
                version=b"1.0",
                body=b"hello",
            ),
        ),
        answers=(Expect(status=200, body=b"ok", interim=True),),
        then="closes",
        upstream=(Seen(line=b"POST /x HTTP/1.1", body=b"hello", lacks=("expect",)),),
    ),
    Rule(
        id="1.0-chunked-upstream",
        because="RFC 9112 §7.1: HTTP/1.0 has no chunks",
        sends=(get(b"/x", version=b"1.0"),),
        script=(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"3\r\nabc\r\n",
            b"3\r\ndef\r\n0\r\n\r\n",
        ),
        answers=(Expect(status=200, body=b"abcdef", lacks=("transfer-encoding",)),),
        then="closes",
        upstream=seen(b"/x"),
    ),
    Rule(
        id="1.0-upgrade",
        because="RFC 9110 §7.8: no Upgrade from HTTP/1.0",
        sends=(
            get(
                b"/x",
                b"Connection: Upgrade",
                b"Upgrade: websocket",
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                version=b"1.0",
            ),
        ),
        answers=(OKAY,),
        then="closes",
        upstream=(Seen(line=b"GET /x HTTP/1.1", lacks=("upgrade", "connection")),),
    ),
]

PIPELINED = [
    Rule(
        id="two",
        because=PIPE,
        sends=(get(b"/a") + get(b"/b"),),
        answers=(OKAY, OKAY),
        then="stays",
        upstream=seen(b"/a", b"/b"),
    ),
    Rule(
        id="two-with-an-empty-line-between",
        because="RFC 9112 §2.2: an empty line is ignored",
        sends=(get(b"/a") + b"\r\n" + get(b"/b"),),
        answers=(OKAY, OKAY),
        then="stays",
        upstream=seen(b"/a", b"/b"),
    ),
    Rule(
        id="cut-in-the-second",
        because=PIPE,
        sends=(get(b"/a") + get(b"/b")[:10], get(b"/b")[10:]),
        answers=(OKAY, OKAY),
        then="stays",
        upstream=seen(b"/a", b"/b"),
    ),
    Rule(
        id="errors-between",
        because=PIPE,
        sends=(get(b"/a") + get(b"/x", host=b"nobody.test") + get(b"/b"),),
        answers=(OKAY, Expect(status=403, message="Forbidden"), OKAY),
        then="stays",
        upstream=seen(b"/a", b"/b"),
    ),
    Rule(
        id="rest-and-http",
        because=PIPE,
        sends=(get(b"/a") + get(b"/b", host=HTTP) + get(b"/c"),),
        answers=(OKAY,) * 3,
        then="stays",
        upstream=seen(b"/a", b"/b", b"/c"),
    ),
    Rule(
        id="bodies",
        because=PIPE,
        sends=(
            b"".join(
                request(b"PUT", b"/%d" % n, b"Content-Length: %d" % (n * 999), body=b"x" * n * 999)
                for n in range(20)
            ),
        ),
        answers=(OKAY,) * 20,
        then="stays",
        upstream=tuple(Seen(line=b"PUT /%d HTTP/1.1" % n, body=b"x" * n * 999) for n in range(20)),
    ),
    Rule(
        id="2000-in-one-write",
        because="§6.1: at most 64 KB wait unparsed, then reading pauses",
        sends=(b"".join(get(b"/%d" % n, b"A: " + b"a" * 100) for n in range(2000)),),
        answers=(OKAY,) * 2000,
        then="stays",
        upstream=seen(*(b"/%d" % n for n in range(2000))),
    ),
    Rule(
        id="close-in-the-middle",
        because=BEHIND,
        sends=(get(b"/a") + get(b"/b", b"Connection: close") + SMUGGLED,),
        answers=(OKAY, OKAY),
        then="closes",
        upstream=seen(b"/a", b"/b"),
    ),
    Rule(
        id="refused-in-the-middle",
        because="§13: refused heads close",
        sends=(get(b"/a") + get(b"/b", b"A : b") + SMUGGLED,),
        answers=(OKAY, Expect(status=400, message="Bad Request")),
        then="closes",
        upstream=seen(b"/a"),
    ),
]

HEADS = [
    Rule(
        id="head",
        because="RFC 9110 §9.3.2: the length that GET would have, and no body",
        sends=(request(b"HEAD", b"/x"),),
        script=(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",),
        answers=(Expect(status=200, method="HEAD", has={"content-length": b"2"}),),
        then="stays",
        upstream=(Seen(line=b"HEAD /x HTTP/1.1"),),
    ),
    Rule(
        id="head-of-an-error",
        because="RFC 9110 §9.3.2: no body, an error's neither",
        sends=(request(b"HEAD", b"/x", host=b"nobody.test") + get(b"/y"),),
        answers=(Expect(status=403, method="HEAD", body=b""), OKAY),
        then="stays",
        upstream=seen(b"/y"),
    ),
]

FIELDS = [
    Rule(
        id="hop-by-hop",
        because=HOP,
        sends=(
            get(
                b"/x",
                b"Connection: keep-alive",
                b"Keep-Alive: timeout=5",
                b"Proxy-Connection: close",
                b"TE: trailers",
                b"Trailer: x",
                b"Proxy-Authorization: Basic eA==",
            ),
        ),
        answers=(OKAY,),
        then="stays",
        upstream=(
            Seen(
                line=b"GET /x HTTP/1.1",
                lacks=(
                    "connection",
                    "keep-alive",
                    "proxy-connection",
                    "te",
                    "trailer",
                    "proxy-authorization",
                    "transfer-encoding",
                    "upgrade",
                ),
            ),
        ),
    ),
    Rule(
        id="named-by-connection",
        because=HOP,
        sends=(get(b"/x", b"Connection: X-Secret, close-not", b"X-Secret: 1", b"X-Other: 2"),),
        answers=(OKAY,),
        then="stays",
        upstream=(Seen(line=b"GET /x HTTP/1.1", lacks=("x-secret",), has={"x-other": b"2"}),),
    ),
    Rule(
        id="host-named-by-connection",
        because="fields of ours are not the client's to remove",
        sends=(get(b"/x", b"Connection: Host, X-Forwarded-For, X-Amzn-Trace-Id"),),
        answers=(OKAY,),
        then="stays",
        upstream=(
            Seen(
                line=b"GET /x HTTP/1.1",
                has={"host": b"upstream.test", "x-forwarded-for": b"127.0.0.1"},
            ),
        ),
    ),
    Rule(
        id="length-named-by-connection",
        because="fields of ours are not the client's to remove",
        sends=(
            request(
                b"POST", b"/x", b"Connection: Content-Length", b"Content-Length: 5", body=b"hello"
            )
            + get(b"/y"),
        ),
        answers=(OKAY, OKAY),
        then="stays",
        upstream=(
            Seen(line=b"POST /x HTTP/1.1", body=b"hello", has={"content-length": b"5"}),
            *seen(b"/y"),
        ),
    ),
    Rule(
        id="expect-goes-no-further",
        because="AWS §3.8: Expect is dropped",
        sends=(
            request(b"POST", b"/x", b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"),
        ),
        answers=(OKAY,),
        then="stays",
        upstream=(Seen(line=b"POST /x HTTP/1.1", body=b"hello", lacks=("expect",)),),
    ),
]

RULES = CLOSING + VERSION_1_0 + PIPELINED + HEADS + FIELDS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule(rule: Rule, engine: Engine) -> None:
    check(rule, engine)


def test_ids_are_unique() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


# --- Expect: 100-continue: the client waits -----------------------------------------------------


@pytest.mark.parametrize("host", [REST, HTTP])
@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 5", b"hello"), (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")],
)
def test_a_client_that_waits_is_told_to_go_on(
    engine: Engine, host: bytes, framing: bytes, body: bytes
) -> None:
    """RFC 9110 §10.1.1."""
    engine.upstream.forget()
    with RawClient(engine.port) as client:
        client.send(request(b"POST", b"/x", framing, b"expect: 100-Continue", host=host))
        assert client.read_answer(interim=True).raw == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(body)
        answer = client.read_answer(interim=True)
        assert (answer.status, answer.body) == (200, b"ok")
        still_open(client)
    assert engine.upstream.exchanges[0].body == b"hello"


def test_a_client_that_waits_is_not_told_before_an_error(engine: Engine) -> None:
    """RFC 9110 §10.1.1: a final status instead; the body may or may not follow, so it closes or
    reads what was announced."""
    with RawClient(engine.port) as client:
        client.send(
            request(
                b"POST", b"/x", b"Content-Length: 5", b"Expect: 100-continue", host=b"nobody.test"
            )
        )
        answer = client.read_answer(interim=True)
        assert answer.status == 403


def test_without_a_body_there_is_nothing_to_wait_for(engine: Engine) -> None:
    with RawClient(engine.port) as client:
        client.send(get(b"/x", b"Expect: 100-continue"))
        assert client.read_answer(interim=True).status == 200
        still_open(client)


# --- half-close -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"G",
        b"GET /x HTTP/1.1\r\n",
        get(b"/x")[:-1],
        request(b"POST", b"/x", b"Content-Length: 5"),
        request(b"POST", b"/x", b"Content-Length: 5", body=b"hell"),
        request(b"POST", b"/x", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"),
        request(b"POST", b"/x", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n"),
    ],
)
def test_fin_before_a_whole_request_closes(engine: Engine, start: bytes) -> None:
    """Nothing is answered, and no upstream ever has the request whole."""
    engine.upstream.forget()
    with RawClient(engine.port) as client:
        client.send(start)
        client.half_close()
        client.expect_end()
    engine.settle()
    whole = [one.target for one in engine.upstream.exchanges if one.complete]
    assert whole == [Engine.SETTLED]


def test_fin_after_a_whole_request_means_the_client_is_gone(engine: Engine) -> None:
    """As in nginx and Go: the call upstream ends too."""
    engine.upstream.forget()
    engine.upstream.scripts[b"/hold"] = (HOLD,)
    with RawClient(engine.port) as client:
        client.send(get(b"/hold"))
        engine.upstream.wait_for(lambda: bool(engine.upstream.exchanges), "the request")
        client.half_close()
        client.expect_end()
    call = engine.upstream.exchanges[0]
    engine.upstream.wait_for(lambda: bool(call.ended), "the end of the call")


def test_fin_after_pipelined_requests_ends_those_not_begun(engine: Engine) -> None:
    engine.upstream.forget()
    engine.upstream.scripts[b"/hold"] = (HOLD,)
    with RawClient(engine.port) as client:
        client.send(get(b"/hold") + SMUGGLED)
        engine.upstream.wait_for(lambda: bool(engine.upstream.exchanges), "the request")
        client.half_close()
        client.expect_end()
    engine.settle()
    assert [one.target for one in engine.upstream.exchanges] == [b"/hold", Engine.SETTLED]


# --- tunnels ----------------------------------------------------------------------------------

SHAKE = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


@pytest.mark.parametrize("host", [REST, HTTP])
def test_a_tunnel_passes_bytes_unparsed(engine: Engine, host: bytes) -> None:
    """Design §6: after 101 bytes pass both ways, those that came with the head included."""
    up = engine.upstream
    up.forget()
    waiting = Wait()
    up.scripts[b"/tunnel"] = (
        SWITCH + b"\x81\x02hi",
        waiting,
        b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        HOLD,
    )
    with RawClient(engine.port) as client:
        client.send(get(b"/tunnel", *SHAKE, host=host))
        answer = client.read_answer()
        assert answer.status == 101
        assert answer.get("upgrade") == b"websocket"
        assert answer.get("connection") == b"Upgrade"
        assert answer.get("sec-websocket-accept") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert client.read_exactly(4) == b"\x81\x02hi"
        waiting.event.set()
        assert client.read_exactly(23) == b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
        client.send(SMUGGLED + b"\x00" * 100_000)
        call = up.exchanges[0]
        up.wait_for(lambda: len(call.extra) == len(SMUGGLED) + 100_000, "the client's bytes")
        assert call.extra[: len(SMUGGLED)] == SMUGGLED
        assert call.all("connection") == [b"Upgrade"]
        assert call.all("upgrade") == [b"websocket"]
        assert call.all("sec-websocket-key") == [b"dGhlIHNhbXBsZSBub25jZQ=="]
    up.wait_for(lambda: bool(call.ended), "the end of the tunnel")
    assert [one.target for one in up.exchanges] == [b"/tunnel"]


def test_nothing_of_the_client_goes_on_before_101(engine: Engine) -> None:
    """Design §6. An upstream that does not switch must not find a request behind the head."""
    up = engine.upstream
    up.forget()
    waiting = Wait()
    up.scripts[b"/early"] = (waiting, SWITCH, HOLD)
    with RawClient(engine.port) as client:
        client.send(get(b"/early", *SHAKE) + SMUGGLED)
        up.wait_for(lambda: bool(up.exchanges), "the handshake")
        engine.settle()
        assert up.exchanges[0].extra == b""
        waiting.event.set()
        assert client.read_answer().status == 101
        up.wait_for(lambda: up.exchanges[0].extra == SMUGGLED, "what was sent early")


def test_an_upgrade_that_is_refused_is_an_answer(engine: Engine) -> None:
    up = engine.upstream
    up.forget()
    up.scripts[b"/no"] = (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",)
    with RawClient(engine.port) as client:
        client.send(get(b"/no", *SHAKE))
        answer = client.read_answer()
        assert (answer.status, answer.body) == (403, b"no")
        assert not answer.all("upgrade")
        still_open(client)


def test_an_upstream_that_ends_a_tunnel_ends_it(engine: Engine) -> None:
    up = engine.upstream
    up.scripts[b"/short"] = (SWITCH + b"bye", CLOSE)
    with RawClient(engine.port) as client:
        client.send(get(b"/short", *SHAKE))
        assert client.read_answer().status == 101
        assert client.read_exactly(3) == b"bye"
        client.expect_end()


def test_a_body_without_a_known_end_closes_http_1_0(engine: Engine) -> None:
    """RFC 9112 §6.3: no chunks for HTTP/1.0, so the end of the connection says it, keep-alive or
    not; what waits behind is not answered."""
    up = engine.upstream
    up.forget()
    slow = Wait()
    up.scripts[b"/slow"] = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        slow,
        b"3\r\ndef\r\n0\r\n\r\n",
    )
    with RawClient(engine.port) as client:
        client.send(get(b"/slow", b"Connection: keep-alive", version=b"1.0") + SMUGGLED)
        client.wait_for(b"abc")
        slow.event.set()
        answer = client.read_answer()
        assert (answer.body, answer.framing) == (b"abcdef", "close")
        assert answer.get("connection") in (None, b"close")
    engine.settle()
    assert [one.target for one in up.exchanges] == [b"/slow", Engine.SETTLED]


def test_pipelined_answers_keep_their_order(engine: Engine) -> None:
    """The second answer is ready before the first."""
    up = engine.upstream
    up.forget()
    slow = Wait()
    up.scripts[b"/slow"] = (slow, OK.replace(b"ok", b"1!"))
    with RawClient(engine.port) as client:
        client.send(get(b"/slow") + get(b"/x"))
        up.wait_for(lambda: bool(up.exchanges), "the first request")
        engine.settle()
        slow.event.set()
        assert client.read_answer().body == b"1!"
        assert client.read_answer().body == b"ok"
        still_open(client)
