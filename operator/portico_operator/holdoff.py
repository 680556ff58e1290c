"""Holdoff [pure]: when a burst of changes is over, or has lasted long enough.

Used by the reconciler. Without it 50 applied objects are 100 compiles: events come at least
twice per object at start (reference/kubernetes.md §3). After work that took long there is a rest,
so that changes without end share compiles instead of having one each: in a large world what a
compile costs, and what it makes pods do, would else leave no CPU to deliver it. Time is passed in.
"""

from __future__ import annotations

import math

QUIET_S = 0.020
"""This long without a change, and the burst is over."""
MOST_S = 0.200
"""No burst lasts longer than this, and no rest."""
REST = 4.0
"""Times the CPU time that the work took; not times how long it took, which on a busy node is
mostly others' work: edits waited 0.2 s for nothing."""


class Holdoff:
    """The changes since the last compile."""

    __slots__ = ("_first", "_last", "_most", "_quiet", "_rested")

    def __init__(self, quiet: float = QUIET_S, most: float = MOST_S) -> None:
        self._quiet = quiet
        self._most = most
        self._first: float | None = None
        self._last = 0.0
        self._rested = -math.inf

    def touch(self, now: float) -> None:
        """Something changed."""
        if self._first is None:
            self._first = now
            self._last = now
        self._last = max(self._last, now)

    @property
    def due(self) -> float | None:
        """When to act; None while nothing has changed."""
        if self._first is None:
            return None
        return max(min(self._last + self._quiet, self._first + self._most), self._rested)

    @property
    def first(self) -> float | None:
        """When the oldest change that waits was seen."""
        return self._first

    def clear(self) -> None:
        """The changes so far are dealt with."""
        self._first = None

    def worked(self, effort: float, ended: float) -> None:
        """Dealing with them took so many seconds of CPU."""
        self._rested = ended + min(REST * effort, self._most)
