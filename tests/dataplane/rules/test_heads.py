"""Heads: what is refused because two readers could read it as two things, and what is not.

Every item of design.md §13 "Heads" that concerns the request line's version and the header lines
is a row here; targets, bodies, limits and connections have files of their own.
"""

from __future__ import annotations

import pytest

from engine import Engine
from wire_rules import HTTP, REST, Expect, Rule, Seen, accepted, check, get, refused, request

HOST = b"Host: " + REST
BODY = b"hello"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n\r\n"


def head(*lines: bytes) -> bytes:
    """A head of exactly these lines."""
    return b"\r\n".join(lines) + b"\r\n\r\n"


def post(*lines: bytes, version: bytes = b"1.1", body: bytes = BODY) -> bytes:
    return request(b"POST", b"/x", *lines, version=version, body=body)


CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
CL5 = b"Content-Length: 5"
TE = b"Transfer-Encoding: chunked"

# --- framing fields ---------------------------------------------------------------------------

BOTH = "RFC 9112 §6.1: Content-Length with Transfer-Encoding may be an attempt at smuggling"
LENGTHS = "RFC 9112 §6.3: differing or invalid Content-Length is an unrecoverable error"
CODINGS = "design §13: Transfer-Encoding other than `chunked` alone or in HTTP/1.0"

TAB = "RFC 9110 §5.5 has tabs around values; nginx reads another value, or none: two readers"

