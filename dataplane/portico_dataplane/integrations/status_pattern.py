"""Selection patterns over a status: which of 100 to 599 a Java regular expression matches whole.

Called by `integrations/mock.py` when a route is built. A pattern comes from a user, and Python's
`re` can be made to search for ever even in three digits (`((\\d?){99}){99}x`), so it is not asked:
a pattern is worked out as relations between positions, for all statuses at once, in time linear
in its length. Back references and look-behind have no use over three digits and are refused like
any other bad pattern.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

STATUSES: Final = range(100, 600)

_MOST_CHARACTERS: Final = 512
_MOST_DEPTH: Final = 50
_MOST_COUNT: Final = 1_000_000_000
_QUANTIFIERS: Final = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_ASCII: Final = frozenset(chr(code) for code in range(128))
_DIGITS: Final = frozenset("0123456789")
_WORD: Final = frozenset(char for char in _ASCII if char.isalnum()) | {"_"}
_SPACE: Final = frozenset(" \t\n\r\f\v")
_CLASSES: Final = {
    "d": _DIGITS,
    "w": _WORD,
    "s": _SPACE,
    "D": _ASCII - _DIGITS,
    "W": _ASCII - _WORD,
    "S": _ASCII - _SPACE,
}
_NAMED: Final = {"Digit": _DIGITS, "Alnum": _WORD - {"_"}, "ASCII": _ASCII, "Nd": _DIGITS}
_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}

# Where matches stand, for every status at once: bit 4·n + p says that in the n-th status one stands
# before character p (3: at its end). A relation holds, for each place where a match may begin, the
# places where it may end.
_UNITS: Final = sum(1 << (4 * index) for index in range(len(STATUSES)))
_PLACES: Final = range(4)
_Relation = tuple[int, ...]


class BadPattern(ValueError):
    """Not a regular expression, or one that asks for more than this knows."""


@lru_cache(maxsize=256)
def matching_statuses(pattern: str) -> frozenset[int]:
    """Every status the whole of which the pattern matches; raises BadPattern."""
    ends = _Parser(pattern).parse()[0] >> 3
    return frozenset(status for index, status in enumerate(STATUSES) if ends >> (4 * index) & 1)


# --- relations ------------------------------------------------------------------------------


def _digit_units(place: int) -> dict[str, int]:
    units = dict.fromkeys("0123456789", 0)
    for index, status in enumerate(STATUSES):
        units[str(status)[place]] |= 1 << (4 * index)
    return units


_DIGIT_UNITS: Final = [_digit_units(place) for place in range(3)]


def _edge(places: Iterable[int]) -> _Relation:
    """Matches nothing, at these places."""
    return tuple(_UNITS << place if place in places else 0 for place in _PLACES)


_EMPTY: Final = _edge(_PLACES)


def _one_of(chars: frozenset[str]) -> _Relation:
    ends = [
        sum(units for digit, units in _DIGIT_UNITS[place].items() if digit in chars) << (place + 1)
        for place in range(3)
    ]
    return (*ends, 0)


def _then(first: _Relation, second: _Relation) -> _Relation:
    found = []
    for ends in first:
        joined = 0
        for place in _PLACES:
            here = ends >> place & _UNITS
            if here:
                # Times 15: every place of the statuses in which the first ends here.
                joined |= here * 15 & second[place]
        found.append(joined)
    return tuple(found)


def _either(first: _Relation, second: _Relation) -> _Relation:
    return tuple(one | other for one, other in zip(first, second, strict=True))


def _repeated(relation: _Relation, least: int, most: int | None) -> _Relation:
    # Places only move forward, so both loops come to rest after a few rounds.
    found = _EMPTY
    for _ in range(least):
        before, found = found, _then(found, relation)
        if found == before:
            break
    reached = found
    rounds = 0
    while most is None or rounds < most - least:
        reached = _then(reached, relation)
        wider = _either(found, reached)
        if wider == found:
            break
        found = wider
        rounds += 1
    return found


def _look(relation: _Relation, wanted: bool) -> _Relation:
    found = []
    for place, ends in enumerate(relation):
        seen = (ends | ends >> 1 | ends >> 2 | ends >> 3) & _UNITS
        found.append((seen if wanted else _UNITS & ~seen) << place)
    return tuple(found)


_BEGIN: Final = _edge({0})
_END: Final = _edge({3})
_ANCHORS: Final = {
    "A": _BEGIN,
    "Z": _END,
    "z": _END,
    # Digits are word characters all: the only boundaries are the ends.
    "b": _edge({0, 3}),
    "B": _edge({1, 2}),
}


# --- parsing --------------------------------------------------------------------------------


class _Parser:
    """Recursive descent over one pattern."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > _MOST_CHARACTERS:
            raise BadPattern("the pattern is too long")
        self._text = pattern
        self._at = 0
        self._depth = 0

    def parse(self) -> _Relation:
        found = self._alternatives()
        if self._at < len(self._text):
            raise BadPattern(f"unmatched {self._text[self._at]!r}")
        return found

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        if self._at >= len(self._text):
            raise BadPattern("the pattern ends early")
        self._at += 1
        return self._text[self._at - 1]

    def _skip(self, expected: str) -> bool:
        if self._text.startswith(expected, self._at):
            self._at += len(expected)
            return True
        return False

    def _alternatives(self) -> _Relation:
        found = self._branch()
        while self._skip("|"):
            found = _either(found, self._branch())
        return found

    def _branch(self) -> _Relation:
        found = _EMPTY
        while self._peek() not in ("", "|", ")"):
            found = _then(found, self._quantified(self._atom()))
        return found

    def _quantified(self, relation: _Relation) -> _Relation:
        if self._peek() in _QUANTIFIERS:
            least, most = _QUANTIFIERS[self._take()]
        elif self._peek() == "{":
            least, most = self._counts()
        else:
            return relation
        # Lazy and possessive: whole matches are the same, but for oddities such as `.*+0`.
        if self._peek() in ("?", "+"):
            self._take()
        return _repeated(relation, least, most)

    def _counts(self) -> tuple[int, int | None]:
        end = self._text.find("}", self._at)
        least, comma, most = self._text[self._at + 1 : max(end, self._at)].partition(",")
        if end < 0 or not _is_count(least) or not (most == "" or _is_count(most)):
            raise BadPattern("a count is wrong")
        self._at = end + 1
        low = int(least)
        high = (int(most) if most else None) if comma else low
        if low > _MOST_COUNT or (high is not None and not low <= high <= _MOST_COUNT):
            raise BadPattern("a count is out of range")
        return low, high

    def _atom(self) -> _Relation:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return _one_of(self._class())
        if char == ".":
            return _one_of(_ASCII - {"\n", "\r"})
        if char == "^":
            return _BEGIN
        if char == "$":
            return _END
        if char == "\\":
            return self._escape()
        if char in "*+?{":
            raise BadPattern(f"nothing to repeat before {char!r}")
        return _one_of(frozenset({char}))

    def _group(self) -> _Relation:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise BadPattern("groups are nested too deeply")
        look = None
        if self._skip("?="):
            look = True
        elif self._skip("?!"):
            look = False
        elif self._text.startswith("?<", self._at) and self._text[self._at + 2 :][:1] not in "=!":
            self._at += 2
            self._name()
        elif self._peek() == "?" and not self._skip("?:") and not self._skip("?>"):
            raise BadPattern("a kind of group that is not known")
        found = self._alternatives()
        if not self._skip(")"):
            raise BadPattern("a group is not closed")
        self._depth -= 1
        return found if look is None else _look(found, look)

    def _name(self) -> None:
        end = self._text.find(">", self._at)
        if end < 0 or not self._text[self._at : end].isalnum():
            raise BadPattern("a group's name is wrong")
        self._at = end + 1

    def _escape(self) -> _Relation:
        char = self._take()
        if char in _ANCHORS:
            return _ANCHORS[char]
        if char == "Q":
            end = self._text.find("\\E", self._at)
            quoted = self._text[self._at :] if end < 0 else self._text[self._at : end]
            self._at += len(quoted) + (0 if end < 0 else 2)
            found = _EMPTY
            for one in quoted:
                found = _then(found, _one_of(frozenset({one})))
            return found
        return _one_of(self._escaped_set(char))

    def _escaped_set(self, char: str) -> frozenset[str]:
        if char in _CLASSES:
            return _CLASSES[char]
        if char in "pP":
            end = self._text.find("}", self._at)
            name = self._text[self._at + 1 : max(end, self._at)].removeprefix("Is")
            if end < 0 or self._peek() != "{" or name not in _NAMED:
                raise BadPattern("a class of characters that is not known")
            self._at = end + 1
            return _NAMED[name] if char == "p" else _ASCII - _NAMED[name]
        if char in _ESCAPES:
            return frozenset({_ESCAPES[char]})
        if char.isalnum():
            raise BadPattern(f"\\{char} is not known")
        return frozenset({char})

    def _class(self) -> frozenset[str]:
        negated = self._skip("^")
        chars: set[str] = set()
        first = True
        while first or self._peek() != "]":
            first = False
            if self._skip("[") or self._text.startswith("&&", self._at):
                raise BadPattern("classes within classes are not known")
            char = self._take()
            one = self._escaped_set(self._take()) if char == "\\" else frozenset({char})
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                one = self._range(one)
            chars |= one
        self._take()
        return _ASCII - chars if negated else frozenset(chars)

    def _range(self, low: frozenset[str]) -> frozenset[str]:
        self._take()
        char = self._take()
        high = self._escaped_set(self._take()) if char == "\\" else frozenset({char})
        if len(low) != 1 or len(high) != 1:
            raise BadPattern("a range of classes")
        first, last = min(low), min(high)
        if first > last:
            raise BadPattern("a range runs backwards")
        return frozenset(char for char in _ASCII if first <= char <= last)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10
