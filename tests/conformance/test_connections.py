"""The runner's WebSocket client against a server that others wrote (aiohttp)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from conformance_cases import Close, Connect, Expectation, Receive, Send
from conformance_client import NoAnswer
from conformance_connections import Clients
from conformance_matching import differences


async def talk(request: web.Request) -> web.StreamResponse:
    """Says back what it hears, tells how long it was, or closes, as it is asked."""
    if request.path != "/ws":
        return web.Response(status=418)
    socket = web.WebSocketResponse(protocols=["chat"], max_msg_size=1 << 22)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_str(f"{len(message.data)} bytes")
        elif message.data == "close":
            await socket.close(code=4001, message=b"as asked")
        elif message.data == "ping":
            await socket.ping(b"are you there")
            await socket.send_str("pinged")
        elif len(message.data) > 1_000:
            await socket.send_str(str(len(message.data)))
        elif message.data != "hush":
            await socket.send_str(message.data)
    return socket


@contextlib.asynccontextmanager
async def clients() -> AsyncIterator[Clients]:
    application = web.Application()
    application.router.add_get("/{any:.*}", talk)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    found = Clients(SimpleNamespace(port=port, backends={}, authority=f"127.0.0.1:{port}"))
    try:
        yield found
    finally:
        await found.close()
        await runner.cleanup()


def same(value: Any) -> Any:
    return value


async def heard(found: Clients, expect: Expectation) -> list[str]:
    return await found.receive(Receive(), expect, same)


async def test_messages_of_every_size_and_cut() -> None:
    async with clients() as found:
        answer = await found.connect(Connect(subprotocols=["x", "chat"]), "/ws", [("X-A", "1")])
        assert answer.status == 101
        assert ("Sec-WebSocket-Protocol", "chat") in answer.headers
        for size in (0, 1, 125, 126, 900):
            await found.send(Send(size=size, fill="ab"))
            assert await heard(found, Expectation(size=size)) == []
        await found.send(Send(text=json.dumps({"a": "é"}), frame=3))
        assert await heard(found, Expectation(json={"a": "é"})) == []
        await found.send(Send(size=70_000, fill="x"))
        assert await heard(found, Expectation(text="70000")) == []
        await found.send(Send(binary_base64="AQID"))
        assert await heard(found, Expectation(text_contains="3 b")) == []
        await found.send(Send(text="ping"))
        assert await heard(found, Expectation(text="pinged")) == []


async def test_what_differs_is_told() -> None:
    async with clients() as found:
        await found.connect(Connect(), "/ws", [])
        for expect in (
            Expectation(text="b"),
            Expectation(json={}),
            Expectation(size=2),
            Expectation(text_contains=["z"]),
            Expectation(close={"code": 1000}),
            Expectation(nothing=True),
        ):
            await found.send(Send(text="a"))
            assert await heard(found, expect)


async def test_silence_and_closing() -> None:
    async with clients() as found:
        await found.connect(Connect(), "/ws", [])
        await found.send(Send(text="hush"))
        assert await heard(found, Expectation(nothing=True)) == []
        await found.send(Send(text="close"))
        assert await heard(found, Expectation(close={"code": 4001, "reason": "as asked"})) == []
        await found.connect(Connect(), "/ws", [])
        await found.send(Send(text="close"))
        assert await heard(found, Expectation(close={"code": 4002}))
        await found.connect(Connect(), "/ws", [])
        await found.send_close(Close(code=1001))


async def test_refused_handshakes_and_unknown_clients() -> None:
    async with clients() as found:
        assert (await found.connect(Connect(), "/no", [])).status == 418
        with pytest.raises(NoAnswer):
            await found.send(Send(text="x"))
        with pytest.raises(NoAnswer):
            found.connection_id("default")


def test_matching_of_a_close_is_a_subset() -> None:
    assert differences({"code": 1}, {"code": 1, "reason": "x"}, "close", subset=True) == []
