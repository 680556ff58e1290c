"""Running a conformance case: its steps one by one, and what differed.

Called by the runner and by the pytest suite. Promises: an empty list means every expectation of
the case held; otherwise each entry names the step and what differed.
"""

from __future__ import annotations

import base64
import traceback
from typing import Any
from urllib.parse import quote

from msgspec import UNSET

from conformance_backends import BackendServer, Received
from conformance_cases import (
    BackendExpectation,
    Case,
    Close,
    Connect,
    Conversion,
    Exchange,
    Expectation,
    Post,
    Receive,
    Request,
    Send,
    Step,
    Template,
)
from conformance_client import NoAnswer, Response, exchange
from conformance_connections import Clients, signed_headers
from conformance_manifests import CannotArrange, exchange_of
from conformance_matching import (
    ABSENT,
    body_differences,
    differences,
    header_differences,
    is_matcher,
    json_differences,
    name_differences,
    shown,
    text_of,
)
from conformance_scene import Scene, arranged

PATIENCE = 10.0
"""Seconds to wait for a call that a message causes; only ever spent by a failing case."""


async def run(case: Case) -> list[str]:
    """Differences between what happened and what the case says."""
    if isinstance(case, Template):
        return ["the engine renders no templates yet"]
    told = exchange_of(case) if isinstance(case, Conversion) else case
    try:
        async with arranged(told) as scene:
            found = await _Performance(told, scene).all()
            return found + [f"note: {note}" for note in scene.notes] if found else []
    except CannotArrange as error:
        return [f"the runner cannot arrange {error}"]
    except Exception:
        # A bug of ours, wherever it is: this case fails and the next one runs.
        return [traceback.format_exc()]


class _Performance:
    """One case being run."""

    def __init__(self, case: Exchange, scene: Scene) -> None:
        self._case = case
        self._scene = scene
        self._clients = Clients(scene)
        self._seen: dict[str, int] = {}

    async def all(self) -> list[str]:
        """Every step until one fails: those after it would only repeat the reason."""
        try:
            for number, step in enumerate(self._case.steps):
                found = await self._step(step)
                if found:
                    what = _described(step)
                    return [f"step {number + 1} ({what}): {difference}" for difference in found]
        finally:
            await self._clients.close()
        return []

    async def _step(self, step: Step) -> list[str]:
        self._seen = {name: len(each.received) for name, each in self._scene.backends.items()}
        action = step.action
        expect = step.expect
        try:
            match action:
                case Request():
                    found = _answer_differences(expect, await self._request(action), self._filled)
                case Post():
                    found = _answer_differences(expect, await self._post(action), self._filled)
                case Connect():
                    answer = await self._clients.connect(
                        action, self._scene.prefix + action.path, self._filled(action.headers)
                    )
                    found = _answer_differences(expect, answer, self._filled)
                case Send():
                    await self._clients.send(action)
                    found = []
                case Receive():
                    found = await self._clients.receive(action, expect, self._filled)
                case Close():
                    await self._clients.send_close(action)
                    found = []
        except NoAnswer as error:
            return [str(error)]
        live = not isinstance(action, Request)
        for backend in expect.backends:
            found += await self._backend(backend, live=live)
        return found

    def _filled(self, value: Any) -> Any:
        return self._scene.filled(value, self._clients.connection_id)

    async def _request(self, request: Request) -> Response:
        target = self._scene.prefix + self._filled(request.path)
        headers = [(name, self._filled(value)) for name, value in request.headers]
        body = _bytes_of(request.body, request.body_base64)
        if request.signed:
            headers += signed_headers(request.method, self._scene.authority, target, body)
        return await exchange(
            self._scene.port,
            request.method,
            target,
            host=self._scene.authority,
            headers=headers,
            body=body,
        )

    async def _post(self, post: Post) -> Response:
        name = post.id if post.id is not None else self._clients.connection_id(post.connection)
        target = f"{self._scene.prefix}/@connections/{quote(name, safe='')}"
        body = b"x" * post.size if post.size is not None else _bytes_of(post.body, None)
        headers = []
        if post.signed:
            headers = signed_headers(post.method, self._scene.authority, target, body)
        return await exchange(
            self._scene.port,
            post.method,
            target,
            host=self._scene.authority,
            headers=headers,
            body=body,
        )

    async def _backend(self, expect: BackendExpectation, *, live: bool) -> list[str]:
        """`live`: calls come by themselves after a message, so they are waited for."""
        backend = self._scene.backends[expect.name]
        if live:
            wanted = expect.calls if isinstance(expect.calls, int) else 1
            await backend.until(lambda: len(backend.received) >= wanted, PATIENCE)
        where = f"backend {expect.name}"
        found = []
        if expect.calls is not UNSET:
            found += differences(expect.calls, len(backend.received), f"{where}: calls")
        call = self._call(backend, expect, live=live)
        if expect.event is not UNSET:
            event = ABSENT if call is None else call.event
            found += differences(self._filled(expect.event), event, f"{where}: event", subset=True)
        if expect.request is not UNSET:
            found += _request_differences(self._filled(expect.request), call, f"{where}: request")
        return found

    def _call(
        self, backend: BackendServer, expect: BackendExpectation, *, live: bool
    ) -> Received | None:
        """The latest call; of an HTTP step only one that the step itself caused."""
        since = 0 if live or expect.calls is not UNSET else self._seen[backend.name]
        return backend.received[-1] if len(backend.received) > since else None


