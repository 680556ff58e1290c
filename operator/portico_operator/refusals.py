"""Refusals [pure]: which objects a refused unit speaks of.

Called by the status loop when a pod's acknowledgement names units it refused. Promises: the API,
its Stages and exactly the Routes that are in the unit; a neighbour in another shard keeps its True.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from portico_compiler import Object, ObjectRef
from portico_ir.codec import Undecodable, decode_unit
from portico_ir.model import RoutesUnit, Snapshot

Refusal = tuple[str, str]
"""Pod and reason."""


def api_of(object_: Object) -> ObjectRef | None:
    """The API that an object names in `spec.apiRef`; None where there is no such thing."""
    spec = object_.body.get("spec")
    reference = spec.get("apiRef") if isinstance(spec, dict) else None
    if not isinstance(reference, dict) or not isinstance(reference.get("name"), str):
        return None
    namespace = reference.get("namespace") or object_.ref.namespace
    kind = reference.get("kind") or "RestApi"
    return ObjectRef(str(kind), str(namespace), reference["name"])


def refused_objects(
    refused: Mapping[str, Refusal], snapshot: Snapshot, attached: Iterable[Object]
) -> dict[ObjectRef, tuple[Refusal, ...]]:
    """Objects with what was refused of them; `attached` are the Routes and Stages."""
    found: dict[ObjectRef, list[Refusal]] = {}
    whole: dict[ObjectRef, list[Refusal]] = {}
    stages: dict[ObjectRef, list[Refusal]] = {}
    for unit_id, refusal in sorted(refused.items()):
        kind, *parts = unit_id.split("/")
        if len(parts) < 3:
            continue
        api = ObjectRef(parts[1], parts[0], parts[2])
        found.setdefault(api, []).append(refusal)
        stages.setdefault(api, []).append(refusal)
        if kind == "api":
            whole.setdefault(api, []).append(refusal)
        for route in _routes_in(unit_id, snapshot):
            found.setdefault(route, []).append(refusal)
    for object_ in attached if stages else ():
        own = api_of(object_)
        if own is not None:
            mine = stages if object_.ref.kind == "Stage" else whole
            if own in mine:
                found.setdefault(object_.ref, []).extend(mine[own])
    return {ref: tuple(refusals) for ref, refusals in found.items()}


def _routes_in(unit_id: str, snapshot: Snapshot) -> Iterable[ObjectRef]:
    data = snapshot.units.get(unit_id)
    if data is None:
        return
    try:
        unit = decode_unit(data)
    except Undecodable:
        return
    if isinstance(unit, RoutesUnit):
        for route in unit.routes:
            namespace, _, name = route.object.partition("/")
            if name:
                yield ObjectRef("Route", namespace, name)
