"""One lease of a worker: a counter as far as this worker may count without asking.

Policies take tokens; `core/leases.py` has the table of them all. Promises: taking a token is a few
operations on one object; a request is told to ask only where the worker holds no lease yet, or
near the end, when single tokens are handed out; what nobody uses for a second goes back. `now` is
the request's own stamp: Unix milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from portico_ir.leases import Ask, Grant, Requests, Tokens

if TYPE_CHECKING:
    from portico_dataplane.core.leases import Leases

Taken = Literal[0, 1, 2]
TAKEN: Final = 0
REFUSED: Final = 1
ASK: Final = 2
"""Nobody knows here: ask, for a short time, and take again."""

IDLE_MS: Final = 1_000
"""Unused for so long, a lease is given back."""
WINDOW_MS: Final = 100
"""Demand is measured over no less,"""
LONGEST_MS: Final = 2_000
"""and over no more."""
MANY: Final = 10
"""Requests that make a measurement."""
FRESH_MS: Final = 200
"""Credit is used so long after it was given: others may have had the rest by then."""
AHEAD_S: Final = 1.0
"""What is asked for lasts so long at the present demand, as far as there is enough for all."""
LEAST: Final = 8.0
"""Tokens asked for however low the demand."""
GRACE: Final = 0.1
"""Of a bucket, what all workers together may overdraw when nobody answers in time;"""
GRACE_OF_QUOTA: Final = 0.01
"""and of a quota."""
NEVER: Final = float("inf")


class Lease:
    """One counter, as far as this worker may use it."""

    __slots__ = (
        "active",
        "asked",
        "at",
        "counted",
        "credit",
        "credit_until",
        "demand",
        "floor",
        "grace",
        "holders",
        "id",
        "known",
        "limit",
        "more",
        "pressed",
        "recheck_at",
        "refused",
        "reported_at",
        "retired",
        "sole",
        "spent",
        "table",
        "tokens",
        "used_at",
        "waiting",
        "window_at",
    )

    limit: Tokens | Requests

    def __init__(self, known_as: str, table: Leases) -> None:
        self.id = known_as
        self.table = table
        self.holders = 0
        """Who may use it: see `holds.Stake`."""
        self.tokens = 0.0
        self.at = 0
        """When it last filled up (buckets), when its period ends (quotas)."""
        self.floor = NEVER
        """With fewer tokens than this something is to be done."""
        self.credit = 0.0
        """Share of what is left: spent before anybody has to wait."""
        self.credit_until = 0
        self.grace = 0.0
        """What may be overdrawn when nobody answers in time."""
        self.known = False
        """There is a lease."""
        self.more = False
        self.recheck_at = 0
        self.spent = 0
        self.refused = 0
        self.waiting = 0
        """Requests."""
        self.demand = 0.0
        self.counted = 0
        self.window_at = 0
        self.reported_at = 0
        self.used_at = 0
        """When it was last reported that it is used."""
        self.asked = False
        """The answer is on its way."""
        self.active = False
        """The table looks after it."""
        self.pressed = False
        """It will be asked for at once."""
        self.retired = False
        """It goes back although it is in use."""
        self.sole = False
        """Nobody else has any of it, or ever asks for it."""

    @property
    def period(self) -> int:
        """First day of the period; 0 for buckets."""
        return 0

    @property
    def shares(self) -> bool:
        """It has a share of the rate, and some demand to show for it."""
        return False

    def let_go(self) -> None:
        """Somebody will not use it any more."""
        self.holders -= 1
        if not self.holders and not self.active:
            self.table.drop(self)

    def take(self, now: int) -> Taken:
        """One token."""
        raise NotImplementedError

    def back(self) -> None:
        """A token that was taken is not needed after all."""
        self.tokens += 1.0
        self.spent -= 1

    def overdue(self) -> bool:
        """Nobody answered in time: whether the request may pass all the same."""
        if not self.table.keeps or self.grace < 1:
            self.refused += 1
            return False
        self.grace -= 1.0
        self.tokens -= 1.0
        self.spent += 1
        return True

    def fill(self, now: int) -> None:
        """Let time pass."""
        raise NotImplementedError

    def granted(self, grant: Grant, now: int) -> None:
        """An answer has come."""
        self.asked = False
        self.known = True
        self.tokens += grant.tokens
        self.credit = grant.credit
        self.credit_until = now + FRESH_MS
        self.more = grant.more
        self.sole = grant.sole
        self.recheck_at = now + int(grant.recheck_ms)

    def report(self, now: int) -> Ask | None:
        """What to tell the pod; None: nothing. `now` is the clock's, not a request's."""
        self.fill(now)
        self.pressed = False
        attempts = self.spent + self.refused
        if not attempts and not self.waiting and now - self.used_at >= IDLE_MS:
            return self._given_back()
        if attempts or self.waiting:
            self.used_at = now
        if self.retired and not self.waiting:
            return self._given_back()
        self._measure(attempts or self.waiting, now)
        spent, self.spent, self.refused = self.spent, 0, 0
        self.reported_at = now
        held = self.tokens
        if held < 0:
            self.tokens = held = 0.0  # a debt is the pod's from here
        self.asked = True
        target = max(LEAST, self.demand * AHEAD_S)
        want = max(0.0, target - held, float(self.waiting))
        return Ask(self.id, self.limit, spent, held, self.demand, want, self.period, self.waiting)

    # Within.

    def _measure(self, attempts: int, now: int) -> None:
        window = now - self.window_at
        self.counted += attempts
        if window >= WINDOW_MS or window < 0 or not self.demand:
            rate = self.counted * 1000 / min(max(window, WINDOW_MS), LONGEST_MS)
            expected = self.demand * window / 1000
            # A few requests say little about how many there are.
            weight = 0.5 if max(self.counted, expected) >= MANY else 0.2
            if not self.demand or (not self.counted and expected >= MANY):
                weight = 1.0
            self.demand += (rate - self.demand) * weight
            self.counted = 0
            self.window_at = now

    def _low(self) -> None:
        """Fewer tokens than `floor`: see that more come before they are needed."""
        self.floor = -NEVER
        if not self.active:
            self.table.activate(self)
        if self.known:
            self.table.press(self)

    def _dry(self, now: int) -> Taken:
        """There is no token."""
        if not self.active:
            self.table.activate(self)
        if self.known:
            if self.credit >= 1 and now < self.credit_until:
                self.credit -= 1.0
                self.tokens -= 1.0
                self.spent += 1
                self.table.press(self)
                return TAKEN
            if not self.more and now < self.recheck_at:
                self.refused += 1
                return REFUSED
        return ASK

    def _given_back(self) -> Ask | None:
        held = self.known or self.spent > 0
        spent, self.spent, self.refused = self.spent, 0, 0
        self.forget()
        self.active = self.retired = False
        self.demand = 0.0
        return Ask(self.id, self.limit, spent, period=self.period) if held else None

    def forget(self) -> None:
        """There is no lease any more."""
        self.tokens = self.credit = 0.0
        self.known = self.more = self.sole = False
        self.floor = NEVER


class BucketLease(Lease):
    """Part of a token bucket."""

    __slots__ = ("cap", "rate")

    limit: Tokens

    def __init__(self, known_as: str, table: Leases, limit: Tokens) -> None:
        super().__init__(known_as, table)
        self.rate = 0.0
        """Tokens a millisecond that come in here."""
        self.cap = 0.0
        self.limit = limit
        self.grace = table.share_of(limit.burst * GRACE)

    @property
    def shares(self) -> bool:
        """It has a share of the rate, and some demand to show for it."""
        return self.rate > 0 and self.demand > 0

    def set(self, limit: Tokens) -> None:
        """The configuration says so from now on."""
        if limit != self.limit:
            self.limit = limit
            self.sole = False
            self.tokens = min(self.tokens, limit.burst)
            self.rate = min(self.rate, limit.rate / 1000)
            self.grace = self.table.share_of(limit.burst * GRACE)
            if self.active:
                self.table.press(self)

    def take(self, now: int) -> Taken:
        """One token."""
        if now > self.at:  # a stamp may be old: who calls was asked for in the meantime
            self.fill(now)
        tokens = self.tokens
        if tokens >= 1.0:
            self.tokens = tokens = tokens - 1.0
            self.spent += 1
            if tokens < self.floor:
                self._low()
            return TAKEN
        if self.limit.burst < 1:
            return REFUSED  # AWS §3.18: 0/0 blocks everything
        return self._dry(now)

    def fill(self, now: int) -> None:
        """Its share of the rate, since it was looked at last."""
        elapsed = now - self.at
        self.at = now
        tokens, cap = self.tokens, self.cap
        if elapsed > 0 and tokens < cap:
            tokens += elapsed * self.rate
            self.tokens = tokens if tokens < cap else cap

    def granted(self, grant: Grant, now: int) -> None:
        """An answer has come."""
        self.fill(now)
        super().granted(grant, now)
        self.rate = grant.rate / 1000
        self.cap = max(1.0, grant.cap)
        if self.tokens >= 1 or grant.more:
            self.grace = self.table.share_of(self.limit.burst * GRACE)
        # One that fills up by itself is looked after at intervals, not when it is low.
        self.floor = self.tokens / 2 if not grant.rate and self.tokens >= 2 else -NEVER

    def forget(self) -> None:
        """There is no lease any more."""
        super().forget()
        self.rate = 0.0


class QuotaLease(Lease):
    """Part of a quota."""

    __slots__ = ("_period",)

    limit: Requests

    def __init__(self, known_as: str, table: Leases, limit: Requests) -> None:
        super().__init__(known_as, table)
        self._period = 0
        self.limit = limit
        self.grace = table.share_of(limit.limit * GRACE_OF_QUOTA)

    @property
    def period(self) -> int:
        """First day of the period."""
        return self._period

    def set(self, limit: Requests) -> None:
        """The configuration says so from now on."""
        if limit != self.limit:
            self.limit = limit
            self.forget()
            self.grace = self.table.share_of(limit.limit * GRACE_OF_QUOTA)
            if self.active:
                self.table.press(self)

    def take(self, now: int) -> Taken:
        """One request."""
        if now >= self.at and self.known:
            self.forget()
        tokens = self.tokens
        if tokens >= 1.0:
            self.tokens = tokens = tokens - 1.0
            self.spent += 1
            if tokens < self.floor:
                self._low()
            return TAKEN
        if self.limit.limit == 0:
            return REFUSED
        return self._dry(now)

    def fill(self, now: int) -> None:
        """A period that is over leaves nothing."""
        if self.known and now >= self.at:
            self.forget()

    def granted(self, grant: Grant, now: int) -> None:
        """An answer has come."""
        if grant.period != self._period:
            self.tokens = min(self.tokens, 0.0)
            self._period = grant.period
        super().granted(grant, now)
        self.at = now + int(grant.ends_ms)
        if self.tokens >= 1:
            self.grace = self.table.share_of(self.limit.limit * GRACE_OF_QUOTA)
        self.floor = self.tokens / 2 if self.tokens >= 2 else -NEVER
