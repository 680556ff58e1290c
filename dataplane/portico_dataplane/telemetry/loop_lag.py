"""How late the event loop is: the pause that every request of a worker would have seen.

Started by the worker and the supervisor, read with their other readings. Promises: two timer
callbacks a second and no more; the answer covers at least the last `window_s` seconds.
"""

from __future__ import annotations

import asyncio


class LoopLag:
    """Measures by a timer that should come on time."""

    def __init__(self, period_s: float = 0.5, window_s: float = 10.0) -> None:
        self._period = period_s
        self._window = window_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._turn = 0.0
        # Two windows, so that a pause is shown for one to two of them and then forgotten.
        self._former = 0.0
        self._current = 0.0

    def start(self) -> None:
        """Begin measuring the running loop."""
        self._loop = asyncio.get_running_loop()
        self._turn = self._loop.time() + self._window
        self._arm(self._loop)

    def stop(self) -> None:
        """End measuring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def longest_s(self) -> float:
        """Longest delay of the last window or two."""
        return max(self._former, self._current)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + self._period
        self._timer = loop.call_at(self._due, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        if now >= self._turn:
            self._former, self._current = self._current, 0.0
            self._turn = now + self._window
        self._current = max(self._current, now - self._due)
        self._arm(loop)
