"""Bodies: where one ends, and that nothing else rides on it.

Rows for design.md §13 (bad chunk sizes, a chunk of 2⁶⁴−1, framing fields in trailers, trailers
dropped, extension bytes counted) and §6.1 (`Upgrade` headers beside a body).
"""

from __future__ import annotations

import pytest

from engine import Engine
from wire_rules import HTTP, REST, Expect, Rule, Seen, accepted, check, get, refused, request

TE = b"Transfer-Encoding: chunked"
LINE = b"POST /x HTTP/1.1"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: " + REST + b"\r\n\r\n"
SIZE = "RFC 9112 §7.1: chunk-size is 1*HEXDIG; §13: bad chunk sizes"
DATA = "RFC 9112 §7.1: chunk-data is exactly chunk-size bytes, then CRLF"
EXT = "RFC 9112 §7.1.1: extensions are ignored; their bytes are counted"
TRAILER = "design §13: trailers are dropped; Host or framing fields in them are refused"
UPGRADE = "design §6.1: an upgrade that is not taken leaves the body a body"

# Begun, so the upstream may have seen a part; whole it must never be.
PART = (Seen(line=LINE, complete=False),)


def chunked(body: bytes, *lines: bytes, host: bytes = REST) -> bytes:
    return request(b"POST", b"/x", TE, *lines, host=host, body=body)


def broken(id: str, because: str, *bodies: bytes) -> Rule:
    """A chunked body that breaks: 400 and close, and the upstream never has it whole."""
    return refused(id, because, chunked(bodies[0]), *bodies[1:], upstream=PART)


def whole(id: str, because: str, *bodies: bytes, body: bytes) -> Rule:
    """A chunked body that is well-formed."""
    return accepted(id, because, chunked(bodies[0]), *bodies[1:], line=LINE, body=body)


