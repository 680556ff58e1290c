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
REACH_S: Final = 0.5
"""How long a holder that fills up by itself may go on doing so unused."""
RETURN_MS: Final = 250.0
"""While others hold tokens, some may come back after so long."""
NEVER_MS: Final = 5_000.0
"""Nothing will come back; but a plan may be changed, or a quota extended."""
LEAST_MS: Final = 20.0
"""Sooner than this nobody needs to look again."""
RENEW_MS: Final = 200.0
"""A holder that fills up by itself and hears of this learns of more by the way."""


class Share:
    """What one holder has."""

    __slots__ = ("at", "demand", "held", "leaves", "rate", "until")

    def __init__(self, now: float) -> None:
        self.at = now
        self.held = 0.0
        """As it said, and what it was given since."""
        self.rate = 0.0
        """Of the stock's: it fills up by itself."""
        self.demand = 0.0
        self.leaves = 1
        """Workers behind it."""
        self.until = 0.0
        """Not renewed by then, what it has counts as given back."""


class Offer:
    """What a holder may have: a `Grant` before it is known what of."""

    __slots__ = ("cap", "credit", "more", "rate", "recheck_ms", "tokens")

    def __init__(self, tokens: float, rate: float, cap: float) -> None:
        self.tokens = tokens
        self.rate = rate
        self.cap = cap
        self.credit = 0.0
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
        """Tokens with holders, as they last said."""
        return sum(share.held for share in self.shares.values())

    def held_by(self, holder: str, now: float) -> float:
        """What a holder may have by now."""
        share = self.shares.get(holder)
        if share is None:
            return 0.0
        return share.held + share.rate * (now - share.at) / 1000

    def total(self, now: float) -> float:
        """What there is by now, here and with all holders."""
        self.accrue(now)
        return self.free + sum(self.held_by(holder, now) for holder in self.shares)

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

    def settle(self, holder: str, ask: Ask, leaves: int, now: float) -> Share:
        """Take down what a holder says about itself. `accrue` came before."""
        share = self.shares.get(holder)
        if share is None:
            share = self.shares[holder] = Share(now)
            back = -ask.held  # held since before we knew of it
        else:
            elapsed = max(0.0, now - share.at)
            back = share.held + share.rate * elapsed / 1000 - ask.spent - ask.held
        share.at = now
        share.held = ask.held
        share.demand = ask.demand
        share.leaves = leaves
        self.add(back)
        # A debt is paid off within one filling: nobody is shut out for what he was let do before.
        self.free = max(self.free, -self.cap)
        return share

    def forget(self, holder: str) -> None:
        """A holder is gone; what it had and did not report comes back."""
        share = self.shares.pop(holder, None)
        if share is not None:
            self.lent = max(0.0, self.lent - share.rate)
            self.add(share.held)

    def expire(self, now: float) -> None:
        """Forget every holder that has not renewed in time."""
        late = [holder for holder, share in self.shares.items() if share.until < now]
        for holder in late:
            self.forget(holder)

    def offer(self, share: Share, want: float, leaves: int, until: float) -> Offer:
        """What a holder that has just settled may have; `leaves`: workers of everybody."""
        leaves = max(leaves, share.leaves)
        free = math.floor(self.free) if self.free >= 1 else 0
        # A slice of what is left, and one token at a time near the end (design.md §7).
        portion = max(1, math.floor(free * share.leaves / (2 * leaves)))
        tokens = float(min(max(0, math.ceil(want)), portion, free))
        rate, cap = self._share_of_rate(share, want > portion)
        offer = Offer(tokens, rate, cap)
        self.lent += rate - share.rate
        self.free -= tokens
        share.rate = rate
        share.held += tokens
        share.until = until
        offer.credit = float(math.floor(max(0.0, self.free) * share.leaves / leaves))
        offer.more = self.free >= 1
        if not offer.more:
            offer.recheck_ms = self._recheck(share)
        return offer

    def all_of_it(self, share: Share) -> Offer:
        """Everything, to the only holder there can be."""
        offer = Offer(self.free, self.rate, self.cap)
        self.lent = share.rate = self.rate
        share.held += self.free
        share.until = math.inf
        self.free = 0.0
        offer.recheck_ms = self._recheck(share)
        return offer

    def _share_of_rate(self, share: Share, scarce: bool) -> tuple[float, float]:
        """A holder whose slice does not last fills up by itself, in proportion to its demand."""
        if not scarce or self.rate <= 0 or share.demand <= 0:
            return 0.0, 0.0
        demand = sum(other.demand for other in self.shares.values())
        fair = share.demand * min(1.0, self.rate / demand)
        left = max(0.0, self.rate - (self.lent - share.rate))
        rate = min(fair, left)
        if fair < MIN_SHARE or rate <= 0:
            return 0.0, 0.0
        reach = min(self.cap * share.demand / demand, share.demand * REACH_S)
        return rate, max(1.0, reach)

    def _recheck(self, share: Share) -> float:
        if share.rate > 0:
            return RENEW_MS
        own = self.rate - self.lent
        if own > 0:
            return min(1_000.0, max(LEAST_MS, (1 - self.free) / own * 1000))
        others = any(other is not share and other.held >= 1 for other in self.shares.values())
        return RETURN_MS if others or self.rate > 0 else NEVER_MS
