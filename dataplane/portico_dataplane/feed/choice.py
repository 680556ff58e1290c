"""Which operator a pod follows. Decisions only; time comes in.

Asked by the feed whenever a stream opens, ends or says how new it is. Promises: a pod moves to
another operator only when that one has seen everything the pod serves, or offers the very same;
it stays where it is unless that operator falls behind for a while, because two operators of
different versions may make different bytes of one world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from portico_ir.model import IR_VERSION
from portico_ir.stream import Marks, is_forward

LAG_S: Final = 3.0
"""An operator whose marks have been behind another's for so long is left."""


class Choosable(NamedTuple):
    """What an operator has said of itself."""

    ir_version: int
    content: str
    marks: Marks
    """How far it has looked."""
    changed: Marks
    """The newest changes in what it offers. Marks of a quiet kind move by lists and bookmarks, at
    other times in each replica: whether one is behind another is a question of changes."""


class Held(NamedTuple):
    """What the pod serves, or would serve from its last good snapshot."""

    content: str
    changed: Marks
    """The newest changes in it."""


Key = TypeVar("Key")


def may_follow(offered: Choosable, held: Held | None) -> bool:
    """Whether going there is no step back."""
    return (
        held is None or offered.content == held.content or is_forward(offered.marks, held.changed)
    )


def is_ahead(one: Choosable, other: Choosable) -> bool:
    """Whether `one` has all that `other` has, and changes that it has not seen."""
    return (
        one.content != other.content
        and is_forward(one.marks, other.changed)
        and not is_forward(other.marks, one.changed)
    )


def best(
    offers: Iterable[tuple[Key, Choosable]],
    held: Held | None,
    pick: Callable[[Sequence[Key]], Key],
) -> Key | None:
    """Whom to follow when following nobody; `pick` decides among equals."""
    good = [(key, offer) for key, offer in offers if may_follow(offer, held)]
    # One that speaks another version is better than none: its refusal tells people why.
    good = [each for each in good if each[1].ir_version == IR_VERSION] or good
    top = [key for key, offer in good if not any(is_ahead(other, offer) for _, other in good)]
    # Operators that serve different kinds may be ahead of one another in a circle.
    return pick(top or [key for key, _ in good]) if good else None


class Patience:
    """How long the followed operator has been behind."""

    def __init__(self, lag_s: float = LAG_S) -> None:
        self._lag_s = lag_s
        self._since: float | None = None

    def is_over(
        self, followed: Choosable, others: Iterable[Choosable], held: Held | None, now: float
    ) -> bool:
        """Whether to look for another."""
        readable = followed.ir_version == IR_VERSION
        behind = any(
            (is_ahead(other, followed) or not readable)
            and may_follow(other, held)
            and other.ir_version == IR_VERSION
            for other in others
        )
        if not behind:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._lag_s

    def reset(self) -> None:
        """Another is followed."""
        self._since = None