SIZES = [
    broken("size-empty", SIZE, b"\r\nhello\r\n0\r\n\r\n"),
    broken("size-letters", SIZE, b"xyz\r\nhello\r\n0\r\n\r\n"),
    broken("size-0x", SIZE, b"0x5\r\nhello\r\n0\r\n\r\n"),
    broken("size-plus", SIZE, b"+5\r\nhello\r\n0\r\n\r\n"),
    broken("size-minus", SIZE, b"-5\r\nhello\r\n0\r\n\r\n"),
    broken("size-underscore", SIZE, b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n"),
    broken("size-space-before", SIZE, b" 5\r\nhello\r\n0\r\n\r\n"),
    broken("size-tab-before", SIZE, b"\t5\r\nhello\r\n0\r\n\r\n"),
    broken("size-space-inside", SIZE, b"5 5\r\nhello\r\n0\r\n\r\n"),
    broken("size-nul", SIZE, b"5\x00\r\nhello\r\n0\r\n\r\n"),
    broken("size-fraction", SIZE, b"5.0\r\nhello\r\n0\r\n\r\n"),
    broken("size-2-64-less-1", SIZE, b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    broken("size-2-64", SIZE, b"10000000000000000\r\nhello\r\n0\r\n\r\n"),
    broken("size-2-64-and-5", SIZE, b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    broken("size-2-63", SIZE, b"8000000000000000\r\nhello\r\n0\r\n\r\n"),
    broken("size-40-digits", SIZE, b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n"),
    broken("size-bare-lf", SIZE, b"5\nhello\r\n0\r\n\r\n"),
    broken("size-bare-cr", SIZE, b"5\rhello\r\n0\r\n\r\n"),
    broken("size-cr-cr-lf", SIZE, b"5\r\r\nhello\r\n0\r\n\r\n"),
    broken("size-arabic-digit", SIZE, "٥\r\nhello\r\n0\r\n\r\n".encode()),
    broken("second-size-bad", SIZE, b"5\r\nhello\r\nzz\r\n0\r\n\r\n"),
    whole(
        "size-upper-and-lower",
        SIZE,
        b"a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n",
        body=b"01234567890123456789a",
    ),
    whole("size-leading-zeros", SIZE, b"0005\r\nhello\r\n00\r\n\r\n", body=b"hello"),
    whole("size-0-at-once", SIZE, b"0\r\n\r\n", body=b""),
]

DATAS = [
    broken("data-too-long", DATA, b"5\r\nhelloX\r\n0\r\n\r\n"),
    broken("data-too-short", DATA, b"6\r\nhello\r\n0\r\n\r\n"),
    broken("data-ends-in-lf", DATA, b"5\r\nhello\n0\r\n\r\n"),
    broken("data-ends-in-cr", DATA, b"5\r\nhello\r0\r\n\r\n"),
    broken("data-ends-in-two-bytes", DATA, b"5\r\nhelloXX0\r\n\r\n"),
    broken("data-then-request", DATA, b"5\r\nhello" + SMUGGLED),
    broken("last-chunk-bare-lf", DATA, b"5\r\nhello\r\n0\n\n"),
    broken("last-chunk-lf-as-empty-line", DATA, b"5\r\nhello\r\n0\r\n\n"),
    broken("byte-by-byte-broken", DATA, *(bytes([c]) for c in b"5\r\nhelloX\r\n")),
    whole(
        "byte-by-byte",
        DATA,
        *(bytes([c]) for c in b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
        body=b"hello!",
    ),
    whole(
        "cut-everywhere-in-crlf",
        DATA,
        b"5\r",
        b"\nhello\r",
        b"\n0\r",
        b"\n\r",
        b"\n",
        body=b"hello",
    ),
    whole("body-that-looks-like-its-end", DATA, b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", body=b"0\r\n\r\n"),
    whole(
        "body-that-looks-like-a-request",
        DATA,
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
        body=SMUGGLED,
    ),
    Rule(
        id="body-of-a-length-that-looks-like-a-request",
        because="RFC 9112 §6.2: Content-Length bytes are body, whatever they say",
        sends=(request(b"POST", b"/x", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),),
        answers=(Expect(status=200, body=b"ok"),),
        then="stays",
        upstream=(Seen(line=LINE, body=SMUGGLED),),
    ),
    Rule(
        id="chunked-then-the-next-request",
        because="§13: our own decoder says where it stopped",
        sends=(chunked(b"5\r\nhello\r\n0\r\n\r\n") + get(b"/y"),),
        answers=(Expect(status=200, body=b"ok"), Expect(status=200, body=b"ok")),
        then="stays",
        upstream=(Seen(line=LINE, body=b"hello"), Seen(line=b"GET /y HTTP/1.1")),
    ),
    Rule(
        id="length-then-the-next-request",
        because="RFC 9112 §6.2: the length says where it stops",
        sends=(request(b"POST", b"/x", b"Content-Length: 5", body=b"hello") + get(b"/y"),),
        answers=(Expect(status=200, body=b"ok"), Expect(status=200, body=b"ok")),
        then="stays",
        upstream=(Seen(line=LINE, body=b"hello"), Seen(line=b"GET /y HTTP/1.1")),
    ),
    Rule(
        id="get-with-a-body",
        because="RFC 9110 §9.3.1: a body of a GET has no meaning, and is framed all the same",
        sends=(request(b"GET", b"/x", b"Content-Length: 5", body=b"hello") + get(b"/y"),),
        answers=(Expect(status=200, body=b"ok"), Expect(status=200, body=b"ok")),
        then="stays",
        upstream=(
            Seen(line=b"GET /x HTTP/1.1", body=b"hello", has={"content-length": b"5"}),
            Seen(line=b"GET /y HTTP/1.1"),
        ),
    ),
    Rule(
        id="no-framing-no-body",
        because="RFC 9112 §6.3: a request without framing fields has no body",
        sends=(request(b"POST", b"/x") + get(b"/y"),),
        answers=(Expect(status=200, body=b"ok"), Expect(status=200, body=b"ok")),
        then="stays",
        upstream=(Seen(line=LINE, body=b""), Seen(line=b"GET /y HTTP/1.1")),
    ),
]

EXTENSIONS = [
    whole("extension", EXT, b"5;a=b\r\nhello\r\n0;last\r\n\r\n", body=b"hello"),
    whole("extension-quoted", EXT, b'5;a="b;c"\r\nhello\r\n0\r\n\r\n', body=b"hello"),
    whole(
        "extension-after-blank",
        "RFC 9112 §7.1.1: BWS before `;`",
        b"5 ;a=b\r\nhello\r\n0\r\n\r\n",
        body=b"hello",
    ),
    broken("extension-bare-lf", EXT, b"5;a=b\nhello\r\n0\r\n\r\n"),
    broken("extension-bare-cr", EXT, b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    broken("extension-lf-in-quotes", EXT, b'5;a="\n"\r\nhello\r\n0\r\n\r\n'),
    broken("extension-nul", EXT, b"5;a\x00b\r\nhello\r\n0\r\n\r\n"),
    broken("extension-of-100-kb", EXT, b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n"),
    broken("extension-that-never-ends", EXT, b"5;" + b"a" * 100_000),
    broken("extensions-of-100-kb-in-all", EXT, b"1;abcdefghi\r\nx\r\n" * 10_000 + b"0\r\n\r\n"),
    broken("size-of-100-kb-zeros", EXT, b"0" * 100_000 + b"5\r\nhello\r\n0\r\n\r\n"),
]

TRAILERS = [
    Rule(
        id="trailer-dropped",
        because=TRAILER,
        sends=(chunked(b"5\r\nhello\r\n0\r\nX-Checksum: abc\r\nX-Other: d\r\n\r\n"),),
        answers=(Expect(status=200, body=b"ok"),),
        then="stays",
        upstream=(Seen(line=LINE, body=b"hello", lacks=("x-checksum", "x-other", "trailer")),),
    ),
    Rule(
        id="trailer-announced",
        because=TRAILER,
        sends=(
            chunked(
                b"5\r\nhello\r\n0\r\nX-Checksum: abc\r\n\r\n",
                b"Trailer: X-Checksum",
                b"TE: trailers",
            ),
        ),
        answers=(Expect(status=200, body=b"ok"),),
        then="stays",
        upstream=(Seen(line=LINE, body=b"hello", lacks=("x-checksum", "trailer", "te")),),
    ),
    *(
        broken(
            f"trailer-{name.decode()}",
            TRAILER,
            b"5\r\nhello\r\n0\r\n" + name + b": " + value + b"\r\n\r\n",
        )
        for name, value in (
            (b"Host", b"other.test"),
            (b"Content-Length", b"5"),
            (b"Transfer-Encoding", b"chunked"),
            (b"tRANSFER-eNCODING", b"identity"),
        )
    ),
    broken("trailer-no-colon", TRAILER, b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n"),
    broken("trailer-space-before-colon", TRAILER, b"5\r\nhello\r\n0\r\nA : b\r\n\r\n"),
    broken("trailer-fold", TRAILER, b"5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n"),
    broken("trailer-bare-lf", TRAILER, b"5\r\nhello\r\n0\r\nA: b\n\r\n"),
    broken("trailer-bare-cr", TRAILER, b"5\r\nhello\r\n0\r\nA: b\rC: d\r\n\r\n"),
    broken("trailer-nul", TRAILER, b"5\r\nhello\r\n0\r\nA: \x00\r\n\r\n"),
    broken("trailer-is-a-request", TRAILER, b"5\r\nhello\r\n0\r\n" + SMUGGLED),
    broken("trailer-of-100-kb", TRAILER, b"5\r\nhello\r\n0\r\nA: " + b"b" * 100_000 + b"\r\n\r\n"),
    broken(
        "trailers-of-100-kb-in-all",
        TRAILER,
        b"5\r\nhello\r\n0\r\n" + b"A: bcdefg\r\n" * 10_000 + b"\r\n",
    ),
]

H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")
NO_OFFER = ("upgrade", "http2-settings", "connection")

UPGRADES = [
    Rule(
        id="h2c-offer",
        because="design §6.1: h2c offers are ignored",
        sends=(get(b"/x", *H2C),),
        answers=(Expect(status=200, body=b"ok", lacks=("upgrade",)),),
        then="stays",
        upstream=(Seen(line=b"GET /x HTTP/1.1", lacks=NO_OFFER),),
    ),
    Rule(
        id="h2c-offer-with-body",
        because=UPGRADE + " (JDK's HttpClient and `curl --http2` send one with every POST)",
        sends=(request(b"POST", b"/x", *H2C, b"Content-Length: 5", body=b"hello") + get(b"/y"),),
        answers=(Expect(status=200, body=b"ok"), Expect(status=200, body=b"ok")),
        then="stays",
        upstream=(Seen(line=LINE, body=b"hello", lacks=NO_OFFER), Seen(line=b"GET /y HTTP/1.1")),
    ),
    Rule(
        id="h2c-offer-with-chunked-body",
        because=UPGRADE,
        sends=(chunked(b"5\r\nhello\r\n0\r\n\r\n", *H2C) + get(b"/y"),),
        answers=(Expect(status=200, body=b"ok"), Expect(status=200, body=b"ok")),
        then="stays",
        upstream=(Seen(line=LINE, body=b"hello", lacks=NO_OFFER), Seen(line=b"GET /y HTTP/1.1")),
    ),
    Rule(
        id="h2c-offer-body-in-a-second-write",
        because=UPGRADE,
        sends=(request(b"POST", b"/x", *H2C, b"Content-Length: 5"), b"hello" + get(b"/y")),
        answers=(Expect(status=200, body=b"ok"), Expect(status=200, body=b"ok")),
        then="stays",
        upstream=(Seen(line=LINE, body=b"hello", lacks=NO_OFFER), Seen(line=b"GET /y HTTP/1.1")),
    ),
    Rule(
        id="h2c-offer-with-smuggled-body",
        because=UPGRADE,
        sends=(
            request(b"POST", b"/x", *H2C, b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
        ),
        answers=(Expect(status=200, body=b"ok"),),
        then="stays",
        upstream=(Seen(line=LINE, body=SMUGGLED),),
    ),
    Rule(
        id="unknown-offer",
        because="RFC 9110 §7.8: a server may ignore Upgrade",
        sends=(get(b"/x", b"Connection: upgrade", b"Upgrade: TLS/1.0, IRC/6.9"),),
        answers=(Expect(status=200, body=b"ok"),),
        then="stays",
        upstream=(Seen(line=b"GET /x HTTP/1.1", lacks=NO_OFFER),),
    ),
    Rule(
        id="upgrade-that-connection-does-not-name",
        because="RFC 9110 §7.8: the sender must name it in Connection",
        sends=(get(b"/x", b"Upgrade: websocket", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),),
        answers=(Expect(status=200, body=b"ok"),),
        then="stays",
        upstream=(Seen(line=b"GET /x HTTP/1.1", lacks=NO_OFFER),),
    ),
    refused(
        "websocket-with-body",
        "design §13: `Upgrade` with a body",
        request(
            b"GET",
            b"/x",
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            b"Content-Length: 5",
            body=b"hello",
        ),
    ),
    refused(
        "websocket-with-chunked-body",
        "design §13: `Upgrade` with a body",
        request(
            b"GET",
            b"/x",
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            TE,
            body=b"5\r\nhello\r\n0\r\n\r\n",
        ),
    ),
]

KINDS = [
    refused("http-api-size-bad", SIZE, chunked(b"zz\r\n", host=HTTP), upstream=PART),
]

RULES = SIZES + DATAS + EXTENSIONS + TRAILERS + UPGRADES + KINDS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule(rule: Rule, engine: Engine) -> None:
    check(rule, engine)


def test_ids_are_unique() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
