"""Patterns that a text must match whole: what a token must look like before anybody is asked.

Made by data planes, and by the compiler to refuse a bad one (AWS §6.1, §6.2:
identityValidationExpression). Promises: matching takes time linear in the text and gives up, as a
mismatch, where that would still be long. A pattern becomes positions (Glushkov), sets of which are
whole numbers; which set follows which is worked out when a text first needs it, and remembered.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from portico_ir.patterns import (
    EVERY,
    OTHER,
    Alternatives,
    Anchor,
    BadPattern,
    Chars,
    Look,
    Node,
    Repeated,
    Sequence,
    parse,
)

_MOST_POSITIONS: Final = 1024
_MOST_STEPS: Final = 4096
"""New steps that one text may cost: some microseconds each."""
_MOST_REMEMBERED: Final = 65_536
_BEGIN: Final = "\x01begin"
_END: Final = "\x01end"
"""No characters: the edges of a text, which `^` and `$` take."""
_ANY: Final = Repeated(Chars(EVERY), 0, None)
_CASES: Final = {c: frozenset({c.lower(), c.upper()}) for c in EVERY if c.isascii() and c.isalpha()}


class TextPattern:
    """A pattern, ready. Raises BadPattern for one that cannot be."""

    __slots__ = ("_rest",)

    def __init__(self, pattern: str) -> None:
        ignore_case = pattern.startswith("(?i)")
        tree = parse(pattern.removeprefix("(?i)"))
        self._rest = tuple(
            (wanted, _Automaton(one, ignore_case)) for wanted, one in _conditions(tree)
        )

    def matches(self, text: str) -> bool:
        """Whether the whole text is of this pattern."""
        return all(automaton.decide(text) is wanted for wanted, automaton in self._rest)


@lru_cache(maxsize=128)
def prepared(pattern: str) -> TextPattern:
    """The pattern, made once for all routes that share it; raises BadPattern."""
    return TextPattern(pattern)


def _conditions(tree: Node) -> list[tuple[bool, Node]]:
    """The pattern without its first look-aheads, and each of those with whatever may follow."""
    items = list(tree.items) if isinstance(tree, Sequence) else [tree]
    found: list[tuple[bool, Node]] = []
    edge: list[Node] = []
    while items and isinstance(items[0], Anchor | Look):
        first = items.pop(0)
        if isinstance(first, Look):
            found.append((first.wanted, Sequence((first.item, _ANY))))
        elif not edge:
            edge.append(first)
    return [*found, (True, Sequence((*edge, *items)))]


class _Part(NamedTuple):
    """A part of a pattern."""

    empty: bool
    """Nothing at all is one."""
    first: int
    """Positions that it may begin with."""
    last: int
    """Positions that it may end with."""


_NOTHING: Final = _Part(True, 0, 0)


class _State:
    """A set of positions that a text has got to."""

    __slots__ = ("positions", "then")

    def __init__(self, positions: int) -> None:
        self.positions = positions
        self.then: dict[str, _State] = {}


class _Automaton:
    """A tree without look-ahead."""

    def __init__(self, tree: Node, ignore_case: bool) -> None:
        self._ignore_case = ignore_case
        self._takes: dict[str, int] = {OTHER: 0}
        """Character to the positions that take it."""
        self._open = 0
        """Positions that take what no pattern names."""
        self._follow: list[int] = [0]
        """Position to those after it; the first is the beginning, before any character."""
        # Each edge of a text is there once: either the pattern asks for it, or it is passed by.
        edges = [Repeated(Chars(frozenset({edge})), 0, 1) for edge in (_BEGIN, _END)]
        whole = self._part(Sequence((edges[0], tree, edges[1])))
        self._follow[0] = whole.first
        self._ends = whole.last | (1 if whole.empty else 0)
        self._reaches: dict[tuple[int, int], int] = {}
        self._states: dict[int, _State] = {}
        self._remembered = 0

    # --- making -----------------------------------------------------------------------------

    def _part(self, node: Node) -> _Part:
        match node:
            case Chars(chars):
                return self._position(chars)
            case Anchor("^" | "A"):
                return self._position(frozenset({_BEGIN}))
            case Anchor("$" | "Z" | "z"):
                return self._position(frozenset({_END}))
            case Sequence(items):
                found = _NOTHING
                for item in items:
                    found = self._joined(found, self._part(item))
                return found
            case Alternatives(items):
                parts = [self._part(item) for item in items]
                found = parts[0]
                for part in parts[1:]:
                    found = _Part(
                        found.empty or part.empty, found.first | part.first, found.last | part.last
                    )
                return found
            case Repeated(item, least, most):
                return self._repeated(item, least, most)
            case Look():
                raise BadPattern("a look-ahead stands at the beginning, or nowhere")
            case Anchor():
                raise BadPattern("boundaries of words are not known here")

    def _position(self, chars: frozenset[str]) -> _Part:
        if len(self._follow) > _MOST_POSITIONS:
            raise BadPattern("the pattern is too large, its repetitions written out")
        bit = 1 << len(self._follow)
        self._follow.append(0)
        if self._ignore_case:
            chars = chars.union(*(_CASES.get(char, ()) for char in chars))
        for char in chars:
            self._takes[char] = self._takers(char) | bit
        if OTHER in chars:
            # A character named elsewhere is one of the others too.
            self._open |= bit
            for char in self._takes:
                if not char.isascii() and char != OTHER:
                    self._takes[char] |= bit
        return _Part(False, bit, bit)

    def _takers(self, char: str) -> int:
        found = self._takes.get(char)
        if found is None:
            return 0 if char.isascii() else self._open
        return found

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._link(one.last, other.first)
        return _Part(
            one.empty and other.empty,
            one.first | (other.first if one.empty else 0),
            other.last | (one.last if other.empty else 0),
        )

    def _link(self, before: int, after: int) -> None:
        while before:
            bit = before & -before
            self._follow[bit.bit_length() - 1] |= after
            before ^= bit

    def _repeated(self, item: Node, least: int, most: int | None) -> _Part:
        found = _NOTHING
        for _ in range(least):
            part = self._part(item)
            if part == _NOTHING:
                return part  # `(){1000000000}`
            found = self._joined(found, part)
        if most is None:
            part = self._part(item)
            self._link(part.last, part.first)
            return self._joined(found, part._replace(empty=True))
        for _ in range(most - least):
            part = self._part(item)
            if part == _NOTHING:
                break
            found = self._joined(found, part._replace(empty=True))
        return found

    # --- matching ---------------------------------------------------------------------------

    def decide(self, text: str) -> bool | None:
        """Whether the text matches; None: to find out would take too long."""
        left = _MOST_STEPS
        state = self._state(1)
        for char in (_BEGIN, *text, _END):
            following = state.then.get(char)
            if following is None:
                left -= 1
                if not left:
                    return None
                following = self._step(state, char)
            state = following
        return bool(state.positions & self._ends)

    def _step(self, state: _State, char: str) -> _State:
        reached = 0
        rest, chunk = state.positions, 0
        while rest:
            if rest & 0xFF:
                reached |= self._reached(chunk, rest & 0xFF)
            rest >>= 8
            chunk += 1
        found = self._state(reached & self._takers(char))
        self._remembered += 1
        if self._remembered > _MOST_REMEMBERED:
            self._remembered = 0
            self._states = {}
        else:
            state.then[char] = found
        return found

    def _reached(self, chunk: int, bits: int) -> int:
        """Positions after any of eight positions."""
        found = self._reaches.get((chunk, bits))
        if found is None:
            found = 0
            for offset in range(8):
                if bits >> offset & 1:
                    found |= self._follow[chunk * 8 + offset]
            self._reaches[chunk, bits] = found
        return found

    def _state(self, positions: int) -> _State:
        found = self._states.get(positions)
        if found is None:
            found = self._states[positions] = _State(positions)
        return found
