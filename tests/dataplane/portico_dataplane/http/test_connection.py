"""A client's connection in time: how long it lives, who is waited for, what is kept in memory.

What may be sent on it is in tests/dataplane/rules (test_connections.py, test_limits.py).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from portico_dataplane.http import connection
from raw_http import RawClient
from raw_upstream import CLOSE, HOLD, OK, Exchange, Script, Wait
from serving import REST, Serving, answering, everything, route, site

MB = 1024 * 1024
UNITS = site(
    REST,
    "rest",
    everything(REST),
    (
        route(REST, "ANY /mock", answering(200, "mocked")),
        route(REST, "ANY /heavy", answering(200, "x" * 10_000)),
    ),
)


def serving(**settings: Any) -> Serving:
    return Serving(UNITS, **settings)


@pytest.fixture(scope="module")
def shared() -> Iterator[Serving]:
    with serving() as engine:
        yield engine


@pytest.fixture
def engine(shared: Serving) -> Iterator[Serving]:
    shared.upstream.forget()
    shared.upstream.scripts.clear()
    yield shared
    shared.until_clean()
    assert not shared.failures


def get(target: str = "/x", *headers: bytes, method: str = "GET") -> bytes:
    first = f"{method} {target} HTTP/1.1\r\nHost: rest.test".encode()
    return b"\r\n".join((first, *headers)) + b"\r\n\r\n"


CLOSING = b"Connection: close"


def ok(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


def lingered_out(engine: Serving) -> None:
    """Wait until a connection that began to linger now was given up: every one that has been
    lingering for as long has come up too."""
    with RawClient(engine.port) as other:
        other.send(get("/mock", CLOSING))
        other.read_answer()
        port = other.sock.getsockname()[1]

        def gone() -> bool:
            peers = [one.transport.get_extra_info("peername") for one in engine.gateway.connections]
            return port not in [peer[1] for peer in peers if peer]

        engine.until(gone, "the other one was given up")


# --- slow clients ---------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "until-close"])
def test_the_last_answer_is_not_cut_for_a_slow_client(
    framing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9112 §9.6: lingering begins when the answer has gone out, not when it was written."""
    monkeypatch.setattr(connection, "_LINGER_S", 0.05)
    size = 16 * MB
    with serving() as engine:
        engine.upstream.scripts[b"/large"] = (
            (ok(size),)
            if framing == "length"
            else (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * size, CLOSE)
        )
        version = b"1.1" if framing == "length" else b"1.0"
        with RawClient(engine.port, receive_buffer=65536) as slow:
            slow.send(get("/large", CLOSING).replace(b"HTTP/1.1", b"HTTP/" + version))
            slow.wait_for(b"\r\n\r\n")
            engine.settle_held()
            for _ in range(2):
                lingered_out(engine)
            assert len(slow.read_answer().body) == size
            slow.expect_end()
        engine.until_clean()


def test_who_takes_nothing_of_the_last_answer_is_cut() -> None:
    with serving(write_timeout_s=0.1) as engine:
        engine.upstream.scripts[b"/large"] = (ok(16 * MB),)
        with RawClient(engine.port, receive_buffer=65536) as deaf:
            deaf.send(get("/large", CLOSING))
            deaf.wait_for(b"\r\n\r\n")
            engine.until_clean()


def test_who_takes_nothing_of_an_answer_is_cut_and_the_call_with_it() -> None:
    """Settings: `write_timeout_s`; the backend is not kept waiting for nobody."""
    with serving(write_timeout_s=0.1) as engine:
        up = engine.upstream

        def endless(_: Exchange) -> Script:
            yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            while True:
                yield b"10000\r\n" + b"x" * 65536 + b"\r\n"

        up.scripts[b"/endless"] = endless
        with RawClient(engine.port, receive_buffer=65536) as deaf:
            deaf.send(get("/endless"))
            deaf.wait_for(b"\r\n\r\n")
            engine.until_clean()
        up.wait_for(lambda: not up._open, "the end of the call")


