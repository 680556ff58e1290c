"""A fleet in virtual time: real leases, brokers and ledger, on a loop whose clock is made up.

Used by the simulations of tests/dataplane/portico_dataplane/core. Requests arrive where and when a
test says; what a real request would do with its counters is done here in the same calls. Everything
is deterministic for a seed.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

from portico_dataplane.core.broker import Broker
from portico_dataplane.core.holds import Stake
from portico_dataplane.core.lease import ASK, TAKEN, Lease
from portico_dataplane.effects.lessee import Lessee
from portico_dataplane.workers.leasing import Leasing
from portico_ir.leases import Ask, Exchange, Grant, Requests
from portico_ir.ledger import Ledger

BEGIN_MS: Final = 1_795_435_200_000.0
"""A Monday noon of 2026, UTC."""
CHANNEL_S: Final = 0.0003
"""Between a worker and its supervisor, one way."""
NETWORK_S: Final = 0.001
"""Between a pod and the store, one way."""


class Timer:
    """A call to come."""

    __slots__ = ("args", "callback", "cancelled")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.callback = callback
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class VirtualLoop:
    """Time that passes when nothing is left to do."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Timer:
        return self.call_later(0.0, callback, *args)

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Timer:
        timer = Timer(callback, args)
        heapq.heappush(self._heap, (self.now + delay, next(self._order), timer))
        return timer

    def run_until(self, end: float) -> None:
        """Let time pass."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            self.now, _, timer = heapq.heappop(heap)
            if not timer.cancelled:
                timer.callback(*timer.args)
        self.now = end

    def run(self, seconds: float) -> None:
        self.run_until(self.now + seconds)


class VirtualStore:
    """A ledger behind a network; it may be away, and it may lose what it knows."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.ledger = Ledger()
        self.down = False
        self.operations = 0

    def unix_ms(self) -> float:
        return BEGIN_MS + self.loop.now * 1000

    def restart(self, *, empty: bool) -> None:
        """It is back, with or without what it knew."""
        if empty:
            self.ledger = Ledger()
        self.down = False

    def settle(self, pod: Pod, exchange: Exchange) -> None:
        if self.down or pod.dead or pod.cut_off:
            return
        self.operations += 1
        settlement = self.ledger.settle(exchange, self.unix_ms())
        self.loop.call_later(NETWORK_S, pod.receive, settlement)


class Worker:
    """One worker: counts what it accepts and refuses."""

    def __init__(self, pod: Pod, number: int) -> None:
        self.pod = pod
        self.name = str(number)
        self.loop = pod.loop
        self.lessee = Lessee(self.loop, self._send, now=self.unix_ms)
        self.lessee.leases.keeps = pod.keeps
        self.accepted = 0
        self.refused = 0
        self.waited = 0
        self.longest = 0.0
        self.log: list[float] = []
        self.held: dict[Lease, Stake] = {}

    def unix_ms(self) -> int:
        return int(BEGIN_MS + self.loop.now * 1000 + self.pod.skew_ms)

    def request(self, lease: Lease) -> None:
        """A request passes the counter, or waits, or is refused."""
        if self.pod.dead:
            return
        if lease not in self.held:
            self.held[lease] = Stake(lease)  # as a policy would
        taken = lease.take(self.unix_ms())
        if taken == ASK:
            self.waited += 1
            asked_at = self.loop.now
            self.lessee.wait(lease, lambda passed: self._waited(passed, asked_at))
        else:
            self._done(taken == TAKEN)

    def bucket(self, rate: float, burst: float, known_as: str = "bucket") -> None:
        self.request(self.lessee.leases.bucket(known_as, rate, burst))

    def quota(self, limit: int, period: Any = "DAY", key: str = "k") -> None:
        requests = Requests("plan", key, limit, period, 0)
        self.request(self.lessee.leases.quota(f"q/plan/{key}", requests))

    def _waited(self, passed: bool, asked_at: float) -> None:
        self.longest = max(self.longest, self.loop.now - asked_at)
        self._done(passed)

    def _done(self, passed: bool) -> None:
        if passed:
            self.accepted += 1
            self.log.append(self.loop.now)
        else:
            self.refused += 1

    def _send(self, asks: list[Ask]) -> None:
        self.loop.call_later(CHANNEL_S, self._arrive, asks)

    def _arrive(self, asks: list[Ask]) -> None:
        if not self.pod.dead:
            self.pod.leasing.asked(self.name, asks)

    def deliver(self, grants: list[Grant], leaves: int) -> None:
        if not self.pod.dead:
            self.lessee.granted(grants, leaves)


