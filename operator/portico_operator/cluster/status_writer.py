"""StatusWriter: applies statuses, many in flight over pooled connections, only while leading.

Called by the status loop, which decides whose turn it is. Promises: server-side apply on /status
with the object's uid, so that a status never lands on a namesake; as fast as `write_flow` lets it;
nothing is under way once the Lease could be somebody else's; every write that is begun is answered
for, and whatever the API server says is an outcome, never an exception.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from portico_compiler import ObjectRef
from portico_operator.cluster.client import APPLY, ApiError, KubeClient, decode
from portico_operator.cluster.resources import OURS, VERSION
from portico_operator.objects import ClusterObject, Unreadable, read
from portico_operator.tasks import end, spawn
from portico_operator.write_flow import WriteFlow

_log = logging.getLogger(__name__)

FIELD_MANAGER = "portico-operator"
_LONGEST_S = 10.0
"""A write that is given up has cost the API server its work, and a connection: patience is
cheaper, as long as it does not outlive our leading."""
_AHEAD_S = 0.5
"""This long before others may lead it is given up, whatever becomes of it."""
_PARAMETERS = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
_BUSY = frozenset({0, 429, 502, 503, 504})
"""Says something about the server and nothing about the object; 0: no answer in time."""
_AGAIN_S: Final = {404: 1.0, 409: 0.2, 500: 1.0}
"""Gone, or an API server that is just starting; a namesake by now, or somebody was quicker; a
webhook that failed. If it is about the object, its own event says so in the meantime."""
_REFUSED_S: Final = 10.0
"""Another version of the CRD, a missing right: until somebody does something about it."""
_SAID_EVERY_S: Final = 10.0


class Outcome(NamedTuple):
    """What became of a write."""

    written: ClusterObject | None
    """The object as it is now; None: not written."""
    again: float | None = None
    """Seconds after which it is worth trying again; None: it was written, or others lead."""


Done = Callable[[ObjectRef, Outcome], None]


class StatusWriter:
    """Writes while this replica leads."""

    def __init__(
        self,
        client: KubeClient,
        time_left: Callable[[], float],
        *,
        flow: WriteFlow | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`time_left`: seconds until others may lead; 0: they may now."""
        self._client = client
        self._time_left = time_left
        self._clock = clock
        self._flow = flow or WriteFlow(clock())
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._said: dict[int, float] = {}
        """Status of a refusal to when it was logged."""

    def room(self) -> int:
        """How many writes may begin now."""
        return self._flow.room(self._clock())

    def next_time(self) -> float:
        """When there may be room without a write ending."""
        return self._flow.next_time(self._clock())

    def begin(self, ref: ObjectRef, uid: str, status: dict[str, Any], done: Done) -> None:
        """One status; returns at once, and `done` is told what became of it."""
        self._flow.begun(self._clock())
        task = spawn(self._write(ref, uid, status, done), name="status write")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Cut what is under way: nobody is told of it any more."""
        self._is_closed = True
        await end(list(self._under_way))

    async def _write(self, ref: ObjectRef, uid: str, status: dict[str, Any], done: Done) -> None:
        began = self._clock()
        outcome: Outcome | None = Outcome(None, _REFUSED_S)
        try:
            seconds = min(_LONGEST_S, self._time_left() - _AHEAD_S)
            if seconds <= 0:
                outcome = Outcome(None)
                return
            try:
                written = await self._apply(ref, uid, status, seconds)
            except ApiError as why:
                outcome = Outcome(None, self._failed(ref, why, began))
            else:
                self._flow.answered(self._clock() - began)
                outcome = Outcome(written)
        except asyncio.CancelledError:
            if self._is_closed:
                outcome = None
            raise
        finally:
            # Whatever became of it: an object that nobody answers for is never written again.
            self._flow.ended()
            if outcome is not None:
                done(ref, outcome)

    async def _apply(
        self, ref: ObjectRef, uid: str, status: dict[str, Any], seconds: float
    ) -> ClusterObject:
        resource = OURS[ref.kind]
        metadata = {"name": ref.name, "uid": uid}
        if ref.namespace:
            metadata["namespace"] = ref.namespace
        answer = await self._client.request(
            "PATCH",
            resource.path(ref.namespace, ref.name, "status"),
            params=_PARAMETERS,
            body={
                "apiVersion": f"{resource.group}/{VERSION}",
                "kind": ref.kind,
                "metadata": metadata,
                "status": status,
            },
            content_type=APPLY,
            timeout=seconds,
        )
        try:
            return read(ref.kind, decode(answer))
        except Unreadable as why:
            raise ApiError(0, "Undecodable", f"the answer is no object: {why}") from why

    def _failed(self, ref: ObjectRef, why: ApiError, began: float) -> float:
        """Seconds after which to try again."""
        now = self._clock()
        if now - self._said.get(why.status, -_SAID_EVERY_S) >= _SAID_EVERY_S:
            self._said[why.status] = now
            _log.warning("the status of %s could not be written: %s", ref, why)
        if why.status in _BUSY:
            self._flow.set_back(began, now, why.retry_after)
            return 0.0
        self._flow.answered(now - began)
        return max(why.retry_after or 0.0, _AGAIN_S.get(why.status, _REFUSED_S))