def test_who_takes_a_little_is_slow_and_no_more() -> None:
    with serving(write_timeout_s=0.15) as engine:
        size = 12 * MB
        engine.upstream.scripts[b"/large"] = (ok(size),)
        with RawClient(engine.port, receive_buffer=65536) as slow:
            slow.send(get("/large"))
            slow.wait_for(b"\r\n\r\n")
            engine.settle_held()

            def looks() -> float:
                (one,) = engine.gateway.connections
                return one._unread.due

            for _ in range(3):
                before = engine.ask(looks)
                # Something of it: what the gateway has not sent yet shrinks.
                wanted = len(slow.pending) + 2 * MB
                while len(slow.pending) < wanted:
                    assert slow._more()
                engine.until(lambda b=before: looks() > b, "it looked again")  # type: ignore[misc]
            assert len(slow.read_answer().body) == size


def test_an_idle_connection_whose_answer_is_not_taken_does_not_stay() -> None:
    """It is closed for being idle, and what is unsent does not keep it."""
    with serving(idle_timeout_s=0.3, write_timeout_s=0.1) as engine:

        def small_buffer() -> bool:
            for one in engine.gateway.connections:
                sock = one.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            return bool(engine.gateway.connections)

        # Little enough to be written at once, too much for a kernel that is told to keep little.
        engine.upstream.scripts[b"/large"] = (ok(150_000),)
        with RawClient(engine.port, receive_buffer=4096) as deaf:
            engine.until(small_buffer, "it is connected")
            deaf.send(get("/large"))
            deaf.wait_for(b"\r\n\r\n")
            engine.until(lambda: not engine.gateway.in_flight, "the answer is written")
            (one,) = engine.ask(lambda: list(engine.gateway.connections))
            assert engine.ask(lambda: (one.exchange, one._behind)) == (None, False)
            assert engine.ask(one.transport.get_write_buffer_size) > 0
            engine.until_clean()


def test_requests_wait_while_their_answers_are_not_taken(engine: Serving) -> None:
    """Rule 12: answers made here too; thousands of requests in a row fill no memory."""
    count = 3_000
    with RawClient(engine.port, receive_buffer=65536) as client:
        client.sock.settimeout(30)
        sender = engine.beside(lambda: client.send(get("/heavy") * count))
        engine.settle_held()
        unsent = engine.ask(
            lambda: [one.transport.get_write_buffer_size() for one in engine.gateway.connections]
        )
        assert max(unsent) < 2 * MB
        for _ in range(count):
            answer = client.read_answer()
            assert (answer.status, len(answer.body)) == (200, 10_000)
        sender.join()


# --- how long -------------------------------------------------------------------------------------


def test_a_connection_ends_politely_after_so_many_requests() -> None:
    """So that load evens out; the last answer says so."""
    with serving(max_connection_requests=10) as engine, RawClient(engine.port) as client:
        answers = []
        for _ in range(12):
            client.send(get("/mock"))
            answers.append(client.read_answer())
            if answers[-1].closes:
                break
        assert 9 <= len(answers) <= 11
        assert [one.closes for one in answers] == [False] * (len(answers) - 1) + [True]
        client.expect_end()


def test_requests_behind_the_last_one_are_not_begun() -> None:
    with serving(max_connection_requests=1) as engine, RawClient(engine.port) as client:
        client.send(get("/a") + get("/b"))
        assert client.read_answer().closes
        client.expect_end()
        assert [one.target for one in engine.upstream.exchanges] == [b"/a"]


def test_a_connection_ends_politely_when_it_is_old() -> None:
    with serving(max_connection_age_s=0.0) as engine, RawClient(engine.port) as client:
        client.send(get("/mock"))
        answer = client.read_answer()
        assert (answer.status, answer.closes) == (200, True)
        client.expect_end()


def test_only_so_many_connections() -> None:
    """Overload: 503, close; and room again when one leaves."""
    with serving(max_connections=2) as engine, ExitStack() as stack:
        first, second = (stack.enter_context(RawClient(engine.port)) for _ in range(2))
        for client in (first, second):
            client.send(get("/mock"))
            assert client.read_answer().status == 200
        with RawClient(engine.port) as third:
            answer = third.read_answer()
            assert (answer.status, answer.closes) == (503, True)
            third.expect_end()
        first.close()
        engine.until(lambda: len(engine.gateway.connections) == 1, "there is room")
        with RawClient(engine.port) as fourth:
            fourth.send(get("/mock"))
            assert fourth.read_answer().status == 200
        second.send(get("/mock"))
        assert second.read_answer().status == 200


