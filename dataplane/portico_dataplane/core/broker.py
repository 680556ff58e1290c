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
from typing import Final, NamedTuple

from msgspec.structs import replace

from portico_ir.leases import Ask, Exchange, Grant, Limit, Requests, Settlement, Tokens, Use
from portico_ir.ledger import TERM_MS
from portico_ir.periods import day_of
from portico_ir.stock import LEAST_MS, NEVER_MS, RETURN_MS, Offer, Stock

ROUTINE_MS: Final = 500.0
"""A counter in use is settled so often."""
SOON_MS: Final = 50.0
"""A counter that runs low waits so long, so that others can join it."""
USAGE_MS: Final = 1_000.0
"""Requests are reported after at most this long."""
AHEAD_S: Final = 1.0
"""What is asked for lasts so long at the present demand."""
LOW: Final = 0.5
"""More is asked for when less than this part of that is left."""
SPIKE: Final = 0.25
"""Part of what is left that workers may overdraw between two asks."""
MIN_KEPT: Final = 8.0
"""Tokens that a pod keeps however low the demand, while somebody uses them."""
MOST_ASKS: Final = 2_000
"""Counters, and keys with usage, in one exchange; the others wait for the next."""
LOG_MS: Final = 600_000.0
"""Usage that was handed in is remembered so long, lest the store loses it."""


class Answer(NamedTuple):
    """A grant on its way to a worker."""

    worker: str
    grant: Grant


class Line:
    """One counter of the pod."""

    __slots__ = (
        "asked",
        "assumed",
        "credit",
        "ends_at",
        "id",
        "known",
        "left",
        "limit",
        "more",
        "period",
        "recheck_at",
        "settled_at",
        "spent",
        "stock",
        "told",
        "until",
        "used",
        "waiting",
    )

    def __init__(self, known_as: str, limit: Limit, now: float) -> None:
        self.id = known_as
        self.limit = limit
        self.stock = Stock(now, cap=math.inf)
        self.spent = 0.0
        """Since the last exchange."""
        self.credit = 0.0
        """Share of what is left with the store, to live on while nobody can be asked."""
        self.left = 0.0
        """With the store, for all pods."""
        self.more = False
        self.recheck_at = 0.0
        self.known = False
        """There is a lease."""
        self.assumed = False
        """There is none, or it has run out, and the store is away."""
        self.asked = False
        self.used = False
        """Since the last exchange."""
        self.told = 0.0
        """The demand that the store was told of."""
        self.settled_at = -math.inf
        self.until = math.inf
        """Then the store believes that all of it has come back."""
        self.period = 0
        self.ends_at = math.inf
        self.waiting: list[tuple[str, Ask]] = []
        """Workers where a request waits for what the store says."""


