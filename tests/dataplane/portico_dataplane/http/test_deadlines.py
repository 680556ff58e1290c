"""Deadlines: late by at most a few ticks, never early, free to leave."""

from __future__ import annotations

import asyncio
import time

from portico_dataplane.http.deadlines import Deadlines


class Waiting:
    def __init__(self) -> None:
        self.fired = asyncio.Event()
        self.at = 0.0

    def on_deadline(self) -> None:
        self.at = time.monotonic()
        self.fired.set()


async def test_fires_once_and_never_early() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    waiting = [Waiting() for _ in range(3)]
    begun = time.monotonic()
    for number, one in enumerate(waiting):
        deadlines.schedule(one, 0.02 * number)
    for number, one in enumerate(waiting):
        await one.fired.wait()
        assert one.at - begun >= 0.02 * number


async def test_leaving_is_discarding() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    gone, stays = Waiting(), Waiting()
    slot = deadlines.schedule(gone, 0.01)
    deadlines.schedule(stays, 0.05)
    slot.discard(gone)
    await stays.fired.wait()
    assert not gone.fired.is_set()


async def test_what_is_scheduled_while_sweeping_fires_too() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())

    class Again(Waiting):
        left = 3

        def on_deadline(self) -> None:
            self.left -= 1
            if self.left:
                deadlines.schedule(self, 0.0)
            else:
                super().on_deadline()

    again = Again()
    deadlines.schedule(again, 0.0)
    await again.fired.wait()


async def test_closing_forgets() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    waiting = Waiting()
    deadlines.schedule(waiting, 0.0)
    deadlines.close()
    other = Deadlines(asyncio.get_running_loop())
    later = Waiting()
    other.schedule(later, 0.08)
    await later.fired.wait()
    assert not waiting.fired.is_set()
