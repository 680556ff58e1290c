"""References [pure]: which namespaces and Secrets an object of ours names.

Used by the store, so that core kinds are watched only where something refers to them, and so
that only referenced Secrets keep their contents (design.md §5, item 7). Reads the undecoded
document: a field that a later version decodes is found already.
"""

from __future__ import annotations

from typing import Any, NamedTuple

_SECRET_FIELDS = frozenset(
    {"secretRef", "certificateRef", "clientCertificateRef", "caRef", "truststoreRef"}
)
"""Fields of our kinds that name a Secret (shapes.SecretKeyRef, shapes.Ref)."""
_DEPTH = 64
"""Deeper documents hold no reference of ours; an API server refuses them long before."""


class References(NamedTuple):
    """What one object names."""

    services: frozenset[str] = frozenset()
    """Namespaces of Services."""
    secrets: frozenset[tuple[str, str]] = frozenset()
    """Namespace and name of Secrets."""
    revisions: frozenset[str] = frozenset()
    """Namespaces whose ControllerRevisions may hold a deployment."""


NONE = References()


def references(kind: str, namespace: str, body: Any) -> References:
    """Every reference in the document; its own namespace where one names none."""
    services: set[str] = set()
    secrets: set[tuple[str, str]] = set()
    _walk(body, namespace, services, secrets, _DEPTH)
    revisions = frozenset({namespace}) if _deploys(kind, body) else frozenset()
    if not services and not secrets and not revisions:
        return NONE
    return References(frozenset(services), frozenset(secrets), revisions)


def _walk(
    value: Any, namespace: str, services: set[str], secrets: set[tuple[str, str]], depth: int
) -> None:
    if depth == 0:
        return
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict | list):
                _walk(item, namespace, services, secrets, depth - 1)
        return
    for key, item in value.items() if isinstance(value, dict) else ():
        if not isinstance(item, dict | list):
            continue
        if key == "service" and isinstance(item, dict):
            services.add(_namespace(item, namespace))
        elif key in _SECRET_FIELDS and isinstance(item, dict):
            name = item.get("name")
            if isinstance(name, str):
                secrets.add((_namespace(item, namespace), name))
        else:
            _walk(item, namespace, services, secrets, depth - 1)


def _namespace(reference: dict[str, Any], own: str) -> str:
    named = reference.get("namespace")
    return named if isinstance(named, str) and named else own


def _deploys(kind: str, body: Any) -> bool:
    if kind == "ApiDeployment":
        return True
    if kind != "Stage" or not isinstance(body, dict):
        return False
    spec = body.get("spec")
    if not isinstance(spec, dict):
        return False
    canary = spec.get("canarySettings")
    return "deploymentRef" in spec or (isinstance(canary, dict) and "deploymentRef" in canary)
