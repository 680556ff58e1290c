"""A loop that is held up is seen to be."""

from __future__ import annotations

import asyncio
import time

from portico_dataplane.telemetry.loop_lag import LoopLag


async def until_measured(lag: LoopLag, at_least: float) -> None:
    while lag.longest_s() < at_least:
        await asyncio.sleep(0)


async def test_a_pause_is_measured() -> None:
    lag = LoopLag(period_s=0.001)
    lag.start()
    time.sleep(0.05)
    async with asyncio.timeout(10):
        await until_measured(lag, 0.04)
    lag.stop()

    assert lag.longest_s() >= 0.04


async def test_a_pause_is_forgotten() -> None:
    lag = LoopLag(period_s=0.001, window_s=0.01)
    lag.start()
    time.sleep(0.05)
    async with asyncio.timeout(10):
        await until_measured(lag, 0.04)
        while lag.longest_s() >= 0.04:
            await asyncio.sleep(0)
    lag.stop()


async def test_nothing_is_measured_after_the_end() -> None:
    lag = LoopLag(period_s=0.001)
    lag.start()
    lag.stop()
    before = lag.longest_s()
    time.sleep(0.02)
    await asyncio.sleep(0.005)

    assert lag.longest_s() == before
