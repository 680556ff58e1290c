"""Calls that several requests wait for together: one question, one call.

Used by `http/admission.py` for what must be asked once however many clients want to know it (an
authorizer about one caller). Promises: everybody who waits gets the one result; who leaves is
forgotten; a call that nobody waits for any more is ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import CallFunction, FunctionAnswer, Unavailable
from portico_dataplane.http.call import FunctionCall
from portico_dataplane.integrations.http import PreparedTarget

if TYPE_CHECKING:
    from portico_dataplane.app import Gateway

_log = logging.getLogger(__name__)

Done = Callable[[FunctionAnswer | Unavailable], None]


class Seat:
    """One request's part in a call."""

    def __init__(self, flight: _Flight, done: Done) -> None:
        self._flight = flight
        self.done = done
        self.waits = True
        """The result is still to come."""

    def end(self) -> None:
        """The request does not wait any more."""
        self.waits = False
        self._flight.leave(self)


class _Flight:
    """One call and those who wait for it."""

    def __init__(self, flights: Flights, key: Hashable) -> None:
        self._flights = flights
        self._key = key
        self._seats: dict[Seat, None] = {}
        self.call: FunctionCall | None = None

    def board(self, done: Done) -> Seat:
        """One more who waits."""
        seat = Seat(self, done)
        self._seats[seat] = None
        return seat

    def leave(self, seat: Seat) -> None:
        """One less; the last one takes the call along."""
        self._seats.pop(seat, None)
        if not self._seats and self._flights.ended(self._key, self) and self.call is not None:
            self.call.end()

    def land(self, result: FunctionAnswer | Unavailable) -> None:
        """The result, to everybody."""
        self._flights.ended(self._key, self)
        seats, self._seats = self._seats, {}
        for seat in seats:
            seat.waits = False
            try:
                seat.done(result)
            except Exception:
                # One request's failure is not the others'.
                _log.exception("a request failed on the result of a call it shared")


class Flights:
    """The calls under way that may be shared; one for each gateway."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Flight] = {}

    def join(
        self,
        gateway: Gateway,
        request: Request,
        target: PreparedTarget,
        effect: CallFunction,
        done: Done,
    ) -> Seat:
        """Wait for the call of `effect.flight`, which begins with the first who asks for it."""
        key = effect.flight
        flight = self._under_way.get(key)
        if flight is not None:
            return flight.board(done)
        flight = self._under_way[key] = _Flight(self, key)
        seat = flight.board(done)
        flight.call = FunctionCall(gateway, request, target, effect, flight.land)
        flight.call.start()
        return seat

    def ended(self, key: Hashable, flight: _Flight) -> bool:
        """Forget a call; False when it was already."""
        return self._under_way.pop(key, None) is flight

    def __len__(self) -> int:
        """Calls under way."""
        return len(self._under_way)
