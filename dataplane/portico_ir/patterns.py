"""Java's regular expressions, read: what users write for statuses and tokens, as a tree.

Called by whoever matches one, and by the compiler to refuse a bad one where it is written. A
pattern comes from a user, and Python's `re` can be made to search for ever, so it is never asked:
each reader of the tree works in time that it can promise. Back references, look-behind and
classes within classes are refused like any other bad pattern.
"""

from __future__ import annotations

from typing import Final, NamedTuple

OTHER: Final = "\x80"
"""Stands for every character beyond ASCII that a pattern does not name."""
EVERY: Final = frozenset(chr(code) for code in range(128)) | {OTHER}
"""What a class can hold."""

_MOST_CHARACTERS: Final = 512
_MOST_DEPTH: Final = 50
_MOST_COUNT: Final = 1_000_000_000
_QUANTIFIERS: Final = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_DIGITS: Final = frozenset("0123456789")
_WORD: Final = frozenset(char for char in EVERY if char.isalnum()) | {"_"}
_SPACE: Final = frozenset(" \t\n\r\f\v")
_CLASSES: Final = {
    "d": _DIGITS,
    "w": _WORD,
    "s": _SPACE,
    "D": EVERY - _DIGITS,
    "W": EVERY - _WORD,
    "S": EVERY - _SPACE,
}
_UPPER: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_NAMED: Final = {
    "Digit": _DIGITS,
    "Alnum": _WORD - {"_"},
    "Alpha": _WORD - {"_"} - _DIGITS,
    "Upper": _UPPER,
    "Lower": _WORD - {"_"} - _DIGITS - _UPPER,
    "ASCII": EVERY - {OTHER},
    "Nd": _DIGITS,
}
_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ANCHORS: Final = "AZzbB"


class BadPattern(ValueError):
    """Not a regular expression, or one that asks for more than this knows."""


class Chars(NamedTuple):
    """One character of these."""

    chars: frozenset[str]


class Sequence(NamedTuple):
    """One after the other; none: nothing."""

    items: tuple[Node, ...]


class Alternatives(NamedTuple):
    """One of them."""

    items: tuple[Node, ...]


class Repeated(NamedTuple):
    """Several times; lazy and possessive ones match the same texts as a whole."""

    item: Node
    least: int
    most: int | None
    """None: as often as may be."""


class Look(NamedTuple):
    """`(?=…)` and `(?!…)`."""

    item: Node
    wanted: bool


class Anchor(NamedTuple):
    """A place: `^`, `$`, `A`, `Z`, `z`, `b` or `B`."""

    name: str


Node = Chars | Sequence | Alternatives | Repeated | Look | Anchor


def parse(pattern: str) -> Node:
    """The tree of a pattern; raises BadPattern."""
    return _Parser(pattern).parse()


class _Parser:
    """Recursive descent over one pattern."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > _MOST_CHARACTERS:
            raise BadPattern("the pattern is too long")
        self._text = pattern
        self._at = 0
        self._depth = 0

    def parse(self) -> Node:
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

    def _alternatives(self) -> Node:
        found = [self._branch()]
        while self._skip("|"):
            found.append(self._branch())
        return found[0] if len(found) == 1 else Alternatives(tuple(found))

    def _branch(self) -> Node:
        found: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            found.append(self._quantified(self._atom()))
        return found[0] if len(found) == 1 else Sequence(tuple(found))

    def _quantified(self, item: Node) -> Node:
        if self._peek() in _QUANTIFIERS:
            least, most = _QUANTIFIERS[self._take()]
        elif self._peek() == "{":
            least, most = self._counts()
        else:
            return item
        # Lazy and possessive: whole matches are the same, but for oddities such as `.*+0`.
        if self._peek() in ("?", "+"):
            self._take()
        return Repeated(item, least, most)

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

    def _atom(self) -> Node:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return Chars(self._class())
        if char == ".":
            return Chars(EVERY - {"\n", "\r"})
        if char in "^$":
            return Anchor(char)
        if char == "\\":
            return self._escape()
        if char in "*+?{":
            raise BadPattern(f"nothing to repeat before {char!r}")
        return Chars(frozenset({char}))

    def _group(self) -> Node:
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
        return found if look is None else Look(found, look)

    def _name(self) -> None:
        end = self._text.find(">", self._at)
        if end < 0 or not self._text[self._at : end].isalnum():
            raise BadPattern("a group's name is wrong")
        self._at = end + 1

    def _escape(self) -> Node:
        char = self._take()
        if char in _ANCHORS:
            return Anchor(char)
        if char == "Q":
            end = self._text.find("\\E", self._at)
            quoted = self._text[self._at :] if end < 0 else self._text[self._at : end]
            self._at += len(quoted) + (0 if end < 0 else 2)
            return Sequence(tuple(Chars(frozenset({one})) for one in quoted))
        return Chars(self._escaped_set(char))

    def _escaped_set(self, char: str) -> frozenset[str]:
        if char in _CLASSES:
            return _CLASSES[char]
        if char in "pP":
            end = self._text.find("}", self._at)
            name = self._text[self._at + 1 : max(end, self._at)].removeprefix("Is")
            if end < 0 or self._peek() != "{" or name not in _NAMED:
                raise BadPattern("a class of characters that is not known")
            self._at = end + 1
            return _NAMED[name] if char == "p" else EVERY - _NAMED[name]
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
        if negated and not chars <= EVERY:
            raise BadPattern("a class that leaves out characters beyond ASCII")
        return EVERY - chars if negated else frozenset(chars)

    def _range(self, low: frozenset[str]) -> frozenset[str]:
        if len(low) != 1:
            return low  # `[\w-.]`: the dash is a dash
        self._take()
        char = self._take()
        high = self._escaped_set(self._take()) if char == "\\" else frozenset({char})
        if len(high) != 1:
            raise BadPattern("a range of classes")
        first, last = min(low), min(high)
        if first > last:
            raise BadPattern("a range runs backwards")
        return frozenset(char for char in EVERY if first <= char <= last)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10
