"""Herald: writes statuses as a StatusWriter does, and first says aloud which address goes with one.

Given to the status loop in the writer's place. A Stage that is written as established ends the
implicit `$default` of its API (design.md §3: an Event names the lost address). The Event comes
before the status, so that no replica can take the address away unsaid; its name follows from API
and Stage, so that it is there once however often the write is tried. Promises: an Event that the
API server refuses holds up no status.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from portico_compiler import Object, ObjectRef
from portico_operator.cluster.client import ApiError, KubeClient
from portico_operator.cluster.resources import OURS, VERSION
from portico_operator.establishment import is_established
from portico_operator.refusals import api_of
from portico_operator.status_loop import Done, Writer
from portico_operator.tasks import end, spawn

_log = logging.getLogger(__name__)

CONTROLLER = "portico.dev/operator"
REASON = "DefaultStageEnded"
_NOTE = 1024
"""Bytes that Kubernetes takes."""
_INSTANCE = 128
_TIMEOUT_S = 2.0
"""Shorter than the margin of a Lease, as for statuses."""


class Herald:
    """Implements `status_loop.Writer`."""

    def __init__(
        self,
        client: KubeClient,
        writer: Writer,
        *,
        find: Callable[[ObjectRef], Object | None],
        provisional: Callable[[], Mapping[ObjectRef, str]],
        leads: Callable[[], bool],
        instance: str,
    ) -> None:
        """`provisional`: API to the address that it loses once a Stage of it is programmed."""
        self._client = client
        self._writer = writer
        self._find = find
        self._provisional = provisional
        self._leads = leads
        self._instance = instance[:_INSTANCE]
        self._said: set[ObjectRef] = set()
        """APIs whose address is still there, and of which the Event is."""
        self._under_way: set[asyncio.Task[None]] = set()

    def room(self) -> int:
        """How many writes may begin now."""
        return self._writer.room()

    def next_time(self) -> float:
        """When there may be room without a write ending."""
        return self._writer.next_time()

    def begin(self, ref: ObjectRef, uid: str, status: dict[str, Any], done: Done) -> None:
        """One write; returns at once."""
        event = self._due(ref, status)
        if event is None:
            self._writer.begin(ref, uid, status, done)
            return
        task = spawn(self._announce(event, ref, uid, status, done), name="lost address")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Cut what is under way."""
        await end(list(self._under_way))
        await self._writer.close()

    def _due(self, ref: ObjectRef, status: Mapping[str, Any]) -> dict[str, Any] | None:
        """The Event that must come before this status, if any."""
        stage = self._find(ref) if ref.kind == "Stage" else None
        if stage is None or stage.established:
            return None
        api = api_of(stage)
        if api is None or not is_established(status, api):
            return None
        addresses = self._provisional()
        self._said &= addresses.keys()
        known = self._find(api)
        if api not in addresses or api in self._said or known is None:
            return None
        return _event(known, stage, addresses[api], self._instance)

    async def _announce(
        self,
        event: dict[str, Any],
        ref: ObjectRef,
        uid: str,
        status: dict[str, Any],
        done: Done,
    ) -> None:
        namespace = event["metadata"]["namespace"]
        path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
        if self._leads():
            try:
                await self._client.send("POST", path, event, timeout=_TIMEOUT_S)
            except ApiError as why:
                if why.status != 409:  # It is there: this is another try at the status.
                    _log.warning("an Event could not be written: %s", why)
            regarding = event["regarding"]
            self._said.add(ObjectRef(regarding["kind"], namespace, regarding["name"]))
            _log.info("an address goes: %s", event["note"])
        self._writer.begin(ref, uid, status, done)


def _event(api: Object, stage: Object, address: str, instance: str) -> dict[str, Any]:
    both = f"{api.uid}/{stage.uid}".encode()
    note = (
        f"{address} is gone: {stage.ref} was programmed, and with it the implicit $default stage"
        " ends; spec.defaultStage Always keeps it"
    )
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{api.ref.name}.{hashlib.sha256(both).hexdigest()[:16]}",
            "namespace": api.ref.namespace,
        },
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
        "action": "EndDefaultStage",
        "reason": REASON,
        "type": "Normal",
        "regarding": _reference(api),
        "related": _reference(stage),
        "note": note[:_NOTE],
    }


def _reference(object_: Object) -> dict[str, str]:
    ref = object_.ref
    return {
        "apiVersion": f"{OURS[ref.kind].group}/{VERSION}",
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "uid": object_.uid,
    }
