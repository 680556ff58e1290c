"""The lenient object reader of mock templates (AWS §3.4): all that is asked is `statusCode`.

AWS takes more than JSON here: keys without quotes or in single ones, trailing commas, single
quotes around texts. Called by `mocks`. Promises: an int, a parameter or None for any text.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

MAX_DEPTH = 64
MAX_STATUS = 10**6
"""A status with more digits matches no pattern that anybody means."""

_SPACE = re.compile(r"\s*")
_BARE = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.-]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'', re.DOTALL)
_CALL = re.compile(r"""\$input\.params\(\s*(?:'([^'"()]*)'|"([^'"()]*)")\s*\)""")


class Parameter(NamedTuple):
    """`$input.params('name')`."""

    name: str
    """Of a path variable, query parameter or header."""


class _Unreadable(Exception):
    """Not an object, however leniently read; never leaves this module."""


def status_of(text: str) -> int | Parameter | None:
    """`statusCode` of the object that the text is; None when it has no whole number there."""
    reader = _Reader(text)
    try:
        value = reader.value(0)
        reader.end()
    except _Unreadable:
        return None
    status = value.get("statusCode") if isinstance(value, dict) else None
    if isinstance(status, Parameter):
        return status
    if isinstance(status, int) and not isinstance(status, bool) and 0 <= status < MAX_STATUS:
        return status
    return None


class _Reader:
    """A cursor over the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise _Unreadable
        self._skip()
        start = self._text[self._at : self._at + 1]
        if start == "{":
            return self._object(depth)
        if start == "[":
            return self._list(depth)
        if match := self._take(_CALL):
            return Parameter(match[1] if match[1] is not None else match[2])
        if match := self._take(_TEXT):
            return match[1] if match[1] is not None else match[2]
        if match := self._take(_NUMBER):
            whole = match[1] is None and match[2] is None and len(match[0]) < 20
            return int(match[0]) if whole else 0.5
        if match := self._take(_BARE):
            return {"true": True, "false": False, "null": None}.get(match[0], match[0])
        raise _Unreadable

    def end(self) -> None:
        self._skip()
        if self._at != len(self._text):
            raise _Unreadable

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._at += 1
        while not self._closes("}"):
            key = self._take(_TEXT) or self._take(_BARE)
            if key is None:
                raise _Unreadable
            groups = [group for group in key.groups() if group is not None]
            self._expect(":")
            found[groups[0] if groups else key[0]] = self.value(depth + 1)
            self._separated("}")
        return found

    def _list(self, depth: int) -> list[Any]:
        found: list[Any] = []
        self._at += 1
        while not self._closes("]"):
            found.append(self.value(depth + 1))
            self._separated("]")
        return found

    def _closes(self, bracket: str) -> bool:
        self._skip()
        if self._text.startswith(bracket, self._at):
            self._at += 1
            return True
        return False

    def _separated(self, bracket: str) -> None:
        """After an entry: a comma (a trailing one is fine) or the end."""
        self._skip()
        if self._text.startswith(",", self._at):
            self._at += 1
        elif not self._text.startswith(bracket, self._at):
            raise _Unreadable

    def _expect(self, sign: str) -> None:
        self._skip()
        if not self._text.startswith(sign, self._at):
            raise _Unreadable
        self._at += len(sign)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self._skip()
        match = pattern.match(self._text, self._at)
        if match:
            self._at = match.end()
        return match

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        if match:
            self._at = match.end()
