"""An API server of a few answers, for tests of what one module makes of each.

What a real server does is tests/cluster's business; here answers are scripted that a real one
gives seldom: expired pages, lost answers, forbidden kinds.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from portico_operator.cluster.client import ApiError, Credentials, KubeClient

Answer = Any
"""A decoded body, or an ApiError to raise."""


class FakeKube(KubeClient):
    """Answers by method and path; what is not scripted is 404."""

    def __init__(self) -> None:
        super().__init__(Credentials(server="http://api.example"))
        self.answers: dict[tuple[str, str], Answer | list[Answer] | Callable[..., Answer]] = {}
        """A list is used up from the front, its last entry stays."""
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.streams: list[list[Any]] = []
        """Watches, each a list of events; an ApiError ends one. Without any it stays open."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float | None = None,
    ) -> bytes:
        """The next scripted answer."""
        self.asked.append((method, path, dict(params or {}), body))
        await asyncio.sleep(0)
        answer = self.answers.get((method, path), error(404))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(dict(params or {}), body)
        if isinstance(answer, ApiError):
            raise answer
        return json.dumps(answer).encode()

    async def watch(
        self, path: str, params: Mapping[str, str], silence: float
    ) -> AsyncGenerator[bytes, None]:
        """The next scripted watch."""
        self.asked.append(("WATCH", path, dict(params), None))
        if not self.streams:
            await asyncio.Event().wait()
        for event in self.streams.pop(0):
            if isinstance(event, ApiError):
                raise event
            yield json.dumps(event).encode()


def error(status: int, reason: str = "") -> ApiError:
    """What the API server refuses with."""
    return ApiError(status, reason, f"scripted {status}")


def listing(*items: Mapping[str, Any], version: int = 10, more: str = "") -> dict[str, Any]:
    """A page of a list."""
    metadata = {"resourceVersion": str(version)} | ({"continue": more} if more else {})
    return {"metadata": metadata, "items": list(items)}


def item(name: str, version: int, namespace: str = "n", **more: Any) -> dict[str, Any]:
    """An object as a list holds it."""
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"u-{name}",
        "resourceVersion": str(version),
        "generation": version,
    }
    return {"metadata": metadata, "spec": {}, **more}


async def until(holds: Callable[[], object]) -> None:
    """Turns of the loop until something holds; a bound, not an expectation."""
    for _ in range(2_000):
        if holds():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not come to hold")
