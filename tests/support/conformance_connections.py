"""WebSocket clients of a conformance case, frame by frame, and signed calls of @connections.

Used by conformance_execution. Frames are written here because cases decide where a message is
cut and which frames are wrong; ordinary clients do not let them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from msgspec import UNSET

from conformance_backends import BackendServer, cut
from conformance_cases import Close, Connect, Expectation, Receive, Send
from conformance_client import TIMEOUT, NoAnswer, Response, read_response, request_bytes
from conformance_matching import differences, shown

ACCESS_KEY_ID = "AKIACONFORMANCE00000"
SECRET_ACCESS_KEY = "conformance-runner-secret"
REGION = "us-east-1"
QUIET_SECONDS = 1.0
"""`nothing: true` means: no message within a second."""

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10

Filled = Callable[[Any], Any]


class Surroundings(Protocol):
    """What clients must know of the scene."""

    port: int
    backends: dict[str, BackendServer]

    @property
    def authority(self) -> str: ...


class _Connection:
    """One WebSocket from the client's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.id = ""

    def write(self, opcode: int, payload: bytes, *, final: bool = True) -> None:
        """One masked frame."""
        head = bytes([opcode | (0x80 if final else 0)])
        size = len(payload)
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65_536:
            head += bytes([0x80 | 126]) + struct.pack("!H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack("!Q", size)
        mask = os.urandom(4)
        key = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)
        self.writer.write(head + mask + masked)

    async def read(self) -> tuple[int, bytes]:
        """The next message, or the closing frame; pings are answered."""
        whole, kind = b"", 0
        while True:
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            payload = await self.reader.readexactly(size)
            opcode = first & 0x0F
            if opcode == _PING:
                self.write(_PONG, payload)
            elif opcode == _CLOSE:
                return _CLOSE, payload
            elif opcode != _PONG:
                whole, kind = whole + payload, kind or opcode
                if first & 0x80:
                    return kind, whole


class Clients:
    """The WebSocket clients of a case, by name."""

    def __init__(self, scene: Surroundings) -> None:
        self._scene = scene
        self._open: dict[str, _Connection] = {}

    async def connect(
        self, action: Connect, target: str, headers: Sequence[Sequence[str]]
    ) -> Response:
        """Ask for a WebSocket; 101 leaves it open under the client's name."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._scene.port)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", key),
            ("Sec-WebSocket-Version", "13"),
            *((name, value) for name, value in headers),
        ]
        if action.subprotocols:
            lines.append(("Sec-WebSocket-Protocol", ", ".join(action.subprotocols)))
        writer.write(request_bytes("GET", target, self._scene.authority, lines, b""))
        try:
            answer = await asyncio.wait_for(read_response(reader, "GET"), TIMEOUT)
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            await cut(writer)
            raise NoAnswer(f"no answer to the handshake: {type(error).__name__}") from None
        if answer.status != 101:
            await cut(writer)
            return answer
        if action.client in self._open:
            await cut(self._open[action.client].writer)
        connection = self._open[action.client] = _Connection(reader, writer)
        connection.id = self._id_from_events()
        return answer

    def connection_id(self, client: str) -> str:
        """The id that the gateway gave a client's connection."""
        connection = self._open.get(client)
        if connection is None or not connection.id:
            raise NoAnswer(f"no connection id is known for the client {client!r}")
        return connection.id

    def _id_from_events(self) -> str:
        """Ids show only in events: the newest CONNECT that no other client has."""
        known = {connection.id for connection in self._open.values()}
        for backend in self._scene.backends.values():
            for received in reversed(backend.received):
                event = received.event
                context = event.get("requestContext") if isinstance(event, dict) else None
                if isinstance(context, dict) and context.get("eventType") == "CONNECT":
                    found = str(context.get("connectionId", ""))
                    if found not in known:
                        return found
        return ""

    async def send(self, action: Send) -> None:
        """A message, cut as the case says."""
        connection = self._of(action.client)
        opcode = _TEXT
        if action.binary_base64 is not None:
            opcode, payload = _BINARY, base64.b64decode(action.binary_base64)
        elif action.size is not None:
            payload = (action.fill * action.size)[: action.size].encode()
        else:
            payload = (action.text or "").encode()
        step = action.frame or max(len(payload), 1)
        pieces = [payload[i : i + step] for i in range(0, len(payload), step)] or [b""]
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            connection.write(0 if number else opcode, piece, final=last)

    async def receive(self, action: Receive, expect: Expectation, filled: Filled) -> list[str]:
        """What comes next, against the expectation."""
        connection = self._of(action.client)
        seconds = QUIET_SECONDS if expect.nothing else TIMEOUT
        try:
            opcode, payload = await asyncio.wait_for(connection.read(), seconds)
        except TimeoutError:
            return [] if expect.nothing else [f"nothing came within {seconds:.0f} s"]
        except (OSError, asyncio.IncompleteReadError):
            return ["the connection was cut without a closing frame"]
        if opcode == _CLOSE:
            code = struct.unpack("!H", payload[:2])[0] if len(payload) > 1 else 1005
            closing = {"code": code, "reason": payload[2:].decode("utf-8", "replace")}
            connection.write(_CLOSE, payload[:2])
            if expect.close is None:
                return [f"the connection was closed: {closing}"]
            return differences(expect.close, closing, "close", subset=True)
        text = payload.decode("utf-8", "replace")
        if expect.nothing or expect.close is not None:
            return [f"an unexpected message came: {shown(text)}"]
        return _message_differences(expect, text, filled)

    async def send_close(self, action: Close) -> None:
        """Close from the client's side and wait for the answer."""
        connection = self._of(action.client)
        connection.write(_CLOSE, struct.pack("!H", action.code))
        try:
            while (await asyncio.wait_for(connection.read(), TIMEOUT))[0] != _CLOSE:
                pass
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass  # the steps that follow look at what the close has caused
        await cut(connection.writer)

    async def close(self) -> None:
        """Drop every connection."""
        for connection in self._open.values():
            await cut(connection.writer)

    def _of(self, client: str) -> _Connection:
        if client not in self._open:
            raise NoAnswer(f"the client {client!r} is not connected")
        return self._open[client]


def _message_differences(expect: Expectation, text: str, filled: Filled) -> list[str]:
    found = []
    if expect.text is not UNSET:
        found += differences(filled(expect.text), text, "message")
    if expect.json is not UNSET:
        try:
            found += differences(filled(expect.json), json.loads(text), "message")
        except ValueError:
            found.append(f"message: expected JSON, got {shown(text)}")
    parts = expect.text_contains
    for part in [parts] if isinstance(parts, str) else parts:
        if part not in text:
            found.append(f"message: expected {shown(part)} in {shown(text)}")
    if expect.size is not None and len(text) != expect.size:
        found.append(f"message: expected {expect.size} characters, got {len(text)}")
    return found


def signed_headers(method: str, authority: str, target: str, body: bytes) -> list[tuple[str, str]]:
    """Signature Version 4 of a request, as an SDK sends it."""
    request = AWSRequest(method, f"http://{authority}{target}", data=body)
    credentials = Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY)
    SigV4Auth(credentials, "execute-api", REGION).add_auth(request)
    return [(name, str(value)) for name, value in request.headers.items()]
