"""Revisions of the World: heads found by name and by what they were taken for, thawed once.

Made for each compile, asked by the deployments pass. A revision is immutable, so what was made of
one is remembered as long as the ControllerRevisions are the same: a pinned stage costs an edit
nothing. Promises: what is wrong with a revision is a text, and concerns nobody who does not use it.
"""

from __future__ import annotations

from typing import NamedTuple

from portico_compiler.inventory import Document, Inventory
from portico_compiler.memo import Memo
from portico_compiler.problems import ObjectRef
from portico_compiler.revisions.content import Frozen, thaw
from portico_compiler.revisions.packing import KIND, Head, head_of, unpack
from portico_compiler.world import Object


class Revision(NamedTuple):
    """A state of an API that can be served."""

    namespace: str
    """Where its head is."""
    name: str
    """metadata.name of the head."""
    head: Head
    """What it says of itself."""
    frozen: Frozen
    """Its documents."""


class _Known(NamedTuple):
    parts: tuple[Document, ...]
    result: Revision | str


class _Checked(NamedTuple):
    parts: tuple[Document, ...]
    fault: str


class Revisions:
    """Every ControllerRevision that may be one of ours."""

    def __init__(self, inventory: Inventory, memo: Memo) -> None:
        self._memo = memo
        self._documents = {(d.ref.namespace, d.ref.name): d for d in inventory.of_kind(KIND)}
        self._heads: dict[tuple[str, str], Head | str | None] = {}
        self._taken_for: dict[tuple[str, ObjectRef], list[tuple[Document, Head]]] = {}
        shelf = memo.shelf("heads")
        for place, document in self._documents.items():
            known: tuple[Document, Head | str | None] | None = shelf.get(place)
            if known is None or known[0] is not document:
                known = (document, head_of(document.object))
            shelf.keep(place, known)
            head = self._heads[place] = known[1]
            if isinstance(head, Head):
                origin = head.deployment
                ref = ObjectRef("ApiDeployment", origin.namespace or place[0], origin.name)
                self._taken_for.setdefault((place[0], ref), []).append((document, head))
        for found in self._taken_for.values():
            # The newest first: what a recreated ApiDeployment took last.
            found.sort(key=lambda pair: (pair[0].object.created, pair[0].ref.name), reverse=True)

    @property
    def places(self) -> frozenset[tuple[str, str]]:
        """Namespace and name of every head."""
        return frozenset(place for place, head in self._heads.items() if isinstance(head, Head))

    def head(self, namespace: str, name: str) -> Head | str | None:
        """The head of this name; why it is none; None when there is no such object."""
        place = (namespace, name)
        found = self._heads.get(place)
        if found is None and place in self._documents:
            return f"{self._documents[place].ref} is a part of a revision: name its head"
        return found

    def taken_for(self, deployment: ObjectRef, api: ObjectRef) -> list[tuple[str, Head]]:
        """Names and heads of what was taken for an ApiDeployment, of APIs of this name."""
        found = self._taken_for.get((api.namespace, deployment), ())
        return [
            (document.ref.name, head)
            for document, head in found
            if (head.api.kind, head.api.name) == (api.kind, api.name)
        ]

    def load(self, namespace: str, name: str, api: ObjectRef, label: str) -> Revision | str:
        """The revision whose head bears this name, for this API; or what is wrong with it."""
        head = self.head(namespace, name)
        if not isinstance(head, Head):
            return head or f"there is no {KIND} {namespace}/{name}"
        place = self._documents[namespace, name]
        parts = self._parts(place, head)
        key = (place.ref, api, label)
        shelf = self._memo.shelf("revisions")
        known: _Known | None = shelf.get(key)
        if known is None or known.parts != parts:
            known = _Known(parts, self._thawed(place, head, api, label))
        shelf.keep(key, known)
        return known.result

    def check(self, namespace: str, name: str) -> str:
        """What is wrong with the parts of a head that is there; empty when nothing is.

        An ApiDeployment that no Stage serves costs no more than this.
        """
        head = self.head(namespace, name)
        if not isinstance(head, Head):
            return head or f"there is no {KIND} {namespace}/{name}"
        place = self._documents[namespace, name]
        parts = self._parts(place, head)
        shelf = self._memo.shelf("checked")
        known: _Checked | None = shelf.get(place.ref)
        if known is None or known.parts != parts:
            data = unpack(head, place.object, self._finder(namespace))
            known = _Checked(parts, data if isinstance(data, str) else "")
        shelf.keep(place.ref, known)
        return known.fault

    def _parts(self, place: Document, head: Head) -> tuple[Document, ...]:
        """What a revision is made of, as far as it is there."""
        namespace = place.ref.namespace
        wanted = [self._documents.get((namespace, part.name)) for part in head.parts]
        return (place, *(part for part in wanted if part is not None))

    def data(self, namespace: str, name: str) -> bytes | str:
        """The content, for a copy; or what is wrong with it."""
        head = self.head(namespace, name)
        if not isinstance(head, Head):
            return head or f"there is no {KIND} {namespace}/{name}"
        return unpack(head, self._documents[namespace, name].object, self._finder(namespace))

    def _thawed(self, place: Document, head: Head, api: ObjectRef, label: str) -> Revision | str:
        data = unpack(head, place.object, self._finder(place.ref.namespace))
        if isinstance(data, str):
            return data
        frozen = thaw(data, api, label)
        if isinstance(frozen, str):
            return f"{place.ref}: {frozen}"
        return Revision(place.ref.namespace, place.ref.name, head, frozen)

    def _finder(self, namespace: str) -> _Finder:
        return _Finder(self._documents, namespace)


class _Finder:
    """Finds parts beside their head."""

    def __init__(self, documents: dict[tuple[str, str], Document], namespace: str) -> None:
        self._documents = documents
        self._namespace = namespace

    def __call__(self, name: str) -> Object | None:
        found = self._documents.get((self._namespace, name))
        return None if found is None else found.object
