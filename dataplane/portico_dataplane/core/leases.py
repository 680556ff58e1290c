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

from portico_ir.access import Bucket
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
UNUSED_MS: Final = 200
"""And that a share of the rate is not used."""
CONTENDED_MS: Final = 100
"""The same where requests are refused: shares follow demand."""
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
        "__weakref__",
        "active",
        "asked",
        "at",
        "counted",
        "credit",
        "credit_until",
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
        "reported_at",
        "retired",
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

    @property
    def period(self) -> int:
        """First day of the period; 0 for buckets."""
        return 0

    @property
    def shares(self) -> bool:
        """It has a share of the rate, and some demand to show for it."""
        return False

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
        self.known = self.more = False
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


class Count(Lease):
    """Requests under a plan without a quota: nobody has to be asked, but they are reported."""

    __slots__ = ()

    limit: Requests

    def __init__(self, known_as: str, table: Leases, limit: Requests) -> None:
        super().__init__(known_as, table)
        self.limit = limit

    def take(self, now: int) -> Taken:
        """One request."""
        self.spent += 1
        if not self.active:
            self.table.activate(self)
        return TAKEN

    def fill(self, now: int) -> None:
        """Nothing comes in."""

    def report(self, now: int) -> Ask | None:
        """What was counted."""
        if not self.spent:
            self.active = now - self.reported_at < IDLE_MS
            return None
        spent, self.spent = self.spent, 0
        self.reported_at = now
        return Ask(self.id, self.limit, spent)


class Leases:
    """Every counter of a worker."""

    def __init__(self) -> None:
        self.keeps = True
        """What happens while nobody answers: pass on the last shares, or refuse."""
        self.leaves = 1
        """Workers of all pods, as far as they are known."""
        self.account: BucketLease | None = None
        """What every request of every API passes (AWS §3.18)."""
        self.wake: Callable[[], None] = _nobody
        """Called when `due` should be asked soon."""
        self._known: WeakValueDictionary[str, Lease] = WeakValueDictionary()
        self._active: dict[str, Lease] = {}
        self._pressed: list[Lease] = []

    def bucket(self, known_as: str, rate: float, burst: float) -> BucketLease:
        """The bucket with this id; whoever holds on to it gets the same one again."""
        limit = Tokens(rate, burst)
        found = self._known.get(known_as)
        if isinstance(found, BucketLease):
            found.set(limit)
            return found
        made = self._known[known_as] = BucketLease(known_as, self, limit)
        return made

    def set_account(self, limit: Bucket | None) -> bool:
        """The account's bucket, or None for none; whether routes must be built again for it."""
        had = self.account is not None
        self.account = None if limit is None else self.bucket("account", limit.rate, limit.burst)
        return had is not (self.account is not None)

    def quota(self, known_as: str, limit: Requests) -> QuotaLease | Count:
        """The quota with this id."""
        found = self._known.get(known_as)
        if limit.limit < 0:
            if isinstance(found, Count):
                return found
            made: QuotaLease | Count = Count(known_as, self, limit)
        else:
            if isinstance(found, QuotaLease):
                found.set(limit)
                return found
            made = QuotaLease(known_as, self, limit)
        if found is not None:
            self._replace(found, made)
        self._known[known_as] = made
        return made

    def activate(self, lease: Lease) -> None:
        """It has been used: look after it until it rests."""
        lease.active = True
        if not self._active:
            self.wake()
        self._active[lease.id] = lease

    def retire(self, lease: Lease) -> None:
        """It will not be used again for a while: give it back now."""
        if lease.active:
            lease.retired = True
            self.press(lease)

    def press(self, lease: Lease) -> None:
        """Ask for it soon."""
        if not lease.pressed and not lease.asked:
            lease.pressed = True
            self._pressed.append(lease)
            self.wake()

    @property
    def pressed(self) -> bool:
        """Something should be asked at once."""
        return bool(self._pressed)

    @property
    def busy(self) -> bool:
        """`due` should be asked now and then."""
        return bool(self._active)

    def share_of(self, amount: float) -> float:
        """What one worker may take of something without asking; one at least, if there is one."""
        return max(amount / self.leaves, 1.0) if amount > 0 else 0.0

    def due(self, now: int, *, everything: bool) -> list[Ask]:
        """What the pod should hear now: of those that press, and at intervals of the others."""
        asks: list[Ask] = []
        pressed, self._pressed = self._pressed, []
        for lease in pressed:
            if not lease.asked:
                self._tell(lease, now, asks)
        for lease in list(self._active.values()) if everything else ():
            if not lease.asked and _is_due(lease, now):
                self._tell(lease, now, asks)
        return asks

    def everything(self, now: int) -> list[Ask]:
        """The last word: everything goes back."""
        for lease in self._active.values():
            lease.retired = True
            lease.asked = False
            lease.used_at = -IDLE_MS
        self._pressed = list(self._active.values())
        return self.due(now, everything=False)

    def granted(self, grant: Grant, now: int) -> Lease | None:
        """An answer has come; returns whom it is for."""
        lease = self._known.get(grant.id)
        if lease is not None:
            if not lease.active:  # it came late: what it brings is not to be forgotten
                self.activate(lease)
            lease.granted(grant, now)
            if lease.waiting:
                return lease
        return None

    def _tell(self, lease: Lease, now: int, asks: list[Ask]) -> None:
        ask = lease.report(now)
        if ask is not None:
            asks.append(ask)
        if not lease.active:
            self._active.pop(lease.id, None)

    def _replace(self, old: Lease, new: Lease) -> None:
        """A plan got a quota, or lost it: what was counted so far is still to be told."""
        new.spent, old.spent = old.spent, 0
        if self._active.get(old.id) is old:
            del self._active[old.id]
            self.activate(new)


def _nobody() -> None:
    """Nobody looks after these leases: whoever asks is refused or waits in vain."""


def _is_due(lease: Lease, now: int) -> bool:
    since = now - lease.reported_at
    if since < 0:
        return True
    if lease.refused and not lease.period:
        return since >= CONTENDED_MS
    if lease.spent or lease.refused:
        return since >= REPORT_MS
    # A share of the rate that nobody uses is missing elsewhere.
    return since >= IDLE_MS or (lease.shares and since >= UNUSED_MS)
