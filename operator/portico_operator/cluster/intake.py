"""Intake: the cluster's objects into the store, at start and from then on.

Run by `app`; the reconciler asks `confirm` before it believes deletions. Promises: every required
kind is listed before the store says that nothing is missing; a kind that is deleted takes no
object with it out of what is served; core kinds are watched exactly where something refers to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from portico_compiler import ObjectRef
from portico_operator.cluster.client import ApiError, KubeClient
from portico_operator.cluster.definitions import Definitions, Served
from portico_operator.cluster.events import Informer
from portico_operator.cluster.grants import GrantWatch
from portico_operator.cluster.listing import Listing, list_all, list_names
from portico_operator.cluster.reflector import Reflector
from portico_operator.cluster.resources import CORE, OURS
from portico_operator.cluster.sinks import StoreSink
from portico_operator.objects import ClusterObject, Unreadable, read, version_of
from portico_operator.store import ALL, Scope, Store
from portico_operator.tasks import end, spawn

_log = logging.getLogger(__name__)
_RETRY_S = 1.0
LEISURE = 4.0
"""Times what a page took there is a rest before the next, in the re-list that nobody waits for:
10,000 objects at once keep the API server busy for half a second, and edits wait."""


class Pace(NamedTuple):
    """How often the slow things happen, in seconds."""

    relist: float = 60.0
    """Metadata of every object is compared with the store."""
    settle: float = 2.0
    """After a list of kopf's has passed, its kind is compared."""
    linger: float = 30.0
    """A namespace that nothing refers to any more is watched this much longer."""
    reborn_quiet: float = 5.0
    """A kind that came back is believed when its objects have stopped arriving for this long."""
    reborn_empty: float = 60.0
    """Or when it has stayed empty for this long."""


PACE = Pace()
"""What suits a cluster; tests are in more of a hurry."""