class Pod:
    """A supervisor with workers."""

    def __init__(
        self, fleet: Fleet, name: str, workers: int, *, keeps: bool = True, skew_ms: float = 0.0
    ) -> None:
        self.fleet = fleet
        self.loop = fleet.loop
        self.name = name
        self.keeps = keeps
        self.skew_ms = skew_ms
        self.dead = False
        self.cut_off = False
        self.workers = [Worker(self, number) for number in range(workers)]
        broker = Broker(name, workers, unix_ms=BEGIN_MS + skew_ms, keeps=keeps)
        self.leasing = Leasing(self.loop, broker, self._deliver, self.monotonic_ms)
        self.leasing.use(self)

    def monotonic_ms(self) -> float:
        # It began at another time than anybody else's.
        return self.loop.now * 1000 + 12_345.0 * (1 + len(self.name))

    # workers.leasing.Store

    def send(self, exchange: Exchange) -> None:
        if not self.dead:
            self.loop.call_later(NETWORK_S, self.fleet.store.settle, self, exchange)

    def receive(self, settlement: Any) -> None:
        if not self.dead and not self.cut_off:
            self.leasing.settled(settlement)

    def _deliver(self, worker: str, grants: list[Grant], leaves: int) -> None:
        target = self.workers[int(worker)]
        self.loop.call_later(CHANNEL_S, target.deliver, grants, leaves)

    def kill(self) -> None:
        """It dies with everything it holds."""
        self.dead = True
        self.leasing.close()
        for worker in self.workers:
            worker.lessee.close()

    @property
    def accepted(self) -> int:
        return sum(worker.accepted for worker in self.workers)


class Fleet:
    """Pods, a store, and the requests that come."""

    def __init__(
        self, pods: int = 3, workers: int = 2, *, keeps: bool = True, seed: int = 1
    ) -> None:
        self.loop = VirtualLoop()
        self.chance = random.Random(seed)
        self.store = VirtualStore(self.loop)
        self.pods = [Pod(self, f"pod-{n}", workers, keeps=keeps) for n in range(pods)]

    @property
    def workers(self) -> list[Worker]:
        return [worker for pod in self.pods for worker in pod.workers]

    @property
    def accepted(self) -> int:
        return sum(pod.accepted for pod in self.pods)

    @property
    def refused(self) -> int:
        return sum(worker.refused for worker in self.workers)

    @property
    def waited(self) -> int:
        return sum(worker.waited for worker in self.workers)

    def times(self) -> list[float]:
        """When requests were accepted."""
        return sorted(itertools.chain.from_iterable(worker.log for worker in self.workers))

    def load(
        self,
        worker: Worker,
        rate: float,
        seconds: float,
        request: Callable[[Worker], None],
        start: float = 0.0,
    ) -> None:
        """Requests at random times, `rate` a second on average."""
        arrivals = self._arrivals(self.loop.now + start, rate, seconds)
        self._next(worker, arrivals, request)

    def _next(
        self, worker: Worker, arrivals: Iterator[float], request: Callable[[Worker], None]
    ) -> None:
        at = next(arrivals, None)
        if at is not None:
            self.loop.call_later(at - self.loop.now, self._arrive, worker, arrivals, request)

    def _arrive(
        self, worker: Worker, arrivals: Iterator[float], request: Callable[[Worker], None]
    ) -> None:
        request(worker)
        self._next(worker, arrivals, request)

    def _arrivals(self, start: float, rate: float, seconds: float) -> Iterator[float]:
        at = start
        while rate > 0:
            at += self.chance.expovariate(rate)
            if at >= start + seconds:
                return
            yield at


def ideal(arrivals: list[float], rate: float, burst: float) -> int:
    """What one bucket for all would have accepted."""
    tokens, last, accepted = burst, 0.0, 0
    for at in sorted(arrivals):
        tokens = min(burst, tokens + (at - last) * rate)
        last = at
        if tokens >= 1:
            tokens -= 1
            accepted += 1
    return accepted
