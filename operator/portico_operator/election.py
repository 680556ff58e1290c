"""Election [pure]: who may write status, decided from a Lease and one local clock.

Driven by `cluster/lease`. Promises: clocks of different nodes are never compared. A lease has
run out when its record has not changed for its duration *as seen here*; ours counts from the
moment a successful renewal was *sent*, less a margin, so that two replicas never both believe
that they lead, however far their wall clocks are apart.
"""

from __future__ import annotations

from typing import NamedTuple


class Terms(NamedTuple):
    """How long things last, in seconds."""

    duration: float = 15.0
    """Others may take over after this long without a renewal."""
    renew_every: float = 3.0
    """How often the holder renews, and others look."""
    margin: float = 3.0
    """A holder stops this long before others may start: the longest request, and more."""


TERMS = Terms()
"""Those of Kubernetes' own components."""


class Record(NamedTuple):
    """What a Lease says."""

    holder: str
    """Identity; empty: released."""
    transitions: int
    """How often it changed hands."""
    duration: float
    """leaseDurationSeconds of the holder."""
    version: str
    """resourceVersion: every write changes it."""


class Write(NamedTuple):
    """Write the Lease, provided that it still has this version."""

    holder: str
    """Who holds it then; empty releases it."""
    transitions: int
    """As Kubernetes counts them."""
    version: str
    """resourceVersion that it must still have; empty: it must not exist."""
    acquired: bool
    """It changes hands."""


class Election:
    """One candidate."""

    def __init__(self, identity: str, terms: Terms = TERMS) -> None:
        self.identity = identity
        self.terms = terms
        self._record: Record | None = None
        self._deleted: Record | None = None
        """The Lease as it was, while there is none: its holder need not know yet."""
        self._seen = float("-inf")
        """When the record was first seen as it is."""
        self._held_until = float("-inf")

    @property
    def transitions(self) -> int:
        """As the record says."""
        return self._record.transitions if self._record is not None else 0

    @property
    def holder(self) -> str:
        """As the record says."""
        return self._record.holder if self._record is not None else ""

    def observed(self, record: Record | None, now: float) -> None:
        """The Lease was read (None: there is none)."""
        if record != self._record:
            self._deleted = self._record if record is None else None
            self._record = record
            self._seen = now
        if record is None or record.holder != self.identity:
            self._held_until = float("-inf")

    def wanted(self, now: float) -> Write | None:
        """What to write now; None: somebody else holds it."""
        record = self._record
        if record is None:
            known = self._deleted
            if known is None or known.holder in ("", self.identity) or self._is_over(known, now):
                return Write(self.identity, 0, "", True)
            return None
        if record.holder == self.identity:
            # After a restart under the same name this is a renewal like any other.
            return Write(self.identity, record.transitions, record.version, False)
        if not record.holder or self._is_over(record, now):
            return Write(self.identity, record.transitions + 1, record.version, True)
        return None

    def _is_over(self, record: Record, now: float) -> bool:
        """Whether its holder has been silent for as long as it may lead."""
        # A foreign duration of zero or of days would be somebody's mistake; it is taken as ours.
        patience = record.duration if 0 < record.duration <= 300 else self.terms.duration
        return now - self._seen >= patience

    def written(self, record: Record, sent: float) -> None:
        """A write that was sent at `sent` succeeded; the Lease now says this."""
        self._record = record
        self._seen = sent
        if record.holder == self.identity:
            self._held_until = sent + self.terms.duration - self.terms.margin
        else:
            self._held_until = float("-inf")

    def release(self) -> Write | None:
        """What to write when leaving; this replica no longer leads, whatever comes of it."""
        self._held_until = float("-inf")
        record = self._record
        if record is None or record.holder != self.identity:
            return None
        return Write("", record.transitions, record.version, False)

    def leads(self, now: float) -> bool:
        """Whether this replica may write."""
        return now < self._held_until

    def time_left(self, now: float) -> float:
        """Seconds until another replica may lead, and so the longest that a write may take which
        begins now; 0: this one does not lead."""
        return self._held_until + self.terms.margin - now if self.leads(now) else 0.0
