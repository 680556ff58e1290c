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
from portico_dataplane.http.lines import REQUEST_LINES, Blocks, Line
from portico_ir.errors import ErrorKind
from portico_ir.targets import DEFAULT_PORTS

# RFC 3986: no `"#<>\{|}`, no controls, nothing beyond ASCII.
_TARGET_BYTES: Final = bytes(byte for byte in range(0x21, 0x7F) if byte not in b'"#<>\\{|}')
_METHODS: Final = {
    method.encode("ascii"): method
    for method in [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "OPTIONS",
        "PATCH",
        "TRACE",
        "ACL",
        "BIND",
        "CHECKOUT",
        "COPY",
        "LINK",
        "LOCK",
        "MERGE",
        "MKACTIVITY",
        "MKCALENDAR",
        "MKCOL",
        "MOVE",
        "NOTIFY",
        "PROPFIND",
        "PROPPATCH",
        "PURGE",
        "QUERY",
        "REBIND",
        "REPORT",
        "SEARCH",
        "SUBSCRIBE",
        "UNBIND",
        "UNLINK",
        "UNLOCK",
        "UNSUBSCRIBE",
    ]
}
"""Registered methods (RFC 9110 §16.1.1); CONNECT is not for a reverse proxy."""
_VERSIONS: Final = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LINE_START: Final = re.compile(rb"[A-Z][A-Z\-]{0,31} [!-~]+ HTTP/1\.[01]\r\n")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+)(?::\d{0,5})?")
CHUNKED: Final = -1
"""`Fields.content_length` of a chunked body."""


class Fields:
    """What the header fields of a request say; shared by every request with the same block."""

    lines: list[Line]
    """Header lines in order; nobody changes them."""
    rest: bytes
    """Those a REST API passes on, as they go on."""
    http: bytes
    """Those an HTTP API passes on."""
    domain: str = ""
    """Host without port, lower case; empty when an HTTP/1.0 client sent none."""
    content_length: int = 0
    """Bytes of body that follow; 0 for none, CHUNKED for chunked."""
    keep_alive: bool = True
    """Whether the client wants the connection kept (RFC 9112 §9.3)."""
    upgrade: bytes = b""
    """What the client offers to switch to, lower case, if Connection names it."""
    expects_continue: bool = False
    trace_id: bytes | None = None
    request_id: bytes | None = None
    method_override: bytes | None = None
    user_agent: bool = False
    """Whether there is a User-Agent."""
    forwarded: bool = False
    """Whether there is X-Forwarded-For or Forwarded."""


class RequestHead:
    """What a head says, after every check that needs no configuration."""

    __slots__ = ("fields", "method", "path", "query", "version")

    def __init__(self, method: str, version: str, path: str, query: str, fields: Fields) -> None:
        self.method = method
        self.version = version
        """`1.1` or `1.0`."""
        self.path = path
        """Raw path; begins with `/` (or is `*`)."""
        self.query = query
        """Raw, without `?`."""
        self.fields = fields


_blocks: Final[Blocks[Fields]] = Blocks()
_begun: Final[Blocks[tuple[str, str, str]]] = Blocks()
"""First lines of HTTP/1.1 without escapes to method, path and query."""


def parse(raw: bytes, most_headers: int) -> RequestHead | ErrorKind:
    """The head in `raw` (without its empty line), or why it is refused."""
    line, _, block = raw.partition(b"\r\n")
    again = _begun.known.get(line)
    if again is not None:
        known = _blocks.known.get(block) or _fields_of(block, False, most_headers)
        if isinstance(known, ErrorKind):
            return known
        return RequestHead(again[0], "1.1", again[1], again[2], known)
    parts = line.split(b" ")
    if len(parts) != 3:
        return ErrorKind.BAD_REQUEST
    method = _METHODS.get(parts[0])
    version = _VERSIONS.get(parts[2])
    target = parts[1]
    if method is None or version is None or not target or target.translate(None, _TARGET_BYTES):
        return ErrorKind.BAD_REQUEST
    fields = _blocks.known.get(block) if version == "1.1" else None
    if fields is None:
        found = _fields_of(block, version == "1.0", most_headers)
        if isinstance(found, ErrorKind):
            return found
        fields = found
    text = target.decode("ascii")
    if text[0] == "/" and "%" not in text and "/." not in text:
        path, _, query = text.partition("?")
        if version == "1.1" and _begun.older(line) is None:
            _begun.remember(line, (method, path, query))
        return RequestHead(method, version, path, query, fields)
    located = _locate(method, text, fields)
    if located is None:
        return ErrorKind.BAD_REQUEST
    return RequestHead(method, version, located[0], located[1], fields)


def too_large(raw: bytes, line_limit: int, head_limit: int) -> ErrorKind | None:
    """Whether a head, whole or not, is beyond the limits of its first line or of the rest."""
    line = raw.find(b"\r")
    if line == -1:
        return ErrorKind.HEAD_TOO_LARGE if len(raw) > line_limit else None
    beyond = line > line_limit or len(raw) - line > head_limit
    return ErrorKind.HEAD_TOO_LARGE if beyond else None


def fault_so_far(raw: bytes, line_limit: int, head_limit: int) -> ErrorKind | None:
    """Why an incomplete head can never become a good one; None: it still may."""
    if b"\n" in raw and (not _LINE_START.match(raw) or _BARE_LF.search(raw)):
        # HTTP/0.9, a bare LF, not HTTP at all: it would wait for ever.
        return ErrorKind.BAD_REQUEST
    return too_large(raw, line_limit, head_limit)


