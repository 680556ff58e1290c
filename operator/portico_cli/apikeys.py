"""API keys as people handle them: one made, all listed, one switched off (AWS §7.1).

Called by `keys`, which reads the command line; the places where keys live, a cluster and files,
implement `KeyStore`. Promises: a value is random, seen once and never listed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from portico_compiler.manifests.kinds import OUR_VERSIONS
from portico_compiler.passes.generation import ENTRY

SHORTEST, LONGEST = 20, 128


class KeyFault(Exception):
    """It cannot be done; the message says why and what to do."""


class NewKey(NamedTuple):
    """A key that is wanted."""

    name: str
    namespace: str
    plans: tuple[str, ...]
    """`name` or `namespace/name`."""
    customer: str
    value: str

    def api_key(self) -> dict[str, Any]:
        """The ApiKey."""
        spec: dict[str, Any] = {
            "secretRef": {"name": self.name, "key": ENTRY},
            "usagePlanRefs": [_reference(plan) for plan in self.plans],
        }
        if self.customer:
            spec["customerId"] = self.customer
        return {
            "apiVersion": OUR_VERSIONS[0],
            "kind": "ApiKey",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": spec,
        }

    def secret(self) -> dict[str, Any]:
        """The Secret with its value."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "type": "Opaque",
            "stringData": {ENTRY: self.value},
        }


class KeyRow(NamedTuple):
    """A key as it is listed."""

    namespace: str
    name: str
    enabled: bool
    plans: tuple[str, ...]
    customer: str
    secret: str
    """`name`, or `name[entry]`."""


class KeyStore(Protocol):
    """Where keys live."""

    def create(self, key: NewKey) -> None:
        """Makes a key; KeyFault when it cannot, and then nothing of it is left."""
        ...

    def rows(self, namespace: str | None) -> list[KeyRow]:
        """The keys of a namespace, or of all."""
        ...

    def enable(self, namespace: str, name: str, enabled: bool) -> None:
        """Switches a key on or off."""
        ...


def value_fault(value: str) -> str:
    """Why this cannot be a value; empty when it can."""
    if not SHORTEST <= len(value) <= LONGEST:
        return f"a value has {SHORTEST} to {LONGEST} characters, not {len(value)} (AWS §7.1)"
    if not all("!" <= char <= "~" for char in value):
        return "a value is visible ASCII without spaces: a header must carry it"
    return ""


def row_of(document: Mapping[str, Any]) -> KeyRow:
    """An ApiKey, however much of it can be read."""
    metadata = _mapping(document.get("metadata"))
    spec = _mapping(document.get("spec"))
    namespace = str(metadata.get("namespace") or "default")
    reference = _mapping(spec.get("secretRef"))
    entry = reference.get("key")
    secret = str(reference.get("name") or "")
    refs = spec.get("usagePlanRefs")
    plans = [_mapping(ref) for ref in refs] if isinstance(refs, list) else []
    return KeyRow(
        namespace,
        str(metadata.get("name") or ""),
        spec.get("enabled") is not False,
        tuple(_plan(ref, namespace) for ref in plans),
        str(spec.get("customerId") or ""),
        f"{secret}[{entry}]" if entry else secret,
    )


def sorted_rows(rows: Sequence[KeyRow]) -> list[KeyRow]:
    """By namespace and name."""
    return sorted(rows, key=lambda row: (row.namespace, row.name))


def _reference(plan: str) -> dict[str, str]:
    namespace, slash, name = plan.partition("/")
    return {"name": name, "namespace": namespace} if slash else {"name": plan}


def _plan(reference: Mapping[str, Any], own: str) -> str:
    namespace = reference.get("namespace")
    name = str(reference.get("name") or "")
    return f"{namespace}/{name}" if namespace and namespace != own else name


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
