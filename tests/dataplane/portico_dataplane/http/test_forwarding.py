"""Passing on: which address, how often, with what in memory, and that nothing is left behind.

Framing and faults of single answers are tables of tests/dataplane/rules/test_upstreams.py, whole
bodies larger than memory are in tests/integration/test_faults.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from engine import UPSTREAM
from portico_dataplane.http.forwarding import Forwarding
from portico_ir.model import Endpoint, EndpointSet, ServiceTarget
from raw_http import Cut, RawClient
from raw_upstream import BODY, CLOSE, HOLD, OK, RESET, Exchange, Script, Upstream, Wait
from serving import HTTP, REST, Serving, everything, proxied, route, site

MB = 1024 * 1024
OTHER = "test/other:80"

UNITS = {
    **site(
        REST,
        "rest",
        everything(REST),
        (
            route(REST, "ANY /as-get", proxied(method="GET")),
            route(REST, "ANY /as-head", proxied(method="HEAD")),
            route(REST, "ANY /as-post", proxied(method="POST")),
            route(REST, "ANY /quick", proxied(timeout_ms=80)),
            route(REST, "ANY /sink", proxied(max_request_body=1024**3)),
        ),
    ),
    **site(HTTP, "http", everything(HTTP)),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Serving]:
    with Serving(UNITS) as engine:
        yield engine


@pytest.fixture
def engine(shared: Serving) -> Iterator[Serving]:
    """One engine for all: what a test leaves behind would show in the next one too."""
    up = shared.upstream
    up.forget()
    up.scripts.clear()
    up.answer_early.clear()
    yield shared
    shared.until_clean()
    assert not shared.failures


def head(target: str = "/x", *headers: bytes, method: str = "GET", host: str = "rest") -> bytes:
    first = f"{method} {target} HTTP/1.1\r\nHost: {host}.test".encode()
    return b"\r\n".join((first, *headers)) + b"\r\n\r\n"


def length(count: int) -> bytes:
    return b"Content-Length: %d" % count


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


# --- methods of the integration's own -------------------------------------------------------------

BODIES = {
    "length": (ok(b"body"),),
    "length-in-two": (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"body"),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",),
    "chunked-in-two": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"4\r\nbody\r\n0\r\n\r\n",
    ),
    "until-close": (b"HTTP/1.1 200 OK\r\n\r\nbody", CLOSE),
    "large": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000,),
}


@pytest.mark.parametrize("script", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("override", [False, True], ids=["route", "override"])
def test_a_head_request_has_no_body_although_its_backend_sends_one(
    engine: Serving, script: Script, override: bool
) -> None:
    """`httpMethod: GET` on an ANY route, and X-HTTP-Method-Override: the answer's body must not
    be read as the next answer (RFC 9110 §9.3.2)."""
    target = "/x" if override else "/as-get"
    engine.upstream.scripts[target.encode()] = script
    more = [b"X-HTTP-Method-Override: GET"] if override else []
    with RawClient(engine.port) as client:
        client.send(head(target, *more, method="HEAD") + head("/next"))
        answer = client.read_answer("HEAD")
        assert answer.status == 200
        assert client.read_answer().body == b"ok"
    assert [one.method for one in engine.upstream.exchanges] == [b"GET", b"GET"]


def test_a_get_answered_by_a_head_is_empty(engine: Serving) -> None:
    engine.upstream.scripts[b"/as-head"] = (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",)
    with RawClient(engine.port) as client:
        client.send(head("/as-head") + head("/next"))
        assert client.read_answer().body == b""
        assert client.read_answer().body == b"ok"


@pytest.mark.parametrize(
    ("target", "method", "framing"),
    [
        ("/x", "POST", [b"0"]),
        ("/x", "PUT", [b"0"]),
        ("/x", "PATCH", [b"0"]),
        ("/as-post", "GET", [b"0"]),
        ("/x", "GET", []),
        ("/x", "DELETE", []),
        ("/as-get", "POST", []),
    ],
)
def test_no_body_is_said_where_one_is_expected(
    engine: Serving, target: str, method: str, framing: list[bytes]
) -> None:
    """RFC 9110 §8.6."""
    with RawClient(engine.port) as client:
        client.send(head(target, method=method))
        assert client.read_answer().status == 200
    (call,) = engine.upstream.exchanges
    assert call.all("content-length") == framing


# --- which address --------------------------------------------------------------------------------


@contextmanager
def upstreams(count: int) -> Iterator[list[Upstream]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Upstream()) for _ in range(count)]


def addresses(*found: Upstream) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(host="127.0.0.1", port=one.port) for one in found)


def refusing() -> Endpoint:
    """An address where nobody listens."""
    with Upstream() as gone:
        port = gone.port
    return Endpoint(host="127.0.0.1", port=port)


def statuses(engine: Serving, *requests: bytes) -> list[int]:
    """Of one request after another, on one connection."""
    found = []
    with RawClient(engine.port) as client:
        for request in requests:
            client.send(request)
            found.append(client.read_answer().status)
    return found


def test_addresses_take_turns() -> None:
    with upstreams(3) as ups, Serving(UNITS, endpoints=addresses(*ups)) as engine:
        assert statuses(engine, *[head()] * 9) == [200] * 9
        assert [len(up.exchanges) for up in ups] == [3, 3, 3]
        # One connection each, used three times.
        assert [up.connections for up in ups] == [1, 1, 1]


def test_weighted_targets_share() -> None:
    one = ServiceTarget(upstream=UPSTREAM, host="one", weight=3)
    two = ServiceTarget(upstream=OTHER, host="two", weight=1)
    units = site(REST, "rest", everything(REST, proxied(targets=(one, two))))
    with upstreams(2) as ups, Serving(units, endpoints=addresses(ups[0])) as engine:
        more = EndpointSet(sequence=2, upstreams={OTHER: addresses(ups[1])})
        assert engine.ask(lambda: engine.gateway.set_endpoints(more))
        assert statuses(engine, *[head()] * 8) == [200] * 8
        assert [len(up.exchanges) for up in ups] == [6, 2]
        assert {one.all("host")[0] for one in ups[1].exchanges} == {b"two"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connection_goes_to_the_next_address(method: str) -> None:
    """Nothing was written: any method may go on (RFC 9110 §9.2.2)."""
    with upstreams(1) as ups:
        endpoints = (refusing(), *addresses(*ups))
        with Serving(UNITS, endpoints=endpoints) as engine:
            request = head(method=method)
            assert statuses(engine, *[request] * 6) == [200] * 6
            assert len(ups[0].exchanges) == 6
            balancer = repr(engine.ask(lambda: engine.gateway.upstreams.get(
                f"http:service:{UPSTREAM}", trusted=True
            )))  # fmt: skip
            assert "ejected" in balancer


def test_a_body_is_not_lost_on_the_way_to_the_next_address() -> None:
    body = bytes(random.Random(1).randbytes(200_000))
    with upstreams(1) as ups:
        endpoints = (refusing(), *addresses(*ups))
        for framing, sent in (
            (length(len(body)), body),
            (b"Transfer-Encoding: chunked", b"30d40\r\n" + body + b"\r\n0\r\n\r\n"),
        ):
            with Serving(UNITS, endpoints=endpoints) as engine, RawClient(engine.port) as client:
                client.send(head("/x", framing, method="PUT") + sent)
                assert client.read_answer().status == 200
        assert [one.body for one in ups[0].exchanges] == [body, body]


def test_every_address_refuses() -> None:
    endpoints = tuple(refusing() for _ in range(5))
    with Serving(UNITS, endpoints=endpoints) as engine:
        assert statuses(engine, head(), head(host="http")) == [504, 503]
        engine.until_clean()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("former", [1, 2])
def test_a_service_that_moves_is_waited_for(method: str, former: int) -> None:
    """Its last pod is gone before anybody has said where the new one is."""
    endpoints = tuple(refusing() for _ in range(former))
    with upstreams(1) as ups, Serving(UNITS, endpoints=endpoints) as engine:
        moved = EndpointSet(sequence=2, upstreams={UPSTREAM: addresses(*ups)})
        key = f"http:service:{UPSTREAM}"
        with RawClient(engine.port) as client:
            client.send(head(method=method))
            balancer = engine.gateway.upstreams.get(key, trusted=True).balancer
            engine.until(lambda: balancer.none_works, "the address was tried")
            assert engine.ask(lambda: engine.gateway.set_endpoints(moved))
            assert client.read_answer().status == 200
        assert [one.method for one in ups[0].exchanges] == [method.encode()]


def test_a_client_that_leaves_waits_for_no_service() -> None:
    with Serving(UNITS, endpoints=(refusing(),)) as engine:
        balancer = engine.gateway.upstreams.get(f"http:service:{UPSTREAM}", trusted=True).balancer
        with RawClient(engine.port) as client:
            client.send(head())
            engine.until(lambda: balancer.none_works, "the address was tried")
        engine.until_clean()
        assert not engine.failures


def test_an_address_that_resets_is_avoided() -> None:
    with upstreams(2) as ups, Serving(UNITS, endpoints=addresses(*ups)) as engine:
        ups[0].default = (RESET,)
        assert statuses(engine, *[head()] * 12) == [200] * 12
        assert len(ups[0].exchanges) == 2
        assert len(ups[1].exchanges) == 12


def test_a_reset_costs_a_post_its_answer() -> None:
    """It may have been done: only its sender may say it again."""
    with upstreams(2) as ups, Serving(UNITS, endpoints=addresses(*ups)) as engine:
        ups[0].default = (RESET,)
        found = statuses(engine, *[head(method="POST")] * 8)
        assert sorted(found) == [200] * 6 + [504] * 2
        assert len(ups[0].exchanges) == 2


def test_addresses_that_change_reach_the_next_request() -> None:
    with upstreams(2) as ups, Serving(UNITS, endpoints=addresses(ups[0])) as engine:

        def move(sequence: int, *to: Upstream) -> bool:
            found = EndpointSet(sequence=sequence, upstreams={UPSTREAM: addresses(*to)})
            return engine.ask(lambda: engine.gateway.set_endpoints(found))

        with RawClient(engine.port) as client:

            def ask() -> int:
                client.send(head())
                return client.read_answer().status

            assert ask() == 200
            assert move(2, ups[1])
            assert ask() == 200
            assert not move(1, ups[0])
            assert ask() == 200
            assert move(3)
            assert ask() == 503
            assert move(4, ups[0])
            assert ask() == 200
        assert [len(up.exchanges) for up in ups] == [2, 2]


# --- how often ------------------------------------------------------------------------------------


def stale(up: Upstream, target: bytes) -> None:
    """The second request on each connection finds it closed."""
    seen: dict[int, int] = {}

    def script(exchange: Exchange) -> Script:
        seen[exchange.connection] = seen.get(exchange.connection, 0) + 1
        return (OK,) if seen[exchange.connection] == 1 else (CLOSE,)

    up.scripts[target] = script


def test_a_large_body_is_not_sent_twice(engine: Serving) -> None:
    """Only so much is kept for a second attempt; a PUT of more is not replayable."""
    stale(engine.upstream, b"/stale")
    for size, expected in ((64 * 1024, 200), (64 * 1024 + 1, 504)):
        engine.upstream.forget()
        with RawClient(engine.port) as client:
            client.send(head("/stale"))
            assert client.read_answer().status == 200
            client.send(head("/stale", length(size), method="PUT") + b"x" * size)
            assert client.read_answer().status == expected
        bodies = [len(one.body) for one in engine.upstream.exchanges if one.method == b"PUT"]
        assert bodies == [size] * (2 if expected == 200 else 1)


def test_retries_have_a_budget() -> None:
    """Retries are load that comes when there is least room for it: 20, then one in five."""
    with Serving(UNITS) as engine:
        up = engine.upstream
        up.scripts[b"/never"] = (CLOSE,)
        for _ in range(60):
            assert statuses(engine, head("/never")) == [504]
        attempts = len([one for one in up.exchanges if one.target == b"/never"])
        # 60 first attempts, 20 saved retries, and a fifth of the 60 earned meanwhile.
        assert 60 + 20 <= attempts <= 60 + 20 + 12 + 1


def test_an_answer_that_has_begun_is_never_asked_for_again(engine: Serving) -> None:
    engine.upstream.scripts[b"/half"] = (b"HTTP/1.1 200 OK\r\nContent-", RESET)
    assert statuses(engine, head("/half")) == [504]
    assert len(engine.upstream.exchanges) == 1


# --- time -----------------------------------------------------------------------------------------


def test_a_request_that_waits_for_a_connection_does_not_wait_for_ever() -> None:
    """Behind one that streams: its own timeout counts, and its place is given up."""
    with Serving(UNITS, upstream_max_connections=1) as engine:
        up = engine.upstream
        wait = Wait()
        up.scripts[b"/long"] = (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", wait, b"cd")
        with RawClient(engine.port) as client:
            client.send(head("/long"))
            client.wait_for(b"ab")
            assert statuses(engine, head("/quick")) == [504]
            wait.event.set()
            assert client.read_answer().body == b"abcd"
        assert statuses(engine, head("/quick")) == [200]
        assert [one.target for one in up.exchanges] == [b"/long", b"/quick"]


def test_a_body_that_stops_is_cut() -> None:
    """AWS §3.20: between two chunks; the time begins anew with each."""
    with Serving(UNITS, upstream_body_timeout_s=0.1) as engine:
        engine.upstream.scripts[b"/stops"] = (ok(b"x" * 9)[:-4], HOLD)
        with RawClient(engine.port) as client:
            client.send(head("/stops"))
            with pytest.raises(Cut):
                client.read_answer()
        engine.until_clean()


def test_an_upload_has_time_while_it_moves(engine: Serving) -> None:
    """`timeout` runs from the request sent: anew with each piece of it."""
    up = engine.upstream
    up.answer_early.add(b"/x")
    up.scripts[b"/x"] = (BODY, OK)

    def work() -> Forwarding:
        (connection,) = engine.gateway.connections
        assert connection.exchange is not None
        work = connection.exchange._work
        assert isinstance(work, Forwarding)
        return work

    with RawClient(engine.port) as client:
        client.send(head("/x", length(4), method="PUT"))
        up.wait_for(lambda: bool(up.exchanges), "the head")
        before = engine.ask(lambda: work()._timeout_from)
        for number in range(1, 4):
            client.send(b"x")
            engine.until(lambda n=number: work()._body_size == n, "a piece")  # type: ignore[misc]
            now = engine.ask(lambda: work()._timeout_from)
            assert now > before
            before = now
        client.send(b"x")
        assert client.read_answer().status == 200


# --- connections are left as they were ------------------------------------------------------------


def test_a_client_that_was_behind_holds_nobody_else_back() -> None:
    """The last bytes of a large answer came while it did not read: the connection that brought
    them must read again for the next request."""
    with Serving(UNITS, upstream_max_connections=1) as engine:
        up = engine.upstream
        size = 16 * MB
        up.scripts[b"/large"] = (ok(b"x" * size),)
        for _ in range(3):
            with RawClient(engine.port, receive_buffer=65536) as slow:
                slow.send(head("/large"))
                slow.wait_for(b"\r\n\r\n")
                engine.settle_held()
                assert len(slow.read_answer().body) == size
                # It is behind, and has read everything: the same upstream connection serves.
                assert statuses(engine, head()) == [200]
        assert up.connections == 1


def test_one_that_is_given_back_while_its_client_is_behind_reads_again() -> None:
    """As above, at the very moment: the client reads nothing until another one was served."""
    with Serving(UNITS, upstream_max_connections=1) as engine:
        up = engine.upstream
        with RawClient(engine.port, receive_buffer=4096) as slow:
            for size in range(300_000, 900_000, 60_000):
                up.scripts[b"/large"] = (ok(b"x" * size),)
                slow.send(head("/large"))
                slow.wait_for(b"\r\n\r\n")
                # Behind it, or after it has read: in any case it is served.
                with RawClient(engine.port) as other:
                    other.send(head("/quickly"))
                    if engine.ask(lambda: engine.gateway.in_flight) == 1:
                        assert other.read_answer().status == 200
                        assert len(slow.read_answer().body) == size
                    else:
                        assert len(slow.read_answer().body) == size
                        assert other.read_answer().status == 200


def test_an_early_answer_with_an_unsent_body_ends_the_connection(engine: Serving) -> None:
    """Megabytes of it are still ours to send: no other request may go behind them."""
    up = engine.upstream
    up.answer_early.add(b"/early")
    # It answers at once and reads nothing.
    up.scripts[b"/early"] = (ok(b"no"), Wait())
    size = 8 * MB
    with RawClient(engine.port) as client:
        client.send(head("/early", length(size), method="PUT"))
        sender = engine.beside(lambda: client.send(b"x" * size))
        answer = client.read_answer()
        assert answer.body == b"no"
        client.half_close()
        sender.join()
    engine.until_clean()
    assert statuses(engine, head("/next")) == [200]
    assert up.exchanges[0].connection != up.exchanges[-1].connection
    wait = up.scripts[b"/early"]
    assert isinstance(wait, tuple)
    assert isinstance(wait[1], Wait)
    wait[1].event.set()


# --- bounded memory (rule 12) ---------------------------------------------------------------------

TOTAL = 64 * MB
BOUND = MB
"""The transports' high-water mark, and one read of the loop."""


