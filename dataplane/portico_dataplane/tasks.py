"""The one place where tasks are made (design rule 15).

Called by everything that starts work beside its own flow. Promises: a running task is
referenced until it ends (asyncio itself keeps only weak references, so a task nobody holds
may vanish halfway), and a failure that nobody awaits is logged instead of lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

_log = logging.getLogger(__name__)
_running: set[asyncio.Task[Any]] = set()

T = TypeVar("T")


def spawn(coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Run `coro` on the running loop under `name`; a failure is logged under that name."""
    task = asyncio.get_running_loop().create_task(coro, name=name)
    _running.add(task)
    task.add_done_callback(_ended)
    return task


def running() -> int:
    """How many spawned tasks have not ended; for metrics and for tests about leaks."""
    return len(_running)


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        _log.error("task %s failed", task.get_name(), exc_info=error)
