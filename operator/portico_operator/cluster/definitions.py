"""Definitions: whether our kinds are served, and whether they are still the same kinds.

Asked by `intake` at start and whenever objects of a kind went. Deleting a CRD first deletes its
objects, one event each: without asking, the world would be compiled emptier and emptier. The API
server marks the CRD before it deletes the first object, so a read that follows a DELETED event
always shows it (reference/kubernetes.md §3, hazard 3: what is not served is not empty).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from portico_operator.cluster.client import ApiError, KubeClient
from portico_operator.cluster.resources import OURS, Resource

_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Served(enum.Enum):
    """What a kind is, seen from here."""

    YES = "served, and the same as before"
    NO = "not served, or about to go"
    ANEW = "served again after it was deleted"


class Definitions:
    """The CRDs of our kinds, by uid."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._uids: dict[str, str] = {}
        self._lost: set[str] = set()

    async def check(self, kind: str) -> Served:
        """Asks the API server; `ApiError` when it cannot say."""
        resource = OURS[kind]
        try:
            found = await self._client.get(f"{_PATH}/{resource.plural}.{resource.group}")
        except ApiError as why:
            if why.status == 404:
                self._lost.add(kind)
                return Served.NO
            if why.status == 403:
                return await self._by_discovery(resource)
            raise
        metadata = found.get("metadata") or {}
        if metadata.get("deletionTimestamp") or not _is_established(found):
            self._lost.add(kind)
            return Served.NO
        return self._same(kind, str(metadata.get("uid") or ""))

    def _same(self, kind: str, uid: str) -> Served:
        before = self._uids.get(kind)
        self._uids[kind] = uid
        lost = kind in self._lost
        self._lost.discard(kind)
        if before is not None and (before != uid or (lost and not uid)):
            return Served.ANEW
        return Served.YES

    async def _by_discovery(self, resource: Resource) -> Served:
        """Without leave to read CRDs: a kind that is about to go cannot be created."""
        try:
            found = await self._client.get(f"/apis/{resource.group}/{resource.version}")
        except ApiError as why:
            if why.status != 404:
                raise
            found = {}
        for entry in found.get("resources") or ():
            if entry.get("name") == resource.plural and "create" in (entry.get("verbs") or ()):
                return self._same(resource.kind, "")
        self._lost.add(resource.kind)
        return Served.NO


def _is_established(definition: Mapping[str, Any]) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    states = {c.get("type"): c.get("status") for c in conditions if isinstance(c, dict)}
    return states.get("Established") == "True" and states.get("Terminating") != "True"
