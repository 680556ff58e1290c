"""Header lines and blocks: read strictly, understood once.

Clients and backends send the same lines and blocks again and again, so what was parsed is
remembered with all that follows from it: a look-up replaces parsing, validation and the
forwarding decision. Memory is bounded, made-up lines cost their parsing and nothing else. What is
a header line: RFC 9110 §5.1, §5.5, RFC 9112 §5: a token, a colon right behind it, a value without
controls; obs-fold, a space before the colon, NUL, a bare CR or LF make it none. No I/O.
"""

from __future__ import annotations

import re
from typing import Final, Generic, NamedTuple, TypeVar

from portico_dataplane.core import forwarding
from portico_dataplane.core.messages import Headers
from portico_ir.model import ApiKind

_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")

_DIGITS: Final = re.compile(rb"[0-9]{1,18}")
_NOTHING: Final[frozenset[bytes]] = frozenset()

ORDINARY: Final = 0
HOST: Final = 1
CONTENT_LENGTH: Final = 2
TRANSFER_ENCODING: Final = 3
CONNECTION: Final = 4
EXPECT: Final = 5
UPGRADE: Final = 6
TRACE_ID: Final = 7
REQUEST_ID: Final = 8
METHOD_OVERRIDE: Final = 9
FORWARDED: Final = 10
"""X-Forwarded-For or Forwarded: what goes on depends on all of them."""
USER_AGENT: Final = 11
ORIGIN: Final = 12
KEEP_ALIVE: Final = 13
CONTENT_TYPE: Final = 14
DATE: Final = 15

CLOSE: Final = 1
KEEPS: Final = 2
UPGRADES: Final = 4
_OPTIONS: Final = {b"close": CLOSE, b"keep-alive": KEEPS, b"upgrade": UPGRADES}

_REQUEST_CODES: Final = {
    b"host": HOST,
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"connection": CONNECTION,
    b"expect": EXPECT,
    b"upgrade": UPGRADE,
    b"x-amzn-trace-id": TRACE_ID,
    b"x-amzn-requestid": REQUEST_ID,
    b"x-http-method-override": METHOD_OVERRIDE,
    b"x-forwarded-for": FORWARDED,
    b"forwarded": FORWARDED,
    b"user-agent": USER_AGENT,
    b"origin": ORIGIN,
}
_RESPONSE_CODES: Final = {
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"connection": CONNECTION,
    b"keep-alive": KEEP_ALIVE,
    b"content-type": CONTENT_TYPE,
    b"date": DATE,
}


class Line(NamedTuple):
    """One header line and what follows from it."""

    code: int
    """ORDINARY, or what the head's reader must look at."""
    rest: bytes
    """As a REST API passes it on, CRLF included; empty: dropped, or decided elsewhere."""
    http: bytes
    """As an HTTP API passes it on."""
    name: bytes
    """As spelt."""
    value: bytes
    """Without surrounding spaces and tabs."""
    lower: bytes
    """The name in lower case."""
    number: int
    """Content-Length: its value; -1: it has none that is a number."""
    options: int
    """Connection: CLOSE, KEEPS and UPGRADES, as far as it says so."""
    named: frozenset[bytes]
    """Connection: the fields it names, lower case (RFC 9110 §7.6.1)."""


