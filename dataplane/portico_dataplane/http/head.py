"""A request head: read strictly, once, into what the rest needs to know.

Called by `http/connection.py` with exactly one head, cut at its empty line. What is ambiguous or
unsafe (docs/threat-model.md, RFC 9112) is refused here; every rule is a row of
tests/dataplane/rules. Our own reader because header lines are remembered (`http/lines.py`) and
because llhttp can neither pause nor say where it stopped; it is held against llhttp and nginx by
tests/fuzz. No I/O.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from portico_dataplane.http import lines
from portico_dataplane.http.lines import REQUEST_LINES, Line
from portico_ir.errors import ErrorKind

# RFC 3986: no `"#<>\{|}`, no controls, nothing beyond ASCII.
_TARGET_BYTES: Final = bytes(
    byte for byte in range(0x21, 0x7F) if byte not in b'"#<>\\{|}'
)
_METHODS: Final = {
    method.encode("ascii"): method
    for method in (
        "GET HEAD POST PUT DELETE OPTIONS PATCH TRACE "
        "ACL BIND CHECKOUT COPY LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY PROPFIND "
        "PROPPATCH PURGE QUERY REBIND REPORT SEARCH SUBSCRIBE UNBIND UNLINK UNLOCK UNSUBSCRIBE"
    ).split()
}
"""Registered methods (RFC 9110 §16.1.1); CONNECT is not for a reverse proxy."""
_VERSIONS: Final = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+)(?::\d{0,5})?")
_NOTHING: Final[frozenset[bytes]] = frozenset()

CHUNKED: Final = -1
"""`RequestHead.content_length` of a chunked body."""

_MOST_DOMAINS: Final = 4096
_domains: dict[bytes, str] = {}


class RequestHead:
    """What a head says, after every check that needs no configuration."""

    method: str
    version: str
    path: str
    """Raw path; begins with `/` (or is `*`)."""
    query: str
    lines: list[Line]
    """Header lines in order."""
    domain: str = ""
    """Host without port, lower case; empty when an HTTP/1.0 client sent none."""
    content_length: int = 0
    """Bytes of body that follow; 0 for none, CHUNKED for chunked."""
    keep_alive: bool = True
    """Whether the client wants the connection kept (RFC 9112 §9.3)."""
    named: frozenset[bytes] = _NOTHING
    """Fields that Connection names: for this hop only (RFC 9110 §7.6.1)."""
    upgrade: bytes = b""
    """What the client offers to switch to, lower case, if Connection names it."""
    expects_continue: bool = False
    trace_id: bytes | None = None
    request_id: bytes | None = None
    method_override: bytes | None = None
    user_agent: bool = False
    """Whether it has a User-Agent."""
    origin: bool = False
    """Whether it has an Origin."""
    forwarded: bool = False
    """Whether it has X-Forwarded-For or Forwarded."""


def parse(raw: bytes, most_headers: int) -> RequestHead | ErrorKind:
    """The head in `raw` (without its empty line), or why it is refused."""
    text = raw.split(b"\r\n")
    parts = text[0].split(b" ")
    if len(parts) != 3:
        return ErrorKind.BAD_REQUEST
    method = _METHODS.get(parts[0])
    version = _VERSIONS.get(parts[2])
    target = parts[1]
    if method is None or version is None or not target or target.translate(None, _TARGET_BYTES):
        return ErrorKind.BAD_REQUEST
    if len(text) > most_headers + 1:
        return ErrorKind.HEAD_TOO_LARGE
    head = RequestHead()
    head.method = method
    head.version = version
    del text[0]
    known = REQUEST_LINES.known
    found: list[Line] = []
    special: list[Line] = []
    for one in text:
        line = known.get(one)
        if line is None:
            line = REQUEST_LINES.read(one)
            if line is None:
                return ErrorKind.BAD_REQUEST
        found.append(line)
        if line[0]:
            special.append(line)
    head.lines = found
    fault = _understand(head, special)
    if fault is not None:
        return fault
    path = target.decode("ascii")
    if path[0] == "/" and "%" not in path and "/." not in path:
        head.path, _, head.query = path.partition("?")
        return head
    return _locate(head, path) or head


def _understand(head: RequestHead, special: list[Line]) -> ErrorKind | None:
    """What the lines with a meaning of their own say."""
    hosts = lengths = codings = options = 0
    upgrade = b""
    for line in special:
        code = line[0]
        if code == lines.HOST:
            hosts += 1
            domain = _domains.get(line[4])
            if domain is None:
                domain = domain_of(line[4])
                if domain is None:
                    return ErrorKind.BAD_REQUEST
            head.domain = domain
        elif code == lines.USER_AGENT:
            head.user_agent = True
        elif code == lines.CONTENT_LENGTH:
            lengths += 1
            if line[6] < 0:
                return ErrorKind.BAD_REQUEST
            head.content_length = line[6]
        elif code == lines.CONNECTION:
            options |= line[7]
            if line[8]:
                head.named = head.named | line[8]
        elif code == lines.TRANSFER_ENCODING:
            codings += 1
            if line[4].lower() != b"chunked":
                return ErrorKind.BAD_REQUEST
        elif code == lines.UPGRADE:
            upgrade = line[4].lower()
        else:
            _note(head, line)
    old = head.version == "1.0"
    # RFC 9112 §3.2: exactly one Host; an HTTP/1.0 client may send none.
    if hosts != 1 and not (old and hosts == 0):
        return ErrorKind.BAD_REQUEST
    if codings:
        # Only `chunked`, once, in HTTP/1.1, never beside a length (RFC 9112 §6.1, §6.3).
        if old or codings > 1 or lengths:
            return ErrorKind.BAD_REQUEST
        head.content_length = CHUNKED
    elif lengths > 1:
        return ErrorKind.BAD_REQUEST
    if old:
        head.keep_alive = options & (lines.KEEPS | lines.CLOSE) == lines.KEEPS
        head.expects_continue = False
    elif options & lines.CLOSE:
        head.keep_alive = False
    if upgrade and options & lines.UPGRADES:
        head.upgrade = upgrade
        if upgrade == b"websocket" and head.content_length:
            return ErrorKind.BAD_REQUEST
    return None


def _note(head: RequestHead, line: Line) -> None:
    code, value = line[0], line[4]
    if code == lines.ORIGIN:
        head.origin = True
    elif code == lines.FORWARDED:
        head.forwarded = True
    elif code == lines.EXPECT:
        head.expects_continue = value.lower() == b"100-continue"
    elif code == lines.TRACE_ID:
        head.trace_id = value
    elif code == lines.REQUEST_ID:
        head.request_id = value
    elif code == lines.METHOD_OVERRIDE:
        head.method_override = value


def _locate(head: RequestHead, target: str) -> ErrorKind | None:
    """Path and query of the target, which is in origin form but for the exceptions."""
    if target[0] != "/":
        if target == "*" and head.method == "OPTIONS":
            head.path, head.query = "*", ""
            return None
        rest = _path_of_absolute(target, head.domain)
        if rest is None:
            return ErrorKind.BAD_REQUEST
        target = rest
    path, _, head.query = target.partition("?")
    head.path = path
    if "%" in target and _BAD_PERCENT.search(target):
        return ErrorKind.BAD_REQUEST
    if ("%" in path or "/." in path) and _leaves_its_place(path):
        return ErrorKind.BAD_REQUEST
    return None


def domain_of(value: bytes) -> str | None:
    """The host of a Host header, lower case, without port; None: it is not one."""
    if not _HOST.fullmatch(value):
        return None
    text = value.decode("ascii").lower()
    name, colon, port = text.rpartition(":")
    domain = name if colon and not port.endswith("]") else text
    if len(_domains) >= _MOST_DOMAINS:
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
    if domain_of(authority.encode("ascii")) != domain:
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
