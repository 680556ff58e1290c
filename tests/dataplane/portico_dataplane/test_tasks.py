"""Tasks are referenced while they run, and say when they fail."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from portico_dataplane.tasks import running, spawn


async def test_returns_what_the_coroutine_returns() -> None:
    async def answer() -> int:
        return 42

    task = spawn(answer(), name="answer")

    assert await task == 42
    assert task.get_name() == "answer"


async def test_is_kept_alive_without_a_reference_of_the_caller() -> None:
    ended = asyncio.Event()
    started = asyncio.Event()

    async def wait_for(gate: asyncio.Future[None]) -> None:
        started.set()
        await gate
        ended.set()

    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    spawn(wait_for(gate), name="kept")
    await started.wait()
    gc.collect()
    assert running() == 1
    gate.set_result(None)
    await ended.wait()


async def test_a_failure_is_logged_under_its_name(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("broken")

    task = spawn(fail(), name="the-name")
    with caplog.at_level(logging.ERROR):
        await asyncio.wait([task])

    assert "the-name" in caplog.text
    assert "broken" in caplog.text
    assert running() == 0


async def test_cancelling_is_not_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    task = spawn(asyncio.Event().wait(), name="cancelled")
    task.cancel()
    await asyncio.wait([task])

    assert caplog.text == ""
    assert running() == 0
