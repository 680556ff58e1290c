"""A request that waits: a policy of its chain must know something first.

Made by an exchange for the first policy that does not simply let the request through; performs
what is needed, asks the rest of the chain, then lets the integration have the request and the
body that came meanwhile. Promises: at most `HELD` bytes of body and a read are kept while it
waits, the client is slowed down instead; a bug in a policy answers 500 and calls nothing;
whatever is under way ends with the exchange.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, assert_never

from portico_dataplane.core.keyring import KeySet
from portico_dataplane.core.lease import Lease
from portico_dataplane.core.templates import BadTemplate
from portico_dataplane.core.verdicts import (
    CallFunction,
    Continue,
    FetchKeys,
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
from portico_dataplane.effects.keysets import Waiting
from portico_dataplane.effects.lessee import Wait
from portico_dataplane.http.call import FunctionCall
from portico_dataplane.http.flights import Seat
from portico_ir.errors import ErrorKind

if TYPE_CHECKING:
    from portico_dataplane.http.exchange import Exchange
    from portico_dataplane.runtime import RouteRuntime

_log = logging.getLogger(__name__)

HELD: Final = 65_536
"""Bytes of body after which the client is read no further."""


class Admission:
    """One request before its integration."""

    _complete = False
    _done = False
    _paused = False
    _size = 0
    _wants_body: Callable[[bytes], Verdict] | None = None
    """Waits for the whole body."""

    def __init__(self, exchange: Exchange, route: RouteRuntime, position: int) -> None:
        self._exchange = exchange
        self._route = route
        self._position = position
        """The first policy that has not been asked."""
        self._held: list[bytes] = []
        self._call: FunctionCall | Seat | Waiting | Wait | None = None

    def settle(self, verdict: Verdict) -> None:
        """What a policy decided: go on, end here, or find out."""
        exchange = self._exchange
        while isinstance(verdict, Continue):
            if self._position == len(self._route.chain):
                self._admit()
                return
            policy = self._route.chain[self._position]
            self._position += 1
            try:
                verdict = policy.on_request(exchange.request)
            except Exception:
                verdict = self._bug()
        match verdict:
            case Respond(response):
                exchange.answer(response)
            case Reject():
                exchange.refuse(verdict)
            case Need(effect, then):
                self._perform(effect, then)
            case NeedKeys(keys, then):
                self._fetch(keys, then)
            case NeedBody(then):
                self._collect(then)
            case NeedTokens(lease, then):
                self._wait(lease, then)
            case _:
                assert_never(verdict)

    def _collect(self, then: Callable[[bytes], Verdict]) -> None:
        """The whole body, as far as the route takes one."""
        if self._complete or not self._exchange.head.fields.content_length:
            self._wants_body = None
            try:
                verdict = then(b"".join(self._held))
            except Exception:
                verdict = self._bug()
            self.settle(verdict)
            return
        self._wants_body = then
        self._exchange.ask_for_body()
        self._bound(self._size)
        if self._paused:
            self._paused = False
            self._exchange.client.pause_body(False)

    def _bound(self, size: int) -> bool:
        """Whether that much may be collected; else the request is refused."""
        route = self._route
        integration = route.forward or route.buffered
        if integration is None or size <= integration.max_request_body:
            return True
        self._wants_body = None
        self._exchange.refuse_body(ErrorKind.REQUEST_TOO_LARGE)
        return False

    def _perform(
        self, effect: CallFunction, then: Callable[[FunctionAnswer | Unavailable], Verdict]
    ) -> None:
        exchange = self._exchange
        asked_at = time.monotonic()

        def done(result: FunctionAnswer | Unavailable) -> None:
            self._call = None
            if self._done:
                return
            caller = exchange.request.caller
            caller.authorizer_latency_ms = (time.monotonic() - asked_at) * 1000
            if isinstance(result, FunctionAnswer):
                caller.authorizer_status = result.status
            try:
                verdict = then(result)
            except Exception:
                verdict = self._bug()
            self.settle(verdict)

        try:
            target = exchange.gateway.targets.prepared(effect.target)
        except (BadTemplate, ValueError) as error:
            done(Unavailable(ErrorKind.API_CONFIGURATION_ERROR, str(error)))
            return
        gateway, request = exchange.gateway, exchange.request
        if effect.flight is not None:
            seat = gateway.flights.join(gateway, request, target, effect, done)
            if seat.waits:
                self._call = seat
            return
        call = self._call = FunctionCall(gateway, request, target, effect, done)
        call.start()

    def _fetch(self, effect: FetchKeys, then: Callable[[KeySet | Unavailable], Verdict]) -> None:
        def done(found: KeySet | Unavailable) -> None:
            self._call = None
            if self._done:
                return
            try:
                verdict = then(found)
            except Exception:
                verdict = self._bug()
            self.settle(verdict)

        waiting = self._exchange.gateway.keysets.find(effect, done)
        if waiting.pending:
            self._call = waiting

    def _wait(self, lease: Lease, then: Callable[[bool], Verdict]) -> None:
        def done(taken: bool) -> None:
            self._call = None
            try:
                verdict = then(taken)
            except Exception:
                verdict = self._bug()
            self.settle(verdict)

        self._call = self._exchange.gateway.lessee.wait(lease, done)

    def _bug(self) -> Reject:
        # In a callback of somebody's connection nobody else would answer.
        _log.exception("request %s: a policy failed", self._exchange.request.request_id)
        return Reject(ErrorKind.INTERNAL)

    def _admit(self) -> None:
        exchange = self._exchange
        self._done = True
        held, self._held = self._held, []
        if self._paused:
            exchange.client.pause_body(False)
        exchange.admitted(self._route)
        if held or self._complete:
            exchange.on_request_body(b"".join(held), self._complete)

    # --- the client's side --------------------------------------------------------------------

    def on_request_body(self, piece: bytes, complete: bool) -> None:
        """The body waits with the request."""
        if self._done:
            return  # answered already: the rest is read and dropped
        self._complete = complete
        if piece:
            self._held.append(piece)
            self._size += len(piece)
        if self._wants_body is not None:
            if self._bound(self._size) and complete:
                self._collect(self._wants_body)
        elif self._size > HELD and not self._paused and not complete:
            self._paused = True
            self._exchange.client.pause_body(True)

    def end(self) -> None:
        """The exchange is over: hold nothing any more."""
        self._done = True
        self._held = []
        if self._paused:
            self._paused = False
            self._exchange.client.pause_body(False)
        call, self._call = self._call, None
        if call is not None:
            call.end()
