"""Lessee: a worker's leases, asked for and brought back, and the requests that wait for them.

Made by the gateway. Promises: nothing is sent per request; a request waits for an answer at most
`WAIT_S`, then goes as the fail mode says, and costs a timer only when it waits; one that is gone is
not waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from portico_dataplane.core.lease import ASK, TAKEN, Lease
from portico_dataplane.core.leases import Leases
from portico_ir.leases import Ask, Grant

WAIT_S: Final = 0.020
"""design.md §7: at most so long, and in two cases only."""
LOOK_S: Final = 0.1
"""Between two looks at the leases in use."""


class Handle(Protocol):
    """Something that will be called."""

    def cancel(self) -> None:
        """Not any more."""
        ...


class Loop(Protocol):
    """What of an event loop is needed; in simulations its time is made up."""

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Handle:
        """Call as soon as whoever runs now is done."""
        ...

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Handle:
        """Call in so many seconds."""
        ...


def unix_ms() -> int:
    """The stamp that requests carry."""
    return int(time.time() * 1000)


class Wait:
    """A request that waits for one token."""

    __slots__ = ("_done", "_lease", "_lessee", "_timer")

    def __init__(self, lessee: Lessee, lease: Lease, done: Callable[[bool], None]) -> None:
        self._lessee = lessee
        self._lease = lease
        self._done: Callable[[bool], None] | None = done
        self._timer: Handle | None = None

    def start(self, timer: Handle) -> None:
        """It is waiting, until then at the latest."""
        self._timer = timer

    def finish(self, taken: bool) -> None:
        """It is over."""
        done = self._done
        self.end()
        if done is not None:
            done(taken)

    def expire(self) -> None:
        """Nobody answered in time."""
        self.finish(self._lease.overdue())

    def end(self) -> None:
        """Nobody waits any more."""
        if self._done is not None:
            self._done = None
            self._lessee.leave(self._lease, self)
            if self._timer is not None:
                self._timer.cancel()


class Lessee:
    """The leases of one worker, in touch with the pod."""

    def __init__(
        self,
        loop: Loop,
        send: Callable[[list[Ask]], None],
        leases: Leases | None = None,
        now: Callable[[], int] = unix_ms,
    ) -> None:
        self.leases = leases if leases is not None else Leases()
        self.leases.wake = self._wake
        self._loop = loop
        self._send = send
        self._now = now
        self._waiting: dict[Lease, list[Wait]] = {}
        self._soon: Handle | None = None
        self._look: Handle | None = None

    def wait(self, lease: Lease, done: Callable[[bool], None]) -> Wait:
        """Tell `done` whether a token could be had, in `WAIT_S` at the latest."""
        wait = Wait(self, lease, done)
        self._waiting.setdefault(lease, []).append(wait)
        lease.waiting += 1
        wait.start(self._loop.call_later(WAIT_S, wait.expire))
        self.leases.press(lease)
        return wait

    def leave(self, lease: Lease, wait: Wait) -> None:
        """It waits no longer."""
        waiting = self._waiting.get(lease)
        if waiting is not None and wait in waiting:
            lease.waiting -= 1
            waiting.remove(wait)
            if not waiting:
                del self._waiting[lease]

    def granted(self, grants: Iterable[Grant], leaves: int) -> None:
        """What the pod answered."""
        now = self._now()
        self.leases.leaves = leaves
        for grant in grants:
            lease = self.leases.granted(grant, now)
            for wait in self._waiting.get(lease, ())[:] if lease is not None else ():
                assert lease is not None
                taken = lease.take(now)
                if taken == ASK:
                    self.leases.press(lease)
                    break
                wait.finish(taken == TAKEN)

    def close(self) -> None:
        """Report what was counted, and look after nothing any more."""
        if asks := self.leases.everything(self._now()):
            self._send(asks)
        for handle in (self._soon, self._look):
            if handle is not None:
                handle.cancel()
        for waiting in list(self._waiting.values()):
            for wait in list(waiting):
                wait.end()

    # Within.

    def _wake(self) -> None:
        if self._soon is None:
            self._soon = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._soon = None
        if asks := self.leases.due(self._now(), everything=False):
            self._send(asks)
        if self._look is None and self.leases.busy:
            self._look = self._loop.call_later(LOOK_S, self._look_around)

    def _look_around(self) -> None:
        self._look = None
        if asks := self.leases.due(self._now(), everything=True):
            self._send(asks)
        if self.leases.busy:
            self._look = self._loop.call_later(LOOK_S, self._look_around)