class Broker:
    """One pod's leases."""

    def __init__(self, holder: str, leaves: int, *, unix_ms: float, keeps: bool = True) -> None:
        self.holder = holder
        self.leaves = leaves
        """Workers."""
        self.fleet = leaves
        """Workers of all pods, as the store last said."""
        self.keeps = keeps
        """What happens while the store is away: live on the last shares, or refuse."""
        self.away = False
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
            stock = line.stock
            if ask.period != line.period:
                ask = replace(ask, spent=0.0, held=0.0, period=line.period)
            before = stock.shares.get(worker)
            line.spent += ask.spent - (before.spoken if before is not None else 0.0)
            line.used = line.used or ask.spent > 0 or ask.want > 0
            stock.accrue(now)
            stock.settle(worker, ask, 1, now)
            if not (ask.want or ask.held):
                stock.forget(worker)
                if not stock.shares:
                    self._pressing[line.id] = line  # nobody uses it: give it back
            elif ask.waiting and self._must_ask(line, now):
                line.waiting.append((worker, ask))
                self._pressing[line.id] = line
            else:
                answers.append(self._answer(line, worker, ask, now))
                if self._is_pressing(line, now):
                    self._pressing[line.id] = line
        return answers

    def gone(self, worker: str, now: float) -> None:
        """A worker has died: what it held and had not reported is the pod's again."""
        for line in self._lines.values():
            line.stock.accrue(now)
            line.stock.forget(worker)
            line.waiting = [each for each in line.waiting if each[0] != worker]

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
            leaves=self.leaves,
            asks=tuple(self._ask(line, now) for line in due),
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
        self._recount(settlement, now)
        self._acknowledged = settlement.serial
        self.fleet = max(self.leaves, settlement.leaves)
        self._epoch = settlement.now_ms - now
        answers: list[Answer] = []
        was_away, self.away = self.away, False
        for grant in settlement.grants:
            line = self._lines.get(grant.id)
            if line is not None and line.asked:
                self._take(line, grant, now)
                answers += self._serve(line, now)
                if not line.stock.shares and line.stock.free < 1:
                    del self._lines[line.id]
                    self._pressing.pop(line.id, None)
        if was_away:
            for line in self._lines.values():
                line.used = True  # tell it all
        return answers

    def lost(self, now: float) -> list[Answer]:
        """The store does not answer: serve those who wait as the fail mode says."""
        self.away = True
        answers: list[Answer] = []
        for line in self._lines.values():
            if line.waiting:
                answers += self._serve(line, now)
        return answers

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
        if not self.away or self.keeps:
            return []
        answers: list[Answer] = []
        for line in self._lines.values():
            if line.known and now >= line.until:
                line.known = False
                line.stock = Stock(now, cap=math.inf)
                answers += [
                    Answer(str(number), self._nothing(line)) for number in range(self.leaves)
                ]
        return answers

    # --- within -------------------------------------------------------------------------------

    def _count(self, limit: Requests, requests: int, now: float) -> None:
        key = (limit.plan, limit.key, day_of(now + self._epoch))
        self._usage[key] = self._usage.get(key, 0) + requests
        self._usage_since = min(self._usage_since, now)

    def _line(self, ask: Ask, now: float) -> Line:
        line = self._lines.get(ask.id)
        if line is None:
            line = self._lines[ask.id] = Line(ask.id, ask.limit, now)
        elif now >= line.ends_at:
            self._begin(line, 0, now)
        if line.limit != ask.limit:
            self._set_limit(line, ask.limit, now)
        return line

    def _set_limit(self, line: Line, limit: Limit, now: float) -> None:
        """The configuration has changed: what was had under the old limit may be too much."""
        line.limit = limit
        self._pressing[line.id] = line
        if isinstance(limit, Tokens):
            stock = line.stock
            stock.cap = max(1.0, min(stock.cap, limit.burst))
            stock.free = min(stock.free, stock.cap)
            stock.rate = min(stock.rate, limit.rate)
        else:
            self._begin(line, 0, now)

    def _begin(self, line: Line, period: int, now: float) -> None:
        """Another period: nothing of the last one counts."""
        line.stock = Stock(now, cap=math.inf)
        line.period = period
        line.credit = line.left = 0.0
        line.ends_at = math.inf
        line.known = line.assumed = line.more = False

    def _must_ask(self, line: Line, now: float) -> bool:
        """A request waits and the pod cannot help it, but the store may."""
        if line.stock.free >= 1:
            return False
        if self.away:
            self._assume(line, now)
            return False
        return not line.known or line.more or now >= line.recheck_at

    def _answer(self, line: Line, worker: str, ask: Ask, now: float) -> Answer:
        if self.away:
            self._assume(line, now)
        stock = line.stock
        share = stock.shares.get(worker)
        if share is None:  # gone, or of another period
            share = stock.settle(worker, Ask(ask.id, ask.limit, demand=ask.demand), 1, now)
        if self.leaves == 1:
            offer = stock.all_of_it(share)
            spare = line.credit + min(0.0, offer.tokens)
        else:
            left = stock.free + line.left * self.leaves / self.fleet
            offer = stock.offer(share, ask, self.leaves, math.inf, left)
            line.spent += share.spoken
            spare = line.credit + stock.free  # less what was overdrawn already
        if self.away and not self.keeps:
            spare = 0.0
        credit = max(0, math.floor(spare * SPIKE / self.leaves) - 1)
        more = offer.more or (line.more and not self.away)
        wait = offer.recheck_ms if stock.rate > 0 else line.recheck_at - now
        return Answer(worker, self._granted(line, offer, credit, more, max(LEAST_MS, wait), now))

    def _granted(
        self, line: Line, offer: Offer, credit: float, more: bool, wait: float, now: float
    ) -> Grant:
        ends = 0.0
        if line.period or isinstance(line.limit, Requests):
            ends = min(line.ends_at, now + NEVER_MS) if not line.known else line.ends_at
            ends -= now
        return Grant(
            line.id,
            offer.tokens,
            offer.rate,
            offer.cap,
            credit,
            more,
            0.0 if more else wait,
            line.period,
            ends,
        )

    def _nothing(self, line: Line) -> Grant:
        return Grant(line.id, recheck_ms=RETURN_MS, period=line.period, ends_ms=NEVER_MS)

    def _serve(self, line: Line, now: float) -> list[Answer]:
        """Those who waited for the store, in the order in which they came."""
        waiting, line.waiting = line.waiting, []
        line.stock.accrue(now)
        return [self._answer(line, worker, ask, now) for worker, ask in waiting]

    def _assume(self, line: Line, now: float) -> None:
        """Nobody can be asked: what the pod may do all the same."""
        if line.assumed or not self.keeps:
            return
        line.assumed = True
        limit, part = line.limit, self.leaves / self.fleet
        stock = line.stock
        if isinstance(limit, Tokens):
            if not line.known:
                stock.free = max(stock.free, limit.burst * part)
            if stock.rate <= 0:
                stock.rate = limit.rate * part
                stock.cap = max(1.0, limit.burst * part)
        elif line.known:
            stock.free += line.credit
            line.credit = 0.0
        else:
            stock.free = float(math.floor(limit.limit * part))

    def _take(self, line: Line, grant: Grant, now: float) -> None:
        """A lease from the store."""
        line.asked = False
        stock = line.stock
        if grant.period != line.period:
            self._begin(line, grant.period, now)
            stock = line.stock
        stock.accrue(now)
        if line.assumed:
            stock.free = min(stock.free, 0.0)  # what was only assumed
            line.assumed = False
        stock.free += grant.tokens
        stock.rate = grant.rate
        if isinstance(line.limit, Tokens):
            stock.free = min(stock.free, line.limit.burst)
            stock.cap = max(1.0, grant.cap, stock.free + stock.out)
        line.known = True
        line.credit, line.left = grant.credit, grant.left
        line.more = grant.more
        line.recheck_at = now + grant.recheck_ms
        line.settled_at = now
        # As the store counts it, but begun sooner: when the exchange was sent.
        line.until = self._sent_at + TERM_MS
        line.ends_at = now + grant.ends_ms if grant.ends_ms else math.inf

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
            for line in self._lines.values():
                if line.id not in chosen and self._is_routine(line, now):
                    due.append(line)
                    self._pressing.pop(line.id, None)
        for line in due[MOST_ASKS:]:
            self._pressing[line.id] = line
        return due[:MOST_ASKS]

    def _is_routine(self, line: Line, now: float) -> bool:
        since = now - line.settled_at
        if line.used or line.spent:
            return since >= ROUTINE_MS
        return since >= TERM_MS / 3 and line.known

    def _is_pressing(self, line: Line, now: float) -> bool:
        """The next routine is too late for it."""
        demand, stock = self._demand(line), line.stock
        if stock.rate > 0:
            # It has a share of the rate; others may need what it does not need any more.
            return demand < line.told * LOW
        if line.left >= 2 * self.fleet:
            return stock.free < demand * AHEAD_S * LOW
        # Whoever has nothing asks again as soon as it may help.
        return demand > 0 and stock.free < 1 and not line.more and now >= line.recheck_at

    def _demand(self, line: Line) -> float:
        return sum(share.demand for share in line.stock.shares.values())

    def _wants(self, line: Line, now: float) -> float:
        waiting = sum(ask.want for _, ask in line.waiting)
        target = self._demand(line) * AHEAD_S + MIN_KEPT * len(line.stock.shares)
        return max(0.0, target - line.stock.total(now), waiting)

    def _ask(self, line: Line, now: float) -> Ask:
        line.asked = True
        line.used = False
        line.told = self._demand(line)
        stock = line.stock
        spent, line.spent = line.spent, 0.0
        demand = self._demand(line)
        stock.accrue(now)
        if not stock.shares and not line.waiting:
            # Nobody has used it for a second: it goes back.
            stock.free = min(stock.free, 0.0)
            stock.rate = 0.0
        elif line.left < 2 * self.fleet:
            # Near the end nobody keeps what others may be waiting for.
            stock.free = min(stock.free, 0.0)
        elif stock.free > 2 * demand * AHEAD_S + MIN_KEPT:
            stock.free = demand * AHEAD_S + MIN_KEPT
        want = self._wants(line, now)
        held = stock.total(now)
        if isinstance(line.limit, Tokens):
            held -= stock.spoken  # reported as spent already
        if held < 0:
            stock.free -= held  # a debt is the store's from here
            held = 0.0
        waiting = sum(ask.waiting for _, ask in line.waiting)
        return Ask(line.id, line.limit, spent, held, demand, want, line.period, waiting)
