"""Leases of one worker: the counters that requests are counted with, in memory, without waiting.

Policies take tokens from them; `effects/tokens.py` sends what `Leases.due` says to the pod and
brings back grants. Promises: taking a token is a few operations on one object; a request is told
to ask only where the worker holds no lease yet, or near the end, when single tokens are handed
out; what nobody uses for a second goes back. `now` is the request's own stamp: Unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal
from weakref import WeakValueDictionary

from portico_ir.leases import Ask, Grant, Requests, Tokens

Taken = Literal[0, 1, 2]
TAKEN: Final = 0
REFUSED: Final = 1
ASK: Final = 2
"""Nobody knows here: ask, for a short time, and take again."""

IDLE_MS: Final = 1_000
"""Unused for so long, a lease is given back."""
REPORT_MS: Final = 500
"""At most this long until the pod hears what was spent."""
CONTENDED_MS: Final = 100
"""The same where requests are refused: shares follow demand."""
WINDOW_MS: Final = 100
"""Demand is measured over no less."""
AHEAD_S: Final = 1.0
"""What is asked for lasts so long at the present demand, as far as there is enough for all."""
LEAST: Final = 8.0
"""Tokens asked for however low the demand."""
GRACE_OF_QUOTA: Final = 0.01
"""Of a quota, what all workers together may overdraw when nobody answers in time."""
NEVER: Final = float("inf")


class Lease:
    """One counter, as far as this worker may use it."""

    __slots__ = (
        "__weakref__",
        "active",
        "asked",
        "asked_at",
        "at",
        "credit",
        "demand",
        "floor",
        "grace",
        "id",
        "known",
        "limit",
        "more",
        "pressed",
        "recheck_at",
        "refused",
        "spent",
        "table",
        "tokens",
        "used_at",
    )

    limit: Tokens | Requests

    def __init__(self, known_as: str, table: Leases) -> None:
        self.id = known_as
        self.table = table
        self.tokens = 0.0
        self.at = 0
        """When it last filled up (buckets), when its period ends (quotas)."""
        self.floor = NEVER
        """With fewer tokens than this something is to be done."""
        self.credit = 0.0
        """Share of what is left: spent before anybody has to wait."""
        self.grace = 0.0
        """What may be overdrawn when nobody answers in time."""
        self.known = False
        """There is a lease."""
        self.more = False
        self.recheck_at = 0
        self.spent = 0
        self.refused = 0
        self.demand = 0.0
        self.asked = False
        """The answer is on its way."""
        self.asked_at = 0
        self.used_at = 0
        self.active = False
        """The table looks after it."""
        self.pressed = False
        """It will be asked for at once."""

    def back(self) -> None:
        """A token that was taken is not needed after all."""
        self.tokens += 1.0
        self.spent -= 1

    def overdue(self) -> bool:
        """Nobody answered in time: whether the request may pass all the same."""
        if not self.table.keeps or self.grace < 1:
            self.refused += 1
            return False
        self.grace -= 1
        self.tokens -= 1.0
        self.spent += 1
        return True

    def fill(self, now: int) -> None:
        """Let time pass."""
        raise NotImplementedError

    def granted(self, grant: Grant, now: int) -> None:
        """An answer has come."""
        raise NotImplementedError

    # Within.

    def _low(self, now: int) -> None:
        """Fewer tokens than `floor`: see that more come before they are needed."""
        self.floor = -NEVER
        self.used_at = now
        if not self.active:
            self.table.activate(self)
        if self.known:
            self.table.press(self)

    def _dry(self, now: int) -> Taken:
        """There is no token."""
        self.used_at = now
        if not self.active:
            self.table.activate(self)
        if self.known:
            if self.credit >= 1:
                self.credit -= 1.0
                self.tokens -= 1.0
                self.spent += 1
                self.table.press(self)
                return TAKEN
            if not self.more and now < self.recheck_at:
                self.refused += 1
                return REFUSED
        return ASK

    def _answered(self, grant: Grant, now: int) -> None:
        self.asked = False
        self.known = True
        self.tokens += grant.tokens
        self.credit = grant.credit
        self.more = grant.more
        self.recheck_at = now + int(grant.recheck_ms)

    def _forget(self) -> None:
        self.tokens = self.credit = 0.0
        self.known = self.more = False
        self.floor = NEVER

    def report(self, now: int, urgent: bool) -> Ask | None:
        """What to tell the pod; None: there is nothing, and the lease is given back."""
        self.fill(now)
        self.pressed = False
        window = now - self.asked_at
        attempts = self.spent + self.refused + urgent
        if window >= WINDOW_MS or window < 0 or not self.demand:
            rate = attempts * 1000 / min(max(window, WINDOW_MS), REPORT_MS)
            self.demand = (self.demand + rate) / 2 if self.demand else rate
        spent, self.spent, self.refused = self.spent, 0, 0
        self.asked_at = now
        held = self.tokens
        if held < 0:
            self.tokens = held = 0.0  # a debt is the pod's from here
        if not urgent and now - self.used_at >= IDLE_MS:
            self._forget()
            self.demand = 0.0
            if not spent and not held:
                return None
            return Ask(self.id, self.limit, spent, 0.0, period=self.period)
        self.asked = True
        target = max(LEAST, self.demand * AHEAD_S)
        want = max(0.0, target - held, float(urgent))
        return Ask(self.id, self.limit, spent, held, self.demand, want, self.period, urgent)

    @property
    def period(self) -> int:
        """First day of the period; 0 for buckets."""
        return 0


class BucketLease(Lease):
    """Part of a token bucket."""

    __slots__ = ("cap", "rate")

    def __init__(self, known_as: str, table: Leases, limit: Tokens) -> None:
        super().__init__(known_as, table)
        self.rate = 0.0
        """Tokens a millisecond that come in here."""
        self.cap = 0.0
        self.limit = limit
        self.set(limit)

    def set(self, limit: Tokens) -> None:
        """The configuration says so from now on."""
        if limit != self.limit:
            self.tokens = min(self.tokens, limit.burst)
            self.rate = min(self.rate, limit.rate / 1000)
            if self.active:
                self.table.press(self)
        self.limit = limit
        self.grace = self.table.share_of(limit.burst)

    def take(self, now: int) -> Taken:
        """One token."""
        if now != self.at:
            if self.rate:
                self.fill(now)
            else:
                self.at = now
        tokens = self.tokens
        if tokens >= 1.0:
            self.tokens = tokens = tokens - 1.0
            self.spent += 1
            self.used_at = now
            if tokens < self.floor:
                self._low(now)
            return TAKEN
        if self.limit.burst < 1:
            return REFUSED  # AWS §3.18: 0/0 blocks everything
        return self._dry(now)

    def fill(self, now: int) -> None:
        """Its share of the rate, since it was looked at last."""
        elapsed = now - self.at
        self.at = now
        if elapsed > 0 and self.tokens < self.cap:
            self.tokens = min(self.cap, self.tokens + elapsed * self.rate)

    def granted(self, grant: Grant, now: int) -> None:
        """An answer has come."""
        self.fill(now)
        self._answered(grant, now)
        self.rate = grant.rate / 1000
        self.cap = max(1.0, grant.cap)
        self.grace = self.table.share_of(self.limit.burst)
        # One that fills up by itself is looked after at intervals, not when it is low.
        self.floor = self.tokens / 2 if not grant.rate and self.tokens >= 2 else -NEVER

    def _forget(self) -> None:
        super()._forget()
        self.rate = 0.0


class QuotaLease(Lease):
    """Part of a quota; of a plan without one, only a count."""

    __slots__ = ("_period", "free")

    def __init__(self, known_as: str, table: Leases, limit: Requests) -> None:
        super().__init__(known_as, table)
        self._period = 0
        self.limit = limit
        self.free = False
        self.set(limit)

    def set(self, limit: Requests) -> None:
        """The configuration says so from now on."""
        if limit != self.limit:
            self._forget()
            if self.active:
                self.table.press(self)
        self.limit = limit
        self.free = limit.limit < 0
        """Nobody has to be asked."""
        self.grace = self.table.share_of(limit.limit * GRACE_OF_QUOTA)
        if self.free:
            self.tokens = NEVER

    def take(self, now: int) -> Taken:
        """One request."""
        if now >= self.at and self.known:
            self._forget()
        tokens = self.tokens
        if tokens >= 1.0:
            self.tokens = tokens = tokens - 1.0
            self.spent += 1
            self.used_at = now
            if tokens < self.floor:
                self._low(now)
            return TAKEN
        if self.limit.limit == 0:
            return REFUSED
        return self._dry(now)

    def fill(self, now: int) -> None:
        """A period that is over leaves nothing."""
        if self.known and now >= self.at:
            self._forget()

    def granted(self, grant: Grant, now: int) -> None:
        """An answer has come."""
        if grant.period != self._period:
            self.tokens = min(self.tokens, 0.0)
            self._period = grant.period
        self._answered(grant, now)
        self.at = now + int(grant.ends_ms)
        self.grace = self.table.share_of(self.limit.limit * GRACE_OF_QUOTA)
        self.floor = self.tokens / 2 if self.tokens >= 2 else -NEVER

    @property
    def period(self) -> int:
        """First day of the period."""
        return self._period
