"""StatusBoard [pure]: whose status is to be written, and when. Time is passed in.

Driven by `status_loop`. Promises: one change of an object is one write (held until every live pod
acknowledged it, or 1 s); what the fleet alone changes is written only when it lasts; counts of
pods move at most every 30 s; the newest user change goes first; equal statuses are never written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from portico_compiler import Condition, ObjectRef
from portico_operator import status
from portico_operator.rollout import NOBODY, Standing

HOLD_S = 1.0
"""How long a write waits for acknowledgements."""
FLEET_HOLD_S = 5.0
"""How long a state of the fleet must last before objects that did not change say so."""
COUNTS_S = 30.0
"""How often `status.dataPlane` may move by itself."""
RETRY_S = 2.0
"""How long a failed write waits."""


class Findings(NamedTuple):
    """What one or more compiles found."""

    conditions: Mapping[ObjectRef, tuple[Condition, ...]]
    """Of every object of our kinds."""
    identities: Mapping[ObjectRef, status.Identity]
    """Of APIs and Stages."""
    not_deployed: Mapping[ObjectRef, str]
    """Why an API, or a Route of it, is served by no Stage."""


class Write(NamedTuple):
    """One status to apply."""

    ref: ObjectRef
    """Whose."""
    status: dict[str, Any]
    """All of it."""


class _Entry:
    __slots__ = ("changed", "conditions", "counted", "due", "publication")

    def __init__(self, conditions: tuple[Condition, ...]) -> None:
        self.conditions = conditions
        self.publication = 0
        self.changed = -math.inf
        """When its content or conditions changed."""
        self.due = math.inf
        """When it is written without acknowledgements; inf: nothing to write."""
        self.counted = -math.inf
        """When its counts were last written."""


class StatusBoard:
    """Every object of our kinds, and what its status still lacks."""

    def __init__(
        self, observed: Callable[[ObjectRef], bytes], clock_text: Callable[[], str]
    ) -> None:
        self._observed = observed
        """The status that an object has now, as the store knows it."""
        self._clock_text = clock_text
        """The wall clock, as Kubernetes writes times."""
        self._entries: dict[ObjectRef, _Entry] = {}
        self._waiting: set[ObjectRef] = set()
        self._in_flight: set[ObjectRef] = set()
        self._findings = Findings({}, {}, {})
        self._standing = NOBODY
        self._refusals: Mapping[ObjectRef, tuple[tuple[str, str], ...]] = {}
        self._sweep = math.inf
        self._highest_done = 0
        self._without_pods: set[ObjectRef] = set()
        """Objects that say NoDataPlane."""
        self._shown_refusals: frozenset[ObjectRef] = frozenset()
        self.propagation: dict[ObjectRef, float] = {}
        """Seconds that the last change of an API took to every pod."""

    # --- what happened ------------------------------------------------------------------

    def found(
        self, findings: Findings, changed: Iterable[ObjectRef], publication: int, now: float
    ) -> None:
        """A compile whose result is `publication`."""
        self._findings = findings
        touched = set(changed)
        for ref, conditions in findings.conditions.items():
            entry = self._entries.get(ref)
            if entry is None:
                entry = self._entries[ref] = _Entry(conditions)
            elif ref not in touched and entry.conditions == conditions:
                continue
            entry.conditions = conditions
            entry.publication = publication
            entry.changed = now
            self._wait(ref, entry, now + HOLD_S)
        if len(self._entries) > len(findings.conditions):
            for ref in self._entries.keys() - findings.conditions.keys():
                del self._entries[ref]
                self._waiting.discard(ref)
                self._without_pods.discard(ref)
                self.propagation.pop(ref, None)

    def reconsider(self, now: float, hold: float) -> None:
        """Look at everything again: this replica has begun to lead."""
        for ref, entry in self._entries.items():
            self._wait(ref, entry, now + hold)

    def fleet(
        self,
        standing: Standing,
        refusals: Mapping[ObjectRef, tuple[tuple[str, str], ...]],
        now: float,
    ) -> None:
        """The data plane is like this now."""
        self._standing = standing
        self._refusals = refusals
        if not self._unsettled():
            self._sweep = math.inf
        elif self._sweep == math.inf:
            self._sweep = now + FLEET_HOLD_S

    def propagated(self, publication: int, seconds: float) -> None:
        """Every live pod has this publication, after so long."""
        for ref in self._findings.identities:
            entry = self._entries.get(ref)
            if entry is not None and entry.publication == publication:
                self.propagation[ref] = seconds

    def failed(self, ref: ObjectRef, now: float, retry: bool) -> None:
        """A write did not succeed."""
        self._in_flight.discard(ref)
        entry = self._entries.get(ref)
        if entry is not None and retry:
            self._wait(ref, entry, now + RETRY_S)

    def written(self, ref: ObjectRef) -> None:
        """A write succeeded, and the store has the answer."""
        self._in_flight.discard(ref)

    # --- what to do ---------------------------------------------------------------------

    def take(self, now: float, most: int) -> list[Write]:
        """Statuses to write now, the newest user change first."""
        if now >= self._sweep:
            self._sweep_all(now)
        ready = [ref for ref in self._waiting - self._in_flight if self._is_ready(ref, now)]
        ready.sort(key=lambda ref: (-self._entries[ref].changed, ref))
        writes: list[Write] = []
        for ref in ready:
            if len(writes) >= most:
                break
            write = self._settle(ref, now)
            if write is not None:
                writes.append(write)
                self._in_flight.add(ref)
        return writes

    def counts(self, now: float) -> None:
        """Puts APIs and Stages whose shown counts are old and wrong in the queue."""
        for ref in self._findings.identities:
            entry = self._entries.get(ref)
            if entry is None or ref in self._waiting or now - entry.counted < COUNTS_S:
                continue
            shown = status.parsed(self._observed(ref)).get("dataPlane")
            if shown != self._data_plane(ref, entry):
                self._wait(ref, entry, now)

    @property
    def backlog(self) -> int:
        """Statuses that wait."""
        return len(self._waiting)

    def next_time(self, now: float) -> float:
        """When `take` may have something without anything else happening."""
        soonest = min((self._entries[ref].due for ref in self._waiting), default=math.inf)
        return max(now, min(soonest, self._sweep))

    # --- inside -------------------------------------------------------------------------

    def _wait(self, ref: ObjectRef, entry: _Entry, due: float) -> None:
        entry.due = min(entry.due, due) if ref in self._waiting else due
        self._waiting.add(ref)

    def _unsettled(self) -> bool:
        """Whether objects that did not change would say something else than they do."""
        standing = self._standing
        if standing.acknowledged < self._highest_done or self._shown_refusals != set(
            self._refusals
        ):
            return True
        return standing.pods > 0 and bool(self._without_pods)

    def _sweep_all(self, now: float) -> None:
        self._sweep = math.inf
        self._shown_refusals = frozenset(self._refusals)
        self._highest_done = min(self._highest_done, self._standing.acknowledged)
        for ref, entry in self._entries.items():
            self._wait(ref, entry, now)

    def _state(self, ref: ObjectRef, entry: _Entry) -> status.Programmed:
        return status.programmed(
            entry.conditions,
            entry.publication,
            self._standing,
            self._refusals.get(ref, ()),
            self._findings.not_deployed.get(ref, ""),
        )

    def _is_ready(self, ref: ObjectRef, now: float) -> bool:
        entry = self._entries[ref]
        if now >= entry.due:
            return True
        return self._state(ref, entry).reason not in ("Pending", "Unreachable")

    def _settle(self, ref: ObjectRef, now: float) -> Write | None:
        entry = self._entries[ref]
        state = self._state(ref, entry)
        if state.reason == "NoDataPlane":
            self._without_pods.add(ref)
        else:
            self._without_pods.discard(ref)
        if state.reason in ("Pending", "Unreachable"):
            entry.due = math.inf  # Written once; then it waits for the acknowledgements.
        else:
            self._waiting.discard(ref)
            if state.status == "True":
                self._highest_done = max(self._highest_done, entry.publication)
        observed = status.parsed(self._observed(ref))
        identity = self._findings.identities.get(ref, status.Identity())
        counts = observed.get("dataPlane")
        fresh = self._data_plane(ref, entry)
        moved = now - entry.counted >= COUNTS_S and fresh != counts
        generation = entry.conditions[0].observed_generation if entry.conditions else 1
        arguments = (entry.conditions, state, generation, identity)
        wanted = status.compose(*arguments, fresh, observed, self._clock_text())
        if not status.is_news(wanted, observed) and not moved:
            return None
        if fresh is not None:
            entry.counted = now
        return Write(ref, wanted)

    def _data_plane(self, ref: ObjectRef, entry: _Entry) -> dict[str, Any] | None:
        if not status.has_identity(ref):
            return None
        standing = self._standing
        shown: dict[str, Any] = {
            "pods": standing.pods,
            "acknowledged": standing.having(entry.publication),
        }
        if ref in self.propagation:
            shown["propagation"] = f"{math.ceil(self.propagation[ref] * 1000)}ms"
        return shown
