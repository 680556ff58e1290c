"""Statuses [pure]: what an object's status should say, as the bytes that would be applied.

Called by the board for objects whose turn it is. Promises: conditions as design.md §3 has them,
each with a transition time that moves only when its status does; nothing about single pods but
where Programmed is False, so that a scale-up moves no Route.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from portico_compiler import Condition, ObjectRef
from portico_operator import adoption, establishment
from portico_operator.delivery.fleet import Programming, Standing
from portico_operator.establishment import is_established

MESSAGE_LIMIT = 32_000
"""Kubernetes takes 32,768 characters in a condition's message."""


class Identity(NamedTuple):
    """What only APIs and Stages show."""

    api_id: str = ""
    """`status.apiId`."""
    addresses: tuple[str, ...] = ()
    """`status.addresses`."""
    stage_of: ObjectRef | None = None
    """Of a Stage: its API."""
    deployment: Mapping[str, Any] = {}
    """What a Stage or ApiDeployment says of deployments (`deployment_status`)."""
    unserved: bool = False
    """Of a PorticoClass: no operator serves it."""


def programmed(
    conditions: Iterable[Condition],
    serial: int,
    standing: Standing | None,
    units: Collection[str],
    not_deployed: str,
) -> Programming:
    """What Programmed says of an object whose content is in publication `serial`; `units` are
    those of its own that a pod refuses. `standing` is None where no class has the object."""
    for condition in conditions:
        if condition.type == "Accepted" and condition.status != "True":
            return Programming(False, "NotAccepted", "not served as written; see Accepted")
    if not_deployed:
        return Programming(False, "NotDeployed", not_deployed)
    if standing is None:
        return Programming(False, "NoDataPlane", "it belongs to no PorticoClass that there is")
    return standing.programmed(serial, units)


def compose(
    conditions: Iterable[Condition],
    state: Programming,
    generation: int,
    identity: Identity,
    data_plane: Mapping[str, Any] | None,
    observed: Mapping[str, Any],
    now: str,
) -> dict[str, Any]:
    """The whole status; `observed` is what the object says now."""
    known = _conditions(observed)
    entries = [
        _entry(c.type, c.status, c.reason, c.message, c.observed_generation, known, now)
        for c in conditions
    ]
    is_true = "True" if state.is_true else "False"
    entries.append(
        _entry("Programmed", is_true, state.reason, state.message, generation, known, now)
    )
    if identity.unserved:
        why = (adoption.REASON, adoption.MESSAGE, generation)
        entries.append(_entry(adoption.CONDITION, "False", *why, known, now))
    api = identity.stage_of
    if api is not None and (state.is_true or is_established(observed, api)):
        since = (establishment.REASON, establishment.message(api), generation)
        entries.append(_entry(establishment.CONDITION, "True", *since, known, now))
    status: dict[str, Any] = {"observedGeneration": generation, "conditions": entries}
    if identity.api_id:
        status["apiId"] = identity.api_id
    if identity.addresses:
        status["addresses"] = list(identity.addresses)
    status |= identity.deployment
    if data_plane is not None:
        status["dataPlane"] = dict(data_plane)
    return status


def is_news(wanted: Mapping[str, Any], observed: Mapping[str, Any]) -> bool:
    """Whether applying would change more than counts."""
    return _without_counts(wanted) != _without_counts(observed)


def parsed(status: bytes) -> dict[str, Any]:
    """A stored status; {} for none and for what is no mapping."""
    if not status:
        return {}
    value = msgspec.json.decode(status)
    return value if isinstance(value, dict) else {}


def has_identity(ref: ObjectRef) -> bool:
    """Whether `dataPlane` and addresses belong into this kind's status."""
    return ref.kind in ("RestApi", "HttpApi", "WebSocketApi", "Stage")


def _entry(
    type_: str,
    status: str,
    reason: str,
    message: str,
    generation: int,
    known: Mapping[str, Mapping[str, Any]],
    now: str,
) -> dict[str, Any]:
    before = known.get(type_, {})
    since = before.get("lastTransitionTime")
    same = before.get("status") == status and isinstance(since, str)
    return {
        "type": str(type_),
        "status": status,
        "reason": reason,
        "message": message[:MESSAGE_LIMIT],
        "observedGeneration": generation,
        "lastTransitionTime": since if same else now,
    }


def _conditions(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = status.get("conditions")
    entries = found if isinstance(found, list) else []
    return {e["type"]: e for e in entries if isinstance(e, dict) and isinstance(e.get("type"), str)}


def _without_counts(status: Mapping[str, Any]) -> dict[str, Any]:
    # What was used of a plan has a writer and a pace of its own (`keeping`).
    rest = {key: value for key, value in status.items() if key not in ("dataPlane", "usage")}
    rest["conditions"] = {
        type_: {k: v for k, v in entry.items() if k != "lastTransitionTime"}
        for type_, entry in _conditions(status).items()
    }
    return rest
