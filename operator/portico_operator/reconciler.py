"""Reconciler: the one task that turns the store into what is served (design.md §5, item 4).

Started by `app`; handlers only `touch` it. It waits until a burst is over, freezes the store into
a World, compiles, delivers, and tells whoever writes status. Promises: nothing is compiled while
a required kind is missing or going; a compile that is long happens off the loop; a failure of the
compiler is a bug, and what was served before is served on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import msgspec

from portico_compiler import Compiled, Memo, ObjectRef, Settings, World
from portico_compiler import compile as compile_world
from portico_compiler.manifests.kinds import KINDS
from portico_ir.model import EndpointSet
from portico_operator.collection import Collection
from portico_operator.holdoff import Holdoff
from portico_operator.ports import Delivery
from portico_operator.store import Store

_log = logging.getLogger(__name__)

LONG_S = 0.030
"""A compile that took more CPU than this is given to a thread the next time. In a thread a short
one takes longer: it shares the interpreter with kopf's thread and with the loop."""
HEAVY = frozenset({"ApiDeployment", "ControllerRevision"})
"""A change of these may mean thousands of Routes at once, however quick the last compile was."""
BLOCKED_RETRY_S = 0.5
PROGRESS_S = 0.5
"""How often delivery is told how far this replica has looked while nothing changes."""


class Publication(NamedTuple):
    """What one compile led to."""

    compiled: Compiled
    """Its result."""
    changed: frozenset[ObjectRef]
    """Objects whose content is other than in the publication before."""
    seconds: float
    """How long compiling took."""
    lists: Mapping[str, int] = {}
    """By kind, up to which version the World knew everything."""


class Measures(Protocol):
    """Where the reconciler counts."""

    def compiled(self, seconds: float, objects: int) -> None:
        """A compile of so many objects."""
        ...

    def blocked(self, is_blocked: bool) -> None:
        """Whether a kind that must be known is not."""
        ...

    def failed(self) -> None:
        """The compiler raised: a bug."""
        ...


DAY_S = 86_400


