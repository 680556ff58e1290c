"""Holds: objects that are there to end, so that somebody hears of it or can see it.

Leases and meters are of compiled classes, which cannot be referred to weakly (mypyc frees their
objects without telling, and a weak reference to one would point into nothing). So whoever uses one
holds one of these beside it, and its table goes by these. Never compiled itself, for that reason.
"""

from __future__ import annotations

from typing import Protocol


class Held(Protocol):
    """What counts its users."""

    holders: int

    def let_go(self) -> None:
        """There is one less."""
        ...


class Stake:
    """One use of something that counts its users: it hears when this is gone."""

    __slots__ = ("_held",)

    def __init__(self, held: Held) -> None:
        self._held = held
        held.holders += 1

    def __del__(self) -> None:
        self._held.let_go()


class Token:
    """Shared by all users of something, and weakly by who wants to know whether there are any."""

    __slots__ = ("__weakref__",)
