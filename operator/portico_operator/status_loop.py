"""StatusLoop: publications and the fleet to the board, the board's writes to the API server.

Started by `app`, beside the reconciler and never in its way (design.md §5, item 6). Promises:
conditions are worked out once for all publications that came meanwhile; only the leader writes;
what the API server answers goes into the store, so that the next look compares with the truth.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from portico_compiler import ObjectRef
from portico_compiler.inventory import API_KINDS
from portico_compiler.passes.apis import identity
from portico_ir import codec
from portico_operator.board import Findings, StatusBoard
from portico_operator.deployment_state import not_deployed
from portico_operator.objects import ClusterObject
from portico_operator.ports import PodReport
from portico_operator.reconciler import Publication
from portico_operator.refusals import refused_objects
from portico_operator.rollout import LivePod, Rollout, Standing
from portico_operator.status import Identity
from portico_operator.store import Store

_log = logging.getLogger(__name__)

LEADER_HOLD_S = 5.0
"""A new leader hears every pod out before it says that one is behind."""
GATHER_S = 0.050
"""Conditions are worked out at most this often."""
IDLE_S = 1.0
FEW = 500
"""Objects; more are looked at in a thread."""
_T = TypeVar("_T")


class Written(Protocol):
    """What became of a write; `cluster.status_writer.Outcome` is one."""

    @property
    def written(self) -> ClusterObject | None:
        """The object as it is now."""
        ...

    @property
    def retry(self) -> bool:
        """It is worth trying again."""
        ...


Batch = list[tuple[ObjectRef, str, dict[str, Any]]]
WriteAll = Callable[[Batch, Callable[[ObjectRef, Written], None]], Awaitable[None]]


class StatusLoop:
    """Everything about status that has a clock."""

    def __init__(
        self,
        store: Store,
        *,
        live: Callable[[], Mapping[str, LivePod] | None],
        reports: Callable[[], Mapping[str, PodReport]],
        leads: Callable[[], bool],
        room: Callable[[], int],
        write_all: WriteAll,
        restored: Callable[[], None],
        wrote: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._live = live
        self._reports = reports
        self._leads = leads
        self._room = room
        self._write_all = write_all
        self._restored = restored
        self._wrote = wrote
        self._clock = clock
        self.rollout = Rollout()
        self.board = StatusBoard(self._status_of, _now_text)
        self.standing = Standing(0, 0, (), {})
        self._latest: Publication | None = None
        self._changed: set[ObjectRef] = set()
        self._times: dict[int, float] = {}
        """Publication to when it was made, while not everybody has it."""
        self._stirred = asyncio.Event()
        self._is_leading = False

    # --- called from elsewhere ----------------------------------------------------------

    def published(self, publication: Publication) -> None:
        """The reconciler has delivered this."""
        manifest = publication.compiled.snapshot.manifest
        number = self.rollout.published(codec.digest(codec.encode(manifest)), manifest.marks)
        self._times[number] = self._clock()
        while len(self._times) > 256:
            del self._times[next(iter(self._times))]
        self._latest = publication
        self._changed |= publication.changed
        self._stirred.set()

    def stir(self) -> None:
        """Pods or their reports changed, or this replica began to lead."""
        self._stirred.set()

    # --- the loop -----------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        digested: Publication | None = None
        while True:
            await self._pause()
            self._stirred.clear()
            latest = self._latest
            if latest is None:
                continue
            if latest is not digested:
                changed, self._changed = self._changed, set()
                await self._aside(self._digest, latest, changed, self.rollout.newest)
                digested = latest
            live = self._live()
            if live is not None:  # Before the first list nobody may say that there is no pod.
                self._look(latest, live)
                await self._lead()

    async def _pause(self) -> None:
        now = self._clock()
        wait = min(IDLE_S, max(GATHER_S, self.board.next_time(now) - now))
        try:
            # Not wait_for: Python 3.11's swallows a cancellation that meets the event.
            async with asyncio.timeout(wait):
                await self._stirred.wait()
        except TimeoutError:
            return
        # One edit is usually followed by more, and by the acknowledgements of the first pods.
        await asyncio.sleep(GATHER_S)

    async def _aside(self, act: Callable[..., _T], *arguments: Any) -> _T:
        """Off the loop where there is much to look at; nobody else touches the board."""
        if len(self._store) < FEW:
            return act(*arguments)
        return await asyncio.to_thread(act, *arguments)

    def _digest(self, latest: Publication, changed: set[ObjectRef], number: int) -> None:
        self.board.found(self._findings(latest), changed, number, self._clock())

    def _findings(self, publication: Publication) -> Findings:
        report = publication.compiled.report
        conditions = report.conditions
        addresses = report.addresses
        apis = [ref for ref in conditions if ref.kind in API_KINDS]
        identities = {
            ref: Identity(
                identity(f"{ref.namespace}/{ref.kind}/{ref.name}"), addresses.get(ref, ())
            )
            for ref in apis
        }
        for ref in conditions:
            if ref.kind == "Stage":
                identities[ref] = Identity("", addresses.get(ref, ()))
        idle = not_deployed(
            apis,
            addresses,
            list(self._store.of_kind("Stage")) if self._has_idle(apis, addresses) else (),
            list(self._store.of_kind("Route")) if self._has_idle(apis, addresses) else (),
        )
        return Findings(conditions, identities, idle)

    @staticmethod
    def _has_idle(apis: list[ObjectRef], addresses: Mapping[ObjectRef, tuple[str, ...]]) -> bool:
        return any(ref in addresses and not addresses[ref] for ref in apis)

    def _look(self, latest: Publication, live: Mapping[str, LivePod]) -> None:
        now = self._clock()
        self.standing = self.rollout.standing(live, self._reports())
        refusals = {}
        if self.standing.refused:
            attached = [*self._store.of_kind("Stage"), *self._store.of_kind("Route")]
            snapshot = latest.compiled.snapshot
            refusals = refused_objects(self.standing.refused, snapshot, attached)
        for number in [n for n in self._times if n <= self.standing.acknowledged]:
            self.board.propagated(number, now - self._times.pop(number))
        self.board.fleet(self.standing, refusals, now)

    async def _lead(self) -> None:
        leads = self._leads()
        if leads and not self._is_leading:
            self.board.reconsider(self._clock(), LEADER_HOLD_S)
        self._is_leading = leads
        if not leads:
            return
        self.board.counts(self._clock())
        writes = await self._aside(self.board.take, self._clock(), max(0, self._room()))
        batch: Batch = []
        for ref, status in writes:
            known = self._store.get(ref)
            if known is None:
                self.board.failed(ref, self._clock(), retry=False)
            else:
                batch.append((ref, known.object.uid, status))
        if batch:
            await self._write_all(batch, self._done)
            self._stirred.set()

    def _done(self, ref: ObjectRef, outcome: Written) -> None:
        self._wrote(outcome.written is not None)
        if outcome.written is None:
            self.board.failed(ref, self._clock(), outcome.retry)
            return
        if self._store.put(outcome.written):
            self._restored()  # It carried a change that its event had not brought yet.
        self.board.written(ref)

    def _status_of(self, ref: ObjectRef) -> bytes:
        known = self._store.get(ref)
        return b"" if known is None else known.status


def _now_text() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
