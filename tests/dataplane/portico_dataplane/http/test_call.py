"""Calls to functions: one POST, its answer whole, never twice, and nothing left when nobody waits.

What an event holds and what an answer means is in integrations/test_function*.py.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from engine import UPSTREAM
from portico_dataplane.http import call
from portico_ir.model import Endpoint, EndpointSet, GatewayUnit, ServiceTarget, UrlTarget
from raw_http import Answer, RawClient
from raw_upstream import CLOSE, HOLD, RESET, Exchange, Script, Upstream, Wait
from serving import HTTP, REST, Serving, everything, function, proxied, route, site

INVOKE = b"/2015-03-31/functions/f/invocations"
RESULT = b'{"statusCode":201,"body":"made"}'
ONE, TWO = RESULT[:10], RESULT[10:]


def returns(result: bytes = RESULT, *lines: bytes) -> bytes:
    head = (b"HTTP/1.1 200 OK", *lines, b"Content-Length: %d" % len(result))
    return b"\r\n".join(head) + b"\r\n\r\n" + result


UNITS = {
    **site(
        REST,
        "rest",
        (
            route(REST, "ANY /f", function()),
            route(REST, "ANY /quick", function(timeout_ms=80)),
            route(REST, "ANY /proxied", proxied()),
            route(
                REST,
                "ANY /prefixed",
                function(target=ServiceTarget(upstream="test/upstream:80", host="h", path="/up/")),
            ),
            route(REST, "ANY /alias", function("f:live")),
            route(REST, "ANY /odd", function("a b/c?d")),
        ),
    ),
    **site(HTTP, "http", everything(HTTP, function())),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Serving]:
    with Serving(UNITS) as engine:
        yield engine


@pytest.fixture
def engine(shared: Serving) -> Iterator[Serving]:
    up = shared.upstream
    up.forget()
    up.scripts.clear()
    up.default = (returns(),)
    yield shared
    shared.until_clean()
    assert not shared.failures


def get(target: str = "/f", *headers: bytes, method: str = "GET", host: str = "rest") -> bytes:
    first = f"{method} {target} HTTP/1.1\r\nHost: {host}.test".encode()
    return b"\r\n".join((first, *headers)) + b"\r\n\r\n"


def ask(engine: Serving, target: str = "/f", *headers: bytes, host: str = "rest") -> Answer:
    with RawClient(engine.port) as client:
        client.send(get(target, *headers, host=host))
        return client.read_answer()


def outcome(answer: Answer) -> tuple[int, Any]:
    return answer.status, json.loads(answer.body)["message"]


MALFORMED = (502, "Internal server error")
NETWORK = (504, "Network error communicating with endpoint")
TIMED_OUT = (504, "Endpoint request timed out")
UNAVAILABLE = (503, "Service Unavailable")


# --- what is sent ---------------------------------------------------------------------------------


def test_an_invocation(engine: Serving) -> None:
    trace = b"Root=1-5e272390-8c398be037738dc042009320;Sampled=1"
    assert ask(engine, "/f", b"X-Amzn-Trace-Id: " + trace).status == 201
    (sent,) = engine.upstream.exchanges
    assert sent.line == b"POST " + INVOKE + b" HTTP/1.1"
    assert sent.all("host") == [b"upstream.test"]
    assert sent.all("content-type") == [b"application/json"]
    assert sent.all("x-amz-invocation-type") == [b"RequestResponse"]
    assert sent.all("content-length") == [b"%d" % len(sent.body)]
    assert sent.all("x-amzn-trace-id")[0].startswith(trace[:40])
    assert json.loads(sent.body)["path"] == "/f"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/prefixed", b"/up" + INVOKE),
        ("/alias", b"/2015-03-31/functions/f:live/invocations"),
        ("/odd", b"/2015-03-31/functions/a%20b%2Fc%3Fd/invocations"),
    ],
)
def test_where_it_goes(engine: Serving, target: str, path: bytes) -> None:
    assert ask(engine, target).status == 201
    assert engine.upstream.exchanges[0].target == path


def test_urls_with_variables() -> None:
    """A variable of the path, a host that it chooses, and one that nothing fills."""
    with Upstream((returns(),)) as up:

        def units(url: str) -> dict[str, Any]:
            called = function(target=UrlTarget(url=url))
            return site(REST, "rest", (route(REST, "GET /{port}", called),))

        port = up.port
        with Serving(units("http://127.0.0.1:{port}/{port}"), upstream=up) as engine:
            assert ask(engine, f"/{port}").status == 201
            assert up.exchanges[0].target == f"/{port}".encode() + INVOKE
            assert up.exchanges[0].all("host") == [f"127.0.0.1:{port}".encode()]
            assert ask(engine, "/evil@x").status == 500
            engine.apply(units(f"http://127.0.0.1:{port}/{{missing}}"))
            assert outcome(ask(engine, "/x")) == (500, "Internal server error")
            closed = {**units(f"http://127.0.0.1:{port}"), "gateway": GatewayUnit()}
            engine.apply(closed)
            assert outcome(ask(engine, "/x")) == (500, "Internal server error")
            assert len(up.exchanges) == 1


def test_functions_and_proxies_share_connections(engine: Serving) -> None:
    assert ask(engine, "/proxied").status == 200
    assert ask(engine, "/f").status == 201
    assert ask(engine, "/proxied").status == 200
    assert len({one.connection for one in engine.upstream.exchanges}) == 1


# --- what comes back ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        (returns(),),
        (b"HTTP/1.1 200 OK\r\n", b"Content-Length: %d\r\n\r\n" % len(RESULT), ONE, TWO),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         b"a\r\n" + ONE + b"\r\n", b"%x\r\n" % len(TWO) + TWO + b"\r\n0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + ONE, TWO, CLOSE),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + returns(),),
        (returns() + b"more",),
        (returns(RESULT, b"Connection: close"), CLOSE),
    ],
    ids=["whole", "pieces", "chunks", "until-close", "interim", "bytes-behind", "closes"],
)  # fmt: skip
def test_answers(engine: Serving, script: Script) -> None:
    engine.upstream.scripts[INVOKE] = script
    for _ in range(2):
        answer = ask(engine)
        assert (answer.status, answer.body) == (201, b"made")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ((returns(b'{"errorMessage":"x"}', b"X-Amz-Function-Error: Unhandled"),), MALFORMED),
        ((returns(b"nonsense"),), MALFORMED),
        ((b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",), MALFORMED),
        ((b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", HOLD), NETWORK),
        ((CLOSE,), NETWORK),
        ((RESET,), NETWORK),
        ((returns()[:-5], CLOSE), NETWORK),
        ((b"garbage\r\n\r\n",), NETWORK),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",), NETWORK),
    ],
    ids=["error", "malformed", "status", "switch", "closes", "resets", "part", "garbage", "chunk"],
)
def test_failures(engine: Serving, script: Script, expected: tuple[int, str]) -> None:
    engine.upstream.scripts[INVOKE] = script
    assert outcome(ask(engine)) == expected
    assert len(engine.upstream.exchanges) == 1
    assert ask(engine, host="http").status in (500, 503)


def test_an_answer_that_is_too_large(engine: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS: 10 MB; the rest of it is not read."""
    monkeypatch.setattr(call, "ANSWER_LIMIT", 1000)
    body = b'{"statusCode":200,"body":"%b"}' % (b"x" * 973)
    assert len(body) == 1001
    for script in ((returns(body),), (returns(body)[:-500], Wait())):
        engine.upstream.scripts[INVOKE] = script
        if isinstance(script[-1], Wait):
            monkeypatch.setattr(call, "ANSWER_LIMIT", 400)
        assert outcome(ask(engine)) == MALFORMED
        if isinstance(script[-1], Wait):
            script[-1].event.set()
    monkeypatch.setattr(call, "ANSWER_LIMIT", 1001)
    engine.upstream.scripts[INVOKE] = (returns(body),)
    assert ask(engine).status == 200


