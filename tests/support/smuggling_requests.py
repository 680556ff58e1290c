"""The smuggling matrix's rows of chunks, trailers, methods, expectations, offers and options.

Used by tests/integration/test_smuggling.py; the vocabulary, and the rows about which field frames
a message, are in `smuggling_rows`, hosts and targets in `smuggling_targets`.
"""

from __future__ import annotations

from typing import Final

from smuggling_rows import CL5, LINE, SMUGGLED, TE, Arrival, Row, post, refused, served
from smuggling_targets import HOSTS, OUR_HOST, TARGETS
from wire_rules import get, request

# --- chunks and trailers ----------------------------------------------------------------------

CHUNK: Final = "RFC 9112 §7.1: sizes are hex digits, lines end in CRLF, data is as long as its size"
EXTENSION: Final = "RFC 9112 §7.1.1: extensions end with their line and go no further"
TRAILER: Final = "design §13: trailers are dropped: none becomes a field, none frames anything"
HELLO: Final = Arrival(line=LINE, framing=TE, body=b"hello")
_END: Final = b"0\r\n\r\n"


def broken(id: str, because: str, body: bytes) -> Row:
    """A chunked body of which the upstream may see the start, whole it must not."""
    return refused(id, because, post(TE, body=body), part=LINE)


def chunked(id: str, because: str, body: bytes, *lines: bytes, arrival: Arrival = HELLO) -> Row:
    return served(id, because, post(TE, *lines, body=body), arrival)


CHUNKS: Final = [
    broken("size-blank-behind", CHUNK, b"5 \r\nhello\r\n" + _END),
    broken("size-tab-behind", CHUNK, b"5\t\r\nhello\r\n" + _END),
    broken("size-vertical-tab-behind", CHUNK, b"5\x0b\r\nhello\r\n" + _END),
    broken("size-comma", CHUNK, b"5,5\r\nhello\r\n" + _END),
    broken("size-h", CHUNK, b"5h\r\nhello\r\n" + _END),
    broken("size-minus-zero", CHUNK, b"5\r\nhello\r\n-0\r\n\r\n" + SMUGGLED),
    broken("size-0x0", CHUNK, b"5\r\nhello\r\n0x0\r\n\r\n" + SMUGGLED),
    broken("size-2-32-times-2-32", CHUNK, b"1" + b"0" * 16 + b"\r\n\r\n" + SMUGGLED),
    broken("size-nul-behind", CHUNK, b"0\x00\r\n\r\n" + SMUGGLED),
    # Published as TERM.EXT, EXT.TERM, TERM.SPILL and SPILL.TERM: one side takes a bare LF or any
    # two bytes for a line end.
    broken("lf-in-extension", EXTENSION, b"2;\nxx\r\n4c\r\n0\r\n\r\n" + SMUGGLED),
    broken("lf-in-last-extension", EXTENSION, b"5\r\nhello\r\n0;\n\r\n\r\n" + SMUGGLED),
    broken("cr-in-extension", EXTENSION, b"2;\rxx\r\n4c\r\n0\r\n\r\n" + SMUGGLED),
    broken("lf-spills-behind-data", CHUNK, b"5\r\nhello\n2c\r\n\n0\r\n\r\n" + SMUGGLED),
    broken("data-spills-into-the-line-end", CHUNK, b"5\r\nhelloXX0\r\n\r\n" + SMUGGLED),
    broken("data-ends-without-a-line", CHUNK, b"5\r\nhello0\r\n\r\n" + SMUGGLED),
    broken("crlf-in-quotes", EXTENSION, b'5;a="\r\n0\r\n\r\n' + SMUGGLED),
    broken("last-chunk-ends-in-lf", CHUNK, b"5\r\nhello\r\n0\n\r\n" + SMUGGLED),
    broken("second-line-end-is-cr", CHUNK, b"5\r\nhello\r\n0\r\n\r" + SMUGGLED),
    chunked("extension-short", EXTENSION, b"5;a\r\nhello\r\n0;b\r\n\r\n"),
    chunked("extension-quoted-pair", EXTENSION, b'5;a="\\"";b=";"\r\nhello\r\n' + _END),
    chunked("extension-of-8-kb", EXTENSION, b"5;" + b"a" * 8192 + b"\r\nhello\r\n" + _END),
    chunked(
        "extension-that-is-a-request",
        EXTENSION,
        b"5;%b\r\nhello\r\n" % SMUGGLED.split(b"\r\n")[0] + _END,
    ),
    chunked(
        "size-upper-and-zeros",
        CHUNK,
        b"00A\r\n0123456789\r\n000" + b"\r\n\r\n",
        arrival=Arrival(line=LINE, framing=TE, body=b"0123456789"),
    ),
    chunked(
        "data-that-is-a-request",
        CHUNK,
        b"%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED) + _END,
        arrival=Arrival(line=LINE, framing=TE, body=SMUGGLED),
    ),
    chunked(
        "data-that-is-an-end",
        CHUNK,
        b"%x\r\n%b\r\n" % (len(_END + SMUGGLED), _END + SMUGGLED) + _END,
        arrival=Arrival(line=LINE, framing=TE, body=_END + SMUGGLED),
    ),
]

