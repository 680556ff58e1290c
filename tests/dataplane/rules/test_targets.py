"""Targets: what a request line may ask for, and what of it reaches the upstream.

Rows for design.md §13 ("fragments and double spaces in the request line", percent-encoding,
`..`, absolute targets) and §6.3: what goes on is the client's raw path.
"""

from __future__ import annotations

import pytest

from engine import Engine
from wire_rules import HTTP, REST, Expect, Rule, Seen, accepted, check, get, refused, request

HOST = b"Host: " + REST + b"\r\n"
LINE = "RFC 9112 §3: method SP request-target SP HTTP-version CRLF, one space each"
CHARS = "RFC 9112 §3.2: no fragment, no character that RFC 3986 does not have in a path or query"
PERCENT = "design §13: invalid percent-encoding"
DOTS = "design §13: `..` after decoding; §6.3: a segment that decodes to `.` or `..` is 400"
UTF8 = "design §6.3: a segment that decodes to invalid UTF-8 is 400"
AUTHORITY = "design §13: an absolute target of another authority"
RAW = "design §6.3: what goes on is the client's raw path"


def line(raw: bytes) -> bytes:
    return raw + b"\r\n" + HOST + b"\r\n"


REQUEST_LINES = [
    refused("two-spaces-before-target", LINE, line(b"GET  /x HTTP/1.1")),
    refused("two-spaces-before-version", LINE, line(b"GET /x  HTTP/1.1")),
    refused("space-in-target", LINE, line(b"GET /x y HTTP/1.1")),
    refused("space-at-end", LINE, line(b"GET /x HTTP/1.1 ")),
    refused("space-at-start", LINE, line(b" GET /x HTTP/1.1")),
    refused("tab-before-target", LINE, line(b"GET\t/x HTTP/1.1")),
    refused("tab-before-version", LINE, line(b"GET /x\tHTTP/1.1")),
    refused("vertical-tab-before-target", LINE, line(b"GET\x0b/x HTTP/1.1")),
    refused("form-feed-before-version", LINE, line(b"GET /x\x0cHTTP/1.1")),
    refused("target-missing", LINE, line(b"GET HTTP/1.1")),
    refused("target-empty", LINE, line(b"GET  HTTP/1.1")),
    refused("lf-before", "design §13: leading LF", b"\n" + line(b"GET /x HTTP/1.1")),
    refused("lf-lf-before", "design §13: leading LF", b"\n\n" + line(b"GET /x HTTP/1.1")),
    refused("cr-before", "RFC 9112 §2.2: bare CR", b"\r" + line(b"GET /x HTTP/1.1")),
    refused(
        "two-empty-lines-before",
        "RFC 9112 §2.2: one empty line may come before",
        b"\r\n\r\n" + line(b"GET /x HTTP/1.1"),
    ),
    accepted(
        "empty-line-before",
        "RFC 9112 §2.2: at least one empty line before is ignored",
        b"\r\n" + line(b"GET /x HTTP/1.1"),
        line=b"GET /x HTTP/1.1",
    ),
    refused("nul-before", "not HTTP", b"\x00" + line(b"GET /x HTTP/1.1")),
    refused("byte-order-mark", "not HTTP", b"\xef\xbb\xbf" + line(b"GET /x HTTP/1.1")),
]

