"""Line: one counter of a pod, between the pod's workers and its store.

`core/broker.py` has them all and says when which of them is settled; here is what is asked for and
what is handed out. Promises: workers are answered from what the pod holds, and only one that would
wait makes it ask at once; while the store is away it lives on its last share, or refuses. `now` is
monotonic milliseconds.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from msgspec.structs import replace

from portico_ir.leases import Ask, Grant, Limit, Requests, Tokens
from portico_ir.ledger import TERM_MS
from portico_ir.stock import LEAST_MS, NEVER_MS, RETURN_MS, Offer, Stock

ROUTINE_MS: Final = 500.0
"""A counter in use is settled so often."""
AHEAD_S: Final = 1.0
"""What is asked for lasts so long at the present demand."""
AHEAD_OF_PLENTY_S: Final = 2.0
"""The same while the store has much more: the pod asks at its routine, and not in between."""
PLENTY: Final = 10.0
"""How many times what is asked for that is."""
SOLE_MS: Final = 10_000.0
"""Where there is no other pod the store hears of a counter so often; it has nobody to tell."""
LOW: Final = 0.5
"""A demand that has fallen below this part of what the store was told is news."""
LOW_S: Final = 0.25
"""More is asked for when the rest lasts less than this."""
SPIKE: Final = 0.25
"""Part of what is left that workers may overdraw between two asks."""
MIN_KEPT: Final = 8.0
"""Tokens that a pod keeps however low the demand, while somebody uses them."""


class Answer(NamedTuple):
    """A grant on its way to a worker."""

    worker: str
    grant: Grant


class Pod:
    """What holds for every counter of a pod."""

    __slots__ = ("away", "fleet", "keeps", "leaves")

    def __init__(self, leaves: int, *, keeps: bool) -> None:
        self.leaves = leaves
        """Workers."""
        self.fleet = leaves
        """Workers of all pods, as the store last said."""
        self.keeps = keeps
        """What happens while the store is away: live on the last shares, or refuse."""
        self.away = False


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
        "pod",
        "recheck_at",
        "settled_at",
        "sole",
        "spent",
        "stock",
        "told",
        "until",
        "used",
        "waiting",
    )

    def __init__(self, pod: Pod, known_as: str, limit: Limit, now: float) -> None:
        self.pod = pod
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
        self.sole = False
        """There is no other pod."""
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

    # --- workers ------------------------------------------------------------------------------

    def set_limit(self, limit: Limit, now: float) -> None:
        """The configuration has changed: what was had under the old limit may be too much."""
        self.limit = limit
        self.sole = False  # until the store has said what there is of the new one
        if isinstance(limit, Tokens):
            stock = self.stock
            stock.cap = max(1.0, min(stock.cap, limit.burst))
            stock.free = min(stock.free, stock.cap)
            stock.rate = min(stock.rate, limit.rate)
        else:
            self.begin(0, now)

    def begin(self, period: int, now: float) -> None:
        """Another period: nothing of the last one counts."""
        self.stock = Stock(now, cap=math.inf)
        self.period = period
        self.credit = self.left = 0.0
        self.ends_at = math.inf
        self.known = self.assumed = self.more = False

    def heard(self, worker: str, ask: Ask, now: float) -> Ask:
        """A worker has said what it spent and what it needs; returns it for this period."""
        if ask.period != self.period:
            ask = replace(ask, spent=0.0, held=0.0, period=self.period)
        stock = self.stock
        before = stock.shares.get(worker)
        self.spent += ask.spent - (before.spoken if before is not None else 0.0)
        self.used = self.used or ask.spent > 0 or ask.want > 0
        stock.accrue(now)
        stock.settle(worker, ask, 1, now)
        if not (ask.want or ask.held):
            stock.forget(worker)
        return ask

    def must_ask(self, now: float) -> bool:
        """A request waits and the pod cannot help it, but the store may."""
        if self.stock.free >= 1:
            return False
        if self.pod.away:
            self.assume(now)
            return False
        return not self.known or self.more or now >= self.recheck_at

    def answer(self, worker: str, ask: Ask, now: float) -> Answer:
        """What a worker may have."""
        if self.pod.away:
            self.assume(now)
        stock = self.stock
        share = stock.shares.get(worker)
        if share is None:  # gone, or of another period
            share = stock.settle(worker, Ask(ask.id, ask.limit, demand=ask.demand), 1, now)
        if self.pod.leaves == 1:
            offer = stock.all_of_it(share)
            spare = self.credit + min(0.0, offer.tokens)
        else:
            left = stock.free + self.left * self.pod.leaves / self.pod.fleet
            offer = stock.offer(share, ask, self.pod.leaves, math.inf, left)
            self.spent += share.spoken
            spare = self.credit + stock.free  # less what was overdrawn already
        if self.pod.away and not self.pod.keeps:
            spare = 0.0
        credit = max(0, math.floor(spare * SPIKE / self.pod.leaves) - 1)
        more = offer.more or (self.more and not self.pod.away)
        wait = offer.recheck_ms if stock.rate > 0 else self.recheck_at - now
        return Answer(worker, self._granted(offer, credit, more, max(LEAST_MS, wait), now))

    def _granted(self, offer: Offer, credit: float, more: bool, wait: float, now: float) -> Grant:
        ends = 0.0
        if self.period or isinstance(self.limit, Requests):
            ends = min(self.ends_at, now + NEVER_MS) if not self.known else self.ends_at
            ends -= now
        return Grant(
            self.id,
            offer.tokens,
            offer.rate,
            offer.cap,
            credit,
            more,
            0.0 if more else wait,
            self.period,
            ends,
            sole=self.sole and self.pod.leaves == 1,
        )

    def gone(self, worker: str, now: float) -> None:
        """A worker has died: what it held and had not reported is the pod's again."""
        self.stock.accrue(now)
        self.stock.forget(worker)
        self.waiting = [each for each in self.waiting if each[0] != worker]

    def serve(self, now: float) -> list[Answer]:
        """Those who waited for the store, in the order in which they came."""
        waiting, self.waiting = self.waiting, []
        self.stock.accrue(now)
        return [self.answer(worker, ask, now) for worker, ask in waiting]

    def assume(self, now: float) -> None:
        """Nobody can be asked: what the pod may do all the same."""
        if self.assumed or not self.pod.keeps:
            return
        self.assumed = True
        limit, part = self.limit, self.pod.leaves / self.pod.fleet
        stock = self.stock
        if isinstance(limit, Tokens):
            if not self.known:
                stock.free = max(stock.free, limit.burst * part)
            if stock.rate <= 0:
                stock.rate = limit.rate * part
                stock.cap = max(1.0, limit.burst * part)
        elif self.known:
            stock.free += self.credit
            self.credit = 0.0
        else:
            stock.free = float(math.floor(limit.limit * part))

    def run_out(self, now: float) -> list[Answer]:
        """The store is away and the mode is to refuse: what is left when the lease is over."""
        if not self.known or now < self.until:
            return []
        self.known = False
        self.stock = Stock(now, cap=math.inf)
        nothing = Grant(self.id, recheck_ms=RETURN_MS, period=self.period, ends_ms=NEVER_MS)
        return [Answer(str(number), nothing) for number in range(self.pod.leaves)]

    # --- the store ----------------------------------------------------------------------------

    def take(
        self, grant: Grant, sent_at: float, now: float, doubted_until: float = -math.inf
    ) -> None:
        """A lease from the store, asked for at `sent_at`. Until `doubted_until` it may not know
        yet what was used of a quota: the pod lives on its last share, as if nobody had answered."""
        self.asked = False
        stock = self.stock
        if grant.period != self.period:
            self.begin(grant.period, now)
            stock = self.stock
        stock.accrue(now)
        doubted = now < doubted_until and isinstance(self.limit, Requests)
        if doubted and (self.known or not self.pod.keeps):
            if self.known:
                self.assume(now)
            grant = replace(
                grant, tokens=0.0, credit=0.0, more=False, recheck_ms=doubted_until - now
            )
        elif self.assumed:
            stock.free = min(stock.free, 0.0)  # what was only assumed
            self.assumed = False
        stock.free += grant.tokens
        stock.rate = grant.rate
        if isinstance(self.limit, Tokens):
            stock.free = min(stock.free, self.limit.burst)
            stock.cap = max(1.0, grant.cap, stock.free + stock.out)
        self.known = True
        self.sole = grant.sole
        self.credit, self.left = grant.credit, grant.left
        self.more = grant.more
        self.recheck_at = now + grant.recheck_ms
        self.settled_at = now
        # As the store counts it, but begun sooner: when the exchange was sent.
        self.until = sent_at + TERM_MS
        self.ends_at = now + grant.ends_ms if grant.ends_ms else math.inf

    def is_routine(self, now: float) -> bool:
        """It is time to tell the store about it."""
        since = now - self.settled_at
        if self.sole:
            return since >= SOLE_MS
        if self.used or self.spent:
            return since >= ROUTINE_MS
        return since >= TERM_MS / 3 and self.known

    def is_pressing(self, now: float) -> bool:
        """The next routine is too late for it."""
        demand, stock = self._demand(), self.stock
        if stock.rate > 0:
            # It has a share of the rate; others may need what it does not need any more.
            return demand < self.told * LOW
        if self.left >= 2 * self.pod.fleet:
            return stock.free < demand * LOW_S
        # Whoever has nothing asks again as soon as it may help.
        return demand > 0 and stock.free < 1 and not self.more and now >= self.recheck_at

    @property
    def is_over(self) -> bool:
        """Nobody uses it and nothing is held of it."""
        return not self.stock.shares and self.stock.free < 1

    def _demand(self) -> float:
        return sum(share.demand for share in self.stock.shares.values())

    def _wants(self, now: float) -> float:
        waiting = sum(ask.want for _, ask in self.waiting)
        demand, total = self._demand(), self.stock.total(now)
        kept = MIN_KEPT * len(self.stock.shares)
        plenty = demand * AHEAD_OF_PLENTY_S + kept - total
        portion = self.left * self.pod.leaves / (2 * self.pod.fleet)
        if plenty * PLENTY < portion:
            return max(0.0, plenty, waiting)
        return max(0.0, demand * AHEAD_S + kept - total, waiting)

    def ask(self, now: float) -> Ask:
        """What the store is told."""
        self.asked = True
        self.used = False
        self.told = demand = self._demand()
        stock = self.stock
        spent, self.spent = self.spent, 0.0
        stock.accrue(now)
        if not stock.shares and not self.waiting:
            # Nobody has used it for a second: it goes back.
            stock.free = min(stock.free, 0.0)
            stock.rate = 0.0
        elif self.left < 2 * self.pod.fleet:
            # Near the end nobody keeps what others may be waiting for.
            stock.free = min(stock.free, 0.0)
        elif stock.free > 2 * demand * AHEAD_S + MIN_KEPT and not self.assumed:
            stock.free = demand * AHEAD_S + MIN_KEPT
        want = self._wants(now)
        held = stock.total(now)
        if isinstance(self.limit, Tokens):
            held -= stock.spoken  # reported as spent already
        if held < 0:
            stock.free -= held  # a debt is the store's from here
            held = 0.0
        waiting = sum(ask.waiting for _, ask in self.waiting)
        rate = stock.rate
        return Ask(self.id, self.limit, spent, held, demand, want, self.period, waiting, rate)
