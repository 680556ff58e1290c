"""The objects of `make bench-scale`: made, edited and removed, as fast as an API server takes them.

Called by the scenarios. Promises: what `populate` returns from has been answered by the API
server; names and hosts are known without asking for them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from kubernetes_api import GROUP_VERSION, KubernetesApi
from manifests import manifest, route

SERVICE = "things"
WRITERS = 4
PART = "part"
PARTS = 25
"""Routes carry a label, so that several clients can share them out."""


class Shape(NamedTuple):
    """So many APIs with so many Routes each."""

    apis: int
    routes: int

    @property
    def total(self) -> int:
        """Routes in all."""
        return self.apis * self.routes


class World:
    """What one namespace holds."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._serial = itertools.count(1)
        self._edited: dict[tuple[int, int], str] = {}
        self.shape = Shape(0, 0)

    # -- names

    def host(self, api: int) -> str:
        """Of the API's default endpoint."""
        return f"api-{api:03}.{self._namespace}.localhost"

    def route_name(self, api: int, number: int) -> str:
        """Of a Route."""
        return f"r-{api:03}-{number:05}"

    def path(self, api: int, number: int) -> str:
        """Where a Route answers now."""
        return self._edited.get((api, number)) or f"/things-{number:05}/of-{api:03}"

    def samples(self, count: int) -> list[tuple[str, str]]:
        """(host, path) of Routes all over this world."""
        step = max(1, self.shape.total // count)
        chosen = [divmod(index, self.shape.routes) for index in range(0, self.shape.total, step)]
        return [(self.host(a), self.path(a, n)) for a, n in chosen]

    # -- objects

    def populate(self, shape: Shape) -> float:
        """Replaces what there is; the moment of the last answer (monotonic)."""
        self.clear()
        self.shape = shape
        names = (f"api-{api:03}" for api in range(shape.apis))
        apis = (manifest("RestApi", name, {}, self._namespace) for name in names)
        self._all(self._api.create, apis)
        self._all(self._api.create, self._routes())
        return time.monotonic()

    def _routes(self) -> Iterator[dict[str, Any]]:
        for api in range(self.shape.apis):
            for number in range(self.shape.routes):
                body = route(
                    self.route_name(api, number),
                    f"GET {self.path(api, number)}",
                    api=f"api-{api:03}",
                    integration={"service": {"name": SERVICE, "port": 80}},
                )
                body["metadata"]["namespace"] = self._namespace
                body["metadata"]["labels"] = {PART: str((api + number) % PARTS)}
                yield body

    def _all(self, write: Callable[[Any], Any], bodies: Iterable[Any]) -> None:
        with ThreadPoolExecutor(WRITERS) as pool:
            for _ in pool.map(write, bodies):
                pass

    def clear(self) -> None:
        """No API and no Route. One by one: a collection of thousands takes an API server longer
        than anybody waits for an answer."""
        self._edited.clear()
        for kind in ("Route", "RestApi"):
            items = self._api.list(GROUP_VERSION, kind, self._namespace)
            names = [item["metadata"]["name"] for item in items]
            self._all(partial(self._delete, kind), names)

    def _delete(self, kind: str, name: str) -> None:
        self._api.delete(GROUP_VERSION, kind, name, self._namespace)

    # -- edits

    def edit(self, api: int, number: int) -> tuple[str, str, float]:
        """Gives a Route a new path; host, path and when the API server answered."""
        path = f"/edits/{next(self._serial)}"
        self.patch(api, number, {"routeKey": f"GET {path}"})
        self._edited[api, number] = path
        return self.host(api), path, time.monotonic()

    def retarget(self, api: int, number: int) -> None:
        """Sends a Route's requests elsewhere on its backend: it must answer all the while."""
        service = {"name": SERVICE, "port": 80, "path": f"/elsewhere/{next(self._serial)}"}
        self.patch(api, number, {"integration": {"service": service}})

    def patch(self, api: int, number: int, spec: dict[str, Any]) -> None:
        """Changes fields of a Route's spec."""
        name = self.route_name(api, number)
        self._api.patch(GROUP_VERSION, "Route", name, {"spec": spec}, self._namespace)
