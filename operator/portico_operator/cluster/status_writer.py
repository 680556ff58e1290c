"""StatusWriter: applies statuses, many at once, at a bounded rate, and only while leading.

Called by the status loop. Promises: server-side apply on /status with the object's uid, so that a
status never lands on a namesake; 200 a second with a burst; nothing is sent once the Lease could
be somebody else's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from portico_compiler import ObjectRef
from portico_operator.cluster.client import APPLY, ApiError, KubeClient, decode
from portico_operator.cluster.resources import OURS, VERSION
from portico_operator.objects import ClusterObject, Unreadable, read

_log = logging.getLogger(__name__)

FIELD_MANAGER = "portico-operator"
RATE = 200.0
"""Writes a second, in the long run."""
BURST = 400.0
"""Writes at once, after a quiet time."""
_TIMEOUT_S = 2.0
"""Shorter than the margin of a Lease: a write must not outlive our leading."""


class Outcome(NamedTuple):
    """What became of a write."""

    written: ClusterObject | None
    """The object as it is now; None: not written."""
    retry: bool
    """It is worth trying again."""


class StatusWriter:
    """Writes while `may_write` says so."""

    def __init__(
        self,
        client: KubeClient,
        may_write: Callable[[], bool],
        *,
        rate: float = RATE,
        burst: float = BURST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._may_write = may_write
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = clock()

    def room(self) -> int:
        """How many writes may begin now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return int(self._tokens)

    async def write(self, ref: ObjectRef, uid: str, status: dict[str, Any]) -> Outcome:
        """One status; never raises for what the API server says."""
        self._tokens -= 1
        if not self._may_write():
            return Outcome(None, retry=False)
        resource = OURS[ref.kind]
        metadata = {"name": ref.name, "uid": uid}
        if ref.namespace:
            metadata["namespace"] = ref.namespace
        body = {
            "apiVersion": f"{resource.group}/{VERSION}",
            "kind": ref.kind,
            "metadata": metadata,
            "status": status,
        }
        try:
            answer = await self._client.request(
                "PATCH",
                resource.path(ref.namespace, ref.name, "status"),
                params={
                    "fieldManager": FIELD_MANAGER,
                    "force": "true",
                    "fieldValidation": "Strict",
                },
                body=body,
                content_type=APPLY,
                timeout=_TIMEOUT_S,
            )
            return Outcome(read(ref.kind, decode(answer)), retry=False)
        except ApiError as why:
            return _failed(ref, why)
        except Unreadable:
            return Outcome(None, retry=False)


def _failed(ref: ObjectRef, why: ApiError) -> Outcome:
    if why.status in (404, 409):
        # Deleted, or a namesake by now: its own event says what it needs.
        return Outcome(None, retry=False)
    if why.status in (400, 403, 422):
        _log.error("the status of %s is refused: %s", ref, why)
        return Outcome(None, retry=False)
    _log.warning("the status of %s could not be written: %s", ref, why)
    return Outcome(None, retry=True)


async def write_all(
    writer: StatusWriter,
    writes: list[tuple[ObjectRef, str, dict[str, Any]]],
    done: Callable[[ObjectRef, Outcome], None],
    width: int = 16,
) -> None:
    """Several at once; `done` is told of each."""
    waiting = iter(writes)

    async def one_after_another() -> None:
        for ref, uid, status in waiting:
            done(ref, await writer.write(ref, uid, status))

    await asyncio.gather(*(one_after_another() for _ in range(min(width, len(writes)))))
