"""Reflector: one kind in one scope, kept as the API server has it: list, watch, bookmarks, 410.

Made by `intake` for Kubernetes' own kinds, where something refers to them. Promises: the sink
gets a whole list first, then every change in order; after any interruption the watch goes on where
it was, and where the server no longer knows that version (410) there is a whole list again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from portico_operator.cluster.client import ApiError, KubeClient, decode
from portico_operator.cluster.listing import list_all
from portico_operator.cluster.resources import Resource

_log = logging.getLogger(__name__)

_GONE = 410
_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
WATCH_S = 540
"""timeoutSeconds of a watch; servers end them by then anyway."""
SILENCE_S = 90.0
"""A watch without even a bookmark (one a minute) is dead."""


class Sink(Protocol):
    """Who is told."""

    def read(self, raw: Mapping[str, Any]) -> Any:
        """An object as the sink keeps it; called before more is asked for."""
        ...

    def listed(self, items: list[Any], version: int) -> None:
        """A whole list."""
        ...

    def event(self, type_: str, raw: Mapping[str, Any]) -> None:
        """One change: ADDED, MODIFIED, DELETED or BOOKMARK."""
        ...

    def absent(self, why: ApiError) -> None:
        """The kind is not served here, or may not be read."""
        ...


class Reflector:
    """One list and watch."""

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        namespace: str,
        sink: Sink,
        *,
        selector: str = "",
        absent_every: float = 30.0,
    ) -> None:
        self._client = client
        self._resource = resource
        self._path, self._parameters = resource.scope(namespace)
        self._namespace = namespace
        self._sink = sink
        self._selector = selector
        self._absent_every = absent_every

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            try:
                version = await self._list()
                failures = 0
                await self._watch(version)
            except ApiError as why:
                if why.status in (403, 404):
                    self._sink.absent(why)
                    await asyncio.sleep(self._absent_every)
                    continue
                pause = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
                failures += 1
                _log.log(
                    logging.WARNING if failures > 2 else logging.INFO,
                    "cannot list or watch %s %s: %s",
                    self._resource.plural,
                    self._namespace,
                    why,
                )
                await asyncio.sleep(pause)

    async def _list(self) -> str:
        found = await list_all(
            self._client,
            self._resource,
            self._namespace,
            self._sink.read,
            selector=self._selector,
        )
        self._sink.listed(found.items, found.version)
        return found.version_text

    async def _watch(self, version: str) -> None:
        """Until the version is no longer known."""
        failures = 0
        while True:
            try:
                version, known = await self._stream(version)
            except ApiError as why:
                if why.status in (403, 404):
                    raise
                known = why.status != _GONE
                failures += 1
                await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
            else:
                failures = 0
            if not known:
                return

    async def _stream(self, version: str) -> tuple[str, bool]:
        """One watch: the version it came to, and whether the server still knows it."""
        params = self._parameters | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_S),
        }
        if self._selector:
            params["labelSelector"] = self._selector
        stream = self._client.watch(self._path, params, SILENCE_S)
        try:
            async for line in stream:
                event = decode(line)
                type_, raw = event.get("type"), event.get("object") or {}
                if type_ == "ERROR":
                    if raw.get("code") == _GONE:
                        return version, False
                    raise ApiError(int(raw.get("code") or 0), "", str(raw.get("message")))
                version = str((raw.get("metadata") or {}).get("resourceVersion") or version)
                self._sink.event(str(type_), raw)
        finally:
            await stream.aclose()
        return version, True