def _fields_of(block: bytes, old: bool, most_headers: int) -> Fields | ErrorKind:
    if not old:
        again = _blocks.older(block)
        if again is not None:
            return again
    text = block.split(b"\r\n") if block else []
    if len(text) > most_headers:
        return ErrorKind.HEAD_TOO_LARGE
    fields = Fields()
    known = REQUEST_LINES.known
    found: list[Line] = []
    for one in text:
        line = known.get(one) or REQUEST_LINES.read(one)
        if line is None:
            return ErrorKind.BAD_REQUEST
        found.append(line)
    fields.lines = found
    fault, named = _understand(fields, [line for line in found if line.code], old)
    if fault is not None:
        return fault
    passed = [line for line in found if line.lower not in named] if named else found
    fields.rest = b"".join([line.rest for line in passed])
    fields.http = b"".join([line.http for line in passed])
    if not old:
        _blocks.remember(block, fields)
    return fields


def _understand(
    fields: Fields, special: list[Line], old: bool
) -> tuple[ErrorKind | None, frozenset[bytes]]:
    """What the lines with a meaning of their own say; and which fields are for this hop only."""
    hosts = lengths = codings = options = 0
    named: frozenset[bytes] = frozenset()
    upgrade = b""
    refused = ErrorKind.BAD_REQUEST, named
    for line in special:
        code = line.code
        if code == lines.HOST:
            hosts += 1
            domain = domain_of(line.value)
            if domain is None:
                return refused
            fields.domain = domain
        elif code == lines.CONTENT_LENGTH:
            lengths += 1
            if line.number < 0:
                return refused
            fields.content_length = line.number
        elif code == lines.CONNECTION:
            options |= line.options
            named = named | line.named
        elif code == lines.TRANSFER_ENCODING:
            codings += 1
            if line.value.lower() != b"chunked":
                return refused
        elif code == lines.UPGRADE:
            upgrade = line.value.lower()
        else:
            _note(fields, line)
    # RFC 9112 §3.2: exactly one Host; an HTTP/1.0 client may send none.
    if hosts != 1 and not (old and hosts == 0):
        return refused
    # Only `chunked`, once, in HTTP/1.1, never beside a length (RFC 9112 §6.1, §6.3).
    if lengths + codings > 1 or (codings and old):
        return refused
    if codings:
        fields.content_length = CHUNKED
    if old:
        fields.keep_alive = options & (lines.KEEPS | lines.CLOSE) == lines.KEEPS
        fields.expects_continue = False
    elif options & lines.CLOSE:
        fields.keep_alive = False
    if upgrade and options & lines.UPGRADES:
        fields.upgrade = upgrade
        if upgrade == b"websocket" and fields.content_length:
            return refused
    return None, named


def _note(fields: Fields, line: Line) -> None:
    code, value = line.code, line.value
    if code == lines.USER_AGENT:
        fields.user_agent = True
    elif code == lines.FORWARDED:
        fields.forwarded = True
    elif code == lines.EXPECT:
        fields.expects_continue = value.lower() == b"100-continue"
    elif code == lines.TRACE_ID:
        fields.trace_id = value
    elif code == lines.REQUEST_ID:
        fields.request_id = value
    elif code == lines.METHOD_OVERRIDE:
        fields.method_override = value


def _locate(method: str, target: str, fields: Fields) -> tuple[str, str] | None:
    """Path and query of a target that is not plainly one; None: refused."""
    if target[0] != "/":
        if target == "*" and method == "OPTIONS":
            return "*", ""
        rest = _path_of_absolute(target, fields)
        if rest is None:
            return None
        target = rest
    if "%" in target and _BAD_PERCENT.search(target):
        return None
    path, _, query = target.partition("?")
    if ("%" in path or "/." in path) and _leaves_its_place(path):
        return None
    return path, query


def domain_of(value: bytes) -> str | None:
    """The host of a Host header, lower case, without port; None: it is not one."""
    if not _HOST.fullmatch(value):
        return None
    text = value.decode("ascii").lower()
    name, colon, port = text.rpartition(":")
    return name if colon and not port.endswith("]") else text


def _path_of_absolute(target: str, fields: Fields) -> str | None:
    """Path and query of an absolute-form target (RFC 9112 §3.2.2) of the same authority."""
    scheme, separator, rest = target.partition("://")
    default = DEFAULT_PORTS.get(scheme.lower())
    if not separator or default is None:
        return None
    cut = len(rest)
    for mark in "/?":
        found = rest.find(mark)
        if found != -1:
            cut = min(cut, found)
    authority, tail = rest[:cut].encode("ascii"), rest[cut:]
    if domain_of(authority) != fields.domain:
        return None
    # The port is part of it (RFC 3986 §3.2), and a backend may be told either.
    hosts = [line.value for line in fields.lines if line.code == lines.HOST]
    if any(_port_of(host, default) != _port_of(authority, default) for host in hosts):
        return None
    return tail if tail.startswith("/") else "/" + tail


def _port_of(authority: bytes, default: int) -> int:
    _, colon, port = authority.rpartition(b":")
    return int(port) if colon and port.isdigit() else default


def _leaves_its_place(path: str) -> bool:
    """Whether a segment decodes to `.` or `..`, to a NUL, or not to UTF-8. What servlet containers
    take for parameters of a segment (RFC 3986 §3.3) does not make it another."""
    for segment in path.split("/"):
        raw = unquote_to_bytes(segment) if "%" in segment else segment.encode("ascii")
        if raw.partition(b";")[0] in (b".", b"..") or b"\0" in raw:
            return True
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            return True
    return False
