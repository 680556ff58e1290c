"""Paths as they arrive: cut at raw slashes, each segment decoded once.

Called by the router for every request that no exact path answers, and by templates for the
paths they make. Promises: `%2F` never cuts
a segment in two, a segment is decoded exactly once, and whatever a backend could read as a
step upwards is refused instead of matched (design §6.3, §13). What goes on to a backend is
the raw path; decoded text is for matching only.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

# A backend that decodes before it resolves dots sees a step up behind `%2F` or `%5C` too, and one
# that drops parameters of segments (`..;x`, servlet containers do) behind a semicolon.
_STEP_UP: Final = re.compile(r"(?:^|[/\\])\.\.(?:[/\\;]|$)")


class BadPath(NamedTuple):
    """A path that is refused with 400, and why."""

    reason: str


def split(path: str) -> tuple[str, ...]:
    """The raw segments after the leading slash: `/a/b/` is `('a', 'b', '')`, `/` is `('',)`.

    The path after a stage without anything behind it is empty and means `/`.
    """
    return tuple(path[1:].split("/"))


def decode_segment(raw: str) -> str | BadPath:
    """A raw segment percent-decoded once as UTF-8, or why it is refused.

    `+` is a plus in a path (AWS §3.2: `test+alias` stays).
    """
    text = raw
    if "%" in raw or not raw.isascii():
        if _BROKEN_ESCAPE.search(raw) is not None:
            return BadPath("invalid percent-encoding")
        try:
            # A raw path is the client's bytes read as latin-1 (core/messages.py).
            text = unquote_to_bytes(raw.encode("latin-1")).decode("utf-8")
        except UnicodeError:
            return BadPath("not UTF-8 after decoding")
    if ".." in text and _STEP_UP.search(text) is not None:
        return BadPath("a '..' segment")
    if text == ".":
        return BadPath("a '.' segment")
    return text


def is_dot_segment(raw: str) -> bool:
    """Whether a segment, as written or once decoded, is `.` or holds a step up.

    Kinder than `decode_segment` about anything else: for paths that are made here, of text
    that an author wrote and values that were checked on their way in.
    """
    text = unquote_to_bytes(raw).decode("latin-1") if "%" in raw else raw
    return text == "." or _STEP_UP.search(text) is not None


def decode(segments: list[str]) -> list[str] | BadPath:
    """Every segment decoded, or why the path is refused."""
    decoded = []
    for raw in segments:
        if "%" not in raw and "." not in raw and raw.isascii():
            decoded.append(raw)
            continue
        text = decode_segment(raw)
        if isinstance(text, BadPath):
            return text
        decoded.append(text)
    return decoded
