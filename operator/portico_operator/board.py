"""StatusBoard [pure]: whose status is to be written, and when. Time is passed in.

Driven by `status_loop`. Promises: one change of an object is one write (held until every live pod
acknowledged it, or 1 s); what the fleet alone changes is written only when it lasts, and for a
while after this replica began to lead nobody is called unreachable; counts of pods move at most
every 30 s; the newest user change goes first; equal statuses are never written; nothing is
forgotten before it is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from portico_compiler import Condition, ObjectRef
from portico_operator import status
from portico_operator.delivery.fleet import NOBODY, Programming, Standing
from portico_operator.findings import NOTHING, News
from portico_operator.status_queue import DECIDED, OVERDUE, Awaited, StatusQueue

HOLD_S = 1.0
"""How long a write waits for acknowledgements."""
FLEET_HOLD_S = 5.0
"""How long a state of the fleet must last before objects that did not change say so."""
COUNTS_S = 30.0
"""How often `status.dataPlane` may move by itself."""
MOST_BACKOFF = 32
"""Times the first pause: how long an object waits at most whose status is refused."""
_COUNT_EVERY_S = 1.0
"""How often counts are looked at."""
_LOOKS = 500
"""Objects that one call looks at; most of them may have nothing new to say."""


class Write(NamedTuple):
    """One status to apply."""

    ref: ObjectRef
    """Whose."""
    status: dict[str, Any]
    """All of it."""


class _Entry:
    __slots__ = ("awaited", "changed", "conditions", "counted", "failures")

    def __init__(self, awaited: Awaited, conditions: tuple[Condition, ...], now: float) -> None:
        self.awaited = awaited
        """The publication that has its content."""
        self.conditions = conditions
        self.changed = now
        """When a user changed it."""
        self.counted = -math.inf
        """When its counts were last written."""
        self.failures = 0
        """Writes that failed, one after another."""


class StatusBoard:
    """Every object of our kinds, and what its status still lacks."""

    def __init__(
        self,
        observed: Callable[[ObjectRef], bytes],
        clock_text: Callable[[], str],
        patience: float = 0.0,
    ) -> None:
        self._observed = observed
        """The status that an object has now, as the store knows it."""
        self._clock_text = clock_text
        """The wall clock, as Kubernetes writes times."""
        self._patience = patience
        """How long a new leader hears every pod out before it says that one is behind."""
        self._entries: dict[ObjectRef, _Entry] = {}
        self._queue = StatusQueue()
        self._in_flight: set[ObjectRef] = set()
        self._again: set[ObjectRef] = set()
        """In flight, and to be looked at afterwards."""
        self.findings = NOTHING
        """What was found last."""
        self._standings: Mapping[str, Standing] = {}
        """By class."""
        self._refusals: Mapping[ObjectRef, tuple[str, ...]] = {}
        """Objects of which a live pod refuses units, and those units."""
        self._heard_refusals: frozenset[ObjectRef] = frozenset()
        """Of these objects refusals lasted, and they were looked at."""
        self._refused: set[ObjectRef] = set()
        """Objects that say Refused."""
        self._leads = False
        self._quiet_until = -math.inf
        self._sweep = math.inf
        self._count_at = math.inf
        self._count_from = -math.inf
        self._is_new = True
        """Nothing was found yet."""
        self._highest_done: dict[str, int] = {}
        """By class: the newest publication that some object says all pods have."""
        self._without_pods: set[ObjectRef] = set()
        """Objects that say NoDataPlane."""

    # --- what happened ------------------------------------------------------------------

    def found(
        self, news: News, changed: Iterable[ObjectRef], serials: Mapping[str, int], now: float
    ) -> None:
        """A compile whose results are these publications, by class; users changed these objects."""
        if self._is_new:  # From here on pods can come: an operator is found when it is ready.
            self._is_new = False
            self._quiet_until = max(self._quiet_until, now + self._patience)
        findings = self.findings = news.findings
        touched = findings.classes.keys() & changed
        for ref in touched | news.moved:
            class_name, conditions = findings.classes[ref], findings.conditions[ref]
            awaited = Awaited(class_name, serials.get(class_name, 0))
            entry = self._entries.get(ref)
            if entry is None:
                entry = self._entries[ref] = _Entry(awaited, conditions, now)
            elif ref in touched:
                entry.changed, entry.failures = now, 0
            entry.conditions, entry.awaited = conditions, awaited
            self._consider(ref, entry, now + HOLD_S)
        for ref in news.gone:
            del self._entries[ref]
            self._queue.drop(ref)
            self._again.discard(ref)
            self._without_pods.discard(ref)
            self._refused.discard(ref)
        self._recount(now)

    def fleet(
        self,
        standings: Mapping[str, Standing],
        refusals: Mapping[ObjectRef, tuple[str, ...]],
        now: float,
    ) -> None:
        """The data planes are like this now, by class; a Standing is another when it moved."""
        moved = {name for name, new in standings.items() if self._standings.get(name) is not new}
        if moved or refusals != self._refusals:
            self._standings, self._refusals = dict(standings), refusals
            for awaited in self._queue.awaited():
                name, serial = awaited
                if name in moved and standings[name].programmed(serial).is_settled:
                    self._release(self._queue.held(awaited, DECIDED))
            self._release([ref for ref in refusals if self._queue.holds(ref)])
            self._heard_refusals &= refusals.keys()
            healed = self._refused - refusals.keys()
            for ref in self._without_pods | healed:
                self._consider(ref, self._entries[ref], now + FLEET_HOLD_S)
            self._without_pods.clear()
            self._refused -= healed
            self._recount(now)
        if not self._unsettled():
            self._sweep = math.inf
        elif self._sweep == math.inf:
            self._sweep = max(now + FLEET_HOLD_S, self._quiet_until)

    def lead(self, now: float) -> None:
        """This replica has begun to lead: everything is looked at again."""
        self._leads = True
        self._quiet_until = now + self._patience
        self._sweep = self._count_at = math.inf
        self._heard_refusals = frozenset(self._refusals)
        for ref, entry in self._entries.items():
            self._consider(ref, entry, now)
        self._recount(now)

    def follow(self) -> None:
        """Another replica leads; whoever does looks at everything by itself."""
        self._leads = False
        for known in (self._queue, self._again, self._highest_done):
            known.clear()

    def written(self, ref: ObjectRef) -> None:
        """A write succeeded, and the store has the answer."""
        self._in_flight.discard(ref)
        entry = self._entries.get(ref)
        if entry is not None:
            entry.failures = 0
            if ref in self._again:
                self._offer(ref, entry)
        self._again.discard(ref)

    def failed(self, ref: ObjectRef, now: float, after: float) -> None:
        """A write did not succeed; it is tried again after so many seconds, and after more each
        time that it fails again."""
        self._in_flight.discard(ref)
        self._again.discard(ref)
        entry = self._entries.get(ref)
        if entry is not None and self._leads and not self._queue.expects(ref):
            self._queue.later(ref, now + after * min(2**entry.failures, MOST_BACKOFF))
            entry.failures += after > 0

    # --- what to do ---------------------------------------------------------------------

    def take(self, now: float, most: int) -> list[Write]:
        """Statuses to write now, the newest user change first."""
        if not self._leads:
            return []
        if now >= self._sweep:
            self._sweep_all(now)
        if now >= self._count_at:
            self._count(now)
        for ref in self._queue.due(now):
            self._offer(ref, self._entries[ref])
        writes: list[Write] = []
        for _ in range(_LOOKS):
            first = self._queue.pop() if len(writes) < most else None
            if first is None:
                break
            ref, rank = first
            if ref in self._in_flight:
                self._again.add(ref)
            elif (write := self._settle(ref, rank, now)) is not None:
                writes.append(write)
                self._in_flight.add(ref)
        return writes

    @property
    def backlog(self) -> int:
        """Statuses that wait to be written, or are being written."""
        return self._queue.backlog + len(self._in_flight)

    def next_time(self, now: float) -> float:
        """When `take` may have something without anything else happening."""
        if not self._leads:
            return math.inf
        return max(now, min(self._queue.next_time(), self._sweep, self._count_at))

    # --- whose turn it is ---------------------------------------------------------------

    def _consider(self, ref: ObjectRef, entry: _Entry, due: float) -> None:
        """It has its turn now, or waits for acknowledgements until `due`."""
        if not self._leads:
            return
        if self._state(ref, entry).is_settled:
            self._queue.drop(ref)
            self._queue.offer(ref, DECIDED, entry.changed)
        else:
            self._queue.hold(ref, entry.awaited, max(due, self._quiet_until))

    def _release(self, refs: Iterable[ObjectRef]) -> None:
        for ref in refs:
            entry = self._entries[ref]
            if self._state(ref, entry).is_settled:
                self._queue.offer(ref, DECIDED, entry.changed)

    def _offer(self, ref: ObjectRef, entry: _Entry) -> None:
        rank = DECIDED if self._state(ref, entry).is_settled else OVERDUE
        self._queue.offer(ref, rank, entry.changed)

    def _fallen_back(self) -> set[str]:
        """Classes of which pods lack what objects say all of them have."""
        done = self._highest_done.items()
        return {name for name, serial in done if (self._of(name).settled or 0) < serial}

    def _unsettled(self) -> bool:
        """Whether objects that did not change would say something else than they do."""
        return bool(self._refusals.keys() - self._heard_refusals or self._fallen_back())

    def _sweep_all(self, now: float) -> None:
        self._sweep = math.inf
        refs: set[ObjectRef] = set(self._refusals.keys() - self._heard_refusals)
        self._heard_refusals = frozenset(self._refusals)
        fallen = self._fallen_back()
        for name in fallen:
            self._highest_done[name] = self._of(name).settled or 0
        if fallen:
            entries = self._entries.items()
            refs |= {ref for ref, entry in entries if entry.awaited.class_name in fallen}
        for ref in refs:
            entry = self._entries.get(ref)
            if entry is not None and not self._queue.expects(ref):
                self._consider(ref, entry, now)

    # --- counts -------------------------------------------------------------------------

    def _recount(self, now: float) -> None:
        """Something that counts are made of has moved."""
        if self.findings.identities:
            soonest = max(now, self._quiet_until, self._count_from)
            self._count_at = min(self._count_at, soonest)

    def _count(self, now: float) -> None:
        """Gives APIs and Stages a turn whose shown counts are old and wrong."""
        self._count_at, self._count_from = math.inf, now + _COUNT_EVERY_S
        for ref in self.findings.identities:
            entry = self._entries.get(ref)
            if entry is None or self._shows(ref) == self._data_plane(ref, entry):
                continue
            if now < entry.counted + COUNTS_S:
                self._count_at = min(self._count_at, entry.counted + COUNTS_S)
            elif self._queue.expects(ref):
                self._count_at = min(self._count_at, self._count_from)
            else:
                self._offer(ref, entry)

    def _shows(self, ref: ObjectRef) -> Any:
        return status.parsed(self._observed(ref)).get("dataPlane")

    def _data_plane(self, ref: ObjectRef, entry: _Entry) -> dict[str, Any] | None:
        if not status.has_identity(ref):
            return None
        standing = self._of(entry.awaited.class_name)
        serial = self.findings.serials.get(ref) or entry.awaited.serial
        shown: dict[str, Any] = {"pods": standing.pods, "acknowledged": standing.having(serial)}
        took = standing.took(serial)
        if took is not None:
            shown["propagation"] = f"{math.ceil(took * 1000)}ms"
        else:  # Not measured here; what another replica measured is as true as before.
            before = self._shows(ref)
            if isinstance(before, dict) and "propagation" in before:
                shown["propagation"] = before["propagation"]
        return shown

    # --- what to write ------------------------------------------------------------------

    def _of(self, class_name: str) -> Standing:
        return self._standings.get(class_name, NOBODY)

    def _state(self, ref: ObjectRef, entry: _Entry) -> Programming:
        class_name, serial = entry.awaited
        return status.programmed(
            entry.conditions,
            serial,
            self._of(class_name) if class_name else None,
            self._refusals.get(ref, ()),
            self.findings.not_deployed.get(ref, ""),
        )

    def _settle(self, ref: ObjectRef, rank: int, now: float) -> Write | None:
        entry = self._entries[ref]
        state = self._state(ref, entry)
        if state.is_settled:
            self._queue.drop(ref)
        elif rank == DECIDED or now < self._quiet_until:
            # It was decided when it got its place, and pods have moved since.
            self._queue.hold(ref, entry.awaited, max(now + HOLD_S, self._quiet_until))
            return None
        else:  # Written once; then it waits for the acknowledgements.
            self._queue.hold(ref, entry.awaited, math.inf)
        for reason, saying in (("NoDataPlane", self._without_pods), ("Refused", self._refused)):
            if state.reason == reason:
                saying.add(ref)
            else:
                saying.discard(ref)
        if state.is_true:
            class_name, serial = entry.awaited
            self._highest_done[class_name] = max(self._highest_done.get(class_name, 0), serial)
        observed = status.parsed(self._observed(ref))
        identity = self.findings.identities.get(ref, status.Identity())
        fresh = self._data_plane(ref, entry)
        generation = entry.conditions[0].observed_generation if entry.conditions else 1
        wanted = status.compose(
            entry.conditions, state, generation, identity, fresh, observed, self._clock_text()
        )
        is_old = fresh != observed.get("dataPlane") and now - entry.counted >= COUNTS_S
        if not status.is_news(wanted, observed) and not is_old:
            return None
        if fresh is not None:
            entry.counted = now
        return Write(ref, wanted)
