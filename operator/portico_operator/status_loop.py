"""StatusLoop: publications and the fleet to the board, the board's writes to the API server.

Started by `app`, beside the reconciler and never in its way (design.md §5, item 6). Promises:
conditions are worked out once for all publications that came meanwhile; only the leader writes;
writes go out as fast as the writer has room, and none is waited for; what the API server answers
goes into the store, so that the next look compares with the truth.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from portico_compiler import ObjectRef
from portico_compiler.inventory import API_KINDS
from portico_compiler.passes.apis import identity
from portico_operator import deployment_status
from portico_operator.adoption import Adoption
from portico_operator.board import StatusBoard
from portico_operator.delivery.fleet import NOBODY, Standing
from portico_operator.findings import Findings, News, compared
from portico_operator.objects import ClusterObject
from portico_operator.reconciler import Publication
from portico_operator.refusals import LastChanges, api_of, refused_objects
from portico_operator.status import Identity, parsed
from portico_operator.store import Store

GATHER_S = 0.050
"""Conditions are worked out at most this often."""
REST = 6.0
MOST_REST_S = 1.0
"""And not again before so many times what it took have passed: a seventh of the time goes into
it at most, for it is as much work for one edit as for all of a second."""
IDLE_S = 1.0
FEW = 500
LONG_S = 0.010
"""More objects are looked at in a thread, because delivery is on the same loop; unless the same
look took less CPU than this before: what follows an edit or two is short."""
SHOWING = frozenset(
    {*API_KINDS, "DomainName", "ApiMapping", "PorticoClass", *deployment_status.RECORDING}
)
"""Kinds whose status says more than conditions."""
_T = TypeVar("_T")


class Result(Protocol):
    """What became of a write; `cluster.status_writer.Outcome` is one."""

    @property
    def written(self) -> ClusterObject | None:
        """The object as it is now; None: not written."""
        ...

    @property
    def again(self) -> float | None:
        """Seconds after which to try again; None: somebody else leads."""
        ...


Done = Callable[[ObjectRef, Any], None]
"""Called with a `Result`, on the loop."""


class Writer(Protocol):
    """Who applies statuses; `cluster.status_writer.StatusWriter` is one."""

    def room(self) -> int:
        """How many writes may begin now."""
        ...

    def next_time(self) -> float:
        """When there may be room without a write ending."""
        ...

    def begin(self, ref: ObjectRef, uid: str, status: dict[str, Any], done: Done) -> None:
        """One write; returns at once, and `done` is told what became of it."""
        ...

    async def close(self) -> None:
        """End what is under way."""
        ...


class _Refusals(NamedTuple):
    publication: Publication | None
    by_class: Mapping[str, set[str]]
    objects: Mapping[ObjectRef, tuple[str, ...]]


class StatusLoop:
    """Everything about status that has a clock."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        *,
        standings: Callable[[], Mapping[str, Standing] | None],
        leads: Callable[[], bool],
        restored: Callable[[], None],
        wrote: Callable[[bool], None] = lambda _: None,
        patience: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`standings` are those of this operator's classes, None before their pods are known;
        `patience` is how long a new leader hears pods out."""
        self._store = store
        self._writer = writer
        self._fleets = standings
        self._leads = leads
        self._restored = restored
        self._wrote = wrote
        self._clock = clock
        self.board = StatusBoard(self._status_of, _now_text, patience)
        self.latest: Publication | None = None
        """What the reconciler delivered last."""
        self._serials: Mapping[str, int] = {}
        """Of the publications that have it."""
        self._changed: set[ObjectRef] = set()
        self._changes: dict[str, LastChanges] = {}
        self._refusals = _Refusals(None, {}, {})
        self._adoption = Adoption()
        self._class_refs: tuple[Publication | None, list[ObjectRef]] = (None, [])
        self._done: list[tuple[ObjectRef, Result]] = []
        self._stirred = asyncio.Event()
        self._is_leading = False
        self._digested: Publication | None = None
        """Whose conditions the board has."""
        self._rested = -math.inf
        """Those of another are not worked out before."""
        self._efforts: defaultdict[str, float] = defaultdict(lambda: math.inf)
        """Seconds of CPU that a part of a look took before."""

    # --- called from elsewhere ----------------------------------------------------------

    def published(self, publication: Publication, serials: Mapping[str, int]) -> None:
        """The reconciler has delivered this; pods of a class acknowledge it as that serial."""
        self.latest, self._serials = publication, serials
        for name, serial in serials.items():
            snapshot = publication.compiled.snapshots.get(name)
            if snapshot is not None:
                changes = self._changes.setdefault(name, LastChanges())
                changes.published(snapshot.manifest.units, serial)
        self._changed |= publication.changed
        self._stirred.set()

    def stir(self) -> None:
        """Pods or their reports changed, or this replica began to lead."""
        self._stirred.set()

    # --- the loop -----------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        classes: Collection[str] = ()
        try:
            while True:
                await self._pause()
                self._stirred.clear()
                self._collect()
                began, standings = self._clock(), self._fleets()
                latest = self.latest if began >= self._rested else self._digested
                # Before the first list nobody may say that there is no pod.
                if latest is None or standings is None:
                    continue
                if latest is not self._digested:
                    await self._aside(_report, latest, self._digested)
                standings = self._with_adopted(latest, standings)
                is_other = standings.keys() != classes
                if is_other and latest is not self.latest:
                    self._rested = -math.inf  # Other classes: the rest ends here.
                    self._stirred.set()
                    continue
                if is_other or latest is not self._digested:
                    serials = dict(self._serials)
                    changed, self._changed = self._changed, set()
                    among = None if is_other else latest.compiled.report.touched
                    news = await self._aside(self._news, latest, standings, serials, among)
                    self.board.found(news, changed, serials, self._clock())
                    self._digested, classes = latest, standings.keys()
                    standings = {**standings, **(self._fleets() or {})}
                    took = self._clock() - began
                    self._rested = self._clock() + min(REST * took, MOST_REST_S)
                self.board.fleet(standings, self._refused(latest, standings), self._clock())
                self._lead()
        finally:
            await self._writer.close()

    async def _aside(self, act: Callable[..., _T], *arguments: Any) -> _T:
        if len(self._store) < FEW or self._efforts[act.__name__] <= LONG_S:
            done, effort = _timed(act, *arguments)
        else:
            done, effort = await asyncio.to_thread(_timed, act, *arguments)
        self._efforts[act.__name__] = effort
        return done

    async def _pause(self) -> None:
        now = self._clock()
        due = max(self.board.next_time(now), self._writer.next_time())
        if self.latest is not self._digested:
            due = min(due, self._rested)
        try:
            # Not wait_for: Python 3.11's swallows a cancellation that meets the event.
            async with asyncio.timeout(min(IDLE_S, max(0.0, due - now))):
                await self._stirred.wait()
        except TimeoutError:
            pass
        # One edit is usually followed by more, and by the acknowledgements of the first pods.
        await asyncio.sleep(GATHER_S)

    def _lead(self) -> None:
        leads = self._leads()
        if leads != self._is_leading:
            self._is_leading = leads
            if leads:
                self.board.lead(self._clock())
            else:
                self.board.follow()
        for ref, status in self.board.take(self._clock(), self._writer.room()):
            known = self._store.get(ref)
            if known is None:  # it went; the next publication knows
                self.board.written(ref)
            else:
                self._writer.begin(ref, known.object.uid, status, self._ended)

    def _ended(self, ref: ObjectRef, result: Result) -> None:
        self._wrote(result.written is not None)
        if result.written is not None and self._store.put(result.written):
            self._restored()  # It carried a change that its event had not brought yet.
        self._done.append((ref, result))
        self._stirred.set()

    def _collect(self) -> None:
        """What became of writes, one after another with everything else that moves the board."""
        ended, self._done = self._done, []
        for ref, result in ended:
            if result.written is not None:
                self.board.written(ref)
            elif result.again is not None:
                self.board.failed(ref, self._clock(), result.again)
            else:
                # Perhaps for a moment only: then everything is looked at again.
                self.board.failed(ref, self._clock(), 0.0)
                self.board.follow()
                self._is_leading = False

    def _with_adopted(
        self, latest: Publication, standings: Mapping[str, Standing]
    ) -> Mapping[str, Standing]:
        """With the classes that no operator serves: none of them has a pod."""
        if self._class_refs[0] is not latest:
            known = latest.compiled.report.classes
            self._class_refs = (latest, [ref for ref in known if ref.kind == "PorticoClass"])
        statuses = {ref.name: parsed(self._status_of(ref)) for ref in self._class_refs[1]}
        adopted = self._adoption.of(statuses, standings, self._clock())
        return {**dict.fromkeys(adopted, NOBODY), **standings}

    # --- what there is to say -----------------------------------------------------------

    def _news(
        self,
        publication: Publication,
        ours: Collection[str],
        serials: Mapping[str, int],
        among: Collection[ObjectRef] | None,
    ) -> News:
        """Reads what the loop may change at the same time object by object, and changes nothing."""
        return compared(self.board.findings, self._findings(publication, ours, serials), among)

    def _findings(
        self, publication: Publication, ours: Collection[str], published: Mapping[str, int]
    ) -> Findings:
        report, deployments = publication.compiled.report, publication.compiled.deployments
        conditions, addresses = report.conditions, report.addresses
        # What belongs to no class is told by every operator, in the same words.
        classes = report.classes
        if not {"", *ours} >= {*classes.values()}:
            classes = {ref: name for ref, name in classes.items() if not name or name in ours}
        # Of thousands of Routes nothing is shown but conditions.
        showing = [(ref, name) for ref, name in classes.items() if ref.kind in SHOWING]
        identities: dict[ObjectRef, Identity] = {}
        serials: dict[ObjectRef, int] = {}
        for ref, name in showing:
            shown = addresses.get(ref, ())
            if ref.kind in API_KINDS:
                identities[ref] = Identity(_api_id(ref), shown)
                serials[ref] = self._last_change(name, ref)
            if ref.kind == "Stage":
                stage = self._store.get(ref)
                api = api_of(stage.object) if stage else None
                identities[ref] = Identity("", shown, api)
                serials[ref] = self._last_change(name, api)
            if ref.kind in ("DomainName", "ApiMapping") and ref in addresses:
                identities[ref] = Identity("", shown)
            if ref.kind == "PorticoClass" and name not in published:
                identities[ref] = Identity(unserved=True)
            if ref.kind in deployment_status.RECORDING and (known := self._store.get(ref)):
                before = identities.get(ref, Identity())
                said = deployment_status.fields(known.object, deployments)
                identities[ref] = before._replace(deployment=said)
        idle = deployments.not_deployed()
        return Findings(conditions, identities, idle, classes, serials)

    def _last_change(self, class_name: str, api: ObjectRef | None) -> int:
        changes = self._changes.get(class_name)
        return changes.of(api) if changes is not None and api is not None else 0

    def _refused(
        self, latest: Publication, standings: Mapping[str, Standing]
    ) -> Mapping[ObjectRef, tuple[str, ...]]:
        """Objects of which live pods refuse units; worked out again only when either moved."""
        by_class = {name: set(each.refused) for name, each in standings.items() if each.refused}
        known = self._refusals
        if known.publication is not latest or known.by_class != by_class:
            found: dict[ObjectRef, tuple[str, ...]] = {}
            classes = latest.compiled.report.classes if by_class else {}
            for name, units in by_class.items():
                own = (self._store.get(ref) for ref, of in classes.items() if of == name)
                found |= refused_objects(units, (each.object for each in own if each is not None))
            self._refusals = known = _Refusals(latest, by_class, found)
        return known.objects

    def _status_of(self, ref: ObjectRef) -> bytes:
        known = self._store.get(ref)
        return b"" if known is None else known.status


def _timed(act: Callable[..., _T], *arguments: Any) -> tuple[_T, float]:
    began = time.thread_time()
    return act(*arguments), time.thread_time() - began


def _api_id(ref: ObjectRef) -> str:
    return identity(f"{ref.namespace}/{ref.kind}/{ref.name}")


def _report(publication: Publication, before: Publication | None) -> None:
    """What the report works out when it is first asked, of what is other than before."""
    report = publication.compiled.report
    if before is not None:
        report.follow(before.compiled.report)
    assert report.conditions is not None


def _now_text() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
