"""ClusterObject [pure]: an object as an API server gives it, in the form the store keeps.

Made from kopf's events, from our own lists and from the reflector, by one function. Promises:
contents of Secrets are `Redacted` from here on; theirs and those of ConfigMaps are dropped when
nothing refers to them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from portico_compiler import Object, ObjectRef
from portico_compiler.manifests.kinds import KINDS
from portico_compiler.world import own_annotations
from portico_ir.secrets import Redacted
from portico_operator.deployment_status import RECORDING, recorded
from portico_operator.establishment import is_established
from portico_operator.refusals import api_of

_ENVELOPE = frozenset({"apiVersion", "kind", "metadata", "status"})
_NONE: Mapping[str, str] = {}
DROPPED = "/dropped"
"""Ends the version of an object without its contents: memos must see when they come."""
HOLDERS = frozenset({"Secret", "ConfigMap"})
"""Kinds whose contents are kept only where something refers to them."""
_encoder = msgspec.json.Encoder(order="deterministic")


class Unreadable(ValueError):
    """What the API server sent is no object; the message says what is missing."""


class ClusterObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object at one resourceVersion."""

    object: Object
    """For the World."""
    version: int
    """resourceVersion; comparable since Kubernetes 1.35 said so, and with etcd always."""
    status: bytes = b""
    """The status as JSON, keys sorted; empty: none, or not of our kinds."""

    @property
    def ref(self) -> ObjectRef:
        """Who it is."""
        return self.object.ref


def version_of(text: object) -> int:
    """A resourceVersion as a number; 0 for what is none."""
    return int(text) if isinstance(text, str) and text.isdecimal() else 0


def read(
    kind: str, raw: Mapping[str, Any], keeps: Callable[[str, str, str], bool] = lambda *_: True
) -> ClusterObject:
    """An object of the cluster; `keeps(kind, namespace, name)` says whose contents stay."""
    metadata = raw.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        raise Unreadable(f"{kind} without metadata.name")
    namespace, name = metadata.get("namespace") or "", metadata["name"]
    version = version_of(metadata.get("resourceVersion"))
    body = {key: value for key, value in raw.items() if key not in _ENVELOPE}
    labels = metadata.get("labels") or {}
    annotations = own_annotations(metadata.get("annotations"))
    content = str(version)
    if kind in HOLDERS:
        if kind == "Secret":
            body = _secret(body)
        if not keeps(kind, namespace, name):
            body, content = without_contents(body), content + DROPPED
    elif kind == "Namespace":
        # In itself, so that a list of one namespace covers it; nothing but its labels counts.
        namespace, body, content = name, {}, _content_version(1, labels)
    known = KINDS.get(kind)
    ours = known is not None and known.ours
    generation = metadata.get("generation")
    status = raw.get("status")
    object_ = Object(
        ref=ObjectRef(kind, namespace, name),
        body=body,
        resource_version=_content_version(generation, labels, annotations) if ours else content,
        uid=metadata.get("uid") or "",
        created=metadata.get("creationTimestamp") or "",
        generation=generation if type(generation) is int else 1,
        labels=labels,
        annotations=annotations,
    )
    if kind == "Stage" and isinstance(status, Mapping):
        established = is_established(status, api_of(object_))
        object_ = msgspec.structs.replace(object_, established=established)
    if kind in RECORDING and isinstance(status, Mapping):
        object_ = msgspec.structs.replace(object_, recorded=recorded(kind, status))
    return ClusterObject(
        object=object_,
        version=version,
        status=_encoder.encode(status) if ours and status else b"",
    )


def _content_version(
    generation: object, labels: Mapping[str, str], annotations: Mapping[str, str] = _NONE
) -> str:
    """What memos compare: our own status writes change resourceVersion and nothing else."""
    if not labels and not annotations:
        return str(generation)
    said = [labels, annotations] if annotations else labels
    return f"{generation}/{zlib.crc32(_encoder.encode(said)):08x}"


def without_contents(body: Mapping[str, Any]) -> dict[str, Any]:
    """Of a Secret or ConfigMap what is left when nothing refers to it."""
    return {key: value for key, value in body.items() if key not in ("data", "binaryData")}


def _secret(body: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {"type": body["type"]} if "type" in body else {}
    data = body.get("data")
    if isinstance(data, Mapping):
        kept["data"] = {k: Redacted(v) for k, v in data.items() if isinstance(v, str)}
    return kept
