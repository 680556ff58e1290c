"""One pod's stream, from its hello to its end.

Run by the stream server inside the request's own task. Promises: what is sent is decided when
it can be sent, so that a slow pod skips states instead of queueing them; the pod is authenticated
again before its grant ends, and cut only when the API server says no or the token has expired,
never because the API server cannot be reached.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, assert_never

from aiohttp import WSMsgType, web

from portico_ir.codec import Undecodable
from portico_ir.leases import Exchange, Settlement
from portico_ir.secrets import Redacted
from portico_ir.stream import (
    Acknowledgement,
    Follow,
    Hello,
    Settle,
    Settled,
    Token,
    Unknown,
    decode_from_pod,
    encode_frame,
)
from portico_operator.delivery.access import Access, Denial, Grant, Undecided
from portico_operator.delivery.board import Board, Position

_log = logging.getLogger(__name__)

GOING_AWAY: Final = 1001
NOT_UNDERSTOOD: Final = 1007
NOT_ADMITTED: Final = 4401
"""As HTTP's 401: open another stream, with a better token."""

_RENEW_AHEAD_S: Final = 30.0
"""Before the end of a grant."""
_RETRY_S: Final = 5.0
"""Between reviews while the API server cannot be reached."""
_CLOSE_S: Final = 2.0
_MOST_REASON: Final = 120
"""Bytes of a reason in a close frame (RFC 6455 §5.5)."""
LEFT: Final = "the pod has left"


class Session:
    """The stream of one pod."""

    def __init__(
        self,
        stream: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        grant: Grant,
        token: Redacted,
        board: Board,
        access: Access,
        clock: Callable[[], float],
        settle: Callable[[Exchange], Settlement | None],
    ) -> None:
        self.grant = grant
        self._settle = settle
        self._said: dict[str, bytes] = {}
        """Frames that go out next; of each kind the latest."""
        self._stream = stream
        self._transport = transport
        self._token = token
        self._board = board
        self._access = access
        self._clock = clock
        self._position = Position()
        self._wake = asyncio.Event()
        self._renewal = asyncio.Event()
        self._over: tuple[int, str] | None = None
        self._cut: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """The board may have something new."""
        self._wake.set()

    def say(self, kind: str, frame: bytes) -> None:
        """Send this; nothing older of its kind."""
        self._said[kind] = frame
        self._wake.set()

    def end(self, code: int, why: str) -> None:
        """Close the stream; `run` returns."""
        if self._over is None:
            self._over = (code, why)
            # A pod that takes nothing does not take a close either.
            self._cut = asyncio.get_running_loop().call_later(_CLOSE_S, self._abort)
        self._wake.set()
        self._renewal.set()

    async def run(self, acknowledged: Callable[[Acknowledgement], None]) -> None:
        """Until either side ends it."""
        try:
            # When one of them fails the others end, because the stream is over.
            await asyncio.gather(self._read(acknowledged), self._write(), self._stay_admitted())
        finally:
            self.end(GOING_AWAY, LEFT)
            if self._cut is not None:
                self._cut.cancel()

    @property
    def why(self) -> str:
        """Why it ended, for the counter."""
        code, why = self._over or (0, LEFT)
        if why == LEFT:
            return "left"
        return {GOING_AWAY: "replaced", NOT_ADMITTED: "denied"}.get(code, "broken")

    async def _read(self, acknowledged: Callable[[Acknowledgement], None]) -> None:
        try:
            async for message in self._stream:
                if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                    continue
                self._take(message.data, acknowledged)
        finally:
            self.end(GOING_AWAY, LEFT)

    def _take(self, data: bytes | str, acknowledged: Callable[[Acknowledgement], None]) -> None:
        try:
            frame = decode_from_pod(data)
        except Undecodable as error:
            _log.warning(
                "frame not readable", extra={"pod": self.grant.pod_name, "reason": str(error)}
            )
            self.end(NOT_UNDERSTOOD, "not a frame")
            return
        match frame:
            case Hello():
                _log.info(
                    "pod connected",
                    extra={
                        "pod": self.grant.pod_name,
                        "class": self.grant.class_name,
                        "build": frame.build,
                        "irVersion": frame.ir_version,
                    },
                )
            case Follow():
                self._position.follow(on=frame.on, content=frame.content)
                self._wake.set()
            case Acknowledgement():
                acknowledged(frame)
            case Settle():
                settlement = self._settle(frame.exchange)
                if settlement is not None:
                    self.say("settled", encode_frame(Settled(settlement=settlement)))
            case Token():
                self._token = frame.token
                self._renewal.set()
            case Unknown():
                pass  # a newer pod says more than this version knows of
            case _:
                assert_never(frame)

    async def _write(self) -> None:
        try:
            hello = self._board.hello()
            self._position.greeted(self._board)
            await self._stream.send_bytes(hello)
            while self._over is None:
                self._wake.clear()
                said, self._said = self._said, {}
                for frame in said.values():
                    await self._stream.send_bytes(frame)
                for frame in self._position.due(self._board, time.monotonic()):
                    await self._stream.send_bytes(frame)
                wait = self._position.wait(self._board, time.monotonic())
                try:
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                except TimeoutError:
                    pass
            code, why = self._over
            await self._stream.close(code=code, message=why.encode()[:_MOST_REASON])
        except ConnectionError:
            pass  # the pod has gone without a word
        finally:
            self.end(GOING_AWAY, LEFT)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _stay_admitted(self) -> None:
        while self._over is None:
            left = self.grant.until - _RENEW_AHEAD_S - self._clock()
            try:
                async with asyncio.timeout(max(_RETRY_S, left)):
                    await self._renewal.wait()
            except TimeoutError:
                pass
            self._renewal.clear()
            if self._over is None:
                await self._renew()

    async def _renew(self) -> None:
        verdict = await self._access.admit(self._token, in_stream=True)
        match verdict:
            case Grant():
                if verdict[:2] == self.grant[:2]:
                    self.grant = verdict
                else:
                    self.end(NOT_ADMITTED, "the token is another pod's")
            case Denial():
                _log.warning(
                    "pod no longer admitted",
                    extra={"pod": self.grant.pod_name, "reason": verdict.reason},
                )
                self.end(NOT_ADMITTED, f"{verdict.reason}: {verdict.message}")
            case Undecided():
                _log.warning(
                    "token not reviewed", extra={"pod": self.grant.pod_name, "why": verdict.message}
                )
            case _:
                assert_never(verdict)
