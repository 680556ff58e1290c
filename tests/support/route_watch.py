"""Every write on Routes, as any client of the API server sees them.

Used by the fault tests and by `make bench-scale` around a stretch whose writes are counted. A
write that leaves the generation as it was, is of the status; who edits writes the spec. Promises:
nothing that was written between its making and its closing is missed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from typing import Any

from control_plane import ControlPlane
from kubernetes_api import GROUP_VERSION, path_of

_LOOK_S = 0.01


class RouteWatch:
    """A watch on the Routes of one namespace, in a thread."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self._path = path_of(GROUP_VERSION, "Route", namespace)
        listed = plane.api.request("GET", self._path).body
        self._version = listed["metadata"]["resourceVersion"]
        everything = listed["items"]
        self._generations = {_name(item): item["metadata"]["generation"] for item in everything}
        self.programmed = {_name(item) for item in everything if _is_programmed(item)}
        """Routes that every pod serves, as their status says."""
        self.statuses: Counter[str] = Counter()
        """Writes of the status, by Route."""
        self.specs: Counter[str] = Counter()
        """Writes of the spec, by Route."""
        self._observed: dict[str, int] = {}
        self._backwards: list[str] = []
        self._plane = plane
        self._connection = http.client.HTTPSConnection(
            urllib.parse.urlsplit(plane.url).netloc,
            context=ssl.create_default_context(cafile=str(plane.ca_file)),
        )
        self._thread = threading.Thread(target=self._follow, name="watching", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        query = f"watch=true&resourceVersion={self._version}"
        headers = {"Authorization": f"Bearer {self._plane.token}"}
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            self._connection.request("GET", f"{self._path}?{query}", headers=headers)
            response = self._connection.getresponse()
            while line := response.readline():
                self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        seen = event["object"]
        name = _name(seen)
        generation = seen["metadata"].get("generation", 0)
        if event["type"] == "MODIFIED":
            same = self._generations.get(name) == generation
            (self.statuses if same else self.specs)[name] += 1
        self._generations[name] = generation
        observed = (seen.get("status") or {}).get("observedGeneration", 0)
        if observed < self._observed.get(name, 0):
            self._backwards.append(f"{name}: {self._observed[name]}, then {observed}")
        self._observed[name] = observed
        if _is_programmed(seen):
            self.programmed.add(name)

    def observed_backwards(self) -> list[str]:
        """Where a status spoke of an earlier generation than the one before it did."""
        return list(self._backwards)

    def until(self, reached: Callable[[], bool], patience: float) -> bool:
        """Whether it came true, after waiting no longer than this."""
        until = time.monotonic() + patience
        while not reached():
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_S)
        return True

    def close(self) -> None:
        """No more."""
        with contextlib.suppress(OSError, AttributeError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._connection.close()


def _name(seen: dict[str, Any]) -> str:
    return str(seen["metadata"]["name"])


def _is_programmed(seen: dict[str, Any]) -> bool:
    return any(
        each["type"] == "Programmed"
        and each["status"] == "True"
        and each.get("observedGeneration") == seen["metadata"]["generation"]
        for each in (seen.get("status") or {}).get("conditions") or ()
    )
