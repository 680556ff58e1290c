"""WriteFlow [pure]: how many writes may be under way, and how fast new ones begin.

Kept by the status writer. Promises: a rate with a burst; a bound on what is in flight, found step
by step: it grows while answers come quickly, shrinks when they come slowly, and is halved when the
API server is busy or away; the pause that the server asks for is kept. Time is passed in.
"""

from __future__ import annotations

import math
from typing import Final

RATE: Final = 200.0
"""Writes a second, in the long run (design.md §5, item 6)."""
BURST: Final = 400.0
"""Writes at once, after a quiet time."""
WIDTH: Final = 32
"""In flight at most. More make a busy API server slower and nothing faster."""
FIRST_WIDTH: Final = 4
QUICK_S: Final = 0.25
SLOW_S: Final = 0.5
"""An answer that takes longer is one of too many; well below the time after which it is given up,
because the server then has had the work for nothing."""
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
LONGEST_ASKED_S: Final = 60.0
"""A server that asks for more is asked again after this."""


class WriteFlow:
    """Of one writer."""

    def __init__(
        self, now: float, rate: float = RATE, burst: float = BURST, width: int = WIDTH
    ) -> None:
        self._rate, self._burst, self._width = rate, burst, width
        self._tokens = burst
        self._at = now
        self._limit = float(min(FIRST_WIDTH, width))
        self._in_flight = 0
        self._open_at = -math.inf
        """Nothing begins before this."""
        self._setback_at = -math.inf
        self._pause = FIRST_PAUSE_S

    def room(self, now: float) -> int:
        """How many writes may begin now."""
        if now < self._open_at:
            return 0
        self._refill(now)
        return max(0, min(int(self._tokens), int(self._limit) - self._in_flight))

    def next_time(self, now: float) -> float:
        """When there may be room without a write ending; inf: not before one ends."""
        if self._in_flight >= int(self._limit):
            return math.inf
        self._refill(now)
        return max(self._open_at, now + max(0.0, 1.0 - self._tokens) / self._rate)

    def begun(self, now: float) -> None:
        """A write begins."""
        self._refill(now)
        self._tokens -= 1
        self._in_flight += 1

    def ended(self) -> None:
        """A write has ended, in whatever way."""
        self._in_flight -= 1

    def answered(self, seconds: float) -> None:
        """The server has dealt with a write, which took so long."""
        self._pause = FIRST_PAUSE_S
        if seconds <= QUICK_S:
            self._limit = min(float(self._width), self._limit + 1)
        elif seconds > SLOW_S:
            self._limit = max(1.0, self._limit - 0.5)

    def set_back(self, began: float, now: float, asked: float | None = None) -> None:
        """A write that began then met a server that is busy, slow or away."""
        if asked is not None:
            self._open_at = max(self._open_at, now + min(asked, LONGEST_ASKED_S))
        if began < self._setback_at:
            return  # Of the same trouble as the one that was counted.
        self._setback_at = now
        self._limit = max(1.0, self._limit // 2)
        self._open_at = max(self._open_at, now + self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE_S)

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