def unsent(engine: Serving) -> int:
    """The most that is kept for anybody, in either direction."""
    found: list[Any] = list(engine.gateway.connections)
    found += [one for pool in engine.gateway.upstreams.live for one in pool._open]
    return max((one.transport.get_write_buffer_size() for one in found), default=0)


def test_a_large_answer_to_a_slow_client_is_never_kept(engine: Serving) -> None:
    def script(_: Exchange) -> Script:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % TOTAL
        yield from [b"x" * MB] * (TOTAL // MB)

    engine.upstream.scripts[b"/large"] = script
    with RawClient(engine.port, receive_buffer=65536) as slow:
        slow.send(head("/large"))
        slow.wait_for(b"\r\n\r\n")
        engine.settle_held()
        most, got = 0, len(slow.pending.partition(b"\r\n\r\n")[2])
        while got < TOTAL:
            got += len(slow.sock.recv(MB))
            if got % 7 == 0:
                most = max(most, engine.ask(lambda: unsent(engine)))
        assert got == TOTAL
    assert most < BOUND


def test_a_large_upload_to_a_slow_backend_is_never_kept(engine: Serving) -> None:
    up = engine.upstream
    up.answer_early.add(b"/sink")
    up.keeps_bodies = False
    wait = Wait()
    up.scripts[b"/sink"] = (wait, BODY, OK)
    try:
        with RawClient(engine.port) as client:
            client.send(head("/sink", length(TOTAL), method="PUT"))
            sender = engine.beside(lambda: client.send(b"x" * TOTAL))
            engine.settle_held(towards_upstreams=True)
            wait.event.set()
            most = 0
            while sender.is_alive():
                most = max(most, engine.ask(lambda: unsent(engine)))
            assert client.read_answer().status == 200
        assert up.exchanges[0].size == TOTAL
        assert most < BOUND
    finally:
        up.keeps_bodies = True
