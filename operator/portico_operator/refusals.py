"""Refusals [pure]: which objects a unit speaks of.

Asked by the status loop when a pod's acknowledgement names units it refused, and to know which
publication changed an API last. Promises: a unit of an API speaks of the API, its Stages, Routes
and Authorizers, because a data plane refuses an API whole (design.md §4), one of a DomainName of it
and its mappings; nobody else's object is touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from portico_compiler import Object, ObjectRef

_SHARED = {
    "gateway": ("PorticoClass",),
    "keys": ("ApiKey", "UsagePlan"),
    "plans": ("UsagePlan",),
}
"""First part of a unit that belongs to no single object: the kinds it is made of."""


def api_of(object_: Object) -> ObjectRef | None:
    """The API that an object names in `spec.apiRef`; None where there is no such thing."""
    spec = object_.body.get("spec")
    reference = spec.get("apiRef") if isinstance(spec, dict) else None
    if not isinstance(reference, dict) or not isinstance(reference.get("name"), str):
        return None
    namespace = reference.get("namespace") or object_.ref.namespace
    kind = reference.get("kind") or "RestApi"
    return ObjectRef(str(kind), str(namespace), reference["name"])


def domain_of(object_: Object) -> ObjectRef | None:
    """The DomainName that an object names in `spec.domainRef`."""
    spec = object_.body.get("spec")
    reference = spec.get("domainRef") if isinstance(spec, dict) else None
    if not isinstance(reference, dict) or not isinstance(reference.get("name"), str):
        return None
    namespace = reference.get("namespace") or object_.ref.namespace
    return ObjectRef("DomainName", str(namespace), reference["name"])


def owner_of(unit_id: str) -> ObjectRef | None:
    """Whose unit `<what>/<namespace>/<Kind>/<name>[/…]` is; None: it is shared."""
    parts = unit_id.split("/")
    if parts[0] == "domain" and len(parts) == 3:
        return ObjectRef("DomainName", parts[1], parts[2])
    return ObjectRef(parts[2], parts[1], parts[3]) if len(parts) >= 4 else None


def refused_objects(
    refused: Collection[str], objects: Iterable[Object]
) -> dict[ObjectRef, tuple[str, ...]]:
    """Objects that refused units speak of, each with those units."""
    by_owner: dict[ObjectRef, list[str]] = {}
    by_kind: dict[str, list[str]] = {}
    for unit_id in sorted(refused):
        owner = owner_of(unit_id)
        if owner is not None:
            by_owner.setdefault(owner, []).append(unit_id)
        for kind in () if owner is not None else _SHARED.get(unit_id.partition("/")[0], ()):
            by_kind.setdefault(kind, []).append(unit_id)
    if not by_owner and not by_kind:
        return {}
    found: dict[ObjectRef, tuple[str, ...]] = {}
    for object_ in objects:
        units = [*by_kind.get(object_.ref.kind, ()), *by_owner.get(object_.ref, ())]
        for named in (api_of(object_), domain_of(object_)):
            units += by_owner.get(named, ()) if named is not None else ()
        if units:
            found[object_.ref] = tuple(units)
    return found


class LastChanges:
    """Owner of units to the publication that changed any of them last."""

    def __init__(self) -> None:
        self._units: Mapping[str, str] = {}
        self._serials: dict[ObjectRef, int] = {}

    def published(self, units: Mapping[str, str], serial: int) -> None:
        """The units of a manifest, with their digests."""
        if units == self._units:
            return
        for unit_id in _differing(self._units, units):
            owner = owner_of(unit_id)
            if owner is not None:
                self._serials[owner] = serial
        self._units = units
        present = {owner_of(unit_id) for unit_id in units}
        self._serials = {owner: at for owner, at in self._serials.items() if owner in present}

    def of(self, owner: ObjectRef) -> int:
        """That publication; 0: it has no units."""
        return self._serials.get(owner, 0)


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    yield from (unit_id for unit_id in before if unit_id not in after)
    yield from (unit_id for unit_id, digest in after.items() if before.get(unit_id) != digest)
