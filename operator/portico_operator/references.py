"""References [pure]: which namespaces and Secrets an object of ours names or chooses by labels.

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
_SELECTOR_FIELDS = frozenset({"namespaceSelector", "selector"})
"""Fields of our kinds that choose namespaces: allowedDomains of a PorticoClass, allowedMappings of
a DomainName."""
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
    labels: bool = False
    """Chooses namespaces by their labels."""


NONE = References()


def references(kind: str, namespace: str, body: Any) -> References:
    """Every reference in the document; its own namespace where one names none."""
    found = _Found(namespace)
    found.walk(body, _DEPTH)
    revisions = frozenset({namespace}) if _deploys(kind, body) else frozenset()
    if not (found.services or found.secrets or found.labels or revisions):
        return NONE
    return References(frozenset(found.services), frozenset(found.secrets), revisions, found.labels)


class _Found:
    """What a walk through one document has met."""

    def __init__(self, namespace: str) -> None:
        self._own = namespace
        self.services: set[str] = set()
        self.secrets: set[tuple[str, str]] = set()
        self.labels = False

    def walk(self, value: Any, depth: int) -> None:
        if depth == 0:
            return
        if isinstance(value, list):
            for item in value:
                if isinstance(item, dict | list):
                    self.walk(item, depth - 1)
            return
        for key, item in value.items() if isinstance(value, dict) else ():
            if not isinstance(item, dict | list):
                continue
            if key == "service" and isinstance(item, dict):
                self.services.add(_namespace(item, self._own))
            elif key in _SECRET_FIELDS and isinstance(item, dict):
                name = item.get("name")
                if isinstance(name, str):
                    self.secrets.add((_namespace(item, self._own), name))
            elif key in _SELECTOR_FIELDS:
                self.labels = True
            else:
                self.walk(item, depth - 1)


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
