"""Pods [pure]: the data-plane pods of a class, from the EndpointSlices of its Service.

Kept by a reflector on the operator's own namespace, read by delivery: its fleet says which of them
are live. Promises: conditions mean what they mean to Kubernetes, and a pod is one pod, however
many slices have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class PodState(NamedTuple):
    """A pod behind the class's Service."""

    uid: str
    """Its uid."""
    name: str
    """Its name."""
    ready: bool
    """Takes traffic; unknown counts as ready, as everywhere in Kubernetes."""
    terminating: bool
    """Is ending."""


def pods_of(slices: Iterable[Mapping[str, Any]]) -> dict[str, PodState]:
    """Pod uid to state; a pod that is in two slices is ready when it is in one."""
    found: dict[str, PodState] = {}
    for body in slices:
        endpoints = body.get("endpoints")
        for endpoint in endpoints if isinstance(endpoints, list) else ():
            state = _state(endpoint)
            if state is None:
                continue
            known = found.get(state.uid)
            if known is None or (state.ready and not state.terminating):
                found[state.uid] = state
    return found


def _state(endpoint: Any) -> PodState | None:
    target = endpoint.get("targetRef") if isinstance(endpoint, dict) else None
    if not isinstance(target, dict) or target.get("kind") != "Pod" or not target.get("uid"):
        return None
    conditions = endpoint.get("conditions") or {}
    return PodState(
        uid=str(target["uid"]),
        name=str(target.get("name") or target["uid"]),
        ready=conditions.get("ready") is not False,
        terminating=conditions.get("terminating") is True,
    )
