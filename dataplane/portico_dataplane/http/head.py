"""A request head: read strictly, once, into what the rest needs to know.

Called by `http/connection.py` with exactly one head, cut at its empty line, because llhttp
can neither pause nor say where it stopped. llhttp refuses most of what is ambiguous; what it
lets through and RFC 9112 or the threat model does not is refused here. No I/O.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

import httptools

from portico_dataplane.core.messages import Headers
from portico_ir.errors import ErrorKind

# RFC 9112 §3: one space between the parts; RFC 3986: no `"#<>\{|}` and nothing beyond ASCII.
_REQUEST_LINE: Final = re.compile(
    rb"([A-Z][A-Z\-]{0,31}) ([!$-;=?-\[\]-z~]+) HTTP/1\.([01])\r\n"
)
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SUSPECT_SEGMENT: Final = re.compile(r"%|/\.")
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+)(?::\d{0,5})?")
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")

_ORDINARY: Final = 0
_HOST_NAME: Final = 1
_CONTENT_LENGTH: Final = 2
_TRANSFER_ENCODING: Final = 3
_CONNECTION: Final = 4
_EXPECT: Final = 5
_UPGRADE: Final = 6
_TRACE_ID: Final = 7
_REQUEST_ID: Final = 8
_METHOD_OVERRIDE: Final = 9

_CODE_OF: Final[dict[bytes, int]] = {
    b"host": _HOST_NAME,
    b"content-length": _CONTENT_LENGTH,
    b"transfer-encoding": _TRANSFER_ENCODING,
    b"connection": _CONNECTION,
    b"expect": _EXPECT,
    b"upgrade": _UPGRADE,
    b"x-amzn-trace-id": _TRACE_ID,
    b"x-amzn-requestid": _REQUEST_ID,
    b"x-http-method-override": _METHOD_OVERRIDE,
}
# Spellings seen, so that the usual ones cost one look-up; bounded against made-up names.
_codes: dict[bytes, int] = {}
_MOST_SPELLINGS: Final = 4096

_domains: dict[bytes, str] = {}

CHUNKED: Final = -1
"""`RequestHead.content_length` of a chunked body."""


class RequestHead:
    """What a head says, after every check that needs no configuration."""

    __slots__ = (
        "connection",
        "content_length",
        "domain",
        "expects_continue",
        "headers",
        "keep_alive",
        "method",
        "method_override",
        "path",
        "query",
        "request_id",
        "trace_id",
        "upgrade",
        "version",
    )

    def __init__(self) -> None:
        self.headers: Headers = []
        self.domain = ""
        self.content_length = 0
        self.connection = b""
        self.expects_continue = False
        self.upgrade = b""
        self.trace_id: bytes | None = None
        self.request_id: bytes | None = None
        self.method_override: bytes | None = None

    method: str
    keep_alive: bool
    """Whether the client wants the connection kept (RFC 9112 §9.3)."""
    path: str
    """Raw path; begins with `/` (or is `*`)."""
    query: str
    version: str
    domain: str
    """Host without port, lower case; empty when an HTTP/1.0 client sent none."""
    content_length: int
    """Bytes of body that follow; 0 for none, CHUNKED for chunked."""
    connection: bytes
    """The Connection header's tokens, lower case, joined by commas; empty for none."""
    upgrade: bytes
    """What the client offers to switch to, lower case, if Connection names it."""


