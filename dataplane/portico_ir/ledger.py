"""Ledger: a store in memory, which answers the exchanges of pods.

Kept by a supervisor in file mode and by the operator that holds the Lease; the script of the Redis
store does the same arithmetic, and a test holds the two together. Promises: an exchange counts
once, however often it comes; quotas are counted in the ledger's own day; what one pod holds, no
other may spend, until it gives it back or has not been heard of for a term.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from msgspec.structs import replace

from portico_ir.access import Plan
from portico_ir.leases import Ask, Exchange, Grant, Requests, Settlement, Tokens, Use
from portico_ir.periods import DAY_MS, day_of, end_of, start_of
from portico_ir.stock import Offer, Stock
from portico_ir.usage import Usage, declared

TERM_MS: Final = 2_000.0
"""A lease that is not renewed for so long is forfeited."""
FORGET_MS: Final = 3_600_000.0
"""A holder not heard of for so long would be a new one; longer than pods remember (`LOG_MS`)."""
SWEEP_MS: Final = 10_000.0
"""Between two looks for pods and days that may be forgotten."""
TIDIED: Final = 64
"""Counters looked at in one exchange, those that rested longest first."""
LONGEST_PERIOD: Final = 31
"""Days."""
MOST_BUCKETS: Final = 1_000_000
"""Beyond, those that rested longest are forgotten, full or not."""


class Holder:
    """A pod."""

    __slots__ = ("leaves", "seen", "serial")

    def __init__(self, leaves: int, seen: float, serial: int) -> None:
        self.leaves = leaves
        self.seen = seen
        self.serial = serial


class Extension(NamedTuple):
    """What a key may do beyond its quota, in one period."""

    start: int
    """First day of that period."""
    requests: int
    """May be less than nothing."""


class Ledger:
    """Buckets, quotas and usage of one class."""

    def __init__(self, *, alone: bool = False, term_ms: float = TERM_MS) -> None:
        self._alone = alone
        """There is one pod, and never another: it may have everything."""
        self._term_ms = term_ms
        self.holders: dict[str, Holder] = {}
        self.usage = Usage()
        self.extensions: dict[tuple[str, str], Extension] = {}
        """Made by hand (UpdateUsage); beside what plans declare."""
        self._extending: dict[str, Plan] = {}
        self.durable: dict[str, int] = {}
        """Holder to the exchange up to which it is kept elsewhere too."""
        self._buckets: dict[str, Stock] = {}
        self._quotas: dict[str, tuple[Stock, int]] = {}
        """Stock, and the first day of its period."""
        self._swept = 0.0

    def settle(self, exchange: Exchange, now: float) -> Settlement:
        """Count what a pod reports, and give it what it may have."""
        holder = self.holders.get(exchange.holder)
        known = 0 if holder is None else holder.serial
        counts = exchange.serial > known
        self.holders[exchange.holder] = Holder(exchange.leaves, now, max(known, exchange.serial))
        if counts:
            for use in exchange.usage:
                self._use(use)
        leaves = self.leaves(now)
        grants = tuple(self._grant(exchange, ask, counts, leaves, now) for ask in exchange.asks)
        self._tidy(now)
        if now - self._swept >= SWEEP_MS:
            self._sweep(now)
        return Settlement(
            serial=exchange.serial,
            known=known,
            durable=self.durable.get(exchange.holder, 0),
            now_ms=now,
            leaves=leaves,
            grants=grants,
        )

    def leaves(self, now: float) -> int:
        """Workers of all pods that were heard of within a term."""
        return sum(
            holder.leaves for holder in self.holders.values() if now - holder.seen <= self._term_ms
        )

    def __len__(self) -> int:
        """Counters that are remembered."""
        return len(self._buckets) + len(self._quotas)

    def left(self, name: str) -> None:
        """A pod is gone for good: what it held need not wait for its term."""
        if self.holders.pop(name, None) is not None:
            for stock in self._stocks():
                stock.forget(name)

    def remaining(self, quota: Requests, now: float) -> int:
        """What a key may still do in this period."""
        start = start_of(quota.period, quota.offset, day_of(now))
        return math.floor(self._limit(quota, start) - self._used(quota, start))

    def extend(self, quota: Requests, remaining: int, now: float) -> None:
        """Let a key do so many more in this period, whatever it did (UpdateUsage)."""
        start = start_of(quota.period, quota.offset, day_of(now))
        own = quota.limit + self._declared(quota, start)
        extra = remaining + self._used(quota, start) - own
        self.extensions[(quota.plan, quota.key)] = Extension(start, extra)

    def declare(self, plans: Iterable[Plan]) -> None:
        """What plans say of extensions, in the place of what they said before."""
        self._extending = {plan.id: plan for plan in plans if plan.extensions}

    def extras(self, plan: Plan, keys: Iterable[str], now: float) -> dict[str, int]:
        """Key to what it may do beyond the quota in this period, where that is anything."""
        if plan.quota is None:
            return {}
        start = start_of(plan.quota.period, plan.quota.offset, day_of(now))
        found: dict[str, int] = {}
        for key in keys:
            by_hand = self.extensions.get((plan.id, key))
            extra = declared(plan, key, start)
            if by_hand is not None and by_hand.start == start:
                extra += by_hand.requests
            if extra:
                found[key] = extra
        return found

    # Within.

    def _use(self, use: Use) -> None:
        self.usage.add(use.plan, use.key, use.day, use.requests)

    def _grant(self, exchange: Exchange, ask: Ask, counts: bool, leaves: int, now: float) -> Grant:
        if not counts:  # it comes again, because its answer was lost
            ask = replace(ask, spent=0.0)
        if isinstance(ask.limit, Tokens):
            stock = self._bucket(ask.id, ask.limit, now)
            return self._offered(exchange, ask, stock, leaves, now, 0, 0.0, again=not counts)
        quota = ask.limit
        start = start_of(quota.period, quota.offset, day_of(now))
        ends = end_of(quota.period, quota.offset, start) * DAY_MS - now
        if quota.limit < 0:
            return Grant(ask.id, period=start, ends_ms=ends)
        stock = self._quota(ask.id, quota, start, now)
        if ask.period != start:  # what it holds is of a period that is over
            ask = replace(ask, spent=0.0, held=0.0, period=start)
        return self._offered(exchange, ask, stock, leaves, now, start, ends)

    def _offered(
        self,
        exchange: Exchange,
        ask: Ask,
        stock: Stock,
        leaves: int,
        now: float,
        period: int,
        ends_ms: float,
        again: bool = False,
    ) -> Grant:
        stock.expire(now)
        stock.accrue(now)
        share = stock.settle(exchange.holder, ask, exchange.leaves, now, again)
        if period:
            # Usage is what counts, also that of pods that died or came back.
            quota = ask.limit
            assert isinstance(quota, Requests)
            stock.free = self._limit(quota, period) - self._used(quota, period) - stock.held
        else:
            # A debt is paid off within one filling: nobody is shut out for what he was let do.
            stock.free = max(stock.free, -stock.cap)
        if self._alone:
            offer = stock.all_of_it(share)
        else:
            offer = stock.offer(share, ask, leaves, now + self._term_ms)
            if not (ask.want or ask.held or offer.tokens or offer.rate):
                stock.forget(exchange.holder)
        return _grant_of(ask.id, offer, period, ends_ms, sole=self._alone)

    def _bucket(self, known: str, limit: Tokens, now: float) -> Stock:
        stock = self._buckets.pop(known, None)
        if stock is None:
            stock = Stock(now, limit.burst)
        else:
            stock.free = min(stock.free, limit.burst)
        self._buckets[known] = stock  # behind those that rest
        stock.rate, stock.cap = limit.rate, limit.burst
        return stock

    def _quota(self, known: str, quota: Requests, start: int, now: float) -> Stock:
        found = self._quotas.pop(known, None)
        if found is None or found[1] != start:
            found = Stock(now, cap=math.inf), start
        self._quotas[known] = found
        return found[0]

    def _limit(self, quota: Requests, start: int) -> int:
        limit = quota.limit + self._declared(quota, start)
        extension = self.extensions.get((quota.plan, quota.key))
        if extension is None or extension.start != start:
            return limit
        return limit + extension.requests

    def _declared(self, quota: Requests, start: int) -> int:
        plan = self._extending.get(quota.plan)
        return 0 if plan is None else declared(plan, quota.key, start)

    def _used(self, quota: Requests, start: int) -> int:
        end = end_of(quota.period, quota.offset, start)
        return self.usage.of(quota.plan, quota.key, start, end)

    def _stocks(self) -> Iterator[Stock]:
        yield from self._buckets.values()
        for stock, _ in self._quotas.values():
            yield stock

    def _tidy(self, now: float) -> None:
        """A few at a time: there may be a million, and requests wait."""
        late = now - self._term_ms
        for known, stock in list(islice(self._buckets.items(), TIDIED)):
            too_many = len(self._buckets) > MOST_BUCKETS
            if stock.at > late and not too_many:
                break
            stock.expire(now)
            stock.accrue(now)
            del self._buckets[known]
            if not too_many and (stock.shares or stock.free < stock.cap):
                self._buckets[known] = stock  # one that is full is like a new one
        for known, (stock, start) in list(islice(self._quotas.items(), TIDIED)):
            if stock.at > late:
                break
            stock.expire(now)
            del self._quotas[known]
            if stock.shares:
                stock.at = now
                self._quotas[known] = (stock, start)

    def _sweep(self, now: float) -> None:
        self._swept = now
        for name, holder in list(self.holders.items()):
            if now - holder.seen > FORGET_MS:
                self.left(name)
        today = day_of(now)
        self.usage.forget(today)
        self.extensions = {
            key: extension
            for key, extension in self.extensions.items()
            if extension.start >= today - LONGEST_PERIOD
        }


def _grant_of(known: str, offer: Offer, period: int, ends_ms: float, *, sole: bool) -> Grant:
    return Grant(
        known,
        offer.tokens,
        offer.rate,
        offer.cap,
        offer.credit,
        offer.more,
        offer.recheck_ms,
        period,
        ends_ms,
        offer.left,
        sole,
    )
