"""Edits [pure]: what is other between two lists of documents that mostly hold the same ones.

Used by passes that bring the last compile's result up to date instead of working out all of it: of
10,000 Routes one edit changes one. Promises: finding them costs a comparison of identities each;
lists that differ in more than a few, or in which something went or moved, are not compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, count
from operator import is_not
from typing import Final, NamedTuple

from portico_compiler.inventory import Document

MOST: Final = 64
"""Beyond so many, to begin anew is as cheap."""


class Edits(NamedTuple):
    """From the one list to the other."""

    replaced: list[tuple[Document, Document]]
    """Before and now, of one object each."""
    added: Sequence[Document]
    """At the end."""

    @property
    def now(self) -> list[Document]:
        """What was not there before."""
        return [*(now for _, now in self.replaced), *self.added]


def other(before: Sequence[object], now: Sequence[object]) -> list[int]:
    """Where two sequences do not hold the same object, as far as the shorter goes."""
    return list(compress(count(), map(is_not, before, now)))


def edits(before: Sequence[Document], now: Sequence[Document]) -> Edits | None:
    """What is other; None: too much, or not in its place."""
    added = len(now) - len(before)
    if not 0 <= added <= MOST:
        return None
    places = other(before, now)
    if len(places) > MOST:
        return None
    replaced = [(before[place], now[place]) for place in places]
    if any(old.ref != new.ref for old, new in replaced):
        return None
    return Edits(replaced, now[len(before) :])
