"""Mentions [pure]: Services, Secrets, ConfigMaps and selectors that an undecoded document names.

Used by the operator's store, so that core kinds are watched only where something refers to them,
and where a revision is packed, because its content is compressed and nobody would see what it names
before it is served. A field that a later version decodes is found already.
"""

from __future__ import annotations

from typing import Any

SECRET_FIELDS = frozenset(
    {"secretRef", "certificateRef", "clientCertificateRef", "caRef", "truststoreRef"}
)
"""Fields of our kinds that name a Secret (shapes.SecretKeyRef, shapes.Ref)."""
CONFIG_MAP_FIELDS = frozenset({"truststoreRef", "caRef"})
"""Those that may name a ConfigMap as well."""
SELECTOR_FIELDS = frozenset({"namespaceSelector", "selector"})
"""Fields of our kinds that choose namespaces: allowedDomains of a PorticoClass, allowedMappings of
a DomainName."""
_DEPTH = 64
"""Deeper documents hold no reference of ours; an API server refuses them long before."""


class Mentions:
    """What walks through documents have met."""

    def __init__(self, namespace: str) -> None:
        self._own = namespace
        self.services: set[str] = set()
        """Namespaces of Services."""
        self.secrets: set[tuple[str, str]] = set()
        """Namespace and name of Secrets."""
        self.config_maps: set[tuple[str, str]] = set()
        """Namespace and name of ConfigMaps."""
        self.labels = False
        """Something chooses namespaces by their labels."""

    def walk(self, value: Any, depth: int = _DEPTH) -> None:
        """Everything in a document; its own namespace where a reference names none."""
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
                self.services.add(namespace_of(item, self._own))
            elif key in SECRET_FIELDS and isinstance(item, dict):
                name = item.get("name")
                if isinstance(name, str):
                    self.secrets.add((namespace_of(item, self._own), name))
                    if key in CONFIG_MAP_FIELDS:
                        self.config_maps.add((namespace_of(item, self._own), name))
            elif key in SELECTOR_FIELDS:
                self.labels = True
            else:
                self.walk(item, depth - 1)


def namespace_of(reference: Any, own: str) -> str:
    """The namespace that a reference means."""
    named = reference.get("namespace") if isinstance(reference, dict) else None
    return named if isinstance(named, str) and named else own