def day_of(seconds: float) -> str:
    """`YYYYMMDD` in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d")


class Reconciler:
    """Owns the world."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        delivery: Delivery,
        *,
        confirm: Callable[[], Awaitable[bool]],
        published: Callable[[Publication], None],
        measures: Measures,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._settings = settings
        self._delivery = delivery
        self._confirm = confirm
        self._published = published
        self._measures = measures
        self._clock = clock
        self._wall = wall
        self._holdoff = Holdoff()
        self._collection = Collection()
        self._stirred = asyncio.Event()
        self._memo = Memo()
        self._last_seconds = 0.0
        self._last_effort = 0.0
        self._world: World | None = None
        self._endpoints: dict[str, EndpointSet] = {}
        """By class: addresses as they were delivered last."""
        self._pending: set[ObjectRef] = set()
        self._touches = 0
        self._delivered = -1
        """Touches that are in what was delivered last."""
        self.first_done = asyncio.Event()
        """The first configuration was delivered: this replica is ready."""

    def touch(self) -> None:
        """The store changed."""
        self._touches += 1
        self._holdoff.touch(self._clock())
        self._stirred.set()

    async def run(self) -> None:
        """Until cancelled."""
        self._collection.start()
        while True:
            await self._burst()
            first = self._holdoff.first
            self._holdoff.clear()
            self._stirred.clear()
            began = self._clock()
            try:
                await self._reconcile(began if first is None else first)
            except Exception:  # a bug: what was served before is served on
                _log.exception("a compile failed; what was served before is served on")
                self._measures.failed()
                await asyncio.sleep(BLOCKED_RETRY_S)
            self._holdoff.worked(self._last_effort, self._clock())

    async def turn_days(self) -> None:
        """Until cancelled: a new day (UTC) is a change, though no object says so."""
        while True:
            now = self._wall()
            await asyncio.sleep(DAY_S - now % DAY_S + 1)
            self.touch()

    async def tell_progress(self) -> None:
        """Until cancelled: lists, bookmarks and events that change nothing say how far this
        replica has looked, so that a pod which lost another one need not wait for a change."""
        told: Mapping[str, str] = {}
        while True:
            await asyncio.sleep(PROGRESS_S)
            seen = self._store.seen()
            # Not while anything is in the store that is not in what pods could have.
            if self._delivered == self._touches and seen != told:
                told = seen
                for name in self._endpoints:
                    self._delivery.advance(name, seen)

    async def _burst(self) -> None:
        """Until something changed, and the changes have paused or lasted long enough."""
        await self._stirred.wait()
        while True:
            due = self._holdoff.due
            wait = 0.0 if due is None else due - self._clock()
            if wait <= 0:
                return
            await asyncio.sleep(wait)

    async def _reconcile(self, since: float) -> None:
        if not await self._is_whole():
            if self._world is not None:
                await self._only_endpoints(self._world)
            await self._blocked()
            return
        self._measures.blocked(False)
        self._pending |= self._store.take_changed()
        touches, seen = self._touches, self._store.seen()
        lists = self._store.lists()
        world = self._store.freeze(self._settings_now())
        compiled = await self._compile(world)
        changed, self._pending = frozenset(self._pending), set()
        self._world = world
        self._deliver(compiled, since, seen)
        self._delivered = touches
        self._published(Publication(compiled, changed, self._last_seconds, lists))
        if not self.first_done.is_set():
            self.first_done.set()
        self._collection.published(len(world.objects))

    async def _is_whole(self) -> bool:
        """Nothing is missing, and deletions since the last compile were users' own."""
        store = self._store
        if store.missing():
            return False
        if store.deleted_kinds():
            return await self._confirm()
        return True

    async def _blocked(self) -> None:
        missing = ", ".join(f"{s.kind} {s.namespace}".strip() for s in self._store.missing()[:10])
        _log.info("nothing is compiled yet", extra={"missing": missing})
        self._measures.blocked(True)
        if not self._store.missing() or self._store.deleted_kinds():
            # Nobody will touch us when an API server that did not answer answers again.
            await asyncio.sleep(BLOCKED_RETRY_S)
            self.touch()

    async def _only_endpoints(self, last: World) -> None:
        """Backends go on moving while a kind of ours is away: the last whole world, with theirs."""
        now = self._store.freeze(self._settings_now())
        ours = [o for o in last.objects if KINDS[o.ref.kind].ours]
        core = [o for o in now.objects if not KINDS[o.ref.kind].ours]
        world = msgspec.structs.replace(last, objects=(*ours, *core))
        compiled = await self._compile(world)
        for name, snapshot in compiled.snapshots.items():
            before = self._endpoints.get(name)
            endpoints = self._numbered(name, snapshot.endpoints)
            if endpoints is not before:
                self._delivery.set_endpoints(name, endpoints)

    def _settings_now(self) -> Settings:
        """Signatures verify for some days around today (design.md §7)."""
        return msgspec.structs.replace(self._settings, today=day_of(self._wall()))

    async def _compile(self, world: World) -> Compiled:
        start = self._clock()
        heavy = any(ref.kind in HEAVY for ref in self._pending)
        if self._last_effort > LONG_S or self._world is None or heavy:
            compiled, self._last_effort = await asyncio.to_thread(_timed, world, self._memo)
        else:
            compiled, self._last_effort = _timed(world, self._memo)
        self._last_seconds = self._clock() - start
        self._measures.compiled(self._last_seconds, len(world.objects))
        return compiled

    def _deliver(self, compiled: Compiled, since: float, seen: Mapping[str, str]) -> None:
        changed_at = self._wall() - (self._clock() - since)
        for name, snapshot in compiled.snapshots.items():
            numbered = self._numbered(name, snapshot.endpoints)
            own = msgspec.structs.replace(snapshot, endpoints=numbered)
            self._delivery.publish(name, own, changed_at=changed_at)
            self._delivery.advance(name, seen)

    def _numbered(self, class_name: str, endpoints: EndpointSet) -> EndpointSet:
        """Those of before while they are the same. Sequences of several replicas compare: they
        follow the cluster's own versions."""
        before = self._endpoints.setdefault(class_name, EndpointSet())
        if endpoints.upstreams == before.upstreams:
            return before
        sequence = max(self._store.sequence, before.sequence + 1)
        numbered = msgspec.structs.replace(endpoints, sequence=sequence)
        self._endpoints[class_name] = numbered
        return numbered


def _timed(world: World, memo: Memo) -> tuple[Compiled, float]:
    """A World, compiled; and how many seconds of CPU that took."""
    began = time.thread_time()
    compiled = compile_world(world, memo)
    return compiled, time.thread_time() - began