def test_connections_that_ended_are_forgotten_at_once(engine: Serving) -> None:
    """Not when their time would have come: with many short ones that is memory for a minute."""
    for number in range(30):
        with RawClient(engine.port) as client:
            if number % 3:
                client.send(get("/mock"))
                client.read_answer()
            elif number % 2:
                client.send(b"GET /half")
    engine.until_clean()
    waiting = engine.ask(
        lambda: [one for slot in engine.gateway.deadlines._slots.values() for one in slot]
    )
    assert not [one for one in waiting if isinstance(one, connection.ClientConnection)]


def test_idle_time_begins_with_the_last_answer() -> None:
    """A connection that is used does not expire, however long ago it was made."""
    with serving(idle_timeout_s=0.3) as engine, RawClient(engine.port) as client:

        def until_idle() -> float:
            (one,) = engine.gateway.connections
            return one._deadline

        before = 0.0
        for _ in range(5):
            client.send(get("/mock"))
            assert client.read_answer().status == 200
            engine.until(lambda b=before: until_idle() > b, "it waits anew")  # type: ignore[misc]
            before = engine.ask(until_idle)
        client.expect_end()


def test_a_request_in_progress_does_not_expire() -> None:
    with serving(idle_timeout_s=0.05, head_timeout_s=0.05) as engine:
        wait = Wait()
        engine.upstream.scripts[b"/slow"] = (wait, OK)
        with RawClient(engine.port) as client, RawClient(engine.port) as idle:
            client.send(get("/slow"))
            engine.upstream.wait_for(lambda: bool(engine.upstream.exchanges), "the request")
            idle.expect_end()  # which takes as long as the other would have
            wait.event.set()
            assert client.read_answer().status == 200


# --- shape of the ends ----------------------------------------------------------------------------


def test_ipv6_clients() -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("no IPv6 on this machine's loopback")
    with Serving(UNITS) as engine:
        sock = socket.create_server(("::1", 0), family=socket.AF_INET6)
        engine.run(engine.gateway.listen([sock]))
        port = sock.getsockname()[1]
        with socket.create_connection(("::1", port)) as client:
            client.sendall(get("/x", CLOSING))
            assert client.recv(12) == b"HTTP/1.1 200"
        (call,) = engine.upstream.exchanges
        assert call.all("x-forwarded-for") == [b"::1"]
        assert call.all("x-forwarded-port") == [str(port).encode()]


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_segments_do_not_matter(engine: Serving, size: int) -> None:
    """A request, its body and the next one in pieces of any size."""
    sent = (
        get("/a", b"Content-Length: 5", method="PUT")
        + b"hello"
        + get("/b", b"Transfer-Encoding: chunked", method="POST")
        + b"3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"
        + get("/c")
    )
    with RawClient(engine.port) as client:
        client.send_pieces(sent[at : at + size] for at in range(0, len(sent), size))
        assert [client.read_answer().body for _ in range(3)] == [b"ok"] * 3
    seen = [(one.target, one.body) for one in engine.upstream.exchanges]
    assert seen == [(b"/a", b"hello"), (b"/b", b"abcde"), (b"/c", b"")]


def test_a_client_that_closes_in_silence(engine: Serving) -> None:
    for start in (b"", b"GET", get("/mock")):
        with RawClient(engine.port) as client:
            client.send(start)
    engine.until_clean()


def test_a_tunnel_has_no_idle_time() -> None:
    """WebSockets are quiet for hours; pings are their own affair."""
    with serving(idle_timeout_s=0.05, body_timeout_s=0.05, upstream_body_timeout_s=0.05) as engine:
        up = engine.upstream
        wait = Wait()
        switch = b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        up.scripts[b"/t"] = (switch, wait, b"still here", HOLD)
        with RawClient(engine.port) as client, RawClient(engine.port) as idle:
            client.send(get("/t", b"Connection: Upgrade", b"Upgrade: websocket"))
            assert client.read_answer().status == 101
            idle.expect_end()
            waiting = engine.ask(
                lambda: [
                    one
                    for slot in engine.gateway.deadlines._slots.values()
                    for one in slot
                    if not isinstance(one, connection.ClientConnection)
                ]
            )
            assert waiting == []
            wait.event.set()
            assert client.read_exactly(10) == b"still here"
