"""An integration that wants the whole body first: a function, a mock.

Made by an exchange for such a route: collects the body (bounded), asks the integration, and
performs what it needs. Promises: the integration is asked once; a bug in it is answered as one;
whatever is under way ends with the exchange.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never

from portico_dataplane.core.verdicts import (
    BufferedIntegration,
    CallFunction,
    Continue,
    FunctionAnswer,
    Need,
    NeedBody,
    NeedKeys,
    NeedTokens,
    Reject,
    Respond,
    Unavailable,
    Verdict,
)
from portico_dataplane.http.call import FunctionCall
from portico_dataplane.integrations.http import PreparedTarget
from portico_ir.errors import ErrorKind

if TYPE_CHECKING:
    from portico_dataplane.http.exchange import Exchange

_log = logging.getLogger(__name__)


class Buffering:
    """One request whose body is collected."""

    _body: list[bytes] | None = None
    """What came so far; None: complete, or not wanted any more."""
    _size = 0
    _call: FunctionCall | None = None
    _called_at = 0.0
    _done = False

    def __init__(
        self, exchange: Exchange, integration: BufferedIntegration, target: PreparedTarget | None
    ) -> None:
        self._exchange = exchange
        self._integration = integration
        self._target = target

    def start(self) -> None:
        """Wait for the body, or go ahead without one."""
        if self._exchange.head.fields.content_length:
            self._body = []
        else:
            self._run(b"")

    def on_request_body(self, piece: bytes, complete: bool) -> None:
        """The client's body, piece by piece."""
        kept = self._body
        if kept is None:
            return  # answered already: the rest is read and dropped
        self._size += len(piece)
        if self._size > self._integration.max_request_body:
            self._body = None
            self._exchange.refuse_body(ErrorKind.REQUEST_TOO_LARGE)
            return
        kept.append(piece)
        if complete:
            self._body = None
            self._run(b"".join(kept))

    def _run(self, body: bytes) -> None:
        exchange = self._exchange
        try:
            verdict = self._integration.on_request(exchange.request, body)
        except Exception:
            verdict = self._bug()
        self._settle(verdict)

    def _settle(self, verdict: Verdict) -> None:
        exchange = self._exchange
        match verdict:
            case Respond(response):
                exchange.answer(response)
            case Reject(kind, cause):
                exchange.reject(kind, cause)
            case Need(effect, then):
                self._perform(effect, then)
            case Continue() | NeedKeys() | NeedBody() | NeedTokens():
                exchange.reject(ErrorKind.INTERNAL, "an integration decided nothing")
            case _:
                assert_never(verdict)

    def _perform(
        self,
        effect: CallFunction,
        then: Callable[[FunctionAnswer | Unavailable], Verdict],
    ) -> None:
        exchange = self._exchange
        self._called_at = time.monotonic()

        def done(result: FunctionAnswer | Unavailable) -> None:
            self._call = None
            if self._done:
                return
            outcome = exchange.outcome
            outcome.integration_latency_ms = (time.monotonic() - self._called_at) * 1000
            if isinstance(result, FunctionAnswer):
                outcome.integration_status = result.status
            else:
                outcome.integration_error = result.cause
            try:
                verdict = then(result)
            except Exception:
                verdict = self._bug()
            self._settle(verdict)

        if self._target is None:
            exchange.reject(ErrorKind.INTERNAL, "a call without a target")
            return
        call = self._call = FunctionCall(
            exchange.gateway, exchange.request, self._target, effect, done
        )
        call.start()

    def _bug(self) -> Reject:
        # In a callback of a backend's connection nobody else would answer.
        _log.exception("request %s: an integration failed", self._exchange.request.request_id)
        return Reject(ErrorKind.INTERNAL)

    def end(self) -> None:
        """The exchange is over: hold nothing any more."""
        self._done = True
        self._body = None
        call, self._call = self._call, None
        if call is not None:
            call.end()