CHARACTERS = [
    *(
        refused(f"char-{char[0]:02x}", CHARS, get(b"/x" + char + b"y"))
        for char in (
            b"#",
            b"\\",
            b"{",
            b"|",
            b"}",
            b'"',
            b"<",
            b">",
            b"\x00",
            b"\x01",
            b"\x1f",
            b"\x7f",
            b"\x80",
            b"\xff",
        )
    ),
    *(
        refused(f"query-char-{char[0]:02x}", CHARS, get(b"/x?q=" + char))
        for char in (b"#", b"\\", b"{", b"|", b"}", b'"', b"<", b">", b"\x00", b"\x80")
    ),
    refused("fragment-alone", CHARS, get(b"#x")),
    refused("utf-8-unescaped", CHARS, get("/é".encode())),
    refused("relative", "RFC 9112 §3.2.1: an origin form begins with a slash", get(b"x")),
    refused("query-alone", "RFC 9112 §3.2.1: an origin form begins with a slash", get(b"?x=1")),
    refused("star-with-get", "RFC 9112 §3.2.4: `*` is for OPTIONS", get(b"*")),
    accepted(
        "every-pchar",
        "RFC 3986 §3.3",
        get(b"/-._~!$&'()*+,;=:@09azAZ"),
        line=b"GET /-._~!$&'()*+,;=:@09azAZ HTTP/1.1",
    ),
    accepted(
        "every-query-char",
        "RFC 3986 §3.4",
        get(b"/x?-._~!$&'()*+,;=:@/?09azAZ"),
        line=b"GET /x?-._~!$&'()*+,;=:@/?09azAZ HTTP/1.1",
    ),
]

ENCODINGS = [
    refused("percent-alone", PERCENT, get(b"/%")),
    refused("percent-at-end", PERCENT, get(b"/x%")),
    refused("percent-one-digit", PERCENT, get(b"/x%4")),
    refused("percent-no-hex", PERCENT, get(b"/x%zz")),
    refused("percent-half-hex", PERCENT, get(b"/x%4g")),
    refused("percent-sign", PERCENT, get(b"/x%+1")),
    refused("percent-unicode", PERCENT, get(b"/x%u002e")),
    refused("percent-in-query", PERCENT, get(b"/x?q=100%")),
    refused("percent-nul", "a NUL ends a string in C", get(b"/x%00y")),
    refused("invalid-utf-8", UTF8, get(b"/x%ff")),
    refused("invalid-utf-8-cut", UTF8, get(b"/x%c3")),
    refused("invalid-utf-8-overlong-dot", UTF8, get(b"/%c0%ae%c0%ae/x")),
    refused("invalid-utf-8-surrogate", UTF8, get(b"/%ed%a0%80")),
    accepted(
        "percent-goes-on", RAW, get(b"/a%20b%C3%A9%c3%a9"), line=b"GET /a%20b%C3%A9%c3%a9 HTTP/1.1"
    ),
    accepted(
        "percent-slash-goes-on",
        "design §6.3: %2F never splits",
        get(b"/a%2Fb%2f"),
        line=b"GET /a%2Fb%2f HTTP/1.1",
    ),
    accepted(
        "percent-percent-goes-on",
        "decoded once",
        get(b"/a%252e%252e"),
        line=b"GET /a%252e%252e HTTP/1.1",
    ),
    accepted(
        "query-is-no-utf-8",
        "only segments are decoded for matching",
        get(b"/x?q=%ff%00"),
        line=b"GET /x?q=%ff%00 HTTP/1.1",
    ),
]

PATHS = [
    refused("dot-dot", DOTS, get(b"/a/../b")),
    refused("dot-dot-first", DOTS, get(b"/../b")),
    refused("dot-dot-last", DOTS, get(b"/a/..")),
    refused("dot", DOTS, get(b"/a/./b")),
    refused("dot-last", DOTS, get(b"/a/.")),
    refused("dot-alone", DOTS, get(b"/.")),
    refused("dot-dot-encoded", DOTS, get(b"/a/%2e%2e/b")),
    refused("dot-dot-encoded-upper", DOTS, get(b"/a/%2E%2E/b")),
    refused("dot-dot-half-encoded", DOTS, get(b"/a/.%2e/b")),
    refused("dot-dot-other-half", DOTS, get(b"/a/%2e./b")),
    refused("dot-encoded", DOTS, get(b"/a/%2e/b")),
    refused("dot-dot-behind-encoded-slash", DOTS, get(b"/a/..%2fb")),
    refused("dot-dot-between-encoded-slashes", DOTS, get(b"/a%2f..%2Fb")),
    refused("dot-dot-encoded-with-its-slash", DOTS, get(b"/a/%2e%2e%2fb")),
    refused("dot-dot-before-query", DOTS, get(b"/a/..?q=1")),
    refused("dot-dot-absolute-form", DOTS, get(b"http://" + REST + b"/a/../b")),
    refused("http-api-dot-dot", DOTS, get(b"/a/../b", host=HTTP)),
    accepted(
        "three-dots", "a name like any other", get(b"/a/.../b"), line=b"GET /a/.../b HTTP/1.1"
    ),
    accepted(
        "dots-in-names",
        "names like any other",
        get(b"/.a/..b/c..d"),
        line=b"GET /.a/..b/c..d HTTP/1.1",
    ),
    accepted(
        "dot-dot-in-query",
        "a query is no path",
        get(b"/a?p=/../b"),
        line=b"GET /a?p=/../b HTTP/1.1",
    ),
    accepted("double-slash-http-api", RAW, get(b"/a//b", host=HTTP), line=b"GET /a//b HTTP/1.1"),
    accepted(
        "raw-to-http-api",
        RAW,
        get(b"/a;v=1/b@c:d?x=1&x=2&y", host=HTTP),
        line=b"GET /a;v=1/b@c:d?x=1&x=2&y HTTP/1.1",
    ),
]

