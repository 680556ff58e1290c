"""Leases of one worker: every counter that requests are counted with, in memory.

Runtimes hold on to single ones; `effects/lessee.py` sends what `Leases.due` says to the pod and
brings back grants. Promises: a counter outlives the configuration that named it as long as
somebody holds a stake in it or it is in use, and what was counted is told even when its limit
changes its kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from portico_dataplane.core.holds import Stake
from portico_dataplane.core.lease import IDLE_MS, TAKEN, BucketLease, Lease, QuotaLease, Taken
from portico_ir.access import Bucket
from portico_ir.leases import Ask, Grant, Requests, Tokens

REPORT_MS: Final = 500
"""At most this long until the pod hears what was spent."""
UNUSED_MS: Final = 200
"""And that a share of the rate is not used."""
SOLE_MS: Final = 10_000
"""How long a counter that nobody else has may rest before it goes back,"""
SOLE_USAGE_MS: Final = 2_000
"""and until the pod hears of the requests that were made with it."""
CONTENDED_MS: Final = 100
"""The same where requests are refused: shares follow demand."""


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
        self._account_stake: Stake | None = None
        self._known: dict[str, Lease] = {}
        self._active: dict[str, Lease] = {}
        self._pressed: list[Lease] = []

    def bucket(self, known_as: str, rate: float, burst: float) -> BucketLease:
        """The bucket with this id; as long as somebody has a stake in it, the same one again."""
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
        self._account_stake = None if self.account is None else Stake(self.account)
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

    def drop(self, lease: Lease) -> None:
        """Nobody uses it, and nobody will."""
        if self._known.get(lease.id) is lease:
            del self._known[lease.id]

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
            if not lease.holders:
                self.drop(lease)

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
    if lease.sole and not lease.refused:
        return since >= (SOLE_USAGE_MS if lease.period and lease.spent else SOLE_MS)
    if lease.refused and not lease.period:
        return since >= CONTENDED_MS
    if lease.spent or lease.refused:
        return since >= REPORT_MS
    # A share of the rate that nobody uses is missing elsewhere.
    return since >= IDLE_MS or (lease.shares and since >= UNUSED_MS)