TRAILERS: Final = [
    *(
        chunked(
            f"trailer-{name.decode().lower()}",
            TRAILER,
            b"5\r\nhello\r\n0\r\n%b: %b\r\n\r\n" % (name, value),
            b"Trailer: " + name,
            b"TE: trailers",
            arrival=Arrival(
                line=LINE, framing=TE, body=b"hello", lacks=(name.decode(), "trailer", "te")
            ),
        )
        for name, value in (
            (b"TE", b"chunked"),
            (b"Authorization", b"Bearer stolen"),
            (b"Cookie", b"a=b"),
            (b"Expect", b"100-continue"),
            (b"Client-Cert", b":AAAA:"),
            (b"Content_Length", b"5"),
        )
    ),
    chunked(
        "trailer-x-forwarded-for",
        TRAILER,
        b"5\r\nhello\r\n0\r\nX-Forwarded-For: 10.9.8.7\r\n\r\n",
        arrival=Arrival(
            line=LINE, framing=TE, body=b"hello", has={"x-forwarded-for": b"127.0.0.1"}
        ),
    ),
    *(
        broken(f"trailer-{name}", TRAILER, b"5\r\nhello\r\n0\r\n" + line + b"\r\n\r\n" + SMUGGLED)
        for name, line in (
            ("space-before-colon-of-cl", b"Content-Length : 5"),
            ("tab-before-colon-of-host", b"Host\t: other.test"),
            ("te-upper", b"TRANSFER-ENCODING: CHUNKED"),
            ("cl-behind-a-bare-lf", b"A: b\nContent-Length: 5"),
            ("connection", b"Connection: close"),
            ("upgrade", b"Upgrade: websocket"),
            ("folded", b"A: b\r\n Content-Length: 5"),
        )
    ),
]

# --- methods with bodies, expectations, offers, options -------------------------------------------

BODY: Final = "RFC 9110 §9.3: whatever the method, framing says what is body"
EXPECT: Final = "RFC 9110 §10.1.1, AWS §3.8: Expect is between the client and us"
OFFER: Final = "design §6.1: an upgrade that is not taken leaves the body a body"
OPTION: Final = "RFC 9110 §7.6.1: options go no further; fields of ours are not theirs to remove"
_LENGTH: Final = b"Content-Length: %d" % len(SMUGGLED)
_X: Final = b"GET /x HTTP/1.1"

