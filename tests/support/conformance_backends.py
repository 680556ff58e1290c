"""What integrations reach in a conformance case: real HTTP servers that remember what they got.

Started by conformance_scene. HTTP backends send exactly the headers of the case plus
Content-Length; functions speak Lambda's Invoke API. Promises: bytes in, bytes out, no header
added, renamed or reordered.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from msgspec import UNSET

from conformance_cases import Backend, HeaderMap
from conformance_matching import ABSENT, text_of

_INVOKE = "/2015-03-31/functions/"


@dataclass(frozen=True)
class Received:
    """One request that arrived at a backend."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        """Path as written, without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str | list[str]]:
        """Decoded query; repeated values as a list."""
        values = parse_qs(self.target.partition("?")[2], keep_blank_values=True)
        return {name: each if len(each) > 1 else each[0] for name, each in values.items()}

    @property
    def event(self) -> Any:
        """The body as JSON; ABSENT when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return ABSENT


@dataclass(frozen=True)
class Answer:
    """What a backend sends back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class HttpServer:
    """An HTTP/1.1 server on loopback that does nothing of its own accord."""

    def __init__(self, answer: Callable[[Received], Answer]) -> None:
        self._answer = answer
        self.authority = ""
        """`127.0.0.1:PORT` once it listens."""
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[Any]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.authority = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Close every connection and wait for their handlers."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self._writers.add(writer)
        try:
            while request := await read_request(reader, writer.write):
                writer.write(_encoded(self._answer(request), request.method))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # the gateway has left, or sent what is no HTTP: the expectation will tell
        finally:
            self._writers.discard(writer)
            await cut(writer)
            self._handlers.discard(task)


class BackendServer:
    """A backend of a case."""

    def __init__(self, name: str, backend: Backend) -> None:
        self.name = name
        self.backend = backend
        self.received: list[Received] = []
        self._server = HttpServer(self._take)
        self._arrival = asyncio.Event()

    @property
    def is_function(self) -> bool:
        """Reached through the Invoke API."""
        return self.backend.kind == "lambda"

    @property
    def authority(self) -> str:
        """`127.0.0.1:PORT`."""
        return self._server.authority

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Close everything."""
        await self._server.stop()

    async def until(self, fine: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds that arrivals bring about, or the time is up."""

        async def wait() -> None:
            while not fine():
                self._arrival.clear()
                await self._arrival.wait()

        try:
            await asyncio.wait_for(wait(), seconds)
        except TimeoutError:
            pass  # whoever waited looks again and says what is missing

    def _take(self, request: Received) -> Answer:
        if self.is_function and not self._is_invocation(request):
            message = f"no such function: {request.method} {request.target}"
            return _json_answer(404, {"Type": "User", "Message": message})
        self.received.append(request)
        self._arrival.set()
        if self.is_function:
            return self._invoked(request)
        if self.backend.kind == "echo":
            return _json_answer(200, _echo(request))
        respond = self.backend.respond
        if respond is None:
            return Answer(200, [], b"")
        return Answer(
            respond.status, lines_of(respond.headers), _body(respond.body, respond.body_base64)
        )

    def _is_invocation(self, request: Received) -> bool:
        name = request.path.removeprefix(_INVOKE).removesuffix("/invocations")
        return (
            request.method == "POST"
            and request.path == f"{_INVOKE}{name}/invocations"
            and unquote(name).partition(":")[0] == self.name
        )

    def _invoked(self, request: Received) -> Answer:
        backend = self.backend
        if backend.raises is not None:
            error = {"errorMessage": backend.raises, "errorType": "Error", "stackTrace": []}
            answer = _json_answer(200, error)
            return Answer(
                200, [*answer.headers, ("X-Amz-Function-Error", "Unhandled")], answer.body
            )
        if backend.raw is not None:
            return Answer(200, _JSON, backend.raw.encode())
        if backend.echo_event:
            body = json.dumps(request.event, ensure_ascii=False)
            return _json_answer(200, {"statusCode": 200, "body": body})
        return _json_answer(200, None if backend.returns is UNSET else backend.returns)


_JSON = [("Content-Type", "application/json")]


def _json_answer(status: int, value: Any) -> Answer:
    return Answer(status, _JSON, json.dumps(value, ensure_ascii=False).encode())


def _echo(request: Received) -> dict[str, Any]:
    headers: dict[str, str] = {}
    for name, value in request.headers:
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": headers,
        "body": text_of(request.body).encode("utf-8", "replace").decode(),
    }


def lines_of(headers: HeaderMap) -> list[tuple[str, str]]:
    """Header lines of a mapping; a list is several lines."""
    return [
        (name, text)
        for name, value in headers.items()
        for text in (value if isinstance(value, list) else [value])
    ]


def _body(text: str | None, encoded: str | None) -> bytes:
    return base64.b64decode(encoded) if encoded is not None else (text or "").encode()


def _encoded(answer: Answer, method: str) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} Status", *(f"{k}: {v}" for k, v in answer.headers)]
    bodiless = answer.status < 200 or answer.status in (204, 304)
    given = {name.lower() for name, _ in answer.headers}
    if not bodiless and not given & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(answer.body)}")
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head if bodiless or method == "HEAD" else head + answer.body


async def cut(writer: asyncio.StreamWriter) -> None:
    """Close a connection at once, and wait until it is."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def read_request(
    reader: asyncio.StreamReader, write: Callable[[bytes], object]
) -> Received | None:
    """The next request; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, headers = parse_head(head)
    method, target, _ = first.split(" ", 2)
    if header(headers, "expect").lower() == "100-continue":
        write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Received(method, target, headers, await read_body(reader, headers))


def parse_head(head: bytes) -> tuple[str, list[tuple[str, str]]]:
    """First line and headers of a head."""
    first, *lines = text_of(head).removesuffix("\r\n\r\n").split("\r\n")
    headers = []
    for line in lines:
        name, _, value = line.partition(":")
        headers.append((name, value.strip(" \t")))
    return first, headers


def header(headers: list[tuple[str, str]], name: str) -> str:
    """Values of a header, joined; empty when there is none."""
    return ", ".join(value for key, value in headers if key.lower() == name)


async def read_body(
    reader: asyncio.StreamReader,
    headers: list[tuple[str, str]],
    to_the_end: Callable[[], Awaitable[bytes]] | None = None,
) -> bytes:
    """A body by its framing headers; without any it is empty, or what `to_the_end` reads."""
    if header(headers, "transfer-encoding").lower() == "chunked":
        return await _read_chunks(reader)
    length = header(headers, "content-length")
    if length:
        return await reader.readexactly(int(length))
    return await to_the_end() if to_the_end else b""


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return body
