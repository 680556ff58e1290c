"""RevisionStore: ControllerRevisions of ours are written, found and removed.

Used by the capture loop, while this replica leads. Promises: nothing that exists is ever written
over; a part that is there already counts when it holds what it should, and is replaced when not;
removing names the uid, so that a namesake stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from portico_compiler import ObjectRef
from portico_compiler.inventory import API_KINDS
from portico_compiler.manifests.kinds import OUR_VERSIONS
from portico_compiler.passes.captures import Candidate
from portico_compiler.revisions import packing
from portico_operator.captures import Kept
from portico_operator.cluster.client import ApiError, KubeClient
from portico_operator.cluster.listing import METADATA, list_all
from portico_operator.cluster.resources import CORE

_CONFLICT = 409
_TIMEOUT_S = 2.0
"""Shorter than the margin of a Lease: a write must not outlive our leading."""


class Found(NamedTuple):
    """Every ControllerRevision that is labelled as ours."""

    kept: list[Kept]
    """Without contents."""
    version: int
    """resourceVersion of the list."""


class NotLeading(Exception):
    """This replica must not write any more."""


class RevisionStore:
    """ControllerRevisions of one cluster."""

    def __init__(
        self, client: KubeClient, may_write: Callable[[], bool], namespaces: Collection[str]
    ) -> None:
        """`namespaces` are those that are served; empty: all."""
        self._client = client
        self._may_write = may_write
        self._namespaces = tuple(namespaces) or ("",)
        self._resource = CORE[packing.KIND]

    async def take(self, candidate: Candidate) -> bool:
        """Writes what is to be taken, the head last; False: another leader was quicker."""
        assert candidate.captured is not None
        owner = {
            "apiVersion": OUR_VERSIONS[0],
            "kind": candidate.api.kind,
            "name": candidate.api.name,
            "uid": candidate.origin.api.uid,
            # Otherwise a controller whose selector fits might adopt it.
            "controller": True,
        }
        namespace = candidate.api.namespace
        # Off the loop: a megabyte is compressed.
        *parts, head = await asyncio.to_thread(
            packing.pack, candidate.captured, candidate.revision, namespace, candidate.origin, owner
        )
        for part in parts:
            if not await self._create(part):
                await self._settle(part)
        return await self._create(head)

    async def find(self) -> Found:
        """Everything there is, metadata only."""
        kept: list[Kept] = []
        versions: list[int] = []
        for namespace in self._namespaces:
            listing = await list_all(
                self._client, self._resource, namespace, _kept, accept=METADATA
            )
            kept += listing.items
            versions.append(listing.version)
        return Found(kept, max(versions))

    async def remove(self, part: Kept) -> None:
        """One ControllerRevision, unless it is another one by now."""
        path = self._resource.path(part.namespace, part.name)
        await self._delete(path, part.uid)

    async def _create(self, manifest: Mapping[str, Any]) -> bool:
        """False: there is one of this name."""
        self._check()
        path = self._resource.path(manifest["metadata"]["namespace"])
        try:
            await self._client.send("POST", path, manifest, timeout=_TIMEOUT_S)
        except ApiError as why:
            if why.status == _CONFLICT:
                return False
            raise
        return True

    async def _settle(self, wanted: Mapping[str, Any]) -> None:
        """A part that is there: good, or in the way."""
        metadata = wanted["metadata"]
        path = self._resource.path(metadata["namespace"], metadata["name"])
        there = await self._client.get(path)
        if packing.holds_the_same(there.get("data"), wanted["data"]):
            return
        await self._delete(path, str((there.get("metadata") or {}).get("uid") or ""))
        await self._create(wanted)

    async def _delete(self, path: str, uid: str) -> None:
        self._check()
        body = {"preconditions": {"uid": uid}}
        try:
            await self._client.send("DELETE", path, body, timeout=_TIMEOUT_S)
        except ApiError as why:
            if why.status not in (404, _CONFLICT):
                raise

    def _check(self) -> None:
        if not self._may_write():
            raise NotLeading("this replica leads no more")


def _kept(raw: Mapping[str, Any]) -> Kept:
    metadata = raw.get("metadata") or {}
    namespace = str(metadata.get("namespace") or "")
    labels = metadata.get("labels") or {}
    api, uid = None, ""
    for owner in metadata.get("ownerReferences") or ():
        group = str(owner.get("apiVersion") or "").partition("/")[0]
        if group == OUR_VERSIONS[0].partition("/")[0] and owner.get("kind") in API_KINDS:
            api = ObjectRef(str(owner["kind"]), namespace, str(owner.get("name") or ""))
            uid = str(owner.get("uid") or "")
    return Kept(
        namespace,
        str(metadata.get("name") or ""),
        str(metadata.get("uid") or ""),
        str(labels.get(packing.LABEL) or ""),
        api,
        uid,
    )