METHODS: Final = [
    row
    for name in (b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH", b"PUT")
    for row in (
        served(
            f"{name.decode().lower()}-with-a-length",
            BODY,
            request(name, b"/x", _LENGTH, body=SMUGGLED),
            Arrival(line=name + b" /x HTTP/1.1", framing=_LENGTH, body=SMUGGLED),
            method=name.decode(),
        ),
        served(
            f"{name.decode().lower()}-with-chunks",
            BODY,
            request(name, b"/x", TE, body=b"%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED) + _END),
            Arrival(line=name + b" /x HTTP/1.1", framing=TE, body=SMUGGLED),
            method=name.decode(),
        ),
        refused(
            f"{name.decode().lower()}-with-both",
            BODY,
            request(name, b"/x", _LENGTH, TE, body=_END + SMUGGLED),
        ),
    )
] + [
    # AWS §3.2: `ANY` is seven methods. What was announced is body all the same.
    Row(
        id="method-of-no-route-with-a-length",
        because=BODY,
        sends=request(b"PROPFIND", b"/x", _LENGTH, body=SMUGGLED),
        statuses=(403,),
        goes_on=True,
    ),
    Row(
        id="method-of-no-route-with-chunks",
        because=BODY,
        sends=request(
            b"PROPFIND", b"/x", TE, body=b"%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED) + _END
        ),
        statuses=(403,),
        goes_on=False,
    ),
]

EXPECTATIONS: Final = [
    served(
        f"expect-{name}",
        EXPECT,
        post(*lines, _LENGTH, body=SMUGGLED),
        Arrival(line=LINE, framing=_LENGTH, body=SMUGGLED, lacks=("expect",)),
    )
    for name, lines in (
        ("any-case", (b"eXPECT: 100-Continue",)),
        ("unknown", (b"Expect: later",)),
        ("unknown-before", (b"Expect: y 100-continue",)),
        ("list", (b"Expect: 100-continue, x",)),
        ("twice", (b"Expect: 100-continue", b"Expect: 100-continue")),
        ("empty", (b"Expect:",)),
    )
] + [
    served(
        "expect-without-a-body",
        EXPECT,
        get(b"/x", b"Expect: 100-continue"),
        Arrival(line=_X, lacks=("expect",)),
    ),
    served(
        "expect-get-with-a-body",
        EXPECT,
        get(b"/x", b"Expect: 100-continue", _LENGTH) + SMUGGLED,
        Arrival(line=_X, framing=_LENGTH, body=SMUGGLED, lacks=("expect",)),
    ),
    served(
        "expect-with-chunks",
        EXPECT,
        post(TE, b"Expect: 100-continue", body=b"5\r\nhello\r\n" + _END),
        HELLO,
    ),
    refused(
        "expect-with-both", EXPECT, post(CL5, TE, b"Expect: 100-continue", body=_END + SMUGGLED)
    ),
]

OFFERS: Final = [
    served(
        f"offer-{name}",
        OFFER,
        post(b"Connection: Upgrade", b"Upgrade: " + offer, _LENGTH, body=SMUGGLED),
        Arrival(line=LINE, framing=_LENGTH, body=SMUGGLED, lacks=("upgrade", "connection")),
    )
    for name, offer in (
        ("h2c", b"h2c"),
        ("tls", b"TLS/1.3"),
        ("list", b"h2c, websocket"),
        ("websocket-of-a-version", b"websocket/13"),
    )
] + [
    refused(
        f"websocket-{name}",
        "design §13: `Upgrade` with a body",
        request(method, b"/x", b"Connection: Upgrade", b"Upgrade: WebSocket", *lines, body=body),
    )
    for name, method, lines, body in (
        ("post-with-a-body", b"POST", (_LENGTH,), SMUGGLED),
        ("get-with-a-body", b"GET", (_LENGTH,), SMUGGLED),
        ("get-with-chunks", b"GET", (TE,), _END + SMUGGLED),
    )
]

OPTIONS: Final = [
    served(
        "connection-names-authorization",
        OPTION + "; the upstream then sees a request of nobody's",
        get(b"/x", b"Connection: Authorization", b"Authorization: Bearer x"),
        Arrival(line=_X, lacks=("authorization", "connection"), has=OUR_HOST),
    ),
    served(
        "connection-names-all-that-is-ours",
        OPTION,
        post(
            b"Connection: Host, Content-Length, Transfer-Encoding, X-Forwarded-For, Forwarded,"
            b" X-Forwarded-Proto, X-Amzn-Trace-Id, X-Amzn-Apigateway-Api-Id, Via, Connection",
            b"X-Forwarded-For: 10.9.8.7",
            CL5,
            body=b"hello",
        ),
        Arrival(line=LINE, framing=CL5, body=b"hello", has=OUR_HOST, lacks=("via", "connection")),
    ),
    served(
        "connection-names-transfer-encoding",
        OPTION,
        post(b"Connection: Transfer-Encoding", TE, body=b"5\r\nhello\r\n" + _END),
        HELLO,
    ),
    served(
        "connection-names-content-length-of-a-get",
        OPTION,
        get(b"/x", b"Connection: content-length", _LENGTH) + SMUGGLED,
        Arrival(line=_X, framing=_LENGTH, body=SMUGGLED),
    ),
    refused(
        "connection-names-content-length-beside-chunks",
        "RFC 9112 §6.1: both are there, whatever Connection says",
        post(b"Connection: Content-Length", CL5, TE, body=_END + SMUGGLED),
    ),
    Row(
        id="connection-close-and-host",
        because="RFC 9112 §9.6: nothing behind `close` is served",
        sends=get(b"/x", b"Connection: close, Host"),
        statuses=(200,),
        goes_on=False,
        arrives=(Arrival(line=_X, has=OUR_HOST),),
    ),
    refused(
        "connection-with-a-bare-lf", OPTION, get(b"/x", b"Connection: close\nContent-Length: 5")
    ),
]

REQUESTS: Final = [
    *CHUNKS,
    *TRAILERS,
    *HOSTS,
    *TARGETS,
    *METHODS,
    *EXPECTATIONS,
    *OFFERS,
    *OPTIONS,
]
