"""References [pure]: which namespaces and Secrets an object of ours names or chooses by labels.

Used by the store, so that core kinds are watched only where something refers to them, and so
that only referenced Secrets and ConfigMaps keep their contents (design.md §5, item 7). Reads the
undecoded document: a field that a later version decodes is found already. A revision is compressed,
and says what it names beside its content.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from portico_compiler.mentions import Mentions, namespace_of
from portico_compiler.revisions.packing import KIND as REVISION
from portico_compiler.revisions.packing import mentions


class References(NamedTuple):
    """What one object names."""

    services: frozenset[str] = frozenset()
    """Namespaces of Services."""
    secrets: frozenset[tuple[str, str]] = frozenset()
    """Namespace and name of Secrets."""
    revisions: frozenset[str] = frozenset()
    """Namespaces whose ControllerRevisions may hold a deployment."""
    config_maps: frozenset[tuple[str, str]] = frozenset()
    """Namespace and name of ConfigMaps."""
    labels: bool = False
    """Chooses namespaces by their labels."""


NONE = References()


def references(kind: str, namespace: str, body: Any) -> References:
    """Every reference in the document; its own namespace where one names none."""
    if kind == REVISION:
        services, secrets = mentions(body, namespace)
        return References(services, secrets) if services or secrets else NONE
    found = Mentions(namespace)
    found.walk(body)
    revisions = frozenset(_revisions(kind, namespace, body))
    found.services.update(_restoring(kind, namespace, body))
    if not (found.services or found.secrets or found.labels or revisions):
        return NONE
    return References(
        services=frozenset(found.services),
        secrets=frozenset(found.secrets),
        revisions=revisions,
        config_maps=frozenset(found.config_maps),
        labels=found.labels,
    )


def _restoring(kind: str, namespace: str, body: Any) -> Iterator[str]:
    """What is restored from another namespace will name Services beside its API."""
    spec = body.get("spec") if isinstance(body, dict) else None
    if kind == "ApiDeployment" and isinstance(spec, dict) and "revisionRef" in spec:
        yield namespace_of(spec.get("apiRef"), namespace)


def _revisions(kind: str, namespace: str, body: Any) -> Iterator[str]:
    """A deployment stands beside its API; what it restores may stand somewhere else."""
    spec = body.get("spec") if isinstance(body, dict) else None
    if not isinstance(spec, dict):
        return
    if kind == "ApiDeployment":
        yield namespace_of(spec.get("apiRef"), namespace)
        if "revisionRef" in spec:
            yield namespace_of(spec["revisionRef"], namespace)
    elif kind == "Stage":
        canary = spec.get("canarySettings")
        deploys = "deploymentRef" in spec or (
            isinstance(canary, dict) and "deploymentRef" in canary
        )
        if deploys:
            yield namespace_of(spec.get("apiRef"), namespace)
