"""More than a worker can do: what it takes on is served, what it does not is told so at once.

One slow backend, or one hot API, costs others nothing; an address that only fails is left alone.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from portico_dataplane.core.balancing import EJECT_AFTER_ERRORS
from portico_dataplane.core.load import API, LAG, TARGET
from portico_ir.model import Endpoint
from raw_http import Answer, RawClient
from raw_upstream import HOLD, OK, Upstream, Wait
from serving import HTTP, REST, Serving, answering, everything, function, route, site

UNITS = {
    **site(
        REST,
        "hot",
        everything(REST),
        (route(REST, "ANY /mock", answering(200, "m")), route(REST, "ANY /f", function())),
    ),
    **site(HTTP, "calm", (route(HTTP, "ANY /mock", answering(200, "m")),), everything(HTTP)),
}
UNAVAILABLE = {"message": "Service Unavailable"}


def ask(engine: Serving, target: str = "/mock", host: str = "hot.test") -> Answer:
    with RawClient(engine.port) as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return client.read_answer()


def begun(engine: Serving, stack: ExitStack, host: str, count: int) -> list[RawClient]:
    """So many requests that need no backend and are not over: their bodies are still to come."""
    found = []
    for _ in range(count):
        client = stack.enter_context(RawClient(engine.port))
        before = engine.ask(lambda: engine.gateway.in_flight)
        head = f"POST /mock HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\n"
        client.send(head.encode())
        engine.until(lambda b=before: engine.gateway.in_flight > b, "it has begun")  # type: ignore[misc]
        found.append(client)
    return found


def shed(engine: Serving, cause: str) -> float:
    return engine.ask(engine.gateway.counters)[f"requests_shed.{cause}"]


def nothing_held(engine: Serving) -> None:
    """Every share was given back."""
    engine.until_clean()

    def shares() -> list[int]:
        gateway = engine.gateway
        apis = gateway.holder.current.apis.values()
        upstreams = gateway.upstreams._by_key.values()
        return [
            gateway.load.held,
            *(o.share.held for o in apis),
            *(u.share.held for u in upstreams),
        ]

    assert set(engine.ask(shares)) == {0}


# --- fairness -------------------------------------------------------------------------------------


def test_a_hot_api_has_half_and_the_others_go_on() -> None:
    with Serving(UNITS, max_in_flight=8) as engine, ExitStack() as stack:
        held = begun(engine, stack, "hot.test", 4)
        refused = ask(engine)
        assert (refused.status, json.loads(refused.body)) == (503, UNAVAILABLE)
        assert refused.get("x-amzn-errortype") == b"ServiceUnavailableException"
        assert not refused.closes
        assert ask(engine, host="calm.test").status == 200
        # The other one is hot too: a third each, and less for who asks later.
        held += begun(engine, stack, "calm.test", 2)
        other = ask(engine, host="calm.test")
        assert (other.status, json.loads(other.body)) == (503, UNAVAILABLE)
        assert shed(engine, API) == 2
        for client in held:
            client.send(b"hello")
            assert client.read_answer().status == 200
        assert ask(engine).status == 200
        stack.close()
        nothing_held(engine)


def test_what_is_refused_is_counted_for_its_stage() -> None:
    with Serving(UNITS, max_in_flight=2) as engine, ExitStack() as stack:
        begun(engine, stack, "hot.test", 1)
        assert ask(engine).status == 503
        assert engine.meters.counts()["hot", "$default", ""] == [503]


def test_a_slow_backend_leaves_room_for_other_routes_of_its_api() -> None:
    with Serving(UNITS, max_in_flight=9) as engine, ExitStack() as stack:
        up = engine.upstream
        up.scripts[b"/slow"] = (HOLD,)
        for number in range(1, 4):
            client = stack.enter_context(RawClient(engine.port))
            client.send(b"GET /slow HTTP/1.1\r\nHost: hot.test\r\n\r\n")
            up.wait_for(lambda n=number: len(up.exchanges) == n, "it is asked")  # type: ignore[misc]
        for target in ("/slow", "/f"):  # a function there is no better
            assert ask(engine, target).status == 503
        assert shed(engine, TARGET) == 2
        assert ask(engine).status == 200
        stack.close()
        nothing_held(engine)


def test_a_new_configuration_knows_what_is_under_way() -> None:
    """And what began under the old one is given back to the same account."""
    with Serving(UNITS, max_in_flight=8) as engine, ExitStack() as stack:
        held = begun(engine, stack, "hot.test", 4)
        more = site(REST, "hot", everything(REST), (route(REST, "ANY /mock", answering(201, "n")),))
        assert not engine.apply({**UNITS, **more}).refused
        assert ask(engine).status == 503
        for client in held:
            client.send(b"hello")
            client.read_answer()
        assert ask(engine).status == 201
        stack.close()
        nothing_held(engine)


def test_tunnels_are_connections_not_work() -> None:
    with Serving(UNITS, max_in_flight=3) as engine, ExitStack() as stack:
        engine.upstream.scripts[b"/tunnel"] = (
            b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            HOLD,
        )
        for _ in range(6):
            client = stack.enter_context(RawClient(engine.port))
            client.send(
                b"GET /tunnel HTTP/1.1\r\nHost: hot.test\r\n"
                b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            )
            assert client.read_answer().status == 101
        assert ask(engine).status == 200
        stack.close()
        nothing_held(engine)


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_who_leaves_gives_its_place_back(leave: str) -> None:
    with Serving(UNITS, max_in_flight=3) as engine, ExitStack() as stack:
        engine.upstream.scripts[b"/slow"] = (HOLD,)
        for _ in range(10):
            client = stack.enter_context(RawClient(engine.port))
            client.send(b"GET /slow HTTP/1.1\r\nHost: hot.test\r\n\r\n")
            engine.until(lambda: engine.gateway.in_flight == 1, "it has begun")
            getattr(client, leave)()
            engine.until(lambda: engine.gateway.in_flight == 0, "it has left")
        nothing_held(engine)


# --- a late loop ----------------------------------------------------------------------------------


@contextmanager
def busy(engine: Serving, seconds: float) -> Iterator[None]:
    """The loop is held up for so long in each of its turns."""
    on = threading.Event()
    on.set()
    loop = engine._loop

    def hold() -> None:
        time.sleep(seconds)
        if on.is_set():
            loop.call_later(0.001, hold)

    loop.call_soon_threadsafe(hold)
    try:
        yield
    finally:
        on.clear()


def test_a_late_loop_takes_on_nothing_new_and_is_soon_itself_again() -> None:
    with Serving(UNITS, overload_lag_s=0.05) as engine, RawClient(engine.port) as client:
        request = b"GET /mock HTTP/1.1\r\nHost: calm.test\r\n\r\n"

        def until(status: int) -> Answer:
            while True:
                client.send(request)
                answer = client.read_answer()
                if answer.status == status:
                    return answer

        until(200)
        with busy(engine, 0.2):
            answer = until(503)
            assert json.loads(answer.body) == UNAVAILABLE
            assert not answer.closes
        until(200)
        assert shed(engine, LAG) > 0


def test_a_late_loop_may_be_no_reason() -> None:
    with (
        Serving(UNITS, overload_lag_s=0) as engine,
        RawClient(engine.port) as client,
        busy(engine, 0.1),
    ):
        for _ in range(10):
            client.send(b"GET /mock HTTP/1.1\r\nHost: calm.test\r\n\r\n")
            assert client.read_answer().status == 200


# --- addresses that fail --------------------------------------------------------------------------

BROKEN = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def pair(**settings: int) -> Iterator[tuple[Serving, Upstream, Upstream]]:
    """A Service of two addresses, the first of which answers 503."""
    with Upstream() as bad, Upstream() as good:
        bad.default = (BROKEN,)
        endpoints = tuple(Endpoint(host="127.0.0.1", port=one.port) for one in (bad, good))
        with Serving(UNITS, upstream=good, endpoints=endpoints, **settings) as engine:
            yield engine, bad, good


def test_an_address_that_answers_5xx_is_left_alone() -> None:
    with pair() as (engine, bad, _):
        statuses = [ask(engine, "/x").status for _ in range(40)]
        assert statuses.count(503) == EJECT_AFTER_ERRORS == len(bad.exchanges)
        assert set(statuses[2 * EJECT_AFTER_ERRORS :]) == {200}


def test_it_may_be_asked_on() -> None:
    with pair(eject_after_errors=0) as (engine, bad, good):
        statuses = [ask(engine, "/x").status for _ in range(20)]
        assert statuses.count(503) == len(bad.exchanges) == len(good.exchanges) == 10


def test_when_both_answer_5xx_both_are_asked() -> None:
    with pair() as (engine, bad, good):
        good.default = (BROKEN,)
        for _ in range(40):
            assert ask(engine, "/x").status == 503
        assert min(len(bad.exchanges), len(good.exchanges)) >= 15


def test_an_address_of_functions_too() -> None:
    with pair() as (engine, bad, _):
        for _ in range(40):
            ask(engine, "/f")
        assert len(bad.exchanges) == EJECT_AFTER_ERRORS


def test_calls_of_functions_earn_what_their_retries_cost() -> None:
    with Serving(UNITS) as engine:
        (upstream,) = engine.gateway.upstreams._by_key.values()

        def spend() -> None:
            while upstream.budget.spend():
                pass

        engine.ask(spend)
        wait = Wait()
        wait.event.set()
        engine.upstream.default = (wait, OK)
        for _ in range(6):
            ask(engine, "/f")
        assert engine.ask(upstream.budget.spend)
