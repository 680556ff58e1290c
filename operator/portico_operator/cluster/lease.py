"""Lease: the election of the one replica that writes, over coordination.k8s.io.

Run beside everything else; asked by the status writer before each write. What to do and when is
`election`'s; this module reads and writes the object. Promises: only this module's clock counts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from portico_operator.cluster.client import ApiError, KubeClient, decode
from portico_operator.election import TERMS, Election, Record, Terms, Write

_log = logging.getLogger(__name__)


class Lease:
    """One Lease and this replica's part in it."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        name: str,
        identity: str,
        terms: Terms = TERMS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name
        self._clock = clock
        self._election = Election(identity, terms)
        self._led = False
        self._changed: list[Callable[[bool], None]] = []

    def is_leader(self) -> bool:
        """Whether this replica may write now."""
        return self._election.leads(self._clock())

    def time_left(self) -> float:
        """Seconds that a write may take which begins now; 0: this replica may not write."""
        return self._election.time_left(self._clock())

    @property
    def term(self) -> int:
        """How often the Lease has changed hands: higher for whoever leads later."""
        return self._election.transitions

    @property
    def holder(self) -> str:
        """Who leads, as far as this replica knows; empty: nobody."""
        return self._election.holder

    def subscribe(self, changed: Callable[[bool], None]) -> None:
        """`changed(leads)` is called when that changes."""
        self._changed.append(changed)

    async def run(self) -> None:
        """Until cancelled; then the Lease is released."""
        terms = self._election.terms
        try:
            while True:
                await self._step()
                self._announce()
                await asyncio.sleep(terms.renew_every if self._led else terms.renew_every / 2)
        finally:
            await self._release()
            self._announce()

    async def _step(self) -> None:
        limit = self._election.terms.margin
        try:
            async with asyncio.timeout(limit):
                if not self._led:
                    self._election.observed(await self._read(), self._clock())
                wanted = self._election.wanted(self._clock())
                if wanted is not None:
                    sent = self._clock()
                    self._election.written(await self._write(wanted), sent)
                    if wanted.acquired:
                        _log.info("this replica leads", extra={"lease": self._name})
        except TimeoutError:
            _log.warning("the Lease could not be renewed in time")
        except ApiError as why:
            if why.status in (404, 409):
                # Somebody else was quicker, or deleted it: look again before anything is written.
                await self._look()
            else:
                _log.warning("the Lease could not be read or written: %s", why)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(self._election.terms.margin):
                self._election.observed(await self._read(), self._clock())
        except (ApiError, TimeoutError) as why:
            _log.warning("the Lease could not be read: %s", str(why) or "timeout")

    async def _release(self) -> None:
        wanted = self._election.release()
        if wanted is None:
            return
        try:
            async with asyncio.timeout(1.0):
                await self._write(wanted)
        except (ApiError, TimeoutError) as why:
            _log.info("the Lease was not released: %s", str(why) or "timeout")

    def _announce(self) -> None:
        leads = self.is_leader()
        if leads == self._led:
            return
        self._led = leads
        if not leads:
            _log.info("this replica no longer leads")
        for changed in self._changed:
            changed(leads)

    async def _read(self) -> Record | None:
        try:
            return _record(await self._client.get(f"{self._collection}/{self._name}"))
        except ApiError as why:
            if why.status == 404:
                return None
            raise

    async def _write(self, wanted: Write) -> Record:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = {
            "holderIdentity": wanted.holder,
            "leaseDurationSeconds": math.ceil(self._election.terms.duration),
            "leaseTransitions": wanted.transitions,
            # For people; nobody's election may depend on it.
            "renewTime": now,
        }
        metadata = {"name": self._name}
        body: dict[str, Any] = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }
        if not wanted.version:
            spec["acquireTime"] = now
            answer = await self._client.request("POST", self._collection, body=body)
        else:
            metadata["resourceVersion"] = wanted.version
            if wanted.acquired:
                spec["acquireTime"] = now
            answer = await self._client.request(
                "PATCH",
                f"{self._collection}/{self._name}",
                body=body,
                content_type="application/merge-patch+json",
            )
        return _record(decode(answer))


def _record(raw: Mapping[str, Any]) -> Record:
    spec = raw.get("spec") or {}
    return Record(
        holder=str(spec.get("holderIdentity") or ""),
        transitions=int(spec.get("leaseTransitions") or 0),
        duration=float(spec.get("leaseDurationSeconds") or 0),
        version=str((raw.get("metadata") or {}).get("resourceVersion") or ""),
    )