class Lines:
    """Remembers lines of one direction."""

    __slots__ = ("_codes", "_http", "_older", "_rest", "_untabbed", "known")

    MOST: Final = 2048
    """Lines a generation; there are two."""
    LONGEST: Final = 256
    """Longer lines are read each time."""

    def __init__(
        self,
        codes: dict[bytes, int],
        tables: dict[ApiKind, forwarding.NameTable],
        untabbed: frozenset[int] = frozenset(),
    ) -> None:
        self._codes = codes
        self._untabbed = untabbed
        """Fields that are refused with a tab around their value: legal, but other readers see
        another length or host there (nginx refuses them too)."""
        self._rest = tables[ApiKind.REST]
        self._http = tables[ApiKind.HTTP]
        self.known: dict[bytes, Line] = {}
        self._older: dict[bytes, Line] = {}

    def read(self, raw: bytes) -> Line | None:
        """The line `raw` (without CRLF), which is not among `known`; None: not a header line."""
        line = self._older.get(raw)
        if line is None:
            line = self._parsed(raw)
            if line is None:
                return None
        if len(raw) <= self.LONGEST:
            known = self.known
            if len(known) >= self.MOST:
                self._older = known
                known = self.known = {}
            known[raw] = line
        return line

    def _parsed(self, raw: bytes) -> Line | None:
        match = _LINE.fullmatch(raw)
        if match is None:
            return None
        name = match.group(1)
        value = match.group(2).rstrip(b" \t")
        lower = name.lower()
        code = self._codes.get(lower, ORDINARY)
        if code in self._untabbed and b"\t" in raw:
            return None
        return Line(
            code,
            _passed_on(self._rest.code(lower), name, value),
            _passed_on(self._http.code(lower), name, value),
            name,
            value,
            lower,
            int(value) if code == CONTENT_LENGTH and _DIGITS.fullmatch(value) else -1,
            *(_connection(value) if code == CONNECTION else (0, _NOTHING)),
        )


def _passed_on(action: int, name: bytes, value: bytes) -> bytes:
    if action == forwarding.PASS:
        return b"%b: %b\r\n" % (name, value)
    if action == forwarding.REMAP:
        return b"x-amzn-Remapped-%b: %b\r\n" % (name, value)
    return b""


REQUEST_LINES: Final = Lines(
    _REQUEST_CODES,
    forwarding.REQUEST_NAMES,
    frozenset({HOST, CONTENT_LENGTH, TRANSFER_ENCODING}),
)
RESPONSE_LINES: Final = Lines(_RESPONSE_CODES, forwarding.RESPONSE_NAMES)

T = TypeVar("T")


class Blocks(Generic[T]):
    """Remembers whole header blocks and what they mean.

    A client repeats its block from request to request, a backend within the second of its
    Date; then nothing of it is read again. Bounded like `Lines`.
    """

    __slots__ = ("_older", "_room", "known")

    ROOM: Final = 1_572_864
    """Bytes a generation, as far as they can be told; there are two."""
    OVERHEAD: Final = 512
    """Bytes that a block takes beside its own. Clients with keys or tokens of their own are as
    many blocks: some thousands of usual ones are remembered."""
    LONGEST: Final = 2048
    """Longer blocks are read each time."""

    def __init__(self) -> None:
        self.known: dict[bytes, T] = {}
        self._older: dict[bytes, T] = {}
        self._room = self.ROOM

    def older(self, raw: bytes) -> T | None:
        """What `raw`, which is not among `known`, meant before; known again from now on."""
        found = self._older.get(raw)
        if found is not None:
            self.remember(raw, found)
        return found

    def remember(self, raw: bytes, meaning: T) -> None:
        """`raw` means `meaning`."""
        if len(raw) > self.LONGEST:
            return
        self._room -= len(raw) + self.OVERHEAD
        if self._room < 0:
            self._older = self.known
            self.known = {}
            self._room = self.ROOM
        self.known[raw] = meaning


def as_lines(headers: Headers) -> list[Line]:
    """Response headers, after a policy changed them, as lines; what is none is left out."""
    found = (RESPONSE_LINES.read(b"%b: %b" % pair) for pair in headers)
    return [line for line in found if line is not None]


def headers_of(lines: list[Line]) -> Headers:
    """Name and value pairs, in order."""
    return [(line.name, line.value) for line in lines]


def _connection(value: bytes) -> tuple[int, frozenset[bytes]]:
    options = 0
    named: set[bytes] = set()
    for part in value.lower().split(b","):
        token = part.strip(b" \t")
        option = _OPTIONS.get(token)
        if option is not None:
            options |= option
        elif token:
            named.add(token)
    return options, frozenset(named)
