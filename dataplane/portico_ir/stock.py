"""Stock: the tokens of one counter where they are handed out, and who holds how many.

Kept by a store for its pods and by a pod for its workers. Promises: tokens are neither made nor
lost. What is free here and what holders have adds up to what came in less what was spent, whoever
fills up by himself with a share of the rate; only what a holder does not live to report is
forgotten. All times are milliseconds that come in.
"""

from __future__ import annotations

import math
from typing import Final

from portico_ir.leases import Ask

MIN_SHARE: Final = 1.0
"""Tokens a second below which a share is not worth having: it would strand single tokens."""
MIN_SHARE_OF_PLENTY: Final = 50.0
"""The same while there is enough for everybody: asking for each token wastes none."""
SCARCE: Final = 0.8
"""Less of the rate than this for the demand there is: whoever is refused need not ask again."""
SPREAD: Final = 0.5
"""Part of a bucket that may lie with those who fill up by themselves."""
REACH_S: Final = 0.5
"""How long a holder that fills up by itself may go on doing so unused."""
RESERVE_S: Final = 1.0
"""What is asked for in so long is nobody's share of what is left."""
RETURN_MS: Final = 250.0
"""While others hold tokens, some may come back after so long."""
LATE_MS: Final = 1_000.0
"""A holder that says nothing for so long could not;"""
BACK_MS: Final = 1_500.0
"""and so long after it is back, others may still be coming."""
NEVER_MS: Final = 5_000.0
"""Nothing will come back; but a plan may be changed, or a quota extended."""
NEARLY: Final = 1e-6
"""So much of a token is nothing: sums depend on their order, and a store's order is its own."""
LEAST_MS: Final = 20.0
"""Sooner than this nobody needs to look again."""
RENEW_MS: Final = 200.0
"""A holder that fills up by itself and hears of this learns of more by the way."""


class Share:
    """What one holder has."""

    __slots__ = ("at", "back_until", "cap", "demand", "held", "leaves", "rate", "spoken", "until")

    def __init__(self, now: float) -> None:
        self.at = now
        self.held = 0.0
        """As it said, and what it was given since."""
        self.spoken = 0.0
        """Of that, what requests were waiting for: it is as good as spent."""
        self.rate = 0.0
        """Of the stock's: it fills up by itself,"""
        self.cap = 0.0
        """as far as this."""
        self.demand = 0.0
        self.leaves = 1
        """Workers behind it."""
        self.until = 0.0
        """Not renewed by then, what it has counts as given back."""
        self.back_until = 0.0
        """Until then it goes on with the share of the rate that it lived on when it could not be
        heard, and what it did with that leaves no debt here."""


class Offer:
    """What a holder may have: a `Grant` before it is known what of."""

    __slots__ = ("cap", "credit", "left", "more", "rate", "recheck_ms", "tokens")

    def __init__(self, tokens: float, rate: float, cap: float) -> None:
        self.tokens = tokens
        self.rate = rate
        self.cap = cap
        self.credit = 0.0
        self.left = 0.0
        self.more = False
        self.recheck_ms = 0.0