class Intake:
    """Fills one store."""

    def __init__(
        self,
        client: KubeClient,
        store: Store,
        touch: Callable[[], None],
        *,
        namespaces: Collection[str] = (),
        pace: Pace = PACE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._store = store
        self._touch = touch
        self._namespaces = tuple(namespaces) or (ALL,)
        self._pace = pace
        self._clock = clock
        self._definitions = Definitions(client)
        self._reflectors: dict[Scope, asyncio.Task[None]] = {}
        self._unwanted: dict[Scope, float] = {}
        self._returning: dict[str, asyncio.Task[None]] = {}
        self._last_event: dict[str, float] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        watched = () if self._namespaces == (ALL,) else self._namespaces
        self._informer = Informer(
            client.credentials, self.take, watched, restarted=self._all_suspect
        )
        self._suspect: dict[str, float] = {}
        """Kinds that kopf listed anew: what went meanwhile it never tells."""
        self._hurry = asyncio.Event()
        self._grants = GrantWatch(client, store, self._stirred, self._namespaces)

    async def run(self) -> None:
        """Until cancelled."""
        for kind in OURS:
            self._store.expect(self._scopes(kind))
        self._store.expect(self._grants.scopes)
        self._tasks.append(spawn(self._grants.run(), name="reference grants"))
        try:
            await asyncio.gather(*(self._first(kind) for kind in OURS))
            self._informer.start()
            await self._compare_for_ever()
        finally:
            await end([*self._tasks, *self._reflectors.values(), *self._returning.values()])
            await self._informer.stop()

    @property
    def alive(self) -> bool:
        """Whether changes of our kinds still arrive."""
        return self._informer.alive

    async def _compare_for_ever(self) -> None:
        """Every kind now and then, and soon those that kopf has listed again."""
        next_round = self._clock() + self._pace.relist
        while True:
            due = min((*self._suspect.values(), next_round))
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                # Not wait_for: Python 3.11's swallows a cancellation that meets the event.
                async with asyncio.timeout(max(0.0, due - self._clock())):
                    await self._hurry.wait()
            now = self._clock()
            kinds = [kind for kind, at in self._suspect.items() if at <= now]
            if now >= next_round:
                kinds, next_round = list(OURS), now + self._pace.relist
            for kind in kinds:
                self._suspect.pop(kind, None)
                await self._compare(kind, LEISURE)

    def _all_suspect(self) -> None:
        for kind in OURS:
            self._suspect[kind] = self._clock() + self._pace.settle
        self._hurry.set()

    # --- our kinds ----------------------------------------------------------------------

    def _scopes(self, kind: str) -> list[Scope]:
        if not OURS[kind].namespaced:
            return [Scope(kind, ALL)]
        return [Scope(kind, namespace) for namespace in self._namespaces]

    async def _first(self, kind: str) -> None:
        warned = False
        while True:
            try:
                if await self._definitions.check(kind) is not Served.NO:
                    await self._list(kind)
                    return
                message = "it is not served"
            except ApiError as why:
                message = str(why)
            if not warned:
                _log.warning("waiting for %s: %s", kind, message)
                warned = True
            await asyncio.sleep(_RETRY_S)

    async def _list(self, kind: str) -> None:
        def reading(raw: Mapping[str, Any]) -> ClusterObject:
            return read(kind, raw)

        changed = False
        for scope in self._scopes(kind):
            found = await list_all(self._client, OURS[kind], scope.namespace, reading)
            changed |= self._store.listed(scope, found.items, found.version)
        if changed:
            self._stirred()

    def take(self, kind: str, type_: str | None, raw: Mapping[str, Any]) -> None:
        """An event of kopf's."""
        if type_ is None:
            # A list, not a change: each object of it puts the comparison off.
            self._suspect[kind] = self._clock() + self._pace.settle
            self._hurry.set()
        try:
            found = read(kind, raw)
        except Unreadable as why:
            _log.warning("an event is passed over: %s", why)
            return
        if type_ == "DELETED":
            changed = self._store.delete(found.ref, found.version)
        else:
            changed = self._store.put(found)
        if changed:
            self._last_event[kind] = self._clock()
            self._stirred()

    async def refresh(self, kinds: Iterable[str]) -> None:
        """Lists these kinds now, so that what is compiled next is not older than this call."""
        for kind in kinds:
            await self._compare(kind)
        self._touch()

    async def _compare(self, kind: str, rest: float = 0.0) -> None:
        """The slow re-list: heals what a watch missed."""
        changed = False
        for scope in self._scopes(kind):
            if not self._store.is_listed(scope):
                continue
            try:
                found = await list_names(self._client, OURS[kind], scope.namespace, rest=rest)
                behind, went = self._store.compared(scope, _versions(kind, found), found.version)
                changed |= went
                for ref in behind:
                    changed |= await self._fetch(ref)
            except ApiError as why:
                if why.status == 404:
                    await self.confirm(frozenset({kind}))
                else:
                    _log.warning("the re-list of %s failed: %s", kind, why)
        if changed:
            _log.info("the re-list of %s found what its watch had missed", kind)
            self._stirred()

    async def _fetch(self, ref: ObjectRef) -> bool:
        resource = OURS.get(ref.kind) or CORE[ref.kind]
        try:
            raw = await self._client.get(resource.path(ref.namespace, ref.name))
        except ApiError as why:
            if why.status == 404:
                return False  # Its deletion is on its way, or the next re-list sees it.
            raise
        return self._store.put(read(ref.kind, raw, self._store.needs))

    # --- kinds that go and come back ----------------------------------------------------

    async def confirm(self, kinds: frozenset[str] | None = None) -> bool:
        """Whether deletions may be believed; False: a kind is going, or nobody can say."""
        store = self._store
        for kind in sorted(kinds if kinds is not None else store.deleted_kinds()):
            if kind in OURS:
                try:
                    served = await self._definitions.check(kind)
                except ApiError as why:
                    _log.warning("cannot tell whether %s is still served: %s", kind, why)
                    return False
                if served is not Served.YES:
                    self._lost(kind)
            store.believe_deletions({kind})
        return not store.missing()

    def _lost(self, kind: str) -> None:
        for scope in self._scopes(kind):
            self._store.unknown(scope)
        running = self._returning.get(kind)
        if running is None or running.done():
            _log.error("%s is no longer served: what was served last is kept", kind)
            self._returning[kind] = spawn(self._return(kind), name=f"return of {kind}")

    async def _return(self, kind: str) -> None:
        """Until the kind is served again and its objects have been put back."""
        while True:
            try:
                if await self._definitions.check(kind) is not Served.NO and (
                    await self._is_settled(kind)
                ):
                    await self._list(kind)
                    break
            except ApiError as why:
                _log.info("waiting for %s: %s", kind, why)
            await asyncio.sleep(_RETRY_S)
        _log.warning("%s is served again", kind)
        self._store.believe_deletions({kind})
        self._touch()

    async def _is_settled(self, kind: str) -> bool:
        """Whoever puts objects back does it one by one: half of them is not the world."""
        since = self._clock()
        names: frozenset[str] = frozenset()
        while True:
            found: set[str] = set()
            for scope in self._scopes(kind):
                listed = await list_names(self._client, OURS[kind], scope.namespace)
                found.update(each.uid for each in listed.items)
            now = self._clock()
            if found != names:
                names, since = frozenset(found), now
            patience = self._pace.reborn_quiet if names else self._pace.reborn_empty
            if now - since >= patience:
                return True
            await asyncio.sleep(min(_RETRY_S, patience))
            if await self._definitions.check(kind) is Served.NO:
                return False

    # --- core kinds ---------------------------------------------------------------------

    def _stirred(self) -> None:
        """The store changed: watch what is referred to now, and tell the reconciler."""
        store = self._store
        wanted = store.wanted()
        for scope in wanted - self._reflectors.keys():
            store.expect((scope,))
            sink = StoreSink(store, scope, self._stirred)
            reflector = Reflector(self._client, CORE[scope.kind], scope.namespace, sink)
            self._reflectors[scope] = spawn(
                reflector.run(), name=f"reflector {scope.kind} {scope.namespace}"
            )
        self._let_go(wanted)
        unread = store.take_unread()
        if unread:
            self._tasks = [task for task in self._tasks if not task.done()]
            self._tasks.append(spawn(self._read_contents(unread), name="referenced contents"))
        self._touch()

    def _let_go(self, wanted: frozenset[Scope]) -> None:
        now = self._clock()
        unwanted = self._reflectors.keys() - wanted
        self._unwanted = {scope: self._unwanted.get(scope, now) for scope in unwanted}
        for scope, since in list(self._unwanted.items()):
            # One that was never listed holds everything up, and nobody asks for it any more.
            if now - since >= self._pace.linger or not self._store.is_listed(scope):
                self._reflectors.pop(scope).cancel()
                self._unwanted.pop(scope)
                self._store.forget(scope)

    async def _read_contents(self, holders: set[ObjectRef]) -> None:
        for ref in sorted(holders):
            while True:
                try:
                    if await self._fetch(ref):
                        self._touch()
                    break
                except ApiError as why:
                    _log.warning("%s could not be read: %s", ref, why)
                    await asyncio.sleep(_RETRY_S)


def _versions(kind: str, names: Listing) -> dict[ObjectRef, int]:
    return {
        ObjectRef(kind, each.namespace, each.name): version_of(each.resource_version)
        for each in names.items
    }