FRAMING = [
    refused("cl-then-te", BOTH, post(CL5, TE, body=CHUNKS)),
    refused("te-then-cl", BOTH, post(TE, CL5, body=CHUNKS)),
    refused("te-then-cl-0", BOTH, post(TE, b"Content-Length: 0", body=CHUNKS)),
    refused(
        "te-and-cl-in-any-case", BOTH, post(b"tRANSFER-eNCODING: Chunked", b"content-length: 5")
    ),
    refused("cl-with-smuggled-request", BOTH, post(CL5, TE, body=b"0\r\n\r\n" + SMUGGLED)),
    refused("cl-twice-different", LENGTHS, post(CL5, b"Content-Length: 6")),
    refused("cl-twice-the-same", "design §13: several Content-Lengths", post(CL5, CL5)),
    refused("cl-list", LENGTHS, post(b"Content-Length: 5, 5")),
    refused("cl-list-different", LENGTHS, post(b"Content-Length: 5, 6")),
    refused("cl-plus", LENGTHS, post(b"Content-Length: +5")),
    refused("cl-minus", LENGTHS, post(b"Content-Length: -5")),
    refused("cl-hex", LENGTHS, post(b"Content-Length: 0x5")),
    refused("cl-underscore", LENGTHS, post(b"Content-Length: 0_5")),
    refused("cl-fraction", LENGTHS, post(b"Content-Length: 5.0")),
    refused("cl-two-numbers", LENGTHS, post(b"Content-Length: 5 5")),
    refused("cl-letters", LENGTHS, post(b"Content-Length: 5a")),
    refused("cl-empty", LENGTHS, post(b"Content-Length:")),
    refused("cl-quoted", LENGTHS, post(b'Content-Length: "5"')),
    refused("cl-arabic-digit", LENGTHS, post("Content-Length: ٥".encode())),
    refused("cl-2-64", LENGTHS, post(b"Content-Length: 18446744073709551616")),
    refused("cl-2-64-and-5", LENGTHS, post(b"Content-Length: 18446744073709551621")),
    refused("cl-40-digits", LENGTHS, post(b"Content-Length: " + b"9" * 40)),
    refused("te-gzip-chunked", CODINGS, post(b"Transfer-Encoding: gzip, chunked", body=CHUNKS)),
    refused("te-chunked-gzip", CODINGS, post(b"Transfer-Encoding: chunked, gzip", body=CHUNKS)),
    refused(
        "te-chunked-chunked", CODINGS, post(b"Transfer-Encoding: chunked, chunked", body=CHUNKS)
    ),
    refused("te-chunked-comma", CODINGS, post(b"Transfer-Encoding: chunked,", body=CHUNKS)),
    refused("te-comma-chunked", CODINGS, post(b"Transfer-Encoding: , chunked", body=CHUNKS)),
    refused("te-identity", CODINGS, post(b"Transfer-Encoding: identity", body=CHUNKS)),
    refused("te-x", CODINGS, post(b"Transfer-Encoding: x", body=CHUNKS)),
    refused("te-xchunked", CODINGS, post(b"Transfer-Encoding: xchunked", body=CHUNKS)),
    refused("te-chunkedx", CODINGS, post(b"Transfer-Encoding: chunkedx", body=CHUNKS)),
    refused("te-parameter", CODINGS, post(b"Transfer-Encoding: chunked;q=1", body=CHUNKS)),
    refused("te-quoted", CODINGS, post(b'Transfer-Encoding: "chunked"', body=CHUNKS)),
    refused("te-empty", CODINGS, post(b"Transfer-Encoding:", body=CHUNKS)),
    refused("te-vertical-tab", CODINGS, post(b"Transfer-Encoding: \x0bchunked", body=CHUNKS)),
    refused("te-no-break-space", CODINGS, post(b"Transfer-Encoding: chunked\xa0", body=CHUNKS)),
    refused("te-twice", CODINGS, post(TE, TE, body=CHUNKS)),
    refused("te-then-identity", CODINGS, post(TE, b"Transfer-Encoding: identity", body=CHUNKS)),
    refused("te-after-identity", CODINGS, post(b"Transfer-Encoding: identity", TE, body=CHUNKS)),
    refused("te-in-1.0", CODINGS, post(TE, version=b"1.0", body=CHUNKS)),
    refused("te-and-cl-in-1.0", CODINGS, post(TE, CL5, version=b"1.0", body=CHUNKS)),
    *(
        refused(f"tab-{where}-{name.decode().lower()}", TAB, *sends)
        for where, around in (("before", b"\t%b"), ("behind", b"%b\t"), ("amid", b" \t %b"))
        for name, sends in (
            (b"Content-Length", (post(b"Content-Length:" + around % b"5"),)),
            (
                b"Transfer-Encoding",
                (post(b"Transfer-Encoding:" + around % b"chunked", body=CHUNKS),),
            ),
            (b"Host", (head(b"GET /x HTTP/1.1", b"Host:" + around % REST),)),
        )
    ),
    accepted("cl", LENGTHS, post(CL5), line=b"POST /x HTTP/1.1", body=BODY),
    accepted(
        "cl-spaces-around",
        "RFC 9110 §5.5: surrounding blanks are no part of a value",
        post(b"Content-Length:   5  "),
        line=b"POST /x HTTP/1.1",
        body=BODY,
    ),
    accepted("te", CODINGS, post(TE, body=CHUNKS), line=b"POST /x HTTP/1.1", body=BODY),
    accepted(
        "te-in-any-case",
        "RFC 9112 §7: codings are case-insensitive",
        post(b"transfer-ENCODING: CHUNKED", body=CHUNKS),
        line=b"POST /x HTTP/1.1",
        body=BODY,
    ),
]

# --- lines ------------------------------------------------------------------------------------

LF = "RFC 9112 §2.2 lets a recipient take a bare LF for a line end: two readers, two heads"
CR = "RFC 9112 §2.2: a bare CR within a head is invalid"
FOLD = "RFC 9112 §5.2: obs-fold in a request is refused"
COLON = "RFC 9112 §5.1: no blank between field name and colon; 400"
CONTROL = "RFC 9110 §5.5: NUL, CR and LF in a value are dangerous, other controls invalid"
NAME = "RFC 9110 §5.1: a field name is a token"