class Stock:
    """Tokens to hand out: of a bucket, or (rate 0) of a quota."""

    __slots__ = ("at", "cap", "free", "lent", "rate", "shares")

    def __init__(self, now: float, free: float = 0.0, rate: float = 0.0, cap: float = 0.0) -> None:
        self.at = now
        self.free = free
        self.rate = rate
        """Tokens a second that come in, to here and to the holders."""
        self.cap = cap
        """What may lie around, here and with the holders."""
        self.lent = 0.0
        """Of the rate, with holders."""
        self.shares: dict[str, Share] = {}

    @property
    def out(self) -> float:
        """Tokens that lie with holders, as they last said."""
        return sum(share.held - share.spoken for share in self.shares.values())

    @property
    def held(self) -> float:
        """Tokens with holders, used or not."""
        return sum(share.held for share in self.shares.values())

    @property
    def spoken(self) -> float:
        """Tokens with holders that are as good as spent."""
        return sum(share.spoken for share in self.shares.values())

    def total(self, now: float) -> float:
        """What there may be by now, here and with all holders."""
        self.accrue(now)
        return self.free + sum(_reached(share, now) for share in self.shares.values())

    def accrue(self, now: float) -> None:
        """Let time pass."""
        elapsed = now - self.at
        self.at = now
        if elapsed > 0 and self.rate > 0:
            # Less than nothing when the rate has just been lowered and holders do not know yet.
            self.add((self.rate - self.lent) * elapsed / 1000)

    def add(self, tokens: float) -> None:
        """Tokens come in, as far as there is room; or go out."""
        if tokens > 0:
            tokens = max(0.0, min(tokens, self.cap - self.out - self.free))
        self.free += tokens

    def settle(self, holder: str, ask: Ask, leaves: int, now: float, again: bool = False) -> Share:
        """Take down what a holder says about itself. `accrue` came before; `again`: it says it
        once more."""
        share = self.shares.get(holder)
        if share is None:
            share = self.shares[holder] = Share(now)
            back = -ask.held  # held since before we knew of it
            returned = ask.rate > 0
        else:
            elapsed = max(0.0, now - share.at)
            back = share.held + share.rate * elapsed / 1000 - ask.spent - ask.held
            returned = again or elapsed > LATE_MS
        floor = min(self.free, 0.0) if now < share.back_until and self.rate > 0 else -math.inf
        if returned:
            share.back_until = now + BACK_MS
        share.at = now
        share.held = ask.held
        share.spoken = 0.0
        share.demand = ask.demand
        share.leaves = leaves
        self.add(back)
        self.free = max(self.free, floor)
        return share

    def forget(self, holder: str) -> None:
        """A holder is gone; what it had and did not report comes back."""
        share = self.shares.pop(holder, None)
        if share is not None:
            self.lent = max(0.0, self.lent - share.rate)
            self.add(share.held - share.spoken)

    def expire(self, now: float) -> None:
        """Forget every holder that has not renewed in time."""
        late = [holder for holder, share in self.shares.items() if share.until < now]
        for holder in late:
            self.forget(holder)

    def offer(
        self, share: Share, ask: Ask, leaves: int, until: float, left: float | None = None
    ) -> Offer:
        """What a holder that has just settled may have. `leaves`: workers of everybody;
        `left`: what there is for them, where that is more than lies here."""
        leaves = max(leaves, share.leaves)
        free = max(0, math.floor(self.free + NEARLY))
        if left is None:
            left = free
        if left < 2 * leaves:
            # Near the end there are single tokens, for requests that wait, and no stocks
            # (design.md §7): whoever laid one in would keep it from others.
            portion = ask.waiting
        else:
            lasting = math.floor(left * share.leaves / (2 * leaves) + NEARLY)
            portion = max(ask.waiting, lasting)
        tokens = float(min(max(0, math.ceil(ask.want)), portion, free))
        if self.at < share.back_until and ask.rate > 0:
            rate, cap = self._same_share_of_rate(share, ask.rate)
        else:
            rate, cap = self._share_of_rate(share) if ask.want > portion else (0.0, 0.0)
        offer = Offer(tokens, rate, cap)
        self.lent += rate - share.rate
        self.free -= tokens
        share.rate, share.cap = rate, cap
        share.held += tokens
        share.spoken = min(tokens, ask.waiting)
        share.until = until
        offer.left = max(0.0, self.free)
        demand = sum(other.demand for other in self.shares.values())
        part = share.demand / demand if demand > 0 else share.leaves / leaves
        # Less what is asked for before all of them have heard how much is left.
        spare = max(0.0, offer.left - demand * RESERVE_S)
        offer.credit = float(math.floor(spare * part + NEARLY))
        offer.more = self.free + NEARLY >= 1
        if not offer.more:
            offer.recheck_ms = self._recheck(share)
        return offer

    def all_of_it(self, share: Share) -> Offer:
        """Everything, to the only holder there can be."""
        offer = Offer(self.free, self.rate, self.cap)
        self.lent = share.rate = self.rate
        share.cap = self.cap
        share.held += self.free
        share.until = math.inf
        self.free = 0.0
        offer.recheck_ms = self._recheck(share)
        return offer

    def _share_of_rate(self, share: Share) -> tuple[float, float]:
        """A holder whose slice does not last fills up by itself, in proportion to its demand."""
        if self.rate <= 0 or share.demand <= 0:
            return 0.0, 0.0
        demand = sum(other.demand for other in self.shares.values())
        ratio = self.rate / demand
        least = MIN_SHARE if ratio < SCARCE else MIN_SHARE_OF_PLENTY
        if ratio > 1:  # what it needs and some more; the rest is for whoever runs dry
            ratio = min(2.0, (1 + ratio) / 2)
        fair = share.demand * ratio
        rate = min(fair, self.rate - (self.lent - share.rate))
        if rate <= 0 or fair < least:
            return 0.0, 0.0
        reach = min(self.cap * SPREAD * share.demand / demand, share.demand * REACH_S)
        return rate, max(1.0, reach)

    def _same_share_of_rate(self, share: Share, had: float) -> tuple[float, float]:
        """While others may still be coming back, nobody gets more than he had."""
        rate = min(had, self.rate - (self.lent - share.rate))
        if rate <= 0:
            return 0.0, 0.0
        return rate, max(1.0, min(self.cap * SPREAD * rate / self.rate, rate * REACH_S))

    def _recheck(self, share: Share) -> float:
        if share.rate > 0:
            demand = sum(other.demand for other in self.shares.values())
            return RENEW_MS if self.rate < demand * SCARCE else LEAST_MS
        own = self.rate - self.lent
        if own > 0:
            return min(1_000.0, max(LEAST_MS, (1 - self.free) / own * 1000))
        others = any(other is not share and other.held >= 1 for other in self.shares.values())
        return RETURN_MS if others or self.rate > 0 else NEVER_MS


def _reached(share: Share, now: float) -> float:
    return max(share.held, min(share.cap, share.held + share.rate * (now - share.at) / 1000))
