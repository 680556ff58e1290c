"""A stream's end, whatever the pod does; the rest of a session is in test_server."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest
from aiohttp import web

from portico_ir.model import IR_VERSION
from portico_ir.secrets import Redacted
from portico_operator.delivery import session
from portico_operator.delivery.access import Access, Grant
from portico_operator.delivery.board import Board
from portico_operator.delivery.session import GOING_AWAY, NOT_ADMITTED, NOT_UNDERSTOOD, Session
from stream_operators import FakeGrounds, FakeReviewer, token_of


class Transport:
    """Can be cut."""

    def __init__(self) -> None:
        self.cut = asyncio.Event()

    def abort(self) -> None:
        self.cut.set()


class DeadStream:
    """A pod that takes nothing and says nothing, until its transport is cut."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.closed_with: tuple[int, bytes] | None = None

    def __aiter__(self) -> DeadStream:
        return self

    async def __anext__(self) -> Any:
        await self.transport.cut.wait()
        raise StopAsyncIteration

    async def send_bytes(self, data: bytes) -> None:
        await self.transport.cut.wait()
        raise ConnectionResetError

    async def close(self, *, code: int, message: bytes) -> None:
        self.closed_with = (code, message)


def made(transport: Transport) -> Session:
    token = Redacted(token_of())
    return Session(
        cast(web.WebSocketResponse, DeadStream(transport)),
        cast(asyncio.Transport, transport),
        Grant("portico", "pod-1", "pod-1", time.time() + 300),
        token,
        Board("portico", "b", IR_VERSION),
        Access(FakeReviewer(), FakeGrounds(), time.time),
        time.time,
        lambda exchange: None,
    )


async def test_a_pod_that_takes_no_close_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_CLOSE_S", 0.01)
    one = made(Transport())
    running = asyncio.create_task(one.run(lambda said: None))
    await asyncio.sleep(0)
    one.end(GOING_AWAY, "this operator ends")
    await asyncio.wait_for(running, 20)
    assert one.why == "replaced"


async def test_a_pod_that_is_gone_ends_its_session() -> None:
    transport = Transport()
    one = made(transport)
    running = asyncio.create_task(one.run(lambda said: None))
    await asyncio.sleep(0)
    transport.abort()
    await asyncio.wait_for(running, 20)
    assert one.why == "left"


@pytest.mark.parametrize(
    ("code", "why"),
    [(GOING_AWAY, "replaced"), (NOT_ADMITTED, "denied"), (NOT_UNDERSTOOD, "broken")],
)
async def test_the_first_reason_counts(code: int, why: str) -> None:
    one = made(Transport())
    one.end(code, "first")
    one.end(GOING_AWAY, session.LEFT)
    assert one.why == why
    assert one._cut is not None
    one._cut.cancel()
