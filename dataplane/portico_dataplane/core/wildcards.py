"""Patterns with `*` (any run of characters, `/` too) and `?` (one character), as IAM has them.

Called by `core/judgement.py` and `core/conditions.py` for each pattern of a policy. Promises: a
text is matched in time linear in the pattern, whatever both of them hold: patterns and texts come
from people who may want a worker to stand still.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

Matcher = Callable[[str], bool]
"""Whether a text matches, whole."""

_SHIELD: Final = str.maketrans("*?", "\ue000\ue001")
_SHORT: Final = 24
"""Characters up to which a piece is looked for by `str.find`, whose worst case is a product."""


def matcher(pattern: str, *, ignore_case: bool = False) -> Matcher:
    """What matches the pattern."""
    if ignore_case:
        lowered = matcher(pattern.lower())
        return lambda text: lowered(text.lower())
    if "?" not in pattern:
        if "*" not in pattern:
            return pattern.__eq__
        if pattern.strip("*") == "":
            return _everything
        if pattern.find("*") == len(pattern) - 1:
            prefix = pattern[:-1]
            return lambda text: text.startswith(prefix)
    return _Pieces(pattern).matches


def shield(text: str) -> str:
    """The text with its `*` and `?` as characters that are no wildcards: for a value that becomes
    part of a pattern, and for the text that is then held against it."""
    return text.translate(_SHIELD)


def _everything(_: str) -> bool:
    return True


class _Pieces:
    """A pattern cut at its stars: a beginning, an end, and pieces that follow one another."""

    __slots__ = ("_first", "_last", "_least", "_middle", "_whole")

    def __init__(self, pattern: str) -> None:
        first, *others = pattern.split("*")
        self._whole = not others
        """Without a star: as long as the text."""
        self._first = first
        self._last = others.pop() if others else ""
        self._middle = tuple(piece for piece in others if piece)
        self._least = len(pattern) - pattern.count("*")

    def matches(self, text: str) -> bool:
        """Whether a text matches: each piece at its first place, which leaves most to the rest."""
        length = len(text)
        if length < self._least or (self._whole and length != self._least):
            return False
        first, last = self._first, self._last
        end = length - len(last)
        if not _same(first, text[: len(first)]) or not _same(last, text[end:]):
            return False
        at = len(first)
        for piece in self._middle:
            at = _find(piece, text, at, end)
            if at < 0:
                return False
            at += len(piece)
        return at <= end


def _same(piece: str, text: str) -> bool:
    """Whether a piece without stars is the text; both are of one length."""
    if "?" not in piece:
        return piece == text
    return all(char in ("?", other) for char, other in zip(piece, text, strict=True))


def _find(piece: str, text: str, start: int, end: int) -> int:
    """Where a piece without stars first stands between `start` and `end`; -1: nowhere."""
    if len(piece) <= _SHORT and "?" not in piece:
        return text.find(piece, start, end)
    # Bit p of `places`: the piece may begin at p. One operation on whole numbers a character,
    # so that no text makes it look at anything twice.
    last = end - len(piece)
    if last < start:
        return -1
    where = _positions(text)
    places = (1 << (last + 1)) - 1 >> start << start
    for offset, char in enumerate(piece):
        if char != "?":
            places &= where.get(char, 0) >> offset
            if not places:
                return -1
    return (places & -places).bit_length() - 1


@lru_cache(maxsize=8)
def _positions(text: str) -> dict[str, int]:
    """Each character of a text and where it stands; many patterns are held against one text."""
    places: dict[str, list[int]] = {}
    for position, char in enumerate(text):
        places.setdefault(char, []).append(position)
    return {char: sum(1 << position for position in found) for char, found in places.items()}
