"""Store: every object of the cluster that may matter, as far as this operator has seen.

Filled by the own list, kopf's events, the reflector and the re-list (design.md §5, item 2); read
by the reconciler. Promises: only forward (an event that is not newer than what is known, or than
the list that lacked the object, changes nothing); nothing is compiled while a kind that must be
known is not; one World is one consistent look at what was seen. No clock, no I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from portico_compiler import Object, ObjectRef, Settings, World
from portico_compiler.manifests.kinds import KINDS
from portico_compiler.revisions.packing import KIND as REVISION
from portico_operator.objects import DROPPED, HOLDERS, ClusterObject, without_contents
from portico_operator.references import NONE, References, references

ALL = ""
"""The scope of a cluster-wide list."""
UNMARKED = frozenset({"EndpointSlice"})
"""Their churn changes endpoints, which have a sequence of their own, and no unit."""


_K = TypeVar("_K")


class Scope(NamedTuple):
    """What one list or watch covers."""

    kind: str
    """Which kind."""
    namespace: str
    """Which namespace; `ALL` for the cluster."""


class _Kept(NamedTuple):
    object: ClusterObject
    references: References


class Store:
    """Objects by reference, and what is known of every scope."""

    def __init__(self) -> None:
        self._objects: dict[ObjectRef, _Kept] = {}
        self._world: dict[ObjectRef, Object] = {}
        """Of them, what the compiler reads: an object that is edited stays where it stands."""
        self._gone: dict[ObjectRef, int] = {}
        """Tombstones: version at which an object went."""
        self._expected: set[Scope] = set()
        self._listed: dict[Scope, int] = {}
        """Version of the newest whole list."""
        self._marks: dict[str, int] = {}
        """Kind to the newest event of it."""
        self._changes: dict[str, int] = {}
        """Kind to the newest change of a World that came of it."""
        self._changed: set[ObjectRef] = set()
        self._deleted: set[str] = set()
        self._services: Counter[str] = Counter()
        self._contents: Counter[ObjectRef] = Counter()
        """Secrets and ConfigMaps that are read."""
        self._revisions: Counter[str] = Counter()
        self._namespaces: Counter[str] = Counter()
        self._granting: Counter[str] = Counter()
        self._choosing = 0
        """Objects that choose namespaces by their labels."""
        self._unread: set[ObjectRef] = set()

    # --- what must be known -------------------------------------------------------------

    def expect(self, scopes: Iterable[Scope]) -> None:
        """From now on no World without a list of these."""
        self._expected.update(scopes)

    def forget(self, scope: Scope) -> bool:
        """A scope that no longer counts; whether objects went with it."""
        self._expected.discard(scope)
        self._listed.pop(scope, None)
        going = [ref for ref in self._objects if covers(scope, ref)]
        for ref in going:
            self._remove(ref)
        return bool(going)

    def unknown(self, scope: Scope) -> None:
        """The kind is no longer served: its objects stay, and nothing is compiled until a list."""
        self._listed.pop(scope, None)

    def missing(self) -> list[Scope]:
        """What must be listed before there is a World."""
        return sorted(self._expected - self._listed.keys())

    def is_listed(self, scope: Scope) -> bool:
        """Whether a whole list of this scope came in."""
        return scope in self._listed

    # --- what comes in ------------------------------------------------------------------

    def put(self, found: ClusterObject) -> bool:
        """An object that was added or modified; whether a World changes."""
        if not self._is_news(found):
            return False
        self._mark(found.ref.kind, found.version)
        return self._keep(found)

    def delete(self, ref: ObjectRef, version: int) -> bool:
        """An object went at this version; whether a World changes."""
        if version <= self._floor(ref):
            return False
        self._mark(ref.kind, version)
        self._gone[ref] = version
        if ref not in self._objects:
            return False
        self._went(ref, version)
        return True

    def listed(self, scope: Scope, found: Iterable[ClusterObject], version: int) -> bool:
        """A whole list, taken at this version; whether a World changes."""
        changed = scope not in self._listed
        seen: set[ObjectRef] = set()
        for item in found:
            seen.add(item.ref)
            if self._is_news(item):
                changed |= self._keep(item)
        for ref in [ref for ref in self._objects if covers(scope, ref) and ref not in seen]:
            if self._objects[ref].object.version <= version:
                self._went(ref, version)
                changed = True
        # Whatever is absent from the list and not newer than it is stale without a tombstone.
        for ref in [r for r, at in self._gone.items() if at <= version and covers(scope, r)]:
            del self._gone[ref]
        self._listed[scope] = max(version, self._listed.get(scope, 0))
        return changed

    def advanced(self, scope: Scope, version: int) -> None:
        """A bookmark: the watch of this scope has told everything up to this version."""
        if scope in self._listed:
            self._listed[scope] = max(version, self._listed[scope])

    def compared(
        self, scope: Scope, versions: Mapping[ObjectRef, int], version: int
    ) -> tuple[list[ObjectRef], bool]:
        """A list of metadata: objects to fetch because a watch missed them, and whether some went.

        Called by the slow re-list. With nothing to fetch the store is as new as the list.
        """
        behind = [ref for ref, at in versions.items() if at > self._floor(ref)]
        went = False
        for ref in [r for r in self._objects if covers(scope, r) and r not in versions]:
            if self._objects[ref].object.version <= version:
                self._went(ref, version)
                self._gone[ref] = version
                went = True
        if not behind and scope in self._listed:
            self._listed[scope] = max(version, self._listed[scope])
            for ref in [r for r, at in self._gone.items() if at <= version and covers(scope, r)]:
                del self._gone[ref]
        return behind, went

    # --- what goes out ------------------------------------------------------------------

    def freeze(self, settings: Settings) -> World:
        """Everything there is, for the compiler; ask `missing` first."""
        marks = {kind: str(at) for kind, at in self._changes.items() if kind not in UNMARKED}
        return World(
            settings=msgspec.structs.replace(settings, marks=marks),
            objects=tuple(self._world.values()),
            namespaces={o.ref.name: o.labels for o in self.of_kind("Namespace")}
            if self._choosing
            else {},
        )

    def take_changed(self) -> set[ObjectRef]:
        """Objects whose content changed since the last call; those that went are among them."""
        changed, self._changed = self._changed, set()
        return changed

    def deleted_kinds(self) -> frozenset[str]:
        """Kinds of which an object went since the last `believe_deletions`."""
        return frozenset(self._deleted)

    def believe_deletions(self, kinds: Iterable[str]) -> None:
        """These deletions were users' own and not those of a kind that is going away."""
        self._deleted.difference_update(kinds)

    def lists(self) -> dict[str, int]:
        """By kind, up to which version everything is known, in all of its scopes."""
        known: dict[str, int] = {}
        for scope, version in self._listed.items():
            known[scope.kind] = min(version, known.get(scope.kind, version))
        return known

    def seen(self) -> dict[str, str]:
        """Marks by kind: up to which version everything was seen. A replica whose marks here are
        not older than the changes in another's World lacks none of them."""
        known = self.lists()
        for kind, at in self._marks.items():
            known[kind] = max(at, known.get(kind, 0))
        return {kind: str(at) for kind, at in known.items() if kind not in UNMARKED}

    @property
    def sequence(self) -> int:
        """The newest version seen of anything: comparable between replicas."""
        return max((*self._marks.values(), *self._listed.values()), default=0)

    def get(self, ref: ObjectRef) -> ClusterObject | None:
        """One object."""
        kept = self._objects.get(ref)
        return None if kept is None else kept.object

    def of_kind(self, kind: str) -> Iterator[Object]:
        """Objects of a kind."""
        return (k.object.object for ref, k in self._objects.items() if ref.kind == kind)

    def __len__(self) -> int:
        return len(self._objects)

    # --- what is referred to ------------------------------------------------------------

    def needs(self, kind: str, namespace: str, name: str) -> bool:
        """Whether an object of ours names this Secret or ConfigMap."""
        return ObjectRef(kind, namespace, name) in self._contents

    def take_unread(self) -> set[ObjectRef]:
        """Secrets and ConfigMaps whose contents were dropped on decode and are needed now."""
        unread, self._unread = self._unread, set()
        return unread

    def wanted(self) -> frozenset[Scope]:
        """Which core kinds are needed where.

        Another namespace counts only when it grants something: a reference without a grant is
        refused unread, so nobody can make us watch namespaces by naming them.
        """
        may = self._granting.keys() | self._namespaces.keys()
        scopes: set[Scope] = set()
        for namespace in self._services.keys() & may:
            scopes |= {Scope("Service", namespace), Scope("EndpointSlice", namespace)}
        holders = self._contents.keys()
        scopes |= {Scope(ref.kind, ref.namespace) for ref in holders if ref.namespace in may}
        scopes |= {Scope(REVISION, namespace) for namespace in self._revisions.keys() & may}
        if self._choosing:
            served = {scope.namespace for scope in self._expected if scope.kind == "DomainName"}
            scopes |= {Scope("Namespace", namespace) for namespace in served}
        return frozenset(scopes)

    # --- inside -------------------------------------------------------------------------

    def _floor(self, ref: ObjectRef) -> int:
        """What is not newer than this is stale."""
        kept = self._objects.get(ref)
        if kept is not None:
            return kept.object.version
        listed = max(
            self._listed.get(Scope(ref.kind, ALL), 0),
            self._listed.get(Scope(ref.kind, ref.namespace), 0),
        )
        return max(listed, self._gone.get(ref, 0))

    def _is_news(self, found: ClusterObject) -> bool:
        floor = self._floor(found.ref)
        if found.version == floor and found.ref.kind in HOLDERS and found.ref in self._objects:
            # The same version again, now with the contents that were dropped before.
            return self._objects[found.ref].object.object.body != found.object.body
        return found.version > floor

    def _keep(self, found: ClusterObject) -> bool:
        ref = found.ref
        self._gone.pop(ref, None)
        old = self._objects.get(ref)
        before = None if old is None else old.object.object
        is_same = before is not None and _same_content(before, found.object)
        if old and before and is_same and _same_status(before, found.object):
            # The very object that earlier Worlds hold: only version and status are news.
            found = msgspec.structs.replace(found, object=before)
            self._set(ref, _Kept(found, old.references))
            return False
        named = NONE
        known = KINDS.get(ref.kind)
        if known is not None and (known.ours or ref.kind == REVISION):
            named = references(ref.kind, ref.namespace, found.object.body)
        self._set(ref, _Kept(found, named))
        if not is_same:  # What we wrote ourselves is nothing that a user changed.
            self._changed.add(ref)
        # In this order, so that what both name is never without a reference.
        self._count(ref, named, +1)
        if old is not None:
            self._count(ref, old.references, -1)
        self._changes[ref.kind] = max(found.version, self._changes.get(ref.kind, 0))
        return True

    def _went(self, ref: ObjectRef, version: int) -> None:
        """It was deleted, at this version or before."""
        self._remove(ref)
        self._deleted.add(ref.kind)
        self._changes[ref.kind] = max(version, self._changes.get(ref.kind, 0))

    def _set(self, ref: ObjectRef, kept: _Kept) -> None:
        self._objects[ref] = kept
        if ref.kind in KINDS:
            self._world[ref] = kept.object.object

    def _remove(self, ref: ObjectRef) -> None:
        kept = self._objects.pop(ref)
        self._world.pop(ref, None)
        self._count(ref, kept.references, -1)
        self._changed.add(ref)

    def _count(self, ref: ObjectRef, named: References, by: int) -> None:
        known = KINDS.get(ref.kind)
        if known is not None and known.ours and ref.namespace:
            _add(self._namespaces, (ref.namespace,), by)
        if ref.kind == "ReferenceGrant":
            _add(self._granting, (ref.namespace,), by)
        _add(self._services, named.services, by)
        _add(self._revisions, named.revisions, by)
        self._choosing += by * named.labels
        holders = [ObjectRef("Secret", *name) for name in named.secrets]
        holders += [ObjectRef("ConfigMap", *name) for name in named.config_maps]
        for holder in holders:
            before = holder in self._contents
            _add(self._contents, (holder,), by)
            if before != (holder in self._contents):
                self._needed(holder, not before)

    def _needed(self, ref: ObjectRef, needed: bool) -> None:
        kept = self._objects.get(ref)
        if kept is None:
            return
        if needed:
            self._unread.add(ref)
            return
        object_ = kept.object.object
        body = without_contents(object_.body)
        content = object_.resource_version.removesuffix(DROPPED) + DROPPED
        stripped = msgspec.structs.replace(object_, body=body, resource_version=content)
        found = msgspec.structs.replace(kept.object, object=stripped)
        self._set(ref, kept._replace(object=found))

    def _mark(self, kind: str, version: int) -> None:
        if version > self._marks.get(kind, 0):
            self._marks[kind] = version


def covers(scope: Scope, ref: ObjectRef) -> bool:
    """Whether a list of this scope would hold the object."""
    return scope.kind == ref.kind and scope.namespace in (ALL, ref.namespace)


def _same_status(old: Object, new: Object) -> bool:
    """As far as it is part of a World."""
    return old.established == new.established and old.recorded == new.recorded


def _same_content(old: Object, new: Object) -> bool:
    return (
        old.uid == new.uid
        and old.resource_version == new.resource_version
        and (old.ref.kind not in HOLDERS or old.body == new.body)
    )


def _add(counter: Counter[_K], keys: Iterable[_K], by: int) -> None:
    for key in keys:
        counter[key] += by
        if counter[key] <= 0:
            del counter[key]
