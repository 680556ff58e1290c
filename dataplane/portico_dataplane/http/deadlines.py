"""Deadlines: timeouts for thousands of things at the price of a set operation each.

A loop timer per request costs more than routing it. Here everything that waits sits in the
slot of its tick; one timer runs while anything waits. Precision is one tick (25 ms), always
late, never early. Owned by the gateway; connections and exchanges schedule themselves. How late the
timer itself comes is how late the event loop is.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

TICK: Final = 0.025


class Expiring(Protocol):
    """Something that waits."""

    def on_deadline(self) -> None:
        """The deadline passed."""
        ...


Slot = set[Expiring]


class Schedule(Protocol):
    """What `Deadlines` is to those who only wait now and then."""

    def schedule(self, waiting: Expiring, seconds: float) -> Slot:
        """Call `waiting.on_deadline()` once, `seconds` from now at the earliest."""
        ...


class Deadlines:
    """Slots by tick; `schedule` returns the slot, leaving it is `slot.discard(self)`."""

    __slots__ = ("_before", "_due", "_last", "_loop", "_slots", "_swept", "_timer", "lag_s")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, Slot] = {}
        self._swept = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.lag_s = 0.0
        """How late the loop has been for three ticks: one pause, however long, is not counted."""
        self._last = self._before = 0.0

    def schedule(self, waiting: Expiring, seconds: float) -> Slot:
        """Call `waiting.on_deadline()` once, `seconds` from now at the earliest."""
        return self.at(time.monotonic() + seconds, waiting)

    def at(self, when: float, waiting: Expiring) -> Slot:
        """As `schedule`, at a monotonic time."""
        tick = int(when / TICK) + 1
        slot = self._slots.get(tick)
        if slot is None:
            slot = self._slots[tick] = set()
            if self._timer is None:
                now = time.monotonic()
                self._swept = int(now / TICK)
                self._due = now + TICK
                self.lag_s = self._last = self._before = 0.0
                self._timer = self._loop.call_later(TICK, self._sweep)
        slot.add(waiting)
        return slot

    def _sweep(self) -> None:
        woken = time.monotonic()
        late = woken - self._due
        self.lag_s = min(late, self._last, self._before)
        self._before = self._last
        self._last = late
        now = int(woken / TICK)
        slots = self._slots
        due = (
            range(self._swept + 1, now + 1)
            if now - self._swept <= len(slots)
            else sorted(tick for tick in slots if tick <= now)
        )
        for tick in due:
            slot = slots.pop(tick, None)
            while slot:
                slot.pop().on_deadline()
        self._swept = now
        self._due = time.monotonic() + TICK
        self._timer = self._loop.call_later(TICK, self._sweep) if slots else None

    def close(self) -> None:
        """Forget everything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._slots.clear()
