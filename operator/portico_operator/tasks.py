"""The operator's one place where tasks are made (design rule 15).

Called by everything that starts work beside its own flow; the data plane has its own, because
neither plane imports the other. Promises: a running task is referenced until it ends, and a
failure that nobody awaits is logged instead of lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
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


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they are gone; what they failed with is already logged."""
    ending = [task for task in tasks if not task.done()]
    for task in ending:
        task.cancel()
    if ending:
        await asyncio.wait(ending)


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        _log.error("task %s failed", task.get_name(), exc_info=error)
