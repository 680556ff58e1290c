"""Deadlines: late by at most a few ticks, never early, free to leave."""

from __future__ import annotations

import asyncio
import time

from portico_dataplane.http.deadlines import TICK, Deadlines


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


async def late_by(deadlines: Deadlines, *pauses: float) -> list[float]:
    """What `lag_s` says after the loop was held up for so long, once for each."""
    found = []
    for pause in pauses:
        waiting = Waiting()
        deadlines.schedule(waiting, 0.0)
        time.sleep(pause)
        await waiting.fired.wait()
        found.append(deadlines.lag_s)
    return found


async def test_a_pause_is_not_overload() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    stays = Waiting()
    deadlines.schedule(stays, 60.0)
    assert max(await late_by(deadlines, 0.0, 0.0, 0.5, 0.0, 0.0)) < 0.4
    deadlines.close()


async def test_a_loop_that_stays_late_is() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    stays = Waiting()
    deadlines.schedule(stays, 60.0)
    found = await late_by(deadlines, *[0.1] * 5)
    assert found[-1] >= 0.1 - 2 * TICK
    # On time again: forgotten at once.
    again = Waiting()
    deadlines.schedule(again, 0.0)
    await again.fired.wait()
    assert deadlines.lag_s < found[-1]
    deadlines.close()
