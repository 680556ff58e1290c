"""Selection patterns over a status: which of 100 to 599 a Java regular expression matches whole.

Called by `integrations/mock.py` when a route is built. A pattern comes from a user, so it is not
given to Python's `re`, which searches for ever even in three digits (`((\\d?){99}){99}x`): its
tree is worked out as relations between positions, for all statuses at once, in time linear in
its length.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, assert_never

from portico_ir.patterns import (
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

__all__ = ["STATUSES", "BadPattern", "matching_statuses"]

STATUSES: Final = range(100, 600)

# Where matches stand, for every status at once: bit 4·n + p says that in the n-th status one stands
# before character p (3: at its end). A relation holds, for each place where a match may begin, the
# places where it may end.
_UNITS: Final = sum(1 << (4 * index) for index in range(len(STATUSES)))
_PLACES: Final = range(4)
_Relation = tuple[int, ...]


@lru_cache(maxsize=256)
def matching_statuses(pattern: str) -> frozenset[int]:
    """Every status the whole of which the pattern matches; raises BadPattern."""
    ends = _relation(parse(pattern))[0] >> 3
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
    "^": _BEGIN,
    "$": _END,
    "A": _BEGIN,
    "Z": _END,
    "z": _END,
    # Digits are word characters all: the only boundaries are the ends.
    "b": _edge({0, 3}),
    "B": _edge({1, 2}),
}


def _relation(node: Node) -> _Relation:
    match node:
        case Chars(chars):
            return _one_of(chars)
        case Sequence(items):
            found = _EMPTY
            for item in items:
                found = _then(found, _relation(item))
            return found
        case Alternatives(items):
            found = _relation(items[0])
            for item in items[1:]:
                found = _either(found, _relation(item))
            return found
        case Repeated(item, least, most):
            return _repeated(_relation(item), least, most)
        case Look(item, wanted):
            return _look(_relation(item), wanted)
        case Anchor(name):
            return _ANCHORS[name]
        case _:
            assert_never(node)
