"""Tasks: referenced, named, and their failures logged."""

from __future__ import annotations

import asyncio

import pytest

from portico_operator.tasks import end, spawn


async def fail() -> None:
    raise ValueError("broken")


async def test_a_failure_is_logged_under_its_name(caplog: pytest.LogCaptureFixture) -> None:
    task = spawn(fail(), name="the task")
    await asyncio.wait((task,))
    await asyncio.sleep(0)
    assert "the task" in caplog.text


async def test_ending_waits() -> None:
    task = spawn(asyncio.sleep(3600), name="long")
    await end((task,))
    assert task.cancelled()
    await end((task,))
