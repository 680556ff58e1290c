"""KeySecrets: writes the Secret of an ApiKey, and says aloud where that is refused.

Given to `mint`. The Secret belongs to its ApiKey and goes with it. Promises: a Secret is created
and never changed, so that whatever somebody else has put there stays; it begins only while there is
time left to lead; an Event says once why one cannot be made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from portico_compiler.passes.generation import WantedSecret
from portico_ir.secrets import Redacted
from portico_operator.cluster.client import ApiError, KubeClient
from portico_operator.cluster.herald import CONTROLLER
from portico_operator.cluster.resources import OURS, VERSION
from portico_operator.mint import NotMade

REASON: Final = "SecretNotMade"
_TIMEOUT_S: Final = 2.0
"""Shorter than the margin of a Lease: a write must not outlive our leading."""
_NOTE: Final = 1024
"""Bytes that Kubernetes takes."""
_INSTANCE: Final = 128


class KeySecrets:
    """Implements `mint.Secrets`."""

    def __init__(self, client: KubeClient, time_left: Callable[[], float], instance: str) -> None:
        self._client = client
        self._time_left = time_left
        self._instance = instance[:_INSTANCE]
        self._said: set[str] = set()

    async def make(self, wanted: WantedSecret, value: Redacted) -> bool:
        """Create it; False: there is one."""
        namespace = wanted.api_key.namespace
        left = self._time_left()
        if left <= 0:
            raise NotMade("this replica does not lead any more")
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": wanted.name,
                "namespace": namespace,
                "ownerReferences": [_owner(wanted)],
            },
            "type": "Opaque",
            "stringData": {wanted.entry: value.reveal()},
        }
        try:
            await self._client.request(
                "POST",
                f"/api/v1/namespaces/{namespace}/secrets",
                params={"fieldValidation": "Strict"},
                body=body,
                timeout=min(left, _TIMEOUT_S),
            )
        except ApiError as why:
            if why.status == 409 and why.reason == "AlreadyExists":
                return False
            if 400 <= why.status < 500:
                await self._announce(wanted, str(why))
            raise NotMade(str(why)) from why
        return True

    async def _announce(self, wanted: WantedSecret, why: str) -> None:
        """Waiting mends no refusal: somebody must be told."""
        event = _event(wanted, why, self._instance)
        name = event["metadata"]["name"]
        if name in self._said:
            return
        path = f"/apis/events.k8s.io/v1/namespaces/{wanted.api_key.namespace}/events"
        try:
            await self._client.request("POST", path, body=event, timeout=_TIMEOUT_S)
        except ApiError as refused:
            if refused.status != 409:  # it was said before us
                return
        self._said.add(name)


def _owner(wanted: WantedSecret) -> dict[str, Any]:
    return {
        "apiVersion": f"{OURS['ApiKey'].group}/{VERSION}",
        "kind": "ApiKey",
        "name": wanted.api_key.name,
        "uid": wanted.uid,
    }


def _event(wanted: WantedSecret, why: str, instance: str) -> dict[str, Any]:
    key = wanted.api_key
    told = hashlib.sha256(f"{wanted.uid}/{wanted.name}/{why}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{key.name[:200]}.{told}", "namespace": key.namespace},
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
        "action": "MakeSecret",
        "reason": REASON,
        "type": "Warning",
        "regarding": {**_owner(wanted), "namespace": key.namespace},
        "note": f"Secret {wanted.name} cannot be made: {why}"[:_NOTE],
    }
