"""StoreSink: what a reflector sees of a core kind goes into the store.

Made by `intake` and by the watch of ReferenceGrants. Promises: contents of Secrets and
ConfigMaps that nothing refers to never get past `read`; a kind that may not be read counts as
empty, and is said so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from portico_operator.cluster.client import ApiError
from portico_operator.objects import ClusterObject, Unreadable, read, version_of
from portico_operator.store import Scope, Store

_log = logging.getLogger(__name__)


class StoreSink:
    """One scope of a store."""

    def __init__(self, store: Store, scope: Scope, changed: Callable[[], None]) -> None:
        self._store = store
        self._scope = scope
        self._changed = changed
        self._absent = False

    def read(self, raw: Mapping[str, Any]) -> ClusterObject:
        """An object, without what it need not have."""
        return read(self._scope.kind, raw, self._store.needs)

    def listed(self, items: list[Any], version: int) -> None:
        """A whole list."""
        self._absent = False
        if self._store.listed(self._scope, items, version):
            self._changed()

    def event(self, type_: str, raw: Mapping[str, Any]) -> None:
        """One change."""
        if type_ == "BOOKMARK":
            version = version_of((raw.get("metadata") or {}).get("resourceVersion"))
            self._store.advanced(self._scope, version)
            return
        try:
            found = self.read(raw)
        except Unreadable as why:
            _log.warning("an event is passed over: %s", why)
            return
        if type_ == "DELETED":
            changed = self._store.delete(found.ref, found.version)
        else:
            changed = self._store.put(found)
        if changed:
            self._changed()

    def absent(self, why: ApiError) -> None:
        """May not be read, or is not served: nothing of it is known, and nobody waits for it."""
        if not self._absent:
            self._absent = True
            where = self._scope.namespace or "the cluster"
            _log.warning("%s in %s cannot be read: %s", self._scope.kind, where, why)
        if not self._store.is_listed(self._scope) and self._store.listed(self._scope, (), 0):
            self._changed()
