"""Leasing: the pod's broker, in touch with its workers and its store.

Made by the supervisor, and by a gateway without one. Promises: asks of workers that come together
go to the store together; a store that does not answer in time is away, is asked again at growing
intervals with the very same exchange, and nobody waits for it meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from portico_dataplane.core.broker import Broker
from portico_dataplane.core.line import Answer
from portico_dataplane.effects.lessee import Handle, Loop
from portico_ir.leases import Ask, Exchange, Grant, Settlement

BEAT_S: Final = 0.05
"""Between two looks at what is due."""
PATIENCE_S: Final = 0.5
"""A store that has not answered by then is away."""
AGAIN_S: Final = 0.1
MOST_AGAIN_S: Final = 1.0


class Store(Protocol):
    """Who knows what all pods may do. It answers through `Leasing.settled` or `Leasing.failed`,
    sooner or later, or not at all."""

    def send(self, exchange: Exchange) -> None:
        """Ask."""
        ...


class Deliver(Protocol):
    """Takes grants to a worker."""

    def __call__(self, worker: str, grants: list[Grant], leaves: int) -> None:
        """`leaves`: workers of all pods."""
        ...


def monotonic_ms() -> float:
    """Nobody compares it with anything elsewhere."""
    return time.monotonic() * 1000


class Leasing:
    """One pod."""

    def __init__(
        self,
        loop: Loop,
        broker: Broker,
        deliver: Deliver,
        now: Callable[[], float] = monotonic_ms,
    ) -> None:
        self.broker = broker
        self._loop = loop
        self._deliver = deliver
        self._now = now
        self._store: Store | None = None
        self._soon: Handle | None = None
        self._beat: Handle | None = None
        self._patience: Handle | None = None
        self._again: Handle | None = None
        self._backoff = AGAIN_S
        self.settled_up = asyncio.Event()
        """The last exchange has been answered."""

    def use(self, store: Store | None) -> None:
        """Ask there from now on; what is on its way is asked again there."""
        self._store = store
        self._backoff = AGAIN_S
        self._hand_out(self.broker.moved(self._now()))
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self.broker.outstanding is not None:
            self._send(self.broker.outstanding)
        else:
            self._wake()

    def asked(self, worker: str, asks: Iterable[Ask]) -> None:
        """A worker reports and asks."""
        self._hand_out(self.broker.asked(worker, asks, self._now()))
        self._wake()

    def gone(self, worker: str) -> None:
        """A worker has died."""
        self.broker.gone(worker, self._now())

    def settled(self, settlement: Settlement) -> None:
        """The store has answered."""
        answers = self.broker.settled(settlement, self._now())
        if self.broker.outstanding is None:
            self.settled_up.set()
            self._backoff = AGAIN_S
            for handle in (self._patience, self._again):
                if handle is not None:
                    handle.cancel()
            self._patience = self._again = None
            self._wake()
        self._hand_out(answers)

    def failed(self) -> None:
        """The store cannot be reached, or what it says cannot be read."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._hand_out(self.broker.lost(self._now()))
        if self._again is None and self.broker.outstanding is not None:
            self._again = self._loop.call_later(self._backoff, self._retry)
            self._backoff = min(MOST_AGAIN_S, 2 * self._backoff)

    def farewell(self) -> bool:
        """The workers are gone: give everything back. Whether there is anything to wait for."""
        self.broker.farewell(self._now())
        self._go()
        return self.broker.outstanding is not None

    def close(self) -> None:
        """Look after nothing any more."""
        for handle in (self._soon, self._beat, self._patience, self._again):
            if handle is not None:
                handle.cancel()

    # Within.

    def _wake(self) -> None:
        if self._soon is None:
            self._soon = self._loop.call_soon(self._go)

    def _go(self) -> None:
        self._soon = None
        exchange = self.broker.exchange(self._now())
        if exchange is not None:
            self.settled_up.clear()
            self._send(exchange)
        if self._beat is None and self.broker.busy:
            self._beat = self._loop.call_later(BEAT_S, self._on_beat)

    def _on_beat(self) -> None:
        self._beat = None
        self._hand_out(self.broker.expired(self._now()))
        self._go()

    def _send(self, exchange: Exchange) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self._loop.call_later(PATIENCE_S, self.failed)
        if self._store is None:
            self.failed()
        else:
            self._store.send(exchange)

    def _retry(self) -> None:
        self._again = None
        if self.broker.outstanding is not None:
            self._send(self.broker.outstanding)

    def _hand_out(self, answers: list[Answer]) -> None:
        by_worker: dict[str, list[Grant]] = {}
        for answer in answers:
            by_worker.setdefault(answer.worker, []).append(answer.grant)
        for worker, grants in by_worker.items():
            self._deliver(worker, grants, self.broker.pod.fleet)
