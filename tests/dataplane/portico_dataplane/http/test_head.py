"""Request heads: what is read, what is refused. Rows cite their rule."""

from __future__ import annotations

import pytest

from portico_dataplane.http import head
from portico_dataplane.http.head import CHUNKED, RequestHead
from portico_ir.errors import ErrorKind


def parse(text: str, most_headers: int = 100) -> RequestHead | ErrorKind:
    raw = text.replace("\n", "\r\n").encode("latin-1")
    assert raw.endswith(b"\r\n\r\n")
    return head.parse(raw[:-4], most_headers)


def parsed(text: str) -> RequestHead:
    found = parse(text)
    assert isinstance(found, RequestHead), found
    return found


def test_what_a_plain_head_says() -> None:
    found = parsed("GET /pets/1?x=1&y HTTP/1.1\nHost: Shop.Example:8080\nX-A:  1 \n\n")
    assert (found.method, found.path, found.query) == ("GET", "/pets/1", "x=1&y")
    assert found.version == "1.1"
    assert found.fields.domain == "shop.example"
    assert found.fields.content_length == 0
    assert found.fields.keep_alive
    pairs = [(line.name, line.value) for line in found.fields.lines]
    assert pairs == [(b"Host", b"Shop.Example:8080"), (b"X-A", b"1")]


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\n", 5),
        ("POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n", 0),
        ("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n", CHUNKED),
        ("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\n\n", CHUNKED),
        ("POST / HTTP/1.1\nHost: a\nUpgrade: h2c\nConnection: Upgrade\nContent-Length: 3\n\n", 3),
    ],
)
def test_framing(text: str, length: int) -> None:
    assert parsed(text).fields.content_length == length


@pytest.mark.parametrize(
    ("text", "keep_alive"),
    [
        ("GET / HTTP/1.1\nHost: a\n\n", True),
        ("GET / HTTP/1.1\nHost: a\nConnection: Close\n\n", False),
        ("GET / HTTP/1.1\nHost: a\nConnection: x\nConnection: close\n\n", False),
        ("GET / HTTP/1.0\n\n", False),
        ("GET / HTTP/1.0\nConnection: keep-alive\n\n", True),
    ],
)
def test_keep_alive_rfc9112_9_3(text: str, keep_alive: bool) -> None:
    assert parsed(text).fields.keep_alive is keep_alive


REFUSED = {
    "no Host, RFC 9112 3.2": "GET / HTTP/1.1\n\n",
    "two Hosts, RFC 9112 3.2": "GET / HTTP/1.1\nHost: a\nHost: a\n\n",
    "bad Host": "GET / HTTP/1.1\nHost: a/b\n\n",
    "empty Host": "GET / HTTP/1.1\nHost:\n\n",
    "length and chunked, RFC 9112 6.3": (
        "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nTransfer-Encoding: chunked\n\n"
    ),
    "two lengths": "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nContent-Length: 5\n\n",
    "a list of lengths": "POST / HTTP/1.1\nHost: a\nContent-Length: 5, 5\n\n",
    "a signed length": "POST / HTTP/1.1\nHost: a\nContent-Length: +5\n\n",
    "gzip, chunked": "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked\n\n",
    "two codings": (
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n"
    ),
    "identity": "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: identity\n\n",
    "chunked in HTTP/1.0": "POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n\n",
    "space before the colon, RFC 9112 5.1": "GET / HTTP/1.1\nHost : a\n\n",
    "obs-fold, RFC 9112 5.2": "GET / HTTP/1.1\nHost: a\nX: 1\n 2\n\n",
    "NUL": "GET / HTTP/1.1\nHost: a\nX: 1\x002\n\n",
    "a control character": "GET / HTTP/1.1\nHost: a\nX: 1\x012\n\n",
    "HTTP/2.0": "GET / HTTP/2.0\nHost: a\n\n",
    "HTTP/1.2": "GET / HTTP/1.2\nHost: a\n\n",
    "HTTP/0.9": "GET /\n\n",
    "RTSP": "GET / RTSP/1.0\nHost: a\n\n",
    "SOURCE": "SOURCE / ICE/1.0\nHost: a\n\n",
    "lower-case method": "get / HTTP/1.1\nHost: a\n\n",
    "two spaces": "GET  / HTTP/1.1\nHost: a\n\n",
    "a fragment": "GET /#a HTTP/1.1\nHost: a\n\n",
    "a backslash": "GET /a\\b HTTP/1.1\nHost: a\n\n",
    "a brace, AWS 3.2": "GET /?a={1} HTTP/1.1\nHost: a\n\n",
    "a pipe, AWS 3.2": "GET /?a=1|2 HTTP/1.1\nHost: a\n\n",
    "a byte beyond ASCII": "GET /\xe9 HTTP/1.1\nHost: a\n\n",
    "CONNECT": "CONNECT a:80 HTTP/1.1\nHost: a\n\n",
    "another authority": "GET http://b/ HTTP/1.1\nHost: a\n\n",
    "no slash": "GET a HTTP/1.1\nHost: a\n\n",
    "bad percent-encoding": "GET /%zz HTTP/1.1\nHost: a\n\n",
    "half a percent-encoding": "GET /a% HTTP/1.1\nHost: a\n\n",
    "dots": "GET /a/../b HTTP/1.1\nHost: a\n\n",
    "encoded dots": "GET /a/%2e%2E/b HTTP/1.1\nHost: a\n\n",
    "a dot": "GET /a/./b HTTP/1.1\nHost: a\n\n",
    "not UTF-8": "GET /%ff HTTP/1.1\nHost: a\n\n",
    "encoded NUL": "GET /a%00 HTTP/1.1\nHost: a\n\n",
    "websocket with a body": (
        "GET / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\nContent-Length: 1\n\n"
    ),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str) -> None:
    assert parse(text) is ErrorKind.BAD_REQUEST


def test_encoded_slash_and_dots_inside_a_name_pass() -> None:
    assert parsed("GET /a%2Fb/x..y/.hidden HTTP/1.1\nHost: a\n\n").path == "/a%2Fb/x..y/.hidden"


def test_absolute_form_of_the_same_authority() -> None:
    found = parsed("GET HTTP://A:80/x?y HTTP/1.1\nHost: a:80\n\n")
    assert (found.path, found.query) == ("/x", "y")
    assert parsed("OPTIONS http://a?q HTTP/1.1\nHost: a\n\n").path == "/"


def test_too_many_headers() -> None:
    lines = "".join(f"X-{n}: 1\n" for n in range(4))
    assert parse(f"GET / HTTP/1.1\nHost: a\n{lines}\n", 4) is ErrorKind.HEAD_TOO_LARGE


def test_upgrade_counts_only_when_connection_names_it() -> None:
    assert parsed("GET / HTTP/1.1\nHost: a\nUpgrade: websocket\n\n").fields.upgrade == b""
    text = "GET / HTTP/1.1\nHost: a\nUpgrade: WebSocket\nConnection: keep-alive, Upgrade\n\n"
    assert parsed(text).fields.upgrade == b"websocket"