class HeadParser:
    """Parses one head after another for one connection."""

    __slots__ = ("_faulty", "_head", "_hosts", "_length", "_most_headers", "_parser", "_te", "_te_n")

    def __init__(self, most_headers: int) -> None:
        self._most_headers = most_headers
        self._parser: httptools.HttpRequestParser | None = None
        self._head = RequestHead()
        self._faulty = False
        self._hosts = 0
        self._length = b""
        self._te = b""
        self._te_n = 0

    def parse(self, raw: bytes) -> RequestHead | ErrorKind:
        """The head in `raw` (ending in an empty line), or why it is refused."""
        line = _REQUEST_LINE.match(raw)
        if line is None:
            return ErrorKind.BAD_REQUEST
        method, target, minor = line.groups()
        head = self._head = RequestHead()
        self._hosts = self._te_n = 0
        self._faulty = False
        self._length = self._te = b""
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            self._parser = None
        except httptools.HttpParserError:
            self._parser = None
            return ErrorKind.BAD_REQUEST
        if self._faulty:
            self._parser = None
            return ErrorKind.BAD_REQUEST
        head.method = method.decode("ascii")
        head.version = "1.1" if minor == b"1" else "1.0"
        fault = self._finish(head, target)
        if fault is not None or head.content_length:
            # llhttp now waits for a body; framing bodies is ours, so it starts afresh.
            self._parser = None
        return fault or head

    # --- llhttp callbacks ---------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        head = self._head
        if value[-1:] in b" \t":
            value = value.rstrip(b" \t")
        head.headers.append((name, value))
        code = _codes.get(name)
        if code is None:
            code = _CODE_OF.get(name.lower(), _ORDINARY)
            if len(_codes) < _MOST_SPELLINGS:
                _codes[name] = code
        if code:
            self._note(code, head, value)

    def _note(self, code: int, head: RequestHead, value: bytes) -> None:
        if code == _HOST_NAME:
            self._hosts += 1
            domain = _domains.get(value)
            if domain is None:
                domain = _domain_of(value)
            if domain is None:
                self._faulty = True
            else:
                head.domain = domain
        elif code == _CONTENT_LENGTH:
            self._length = value
            if not _DIGITS.fullmatch(value):
                self._faulty = True
            else:
                head.content_length = int(value)
        elif code == _TRANSFER_ENCODING:
            self._te_n += 1
            self._te = value.lower()
        elif code == _CONNECTION:
            lowered = value.lower()
            head.connection = head.connection + b"," + lowered if head.connection else lowered
        elif code == _EXPECT:
            head.expects_continue = value.lower() == b"100-continue"
        elif code == _UPGRADE:
            head.upgrade = value.lower()
        elif code == _TRACE_ID:
            head.trace_id = value
        elif code == _REQUEST_ID:
            head.request_id = value
        else:
            head.method_override = value

    # --- checks over the whole head -------------------------------------------------------

    def _finish(self, head: RequestHead, target: bytes) -> ErrorKind | None:
        if len(head.headers) > self._most_headers:
            return ErrorKind.HEAD_TOO_LARGE
        old = head.version == "1.0"
        # RFC 9112 §3.2: exactly one Host; an HTTP/1.0 client may send none.
        if self._hosts != 1 and not (old and self._hosts == 0):
            return ErrorKind.BAD_REQUEST
        if self._te_n:
            # Only `chunked`, only in HTTP/1.1, never beside a length (RFC 9112 §6.1, §6.3).
            if old or self._te_n > 1 or self._te != b"chunked" or self._length:
                return ErrorKind.BAD_REQUEST
            head.content_length = CHUNKED
        if head.connection:
            tokens = {token.strip() for token in head.connection.split(b",")}
            head.keep_alive = (b"keep-alive" in tokens) if old else (b"close" not in tokens)
            if b"upgrade" not in tokens:
                head.upgrade = b""
        else:
            head.keep_alive = not old
            head.upgrade = b""
        if old:
            head.expects_continue = False
        if head.upgrade == b"websocket" and head.content_length:
            return ErrorKind.BAD_REQUEST
        return self._locate(head, target.decode("ascii"))

    def _locate(self, head: RequestHead, target: str) -> ErrorKind | None:
        if head.method == "CONNECT":
            return ErrorKind.BAD_REQUEST
        if target[0] != "/":
            if target == "*" and head.method == "OPTIONS":
                head.path, head.query = "*", ""
                return None
            rest = _path_of_absolute(target, head.domain)
            if rest is None:
                return ErrorKind.BAD_REQUEST
            target = rest
        path, _, query = target.partition("?")
        head.path = path
        head.query = query
        if "%" in target and _BAD_PERCENT.search(target):
            return ErrorKind.BAD_REQUEST
        if _SUSPECT_SEGMENT.search(path) and _leaves_its_place(path):
            return ErrorKind.BAD_REQUEST
        return None


def _domain_of(value: bytes) -> str | None:
    if not _HOST.fullmatch(value):
        return None
    text = value.decode("ascii").lower()
    name, colon, port = text.rpartition(":")
    domain = name if colon and not port.endswith("]") else text
    if len(_domains) >= _MOST_SPELLINGS:
        _domains.clear()
    _domains[value] = domain
    return domain


def _path_of_absolute(target: str, domain: str) -> str | None:
    """Path and query of an absolute-form target (RFC 9112 §3.2.2) of the same authority."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return None
    cut = len(rest)
    for mark in "/?":
        found = rest.find(mark)
        if found != -1:
            cut = min(cut, found)
    authority, tail = rest[:cut], rest[cut:]
    if _domain_of(authority.encode("ascii")) != domain:
        return None
    return tail if tail.startswith("/") else "/" + tail


def _leaves_its_place(path: str) -> bool:
    """Whether a segment decodes to `.` or `..`, to a NUL, or not to UTF-8."""
    for segment in path.split("/"):
        raw = unquote_to_bytes(segment) if "%" in segment else segment.encode("ascii")
        if raw in (b".", b"..") or b"\0" in raw:
            return True
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            return True
    return False
