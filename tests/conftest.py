"""What holds for every test: no task is left behind, and CI does not skip in silence.

Fixtures that tests share live beside them or in tests/support; this file only sets rules.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Generator

import pytest
from hypothesis import HealthCheck, settings

MUST_RUN_IN_CI = frozenset({"cluster", "e2e", "nginx", "redis"})
"""Markers of tests that need a tool: skipping is for a desk without it, never for CI."""

# Examples are the same in every run of `make test`, so that a red run is red for a reason;
# `make fuzz` takes fresh ones. No deadline: machines differ, and a time is no assertion.
settings.register_profile(
    "test",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long",
    deadline=None,
    max_examples=3_000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("test")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Watch the tasks of every test that has an event loop."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            # First in, last out: fixtures have ended what they started when it looks.
            item.fixturenames.insert(0, "leaves_no_task")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that needs a tool fails where it would have been skipped."""
    report = yield
    needs = MUST_RUN_IN_CI.intersection(mark.name for mark in item.iter_markers())
    if report.skipped and needs and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI although it is marked {', '.join(sorted(needs))}: " + (
            str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        )
    return report


@pytest.fixture
async def leaves_no_task() -> AsyncIterator[None]:
    """Fails the test that leaves an asyncio task behind (design §9, rules 15 and 16)."""
    before = asyncio.all_tasks()
    yield
    ours = asyncio.current_task()
    left = {task for task in asyncio.all_tasks() - before if task is not ours}
    if left:
        # One that was cancelled, or whose connection has just closed, ends within a few turns of
        # the loop; the second is there for a busy machine, and is waited for only by a leak.
        await asyncio.wait(left, timeout=1)
    left = {task for task in left if not task.done()}
    names = sorted(f"{task.get_name()}: {task.get_coro()!r}" for task in left)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    assert not names, "tasks left behind: " + "; ".join(names)