FORMS = [
    accepted(
        "absolute",
        "RFC 9112 §3.2.2: servers must take the absolute form",
        get(b"http://" + REST + b"/x?y=1"),
        line=b"GET /x?y=1 HTTP/1.1",
    ),
    accepted(
        "absolute-in-any-case",
        "RFC 3986 §6.2.2.1",
        get(b"HTTP://REST.test/X"),
        line=b"GET /X HTTP/1.1",
    ),
    accepted(
        "absolute-with-port",
        "ports of ours need not be the client's",
        get(b"http://" + REST + b":8080/x", host=REST + b":8080"),
        line=b"GET /x HTTP/1.1",
    ),
    accepted(
        "absolute-without-path",
        "RFC 9112 §3.2.1: an empty path is `/`",
        get(b"http://" + REST + b"?y=1"),
        line=b"GET /?y=1 HTTP/1.1",
    ),
    refused("absolute-of-another", AUTHORITY, get(b"http://other.test/x")),
    refused("absolute-of-another-api", AUTHORITY, get(b"http://" + HTTP + b"/x")),
    refused(
        "absolute-without-host",
        "RFC 9112 §3.2: Host is required all the same",
        b"GET http://" + REST + b"/x HTTP/1.1\r\n\r\n",
    ),
    refused("absolute-with-user", AUTHORITY, get(b"http://user@" + REST + b"/x")),
    refused("absolute-user-looks-like-us", AUTHORITY, get(b"http://" + REST + b"@other.test/x")),
    refused("absolute-without-authority", AUTHORITY, get(b"http:///x")),
    refused("absolute-one-slash", AUTHORITY, get(b"http:/x")),
    refused("absolute-ftp", "RFC 9110 §4.2: http and https only", get(b"ftp://" + REST + b"/x")),
    refused("absolute-file", "RFC 9110 §4.2: http and https only", get(b"file:///etc/passwd")),
    refused(
        "authority-with-get", "RFC 9112 §3.2.3: authority form is for CONNECT", get(REST + b":80")
    ),
    Rule(
        id="options-star",
        because="RFC 9112 §3.2.4: about the server as a whole; no route has it",
        sends=(request(b"OPTIONS", b"*"),),
        answers=(Expect(status=403, message="Missing Authentication Token"),),
        then="stays",
    ),
    Rule(
        id="two-leading-slashes",
        because="§6.3: a path, not an authority; it stays as it is",
        sends=(get(b"//other.test/x", host=HTTP),),
        answers=(Expect(status=200, body=b"ok"),),
        then="stays",
        upstream=(Seen(line=b"GET //other.test/x HTTP/1.1", has={"host": b"upstream.test"}),),
    ),
]

RULES = REQUEST_LINES + CHARACTERS + ENCODINGS + PATHS + FORMS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule(rule: Rule, engine: Engine) -> None:
    check(rule, engine)


def test_ids_are_unique() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
