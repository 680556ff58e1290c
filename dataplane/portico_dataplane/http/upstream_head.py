"""The head of a backend's answer: read strictly, remembered whole.

Called by `http/upstream.py` with exactly one head. Framing that can be read in two ways is
refused (RFC 9112 §6.3): passing it on would make us a smuggler's accomplice. What a head means
is kept for the next answer with the same bytes (`http/lines.py`). No I/O.
"""

from __future__ import annotations

import math
import re
from typing import Final

from portico_dataplane.core.forwarding import DEFAULT_TYPE
from portico_dataplane.http import lines
from portico_dataplane.http.lines import RESPONSE_LINES, Blocks, Line

CHUNKED: Final = -1
CLOSE_DELIMITED: Final = -2

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")


class AnswerHead:
    """What the head of an answer says; shared by every answer with the same head."""

    status: int
    lines: list[Line]
    """Header lines in order; nobody changes them."""
    rest: bytes
    """Those a REST API lets through, as they go on (with a Content-Type in any case)."""
    http: bytes
    """Those an HTTP API lets through."""
    content_length: int = CLOSE_DELIMITED
    """Bytes of body, or CHUNKED, or CLOSE_DELIMITED."""
    keep_alive: bool = True
    idle_timeout: float = math.inf
    """Seconds after which the backend may close, as its Keep-Alive says."""
    dated: bool = False
    """Whether there is a Date."""
    typed: bool = False
    """Whether there is a Content-Type."""
    named: frozenset[bytes] = frozenset()
    """Fields that Connection names."""

    def with_lines(self, found: list[Line]) -> AnswerHead:
        """The same answer with other header lines."""
        head = AnswerHead()
        head.status = self.status
        head.content_length = self.content_length
        head.keep_alive = self.keep_alive
        head.idle_timeout = self.idle_timeout
        head.named = self.named
        head.dated = self.dated
        head.typed = self.typed
        head.take_lines(found)
        return head

    def take_lines(self, found: list[Line]) -> None:
        """Set the lines, and what goes on of them."""
        self.lines = found
        passed = [line for line in found if line.lower not in self.named] if self.named else found
        rest = [line.rest for line in passed]
        if not self.typed:
            rest.append(DEFAULT_TYPE)
        self.rest = b"".join(rest)
        self.http = b"".join([line.http for line in passed])


KNOWN: Final[Blocks[AnswerHead]] = Blocks()


def read_answer(raw: bytes, most_headers: int) -> AnswerHead | str:
    """The head in `raw` (without its empty line), or what is wrong with it."""
    again = KNOWN.older(raw)
    if again is not None:
        return again
    text = raw.split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(text[0])
    if status_line is None:
        return "the status line is malformed"
    if len(text) > most_headers + 1:
        return "the answer has too many headers"
    head = AnswerHead()
    head.status = int(status_line.group(2))
    del text[0]
    known = RESPONSE_LINES.known
    found: list[Line] = []
    for one in text:
        line = known.get(one) or RESPONSE_LINES.read(one)
        if line is None:
            return "a header line is malformed"
        found.append(line)
    special = [line for line in found if line.code]
    fault = _understand(head, special, status_line.group(1) == b"0")
    if fault:
        return fault
    head.take_lines(found)
    KNOWN.remember(raw, head)
    return head


def _understand(head: AnswerHead, special: list[Line], old: bool) -> str:
    lengths = codings = options = 0
    for line in special:
        code = line.code
        if code == lines.CONTENT_TYPE:
            head.typed = True
        elif code == lines.DATE:
            head.dated = True
        elif code == lines.CONTENT_LENGTH:
            lengths += 1
            head.content_length = line.number
            if line.number < 0:
                return "a Content-Length that is no number"
        elif code == lines.CONNECTION:
            options |= line.options
            head.named = head.named | line.named
        elif code == lines.TRANSFER_ENCODING:
            codings += 1
            head.content_length = CHUNKED
            if line.value.lower() != b"chunked":
                return "a Transfer-Encoding other than chunked"
        elif code == lines.KEEP_ALIVE:
            head.idle_timeout = min(head.idle_timeout, _idle_timeout(line.value))
    # RFC 9112 §6.3: framing that can be read in two ways is not passed on.
    if lengths + codings > 1 or (codings and old):
        return "ambiguous framing"
    if head.status < 200 and (lengths or codings):
        return "an interim answer with a body"
    if head.status == 101 and not options & lines.UPGRADES:
        return "101 without an upgrade"
    if old:
        head.keep_alive = options & (lines.KEEPS | lines.CLOSE) == lines.KEEPS
    else:
        head.keep_alive = not options & lines.CLOSE
    return ""


def _idle_timeout(keep_alive: bytes) -> float:
    for part in keep_alive.split(b","):
        key, _, number = part.strip().partition(b"=")
        if key.lower() == b"timeout" and number.isdigit() and len(number) < 7:
            # A second earlier than the backend: it may close while our request travels.
            return max(0.0, int(number) - 1.0)
    return math.inf
