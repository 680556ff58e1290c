"""Whether the other side still takes what is written to it.

Held by `http/connection.py` for a client's answers and by `http/tunnel.py` for a backend: while
somebody is behind, nobody reads from the one who talks to it, so that only time tells. Slow is
good enough: any byte taken since the last look is another while.
"""

from __future__ import annotations

import asyncio
import math


class Stall:
    """Looks after what one transport has not sent yet."""

    __slots__ = ("_seconds", "_transport", "_unsent", "due")

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds
        self._unsent = 0
        self.due = math.inf
        """When to look again, monotonic; infinity: nothing is expected to be taken."""

    def watch(self, now: float) -> None:
        """What is unsent now must shrink in time; nothing to do where nothing is."""
        self._unsent = self._transport.get_write_buffer_size()
        self.due = now + self._seconds if self._unsent else math.inf

    def rest(self) -> None:
        """The other side keeps up."""
        self.due = math.inf

    def stalled(self, now: float) -> bool:
        """Whether nothing at all was taken since the last look, and it is time; looks on."""
        if now < self.due:
            return False
        before = self._unsent
        self.watch(now)
        return self._unsent >= before
