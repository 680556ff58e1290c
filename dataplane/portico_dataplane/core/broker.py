"""Broker: the pod between its workers and its store; the middle of the lease protocol.

Driven by `workers/leasing.py` in the supervisor, and by a gateway that has no supervisor.
Promises: workers are answered from what the pod holds, and only one that would wait makes the
pod ask at once; one exchange is on its way at a time, and repeated until it is answered, so that
nothing counts twice; while the store is away the pod lives on its last shares, or refuses, and
hands in later what was counted. `now` is monotonic milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import islice
from typing import Final

from portico_dataplane.core.line import ROUTINE_MS, Answer, Line, Pod
from portico_ir.leases import Ask, Exchange, Requests, Settlement, Use
from portico_ir.periods import day_of
from portico_ir.stock import BACK_MS

SOON_MS: Final = 50.0
"""A counter that runs low waits so long, so that others can join it."""
USAGE_MS: Final = 1_000.0
"""Requests are reported after at most this long."""
MOST_ASKS: Final = 2_000
"""Counters, and keys with usage, in one exchange; the others wait for the next."""
LOG_MS: Final = 600_000.0
"""Usage that was handed in is remembered so long, lest the store loses it."""


class Broker:
    """One pod's leases."""

    def __init__(self, holder: str, leaves: int, *, unix_ms: float, keeps: bool = True) -> None:
        self.holder = holder
        self.pod = Pod(leaves, keeps=keeps)
        self._epoch = unix_ms
        """The store's Unix time when `now` was 0."""
        self._lines: dict[str, Line] = {}
        self._pressing: dict[str, Line] = {}
        """Somebody waits, or will soon."""
        self._usage: dict[tuple[str, str, int], int] = {}
        self._usage_since = math.inf
        self._log: dict[int, tuple[float, tuple[Use, ...]]] = {}
        self._serial = 0
        self._acknowledged = 0
        self._sent: Exchange | None = None
        self._sent_at = 0.0
        self._scanned = -math.inf
        self._doubted_until = -math.inf
        """The store was away, or has lost something: until all pods may have handed in what they
        counted, what it says is left of quotas may be too much."""

    # --- workers ------------------------------------------------------------------------------

    def asked(self, worker: str, asks: Iterable[Ask], now: float) -> list[Answer]:
        """What workers may have at once; others hear when the store has answered."""
        answers: list[Answer] = []
        for ask in asks:
            limit = ask.limit
            if isinstance(limit, Requests):
                if ask.spent:
                    self._count(limit, int(ask.spent), now)
                if limit.limit < 0:
                    continue  # nobody has to be asked
            line = self._line(ask, now)
            ask = line.heard(worker, ask, now)
            if not (ask.want or ask.held):
                if not line.stock.shares:
                    self._pressing[line.id] = line  # nobody uses it: give it back
            elif ask.waiting and line.must_ask(now):
                line.waiting.append((worker, ask))
                self._pressing[line.id] = line
            else:
                answers.append(line.answer(worker, ask, now))
                if line.is_pressing(now):
                    self._pressing[line.id] = line
        return answers

    def gone(self, worker: str, now: float) -> None:
        """A worker has died: what it held and had not reported is the pod's again."""
        for line in self._lines.values():
            line.gone(worker, now)

    # --- the store ----------------------------------------------------------------------------

    def exchange(self, now: float) -> Exchange | None:
        """What to send now; None: nothing, or the last one has not been answered."""
        if self._sent is not None:
            return None
        due = self._due(now)
        if not due and now - self._usage_since < USAGE_MS:
            return None
        self._serial += 1
        chosen = list(islice(self._usage.items(), MOST_ASKS))
        for key, _ in chosen:
            del self._usage[key]
        usage = tuple(Use(*key, requests) for key, requests in chosen if requests)
        self._usage_since = -math.inf if self._usage else math.inf
        if usage:
            self._log[self._serial] = (now, usage)
        self._sent_at = now
        self._sent = Exchange(
            holder=self.holder,
            serial=self._serial,
            acknowledged=self._acknowledged,
            leaves=self.pod.leaves,
            asks=tuple(line.ask(now) for line in due),
            usage=usage,
        )
        return self._sent

    @property
    def outstanding(self) -> Exchange | None:
        """What has been sent and not been answered; to be repeated as it is."""
        return self._sent

    @property
    def urgent(self) -> bool:
        """Somebody waits."""
        return any(line.waiting for line in self._pressing.values())

    @property
    def busy(self) -> bool:
        """There is something to look after."""
        return bool(self._lines or self._usage or self._sent)

    def settled(self, settlement: Settlement, now: float) -> list[Answer]:
        """The store has answered."""
        sent = self._sent
        if sent is None or settlement.serial != sent.serial:
            return []  # of one that was answered already
        self._sent = None
        has_lost = settlement.known < self._acknowledged
        if has_lost or (self.pod.away and self.pod.keeps):
            self._doubted_until = now + BACK_MS
        self._recount(settlement, now)
        self._acknowledged = settlement.serial
        self.pod.fleet = max(self.pod.leaves, settlement.leaves)
        self._epoch = settlement.now_ms - now
        answers: list[Answer] = []
        was_away, self.pod.away = self.pod.away, False
        for grant in settlement.grants:
            line = self._lines.get(grant.id)
            if line is not None and line.asked:
                line.take(grant, self._sent_at, now, self._doubted_until)
                answers += line.serve(now)
                if line.is_over:
                    del self._lines[line.id]
                    self._pressing.pop(line.id, None)
        if was_away:
            for line in self._lines.values():
                line.used = True  # tell it all, and soon: shares follow what it hears
                self._pressing[line.id] = line
        return answers

    def moved(self, now: float) -> list[Answer]:
        """Another store counts from now on: it hears of everything at once, and a worker that had
        nobody to share with reports as often as others."""
        answers: list[Answer] = []
        for line in self._lines.values():
            self._pressing[line.id] = line
            if line.sole:
                line.sole = False
                line.stock.accrue(now)
                for worker, share in line.stock.shares.items():
                    ask = Ask(line.id, line.limit, demand=share.demand, period=line.period)
                    answers.append(line.answer(worker, ask, now))
        return answers

    def lost(self, now: float) -> list[Answer]:
        """The store does not answer: serve those who wait as the fail mode says."""
        self.pod.away = True
        waiting = [line for line in self._lines.values() if line.waiting]
        return [answer for line in waiting for answer in line.serve(now)]

    def farewell(self, now: float) -> None:
        """The workers are gone for good: everything goes back."""
        for line in self._lines.values():
            for worker in list(line.stock.shares):
                line.stock.forget(worker)
            line.waiting = []
            self._pressing[line.id] = line
            line.settled_at = -math.inf
        self._usage_since = -math.inf if self._usage else math.inf

    def expired(self, now: float) -> list[Answer]:
        """While the store is away and the mode is to refuse: leases that have run out."""
        if not self.pod.away or self.pod.keeps:
            return []
        return [answer for line in self._lines.values() for answer in line.run_out(now)]

    # --- within -------------------------------------------------------------------------------

    def _count(self, limit: Requests, requests: int, now: float) -> None:
        key = (limit.plan, limit.key, day_of(now + self._epoch))
        self._usage[key] = self._usage.get(key, 0) + requests
        self._usage_since = min(self._usage_since, now)

    def _line(self, ask: Ask, now: float) -> Line:
        line = self._lines.get(ask.id)
        if line is None:
            line = self._lines[ask.id] = Line(self.pod, ask.id, ask.limit, now)
        elif now >= line.ends_at:
            line.begin(0, now)
        if line.limit != ask.limit:
            line.set_limit(ask.limit, now)
            self._pressing[line.id] = line
        return line

    def _recount(self, settlement: Settlement, now: float) -> None:
        """Usage that the store has lost is handed in again; what it keeps for good is forgotten."""
        for serial, (at, uses) in list(self._log.items()):
            if now - at > LOG_MS or serial <= settlement.durable:
                del self._log[serial]
            elif settlement.known < serial <= self._acknowledged:
                for use in uses:
                    key = (use.plan, use.key, use.day)
                    self._usage[key] = self._usage.get(key, 0) + use.requests
                self._usage_since = -math.inf
                del self._log[serial]

    def _due(self, now: float) -> list[Line]:
        """Counters to settle in an exchange now."""
        due: list[Line] = []
        for line in list(self._pressing.values()):
            if line.waiting or now - line.settled_at >= SOON_MS:
                del self._pressing[line.id]
                due.append(line)
        if due or now - self._scanned >= ROUTINE_MS / 2:
            self._scanned = now
            chosen = {line.id for line in due}
            # Who has to be told soon goes with those that cannot wait: one exchange for all.
            early = now + ROUTINE_MS / 2
            routine = [line for line in self._lines.values() if line.is_routine(now)]
            if due or routine:
                routine = [line for line in self._lines.values() if line.is_routine(early)]
            for line in routine:
                if line.id not in chosen:
                    due.append(line)
                    self._pressing.pop(line.id, None)
        for line in due[MOST_ASKS:]:
            self._pressing[line.id] = line
        return due[:MOST_ASKS]
