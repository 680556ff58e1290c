"""Calls that several wait for: one call, one result each, and nothing left behind.

How requests wait for one is in test_admission.py, over the wire.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import CallFunction, FunctionAnswer, Unavailable
from portico_dataplane.http.flights import Flights, Seat
from portico_ir.errors import ErrorKind
from raw_upstream import HOLD, Upstream, Wait
from sample_requests import make_request
from serving import REST, SERVICE, Serving, everything, site

PATH = "/ask"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def shared() -> Iterator[Serving]:
    with Serving(site(REST, "rest", everything(REST))) as engine:
        yield engine


@pytest.fixture
def engine(shared: Serving) -> Iterator[Serving]:
    shared.upstream.forget()
    shared.upstream.scripts.clear()
    yield shared
    assert not len(shared.gateway.flights)
    shared.until_clean()


class Waiter:
    """Somebody who waits."""

    def __init__(self, engine: Serving, flight: str = "one", timeout_ms: int = 5_000) -> None:
        self.engine = engine
        self.results: list[FunctionAnswer | Unavailable] = []
        effect = CallFunction(SERVICE, PATH, (), b"{}", timeout_ms, flight=flight)
        request: Request = make_request()
        gateway = engine.gateway

        def join() -> Seat:
            target = gateway.targets.prepared(SERVICE)
            return gateway.flights.join(gateway, request, target, effect, self.done)

        self.seat = engine.ask(join)

    def done(self, result: FunctionAnswer | Unavailable) -> None:
        self.results.append(result)

    def leave(self) -> None:
        self.engine.ask(self.seat.end)

    def wait(self) -> None:
        self.engine.until(lambda: bool(self.results), "there is a result")


def held(up: Upstream) -> Wait:
    wait = Wait()
    up.scripts[PATH.encode()] = (wait, ANSWER)
    return wait


def test_everybody_gets_the_one_result(engine: Serving) -> None:
    wait = held(engine.upstream)
    waiters = [Waiter(engine) for _ in range(3)]
    other = Waiter(engine, flight="other")
    assert len(engine.gateway.flights) == 2
    assert all(waiter.seat.waits for waiter in waiters)
    wait.event.set()
    for waiter in (*waiters, other):
        waiter.wait()
        assert waiter.results == [FunctionAnswer(200, "", b"ok")]
        assert not waiter.seat.waits
    assert len(engine.upstream.exchanges) == 2


def test_who_leaves_is_told_nothing(engine: Serving) -> None:
    wait = held(engine.upstream)
    first, second = Waiter(engine), Waiter(engine)
    first.leave()
    first.leave()
    wait.event.set()
    second.wait()
    assert not first.results


def test_the_last_one_ends_the_call(engine: Serving) -> None:
    engine.upstream.scripts[PATH.encode()] = (HOLD,)
    waiters = [Waiter(engine), Waiter(engine)]
    engine.upstream.wait_for(lambda: bool(engine.upstream.exchanges), "the call")
    for waiter in waiters:
        waiter.leave()
    assert not len(engine.gateway.flights)
    engine.upstream.wait_for(lambda: bool(engine.upstream.exchanges[0].ended), "its end")
    # Who comes now begins anew.
    engine.upstream.scripts[PATH.encode()] = (ANSWER,)
    late = Waiter(engine)
    late.wait()
    assert late.results == [FunctionAnswer(200, "", b"ok")]


def test_a_call_that_takes_too_long(engine: Serving) -> None:
    engine.upstream.scripts[PATH.encode()] = (HOLD,)
    waiters = [Waiter(engine, timeout_ms=60), Waiter(engine, timeout_ms=60)]
    for waiter in waiters:
        waiter.wait()
        (result,) = waiter.results
        assert isinstance(result, Unavailable)
        assert result.kind is ErrorKind.INTEGRATION_TIMEOUT


def test_a_call_that_ends_at_once() -> None:
    """Nothing is ready: whoever asks has the result before they could wait for it."""
    with Serving(site(REST, "rest", everything(REST)), endpoints=()) as engine:
        waiter = Waiter(engine)
        (result,) = waiter.results
        assert isinstance(result, Unavailable)
        assert result.kind is ErrorKind.NO_ENDPOINT
        assert not waiter.seat.waits
        assert not len(engine.gateway.flights)


def test_one_who_fails_does_not_fail_the_others(
    engine: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    wait = held(engine.upstream)

    class Broken(Waiter):
        def done(self, result: FunctionAnswer | Unavailable) -> None:
            raise RuntimeError("a bug")

    Broken(engine)
    fine = Waiter(engine)
    wait.event.set()
    fine.wait()
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_without_anybody_there_is_no_call() -> None:
    assert len(Flights()) == 0
