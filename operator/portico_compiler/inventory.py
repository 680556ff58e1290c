"""Inventory: accepted documents, found by what refers to them.

Made by the accept pass, read by all others. A document stays the same Python object for as long
as its manifest has the same version: that identity is what the memos of later passes compare.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from portico_compiler.features.unbuilt import Unbuilt
from portico_compiler.manifests import core
from portico_compiler.manifests.kinds import GROUP
from portico_compiler.problems import ObjectRef, Problem
from portico_compiler.routekeys import RouteKey
from portico_compiler.world import Object

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
SLICE_CONTROLLER = "endpointslice-controller.k8s.io"
API_KINDS = ("RestApi", "HttpApi", "WebSocketApi")
_NAMED = ("Service", "Authorizer", "ApiKey", "Secret", "ConfigMap")
"""Kinds of which single objects are asked for by name."""


class Document:
    """One version of a manifest, decoded. Compares by identity."""

    __slots__ = (
        "api",
        "canonical",
        "content",
        "key",
        "object",
        "problems",
        "ref",
        "unbuilt",
        "valid",
    )

    def __init__(
        self,
        object_: Object,
        content: Any,
        problems: tuple[Problem, ...],
        unbuilt: tuple[Unbuilt, ...],
        valid: bool,
    ) -> None:
        self.object = object_
        """The newest object of this version: its age or place in a file may have changed."""
        self.ref = object_.ref
        self.content = content
        """Struct of the document; of an invalid one what could be saved, or None."""
        self.problems = problems
        """What is wrong with the document by itself."""
        self.unbuilt = unbuilt
        """Fields in use that are not built."""
        self.valid = valid
        """Nothing is wrong with the document by itself."""
        self.key: RouteKey | None = None
        """Route: its parsed key."""
        self.api: ObjectRef | None = None
        """Route, Stage, Authorizer and ApiDeployment: the API it names."""
        self.canonical: bytes | None = None
        """Member of a captured API: what `revisions.canonical` makes of it, once it was asked."""

    @property
    def age(self) -> tuple[str, str, str, str]:
        """The smaller is the elder; ties are decided by name, never by order."""
        return (self.object.created, self.ref.namespace, self.ref.name, self.ref.kind)

    @property
    def restricted(self) -> bool:
        """Uses a field that restricts and is not built."""
        return any(field.effect == "restricts" for field in self.unbuilt)


class Inventory:
    """Every document of one compile."""

    def __init__(
        self, documents: Iterable[Document], managed_slices_only: bool, today: str = ""
    ) -> None:
        self._today = today
        self._managed_slices_only = managed_slices_only
        self._tokens: dict[Hashable, Hashable] = {}
        self.troubled: list[Document] = []
        """Something is wrong with them by themselves."""
        self.by_kind: dict[str, list[Document]] = {}
        for document in documents:
            if document.problems:
                self.troubled.append(document)
            self.by_kind.setdefault(document.ref.kind, []).append(document)
        self._named = {kind: self._by_name(kind) for kind in _NAMED}
        self._slices = self._index_slices()
        self._grants = self._index_grants()

    def renewed(
        self, replaced: Iterable[tuple[Document, Document]], added: Iterable[Document], today: str
    ) -> Inventory:
        """The same with documents replaced, each by one of the same object, and others added."""
        made = copy.copy(self)
        made._today, made._tokens = today, {}
        made.by_kind = self.by_kind.copy()
        touched: set[str] = set()

        def of_kind(kind: str) -> list[Document]:
            if kind not in touched:
                touched.add(kind)
                made.by_kind[kind] = self.of_kind(kind).copy()
            return made.by_kind[kind]

        gone: set[ObjectRef] = set()
        came: list[Document] = []
        for old, new in replaced:
            documents = of_kind(old.ref.kind)
            documents[documents.index(old)] = new
            gone.add(old.ref)
            came.append(new)
        for document in added:
            of_kind(document.ref.kind).append(document)
            came.append(document)
        made.troubled = [document for document in self.troubled if document.ref not in gone]
        made.troubled += [document for document in came if document.problems]
        named = {kind: made._by_name(kind) for kind in _NAMED if kind in touched}
        made._named = {**self._named, **named}
        if "EndpointSlice" in touched:
            made._slices = made._index_slices()
        if "ReferenceGrant" in touched:
            made._grants = made._index_grants()
        return made

    def _by_name(self, kind: str) -> dict[tuple[str, str], Document]:
        return {(d.ref.namespace, d.ref.name): d for d in self.of_kind(kind)}

    def _index_grants(self) -> dict[str, list[Document]]:
        found: dict[str, list[Document]] = {}
        for grant in sorted(self.of_kind("ReferenceGrant"), key=lambda d: d.ref):
            found.setdefault(grant.ref.namespace, []).append(grant)
        return found

    def of_kind(self, kind: str) -> list[Document]:
        """Documents of a kind, in no particular order."""
        return self.by_kind.get(kind, [])

    def service(self, namespace: str, name: str) -> core.Service | None:
        """A Service, unless there is none or it cannot be read."""
        found = self._named["Service"].get((namespace, name))
        if found is None or not isinstance(found.content, core.Service):
            return None
        return found.content

    def secret(self, namespace: str, name: str) -> Document | None:
        """A Secret, with its contents."""
        return self._named["Secret"].get((namespace, name))

    def config_map(self, namespace: str, name: str) -> Document | None:
        """A ConfigMap, with its contents."""
        return self._named["ConfigMap"].get((namespace, name))

    def api_key(self, namespace: str, name: str) -> Document | None:
        """An ApiKey, valid or not."""
        return self._named["ApiKey"].get((namespace, name))

    def authorizer(self, namespace: str, name: str) -> Document | None:
        """An Authorizer, valid or not."""
        return self._named["Authorizer"].get((namespace, name))

    def slices(self, namespace: str, service: str) -> tuple[Document, ...]:
        """EndpointSlices of a Service that count."""
        return self._slices.get((namespace, service), ())

    def with_authorizers(self, namespace: str, found: Mapping[str, Document]) -> Inventory:
        """The same with these Authorizers, by name, in place of all others: for a deployment."""
        view = copy.copy(self)
        own = {(namespace, name): document for name, document in found.items()}
        view._named = {**self._named, "Authorizer": own}
        view._tokens = {}
        return view

    def permits(self, referrer: ObjectRef, group: str, target: ObjectRef) -> bool:
        """A reference stays in its namespace unless a ReferenceGrant there allows more."""
        if referrer.namespace == target.namespace:
            return True
        return any(
            _grants(grant.content, referrer, group, target)
            for grant in self._grants.get(target.namespace, ())
        )

    def token(self, key: Hashable) -> Hashable:
        """Changes when what a lookup would find changes: what memos compare.

        Keys: ("Service", namespace, name), ("Authorizer", namespace, name),
        ("Secret", namespace, name), ("ConfigMap", namespace, name), ("grants", namespace),
        ("today",).
        """
        try:
            return self._tokens[key]
        except KeyError:
            pass
        assert isinstance(key, tuple)
        found: Hashable
        if key[0] in _NAMED:
            found = self._named[key[0]].get(key[1:])
        elif key[0] == "today":
            found = self._today
        else:
            found = tuple(self._grants.get(key[1], ()))
        self._tokens[key] = found
        return found

    def _index_slices(self) -> dict[tuple[str, str], tuple[Document, ...]]:
        found: dict[tuple[str, str], list[Document]] = {}
        for document in self.of_kind("EndpointSlice"):
            labels = document.object.labels
            service = labels.get(SERVICE_NAME_LABEL)
            # design.md §13: whoever may write slices could otherwise point a Service anywhere.
            managed = labels.get(MANAGED_BY_LABEL) == SLICE_CONTROLLER
            if service and (managed or not self._managed_slices_only):
                found.setdefault((document.ref.namespace, service), []).append(document)
        return {
            key: tuple(sorted(slices, key=lambda document: document.ref))
            for key, slices in found.items()
        }


def _grants(grant: Any, referrer: ObjectRef, group: str, target: ObjectRef) -> bool:
    if not isinstance(grant, core.ReferenceGrant):
        return False
    return any(
        source.group == GROUP
        and source.kind == referrer.kind
        and source.namespace == referrer.namespace
        for source in grant.spec.from_
    ) and any(
        to.group == group and to.kind == target.kind and to.name in (None, "", target.name)
        for to in grant.spec.to
    )
