"""Memo: what earlier compiles worked out, so that an edit costs what it touches.

Made by whoever compiles more than once and handed to `compile` each time; filled and read by
the passes. Promises: it changes how long compiling takes, never what comes out; what a compile
did not use is forgotten when the compile is over.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

import msgspec

from portico_compiler.world import Settings

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shelf(Generic[K, V]):
    """Values of one pass, in two generations: the last compile's and this one's."""

    __slots__ = ("_current", "_previous")

    def __init__(self) -> None:
        self._previous: dict[K, V] = {}
        self._current: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """What the last compile kept under this key, or what this one already has."""
        found = self._current.get(key)
        return found if found is not None else self._previous.get(key)

    def keep(self, key: K, value: V) -> V:
        """Keeps a value for the next compile."""
        self._current[key] = value
        return value

    def keep_rest(self) -> None:
        """Keeps whatever the last compile had and this one has not replaced."""
        self._current = {**self._previous, **self._current}

    def turn(self) -> None:
        """The compile is over: what it did not keep is forgotten."""
        self._previous, self._current = self._current, {}


class Memo:
    """Shelves for the passes that remember; each says what its keys and values are."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._shelves: dict[str, Shelf[Any, Any]] = {}

    def open(self, settings: Settings) -> None:
        """A compile begins; under other settings nothing remembered holds."""
        # These go into the manifest, or are part of what is remembered with them.
        relevant = msgspec.structs.replace(settings, marks={}, build="", today="")
        if self._settings != relevant:
            self._shelves.clear()
        self._settings = relevant

    def shelf(self, name: str) -> Shelf[Any, Any]:
        """The shelf of a pass."""
        found = self._shelves.get(name)
        if found is None:
            found = self._shelves[name] = Shelf()
        return found

    def close(self) -> None:
        """A compile is over."""
        for shelf in self._shelves.values():
            shelf.turn()