def _bytes_of(text: str | None, encoded: str | None) -> bytes:
    return base64.b64decode(encoded) if encoded is not None else (text or "").encode()


def _described(step: Step) -> str:
    action = step.action
    match action:
        case Request():
            return f"{action.method} {action.path}"
        case Post():
            return f"{action.method} @connections"
        case Connect():
            return f"connect {action.path}"
        case Send() | Receive() | Close():
            return type(action).__name__.lower()


def _answer_differences(expect: Expectation, answer: Response, filled: Any) -> list[str]:
    found = []
    if expect.status is not UNSET:
        found += differences(expect.status, answer.status, "status")
    found += header_differences(filled(expect.headers), answer.headers, "header")
    found += name_differences(expect.header_names, answer.headers)
    found += _content_differences(expect, answer.body, filled)
    if found:
        headers = ", ".join(f"{name}: {value}" for name, value in answer.headers)
        found.append(f"the answer was {answer.status} [{headers}] {shown(text_of(answer.body))}")
    return found


def _content_differences(expect: Expectation, body: bytes, filled: Any) -> list[str]:
    found = []
    if expect.body is not UNSET:
        found += body_differences(filled(expect.body), body, "body")
    if expect.body_base64 is not None:
        wanted = base64.b64decode(expect.body_base64)
        if body != wanted:
            found.append(f"body: expected the bytes {shown(wanted)}, got {shown(body)}")
    if expect.json is not UNSET:
        found += json_differences(filled(expect.json), body, "body")
    parts = expect.body_contains
    for part in [parts] if isinstance(parts, str) else parts:
        if part not in text_of(body):
            found.append(f"body: expected {shown(part)} in {shown(text_of(body))}")
    return found


def _request_differences(expected: Any, call: Received | None, where: str) -> list[str]:
    if is_matcher(expected) or call is None:
        return differences(expected, ABSENT if call is None else call.target, where)
    found = []
    for key, value in expected.items():
        place = f"{where}.{key}"
        if key == "headers":
            found += header_differences(value, call.headers, place)
        elif key == "method":
            found += differences(value, call.method, place)
        elif key == "path":
            has_query = isinstance(value, str) and "?" in value
            found += differences(value, call.target if has_query else call.path, place)
        elif key == "query":
            found += differences(value, call.query, place, subset=True)
        elif key == "body":
            found += body_differences(value, call.body, place)
        elif key == "body_base64":
            if call.body != base64.b64decode(value):
                found.append(f"{place}: expected {shown(value)}, got {shown(call.body)}")
        else:
            found.append(f"{place}: the runner knows no such expectation")
    return found
