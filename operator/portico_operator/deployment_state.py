"""Deployment state [pure]: which APIs, and so which of their Routes, no Stage serves.

Asked when findings for status are made. Promises: the message names the Stages of the API and what
each of them serves instead (design.md §3, Status).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from portico_compiler import Object, ObjectRef
from portico_operator.refusals import api_of

_SHOWN = 5


def not_deployed(
    apis: Iterable[ObjectRef],
    addresses: Mapping[ObjectRef, tuple[str, ...]],
    stages: Iterable[Object],
    routes: Iterable[Object],
) -> dict[ObjectRef, str]:
    """Why, by API and by Route."""
    idle = {ref for ref in apis if ref in addresses and not addresses[ref]}
    if not idle:
        return {}
    by_api: dict[ObjectRef, list[str]] = {}
    for stage in sorted(stages, key=lambda stage: stage.ref):
        api = api_of(stage)
        if api in idle:
            by_api.setdefault(api, []).append(_described(stage))
    messages = {ref: _message(by_api.get(ref, [])) for ref in idle}
    for route in routes:
        api = api_of(route)
        if api in idle:
            messages[route.ref] = messages[api]
    return messages


def _described(stage: Object) -> str:
    spec = stage.body.get("spec")
    reference = spec.get("deploymentRef") if isinstance(spec, dict) else None
    if isinstance(reference, dict):
        return f"Stage {stage.ref.name} serves ApiDeployment {reference.get('name')}"
    return f"Stage {stage.ref.name} serves nothing"


def _message(stages: list[str]) -> str:
    if not stages:
        return "no Stage serves the current routes, and there is no implicit $default"
    rest = len(stages) - _SHOWN
    shown = "; ".join(stages[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
    return f"no Stage serves the current routes: {shown}"