# --- how often ------------------------------------------------------------------------------------


def test_an_invocation_is_never_made_twice(engine: Serving) -> None:
    """Not even where a pooled connection was closed meanwhile: it may have been read."""
    seen: dict[int, int] = {}

    def script(exchange: Exchange) -> Script:
        seen[exchange.connection] = seen.get(exchange.connection, 0) + 1
        return (returns(),) if seen[exchange.connection] == 1 else (CLOSE,)

    engine.upstream.scripts[INVOKE] = script
    found = [ask(engine).status for _ in range(4)]
    assert found in ([201, 504, 201, 504], [504, 201, 504, 201])
    assert len(engine.upstream.exchanges) == 4


def test_an_address_that_refuses_is_passed_over() -> None:
    """Nothing was written there."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        gone = Endpoint(host="127.0.0.1", port=sock.getsockname()[1])
        with Upstream((returns(),)) as up:
            there = Endpoint(host="127.0.0.1", port=up.port)
            with Serving(UNITS, upstream=up, endpoints=(gone, there)) as engine:
                assert [ask(engine).status for _ in range(6)] == [201] * 6
        with Serving(UNITS, endpoints=(gone, Endpoint(host="127.0.0.1", port=gone.port))) as engine:
            assert outcome(ask(engine)) == NETWORK
            assert outcome(ask(engine, host="http")) == UNAVAILABLE


def test_a_service_that_moves_is_waited_for() -> None:
    """Its last pod is gone before anybody has said where the new one is."""
    with socket.socket() as sock, Upstream((returns(),)) as up:
        sock.bind(("127.0.0.1", 0))
        gone = Endpoint(host="127.0.0.1", port=sock.getsockname()[1])
        there = Endpoint(host="127.0.0.1", port=up.port)
        with Serving(UNITS, upstream=up, endpoints=(gone,)) as engine:
            upstream = engine.gateway.upstreams.get(f"http:service:{UPSTREAM}", trusted=True)
            moved = EndpointSet(sequence=2, upstreams={UPSTREAM: (there,)})
            with RawClient(engine.port) as client:
                client.send(get())
                engine.until(lambda: upstream.is_moving(gone), "the address was tried")
                assert engine.ask(lambda: engine.gateway.set_endpoints(moved))
                assert client.read_answer().status == 201
            assert len(up.exchanges) == 1


def test_no_address() -> None:
    with Serving(UNITS, endpoints=()) as engine:
        assert outcome(ask(engine)) == UNAVAILABLE


# --- time, and who leaves -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [(HOLD,), (returns()[:20], HOLD), (returns()[:-5], HOLD)],
    ids=["nothing", "head", "body"],
)
def test_the_timeout_runs_to_the_end_of_the_answer(engine: Serving, script: Script) -> None:
    engine.upstream.scripts[INVOKE] = script
    assert outcome(ask(engine, "/quick")) == TIMED_OUT
    (sent,) = engine.upstream.exchanges
    engine.upstream.wait_for(lambda: bool(sent.ended), "the end of the call")


def test_who_waited_too_long_for_a_connection_gives_up_the_place() -> None:
    """With one connection and one place in the queue."""
    with Serving(UNITS, upstream_max_connections=1, upstream_max_waiting=1) as engine:
        up = engine.upstream
        wait = Wait()
        up.scripts[INVOKE] = (wait, returns())
        with RawClient(engine.port) as first, RawClient(engine.port) as second:
            first.send(get("/f"))
            up.wait_for(lambda: bool(up.exchanges), "the first call")
            second.send(get("/quick"))
            engine.until(lambda: engine.gateway.in_flight == 2, "the second waits")
            assert outcome(ask(engine)) == UNAVAILABLE  # the queue is full
            assert outcome(second.read_answer()) == TIMED_OUT
            second.send(get("/f"))
            engine.until(lambda: engine.gateway.in_flight == 2, "it waits again")
            wait.event.set()
            assert first.read_answer().status == second.read_answer().status == 201
        assert len(up.exchanges) == 2
        engine.until_clean()


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
@pytest.mark.parametrize(
    "script", [(HOLD,), (returns()[:-5], HOLD)], ids=["before", "in-the-answer"]
)
def test_a_client_that_leaves_ends_the_call(engine: Serving, script: Script, reset: bool) -> None:
    """Rule 16."""
    up = engine.upstream
    up.scripts[INVOKE] = script
    with RawClient(engine.port) as client:
        client.send(get("/f", b"Content-Length: 2", method="POST") + b"hi")
        up.wait_for(lambda: bool(up.exchanges) and up.exchanges[0].complete, "the call")
        if reset:
            client.reset()
    up.wait_for(lambda: bool(up.exchanges[0].ended), "the end of the call")


@pytest.fixture
def full_queue() -> Iterator[Endpoint]:
    """An address whose queue is full: connecting to it takes until somebody gives up."""
    with socket.socket() as deaf, ExitStack() as filling:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        for _ in range(4):
            sock = filling.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(address)
        yield Endpoint(host="127.0.0.1", port=address[1])


def test_a_client_that_leaves_while_it_is_connected_for(full_queue: Endpoint) -> None:
    with Serving(UNITS, endpoints=(full_queue,), connect_timeout_s=0.2) as engine:
        with RawClient(engine.port) as client:
            client.send(get("/f"))
            engine.until(lambda: bool(engine.gateway.in_flight), "it began")
        engine.until_clean()
        assert outcome(ask(engine, "/quick")) == TIMED_OUT
        assert outcome(ask(engine)) == NETWORK
        engine.until_clean()
