"""PodWatch: the pods behind the data plane's Service, kept by a reflector.

Run by `app`; read by status (who must acknowledge) and by delivery (whose tokens count). Promises:
nothing is said of pods before the first whole list; a pod that has left is remembered as gone.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from portico_operator.cluster.client import ApiError, KubeClient
from portico_operator.cluster.reflector import Reflector
from portico_operator.cluster.resources import CORE
from portico_operator.pods import PodState, pods_of

_log = logging.getLogger(__name__)
_REMEMBERED = 10_000


class PodWatch:
    """Implements `reflector.Sink`."""

    def __init__(
        self, client: KubeClient, namespace: str, service: str, changed: Callable[[], None]
    ) -> None:
        self._slices: dict[str, dict[str, Any]] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._changed = changed
        self.states: Mapping[str, PodState] = {}
        """Pod uid to state."""
        self.known = False
        """There was a list, or the finding that there may be none."""
        self._reflector = Reflector(
            client,
            CORE["EndpointSlice"],
            namespace,
            self,
            selector=f"kubernetes.io/service-name={service}",
        )

    async def run(self) -> None:
        """Until cancelled."""
        await self._reflector.run()

    def is_gone(self, uid: str) -> bool:
        """Whether this pod was there and is no more."""
        return uid in self._gone

    def read(self, raw: Mapping[str, Any]) -> Any:
        """Kept as it is: there are few."""
        return raw

    def listed(self, items: list[Any], version: int) -> None:
        """A whole list."""
        self._slices = {_name(raw): dict(raw) for raw in items}
        self._update()

    def event(self, type_: str, raw: Mapping[str, Any]) -> None:
        """One change."""
        if type_ == "DELETED":
            self._slices.pop(_name(raw), None)
        elif type_ in ("ADDED", "MODIFIED"):
            self._slices[_name(raw)] = dict(raw)
        else:
            return
        self._update()

    def absent(self, why: ApiError) -> None:
        """May not be read: what was known stays."""
        if not self.known:
            _log.error("the pods of the data plane cannot be listed: %s", why)
            self.known = True
            self._changed()

    def _update(self) -> None:
        states = pods_of(self._slices.values())
        for uid in self.states.keys() - states.keys():
            self._gone[uid] = None
        for uid in states:
            self._gone.pop(uid, None)
        while len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)
        self.states = states
        self.known = True
        self._changed()


def _name(raw: Mapping[str, Any]) -> str:
    return str((raw.get("metadata") or {}).get("name"))
