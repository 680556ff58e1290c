"""GrantWatch: ReferenceGrants, where the cluster has them; discovered, and discovered again.

Run by `intake`. They are Gateway API's kind and optional: without them there is no grant, and a
reference stays in its namespace (design.md §3, §5 item 3).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from portico_operator.cluster.client import ApiError, KubeClient
from portico_operator.cluster.reflector import Reflector
from portico_operator.cluster.resources import GRANTS, Resource
from portico_operator.cluster.sinks import StoreSink
from portico_operator.store import Scope, Store
from portico_operator.tasks import end, spawn

_log = logging.getLogger(__name__)
KIND = "ReferenceGrant"


class GrantWatch:
    """ReferenceGrants into a store."""

    def __init__(
        self,
        client: KubeClient,
        store: Store,
        changed: Callable[[], None],
        namespaces: tuple[str, ...],
        every: float = 30.0,
    ) -> None:
        self._client = client
        self._store = store
        self._changed = changed
        self._every = every
        self.scopes = tuple(Scope(KIND, namespace) for namespace in namespaces)
        """What the store waits for: a list, or the finding that there is none."""

    async def run(self) -> None:
        """Until cancelled."""
        serving: Resource | None = None
        running: list[asyncio.Task[None]] = []
        try:
            while True:
                try:
                    found = await self._discover()
                except ApiError as why:
                    _log.info("cannot tell whether ReferenceGrants are served: %s", why)
                    await asyncio.sleep(1.0)
                    continue
                if found != serving or not self._known():
                    await end(running)
                    running = self._follow(found)
                    serving = found
                await asyncio.sleep(self._every)
        finally:
            await end(running)

    def _known(self) -> bool:
        return all(self._store.is_listed(scope) for scope in self.scopes)

    def _follow(self, resource: Resource | None) -> list[asyncio.Task[None]]:
        if resource is None:
            changed = False
            for scope in self.scopes:
                changed |= self._store.listed(scope, (), self._store.sequence)
            if changed:
                self._changed()
            return []
        return [
            spawn(
                Reflector(
                    self._client,
                    resource,
                    scope.namespace,
                    StoreSink(self._store, scope, self._changed),
                ).run(),
                name=f"reflector {KIND} {scope.namespace}",
            )
            for scope in self.scopes
        ]

    async def _discover(self) -> Resource | None:
        """The first version that is served."""
        for resource in GRANTS:
            try:
                found = await self._client.get(f"/apis/{resource.group}/{resource.version}")
            except ApiError as why:
                if why.status in (403, 404):
                    continue
                raise
            if any(entry.get("name") == resource.plural for entry in found.get("resources") or ()):
                return resource
        return None
