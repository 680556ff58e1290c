"""Requests that go on while something else happens, and edits that do.

Used by the fault tests around the fault. Promises: nothing is tried again; every answer that is
not a 200 is kept with its time, and so is the connection that broke; leaving the block ends the
threads and gives back an error of theirs.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple, Self


class Failure(NamedTuple):
    """An answer that no client wants."""

    after_s: float
    """Since the beginning."""
    where: str
    """Name of the pod."""
    said: str
    """Status and body, or what became of the connection."""


class Repeated:
    """Something that is done again and again, in a thread, until the block is left."""

    def __init__(
        self,
        name: str,
        act: Callable[[], None],
        pause: float,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._act = act
        self._pause = pause
        self._ended = ended
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.count = 0
        """How often it was done."""

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._act()
                self.count += 1
                self._over.wait(self._pause)
        except BaseException as error:
            self._error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._ended()
        if self._error is not None and error is None:
            raise self._error


class SteadyLoad:
    """GETs to every pod in turn: over a connection that is kept, and over a new one."""

    def __init__(
        self, ports: Mapping[str, int], host: str, path: str, *, pause: float = 0.01
    ) -> None:
        self.failures: list[Failure] = []
        """Every answer that was not a 200."""
        self.bodies: list[str] = []
        """What the others said, in order."""
        self._host, self._path = host, path
        self._began = time.monotonic()
        self._repeated: list[Repeated] = []
        for name, port in ports.items():
            kept = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            asking = self._asking(name, kept)
            self._repeated.append(Repeated(f"load on {name}", asking, pause, kept.close))

    @property
    def count(self) -> int:
        """Requests so far."""
        return sum(each.count for each in self._repeated)

    def _asking(self, name: str, kept: http.client.HTTPConnection) -> Callable[[], None]:
        turn = 0

        def ask() -> None:
            nonlocal turn
            turn += 1
            fresh = turn % 4 == 0
            used = http.client.HTTPConnection(kept.host, kept.port, timeout=30) if fresh else kept
            try:
                used.request("GET", self._path, headers={"Host": self._host})
                answer = used.getresponse()
                body = answer.read().decode(errors="replace")
            except (OSError, http.client.HTTPException) as why:
                used.close()
                self._fail(name, repr(why))
                return
            if answer.status == 200:
                self.bodies.append(body)
            else:
                self._fail(name, f"{answer.status} {body}")
            if fresh:
                used.close()

        return ask

    def _fail(self, name: str, said: str) -> None:
        self.failures.append(Failure(time.monotonic() - self._began, name, said))

    def __enter__(self) -> Self:
        for each in self._repeated:
            each.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in self._repeated:
            each.__exit__(kind, error, trace)