LINES = [
    refused("lf-everywhere", LF, b"GET /x HTTP/1.1\n" + HOST + b"\n\n"),
    refused("lf-after-request-line", LF, b"GET /x HTTP/1.1\n" + HOST + b"\r\n\r\n"),
    refused("lf-after-header", LF, b"GET /x HTTP/1.1\r\n" + HOST + b"\nA: b\r\n\r\n"),
    refused("lf-after-last-header", LF, b"GET /x HTTP/1.1\r\n" + HOST + b"\n\r\n"),
    refused("lf-as-empty-line", LF, b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n\n"),
    refused("lf-lf-before-second-head", LF, b"GET /x HTTP/1.1\r\n" + HOST + b"\n\n" + SMUGGLED),
    refused("cr-everywhere", CR, b"GET /x HTTP/1.1\r" + HOST + b"\r\r\n\r\n"),
    refused("cr-in-value", CR, get(b"/x", b"A: b\rC: d")),
    refused("cr-cr-lf", CR, b"GET /x HTTP/1.1\r\n" + HOST + b"\r\r\n\r\n"),
    refused("cr-in-name", CR, get(b"/x", b"A\rB: c")),
    refused("cr-before-colon", CR, get(b"/x", b"A\r: c")),
    refused("fold-space", FOLD, get(b"/x", b"A: b", b" c")),
    refused("fold-tab", FOLD, get(b"/x", b"A: b", b"\tc")),
    refused("fold-of-host", FOLD, head(b"GET /x HTTP/1.1", b"Host:", b" " + REST)),
    refused("fold-of-te", FOLD, post(b"Transfer-Encoding:", b" chunked", body=CHUNKS)),
    refused("fold-first-line", FOLD, head(b"GET /x HTTP/1.1", b" " + HOST)),
    refused("fold-blank-line", FOLD, get(b"/x", b"A: b", b"   ")),
    refused("space-before-colon", COLON, get(b"/x", b"A : b")),
    refused("tab-before-colon", COLON, get(b"/x", b"A\t: b")),
    refused("space-before-colon-of-cl", COLON, post(b"Content-Length : 5")),
    refused("space-before-colon-of-te", COLON, post(b"Transfer-Encoding : chunked", body=CHUNKS)),
    refused("space-before-colon-of-host", COLON, head(b"GET /x HTTP/1.1", b"Host : " + REST)),
    refused("no-colon", NAME, get(b"/x", b"nonsense")),
    refused("no-name", NAME, get(b"/x", b": nonsense")),
    refused("space-in-name", NAME, get(b"/x", b"A B: c")),
    *(
        refused(f"name-with-{char[0]:02x}", NAME, get(b"/x", b"A" + char + b"B: c"))
        for char in (
            b"(",
            b")",
            b"<",
            b">",
            b"@",
            b",",
            b";",
            b"\\",
            b'"',
            b"/",
            b"[",
            b"]",
            b"?",
            b"=",
            b"{",
            b"}",
            b"\x80",
            b"\xe9",
            b"\x7f",
        )
    ),
    *(
        refused(f"name-control-{code:02x}", CONTROL, get(b"/x", b"A" + bytes([code]) + b"B: c"))
        for code in (0x00, 0x01, 0x08, 0x0B, 0x0C, 0x1F)
    ),
    *(
        refused(f"value-control-{code:02x}", CONTROL, get(b"/x", b"A: b" + bytes([code]) + b"c"))
        for code in (0x00, 0x01, 0x07, 0x08, 0x0B, 0x0C, 0x0E, 0x1B, 0x1F, 0x7F)
    ),
    accepted(
        "value-with-tab",
        "RFC 9110 §5.5: HTAB is part of a value",
        get(b"/x", b"A: b\tc"),
        line=b"GET /x HTTP/1.1",
    ),
    accepted(
        "value-with-obs-text",
        "RFC 9110 §5.5: 0x80 to 0xFF are opaque data",
        get(b"/x", b"A: caf\xc3\xa9 \xff"),
        line=b"GET /x HTTP/1.1",
    ),
    accepted(
        "value-empty",
        "RFC 9110 §5.5: a value may be empty",
        get(b"/x", b"A:"),
        line=b"GET /x HTTP/1.1",
    ),
    accepted(
        "name-of-every-token-char",
        NAME,
        get(b"/x", b"!#$%&'*+-.^_`|~09azAZ: b"),
        line=b"GET /x HTTP/1.1",
    ),
]

# --- Host -------------------------------------------------------------------------------------

ONE_HOST = "RFC 9112 §3.2: 400 for an HTTP/1.1 request without Host, with several, or a bad one"

HOSTS = [
    refused("host-missing", ONE_HOST, head(b"GET /x HTTP/1.1")),
    refused("host-missing-with-others", ONE_HOST, head(b"GET /x HTTP/1.1", b"A: b")),
    refused("host-twice-the-same", ONE_HOST, get(b"/x", HOST)),
    refused("host-twice-different", ONE_HOST, get(b"/x", b"Host: other.test")),
    refused("host-twice-in-any-case", ONE_HOST, get(b"/x", b"hOST: other.test")),
    refused("host-twice-in-1.0", ONE_HOST, get(b"/x", HOST, version=b"1.0")),
    refused("host-list", ONE_HOST, get(host=REST + b", other.test")),
    refused("host-two-words", ONE_HOST, get(host=REST + b" other.test")),
    refused("host-with-path", ONE_HOST, get(host=REST + b"/x")),
    refused("host-with-user", ONE_HOST, get(host=b"user@" + REST)),
    refused("host-with-scheme", ONE_HOST, get(host=b"http://" + REST)),
    refused("host-with-query", ONE_HOST, get(host=REST + b"?x")),
    refused("host-with-fragment", ONE_HOST, get(host=REST + b"#x")),
    refused("host-with-backslash", ONE_HOST, get(host=REST + b"\\x")),
    refused("host-with-letters-as-port", ONE_HOST, get(host=REST + b":http")),
    refused("host-with-two-ports", ONE_HOST, get(host=REST + b":80:80")),
    refused("host-with-signed-port", ONE_HOST, get(host=REST + b":-80")),
    refused("host-with-obs-text", ONE_HOST, get(host="é.test".encode())),
    refused("host-unclosed-bracket", ONE_HOST, get(host=b"[::1")),
    refused("host-quoted", ONE_HOST, get(host=b'"' + REST + b'"')),
    accepted(
        "host-in-any-case",
        "RFC 9110 §4.2.3: hosts are case-insensitive",
        get(host=b"REST.Test"),
        line=b"GET /x HTTP/1.1",
    ),
    accepted(
        "host-with-port",
        "RFC 9110 §7.2: a port may follow",
        get(host=REST + b":8080"),
        line=b"GET /x HTTP/1.1",
    ),
    Rule(
        id="host-of-nobody",
        because="design §6: unknown host, 403; the connection is a good one",
        sends=(get(host=b"nobody.test"),),
        answers=(Expect(status=403, message="Forbidden"),),
        then="stays",
    ),
    Rule(
        id="host-of-nobody-as-address",
        because="design §6: unknown host, 403",
        sends=(get(host=b"[::1]:8080"),),
        answers=(Expect(status=403, message="Forbidden"),),
        then="stays",
    ),
]

# --- versions and methods ---------------------------------------------------------------------

VERSION = "design §13: HTTP/0.9 and versions other than 1.0 and 1.1; HTTP/2.0, RTSP/1.0, ICE/1.0"


def versioned(version: bytes, method: bytes = b"GET") -> bytes:
    return head(method + b" /x " + version, HOST)


VERSIONS = [
    refused("http-0.9", VERSION, b"GET /x\r\n"),
    refused("http-0.9-bare-lf", VERSION, b"GET /x\n"),
    refused("http-0.9-and-headers", VERSION, head(b"GET /x", HOST)),
    refused("http-0.9-spelt-out", VERSION, versioned(b"HTTP/0.9")),
    refused("http-1.2", VERSION, versioned(b"HTTP/1.2")),
    refused("http-1.9", VERSION, versioned(b"HTTP/1.9")),
    refused("http-2.0", VERSION, versioned(b"HTTP/2.0")),
    refused("http-2", VERSION, versioned(b"HTTP/2")),
    refused("http-3.0", VERSION, versioned(b"HTTP/3.0")),
    refused("http-2-preface", VERSION, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    refused("http-1.10", VERSION, versioned(b"HTTP/1.10")),
    refused("http-01.1", VERSION, versioned(b"HTTP/01.1")),
    refused("http-1", VERSION, versioned(b"HTTP/1")),
    refused("http-1.", VERSION, versioned(b"HTTP/1.")),
    refused("http-.1", VERSION, versioned(b"HTTP/.1")),
    refused(
        "http-lower-case", "RFC 9112 §2.3: HTTP-name is case-sensitive", versioned(b"http/1.1")
    ),
    refused("http-comma", VERSION, versioned(b"HTTP/1,1")),
    refused("rtsp", VERSION, versioned(b"RTSP/1.0")),
    refused("ice", VERSION, versioned(b"ICE/1.0")),
    refused("icecast-source", VERSION, versioned(b"ICE/1.0", b"SOURCE")),
    refused("source", "design §13: SOURCE", versioned(b"HTTP/1.1", b"SOURCE")),
    refused("rtsp-describe", VERSION, versioned(b"RTSP/1.0", b"DESCRIBE")),
    refused("version-missing", VERSION, head(b"GET /x ", HOST)),
    refused("version-twice", VERSION, head(b"GET /x HTTP/1.1 HTTP/1.1", HOST)),
    refused(
        "method-lower-case",
        "RFC 9110 §9.1: methods are case-sensitive; llhttp knows upper case",
        versioned(b"HTTP/1.1", b"get"),
    ),
    refused("method-unknown", "design §13: unknown methods", versioned(b"HTTP/1.1", b"SMUGGLE")),
    refused(
        "method-missing", "RFC 9112 §3: a request line has three parts", head(b"/x HTTP/1.1", HOST)
    ),
    refused("method-with-nul", CONTROL, versioned(b"HTTP/1.1", b"G\x00ET")),
    refused(
        "connect",
        "a gateway is no tunnel to anywhere",
        head(b"CONNECT example.com:443 HTTP/1.1", b"Host: example.com:443"),
    ),
    refused(
        "connect-to-a-path",
        "RFC 9110 §9.3.6: CONNECT has an authority for its target",
        versioned(b"HTTP/1.1", b"CONNECT"),
    ),
    refused(
        "tls-client-hello",
        "not HTTP at all",
        bytes.fromhex("16030100a5010000a10303") + bytes(64) + b"\n",
    ),
    refused("a-response", "not a request", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
]

# --- the same for HTTP APIs, and cut into pieces ----------------------------------------------

KINDS = [
    refused("http-api-cl-then-te", BOTH, request(b"POST", b"/x", CL5, TE, host=HTTP, body=CHUNKS)),
    refused("http-api-host-twice", ONE_HOST, get(b"/x", b"Host: other.test", host=HTTP)),
    refused("byte-by-byte-cl-then-te", BOTH, *(bytes([c]) for c in post(CL5, TE, body=b""))),
    refused("cut-in-crlf", FOLD, b"GET /x HTTP/1.1\r\n" + HOST + b"\r", b"\n", b" folded\r\n\r\n"),
    accepted(
        "byte-by-byte",
        "how a head is cut into segments means nothing",
        *(bytes([c]) for c in post(CL5)),
        line=b"POST /x HTTP/1.1",
        body=BODY,
    ),
    accepted(
        "cut-in-crlf-crlf",
        "how a head is cut into segments means nothing",
        b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n\r",
        b"\n",
        line=b"GET /x HTTP/1.1",
    ),
    Rule(
        id="good-then-refused",
        because="§6.1: one request at a time; what follows is judged by itself",
        sends=(get(b"/x") + post(CL5, TE, body=CHUNKS),),
        answers=(Expect(status=200, body=b"ok"), Expect(status=400, message="Bad Request")),
        then="closes",
        upstream=(Seen(line=b"GET /x HTTP/1.1"),),
    ),
    Rule(
        id="refused-then-good",
        because="§13: 400 and close: nothing behind a refused head is read as a request",
        sends=(get(b"/x", b"A : b") + SMUGGLED + SMUGGLED,),
        answers=(Expect(status=400, message="Bad Request"),),
        then="closes",
    ),
]

RULES = FRAMING + LINES + HOSTS + VERSIONS + KINDS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule(rule: Rule, engine: Engine) -> None:
    check(rule, engine)


def test_ids_are_unique() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
