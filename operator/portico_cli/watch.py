"""Notices that manifests have changed: the set of files, or any one's time, size or inode.

Called by `dev`. By asking, not by inotify, which the standard library lacks and network and
container mounts often do not deliver. Promises: asking stays cheap beside what it costs, off
the event loop, and a change is reported once writing has paused, so that a file half written
is rarely read.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence

from portico_cli.files import Stamp, find

INTERVAL_S = 0.2
_SETTLE_S = 0.03
_SETTLE_AT_MOST_S = 1.0
_SHARE = 10
"""Looking takes at most one part in this many of the time."""

State = dict[str, Stamp | None]


class Watch:
    """The state of some paths, compared with what it was."""

    def __init__(self, paths: Sequence[str], backends: Sequence[str] = ()) -> None:
        self._paths = list(paths)
        self._backends = list(backends)
        self._known: State | None = None

    def mark(self) -> None:
        """What is there now is known; call it before reading."""
        self._known = self._state()

    async def changed(self) -> None:
        """Returns when something differs from the last mark or report."""
        while True:
            started = time.monotonic()
            state = await asyncio.to_thread(self._state)
            if state != self._known:
                await self._settled(state)
                return
            await asyncio.sleep(max(INTERVAL_S, _SHARE * (time.monotonic() - started)))

    async def _settled(self, state: State) -> None:
        started = time.monotonic()
        self._known = state
        while time.monotonic() - started < _SETTLE_AT_MOST_S:
            await asyncio.sleep(_SETTLE_S)
            state = await asyncio.to_thread(self._state)
            if state == self._known:
                return
            self._known = state

    def _state(self) -> State:
        found = find(self._paths)
        state: State = dict(found.files)
        for file in (*found.backends, *self._backends):
            try:
                status = os.stat(file)
            except OSError:
                state[file] = None
            else:
                state[file] = (status.st_mtime_ns, status.st_size, status.st_ino)
        for number, problem in enumerate(found.problems):
            state[f"\0{number} {problem}"] = None
        return state
