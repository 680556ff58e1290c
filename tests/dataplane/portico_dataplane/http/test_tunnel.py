"""Tunnels: bytes pass both ways, unparsed, in bounded memory, to the last word of either side.

How one begins is in tests/dataplane/rules/test_connections.py.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

import pytest

from portico_ir.model import Endpoint
from raw_http import RawClient
from raw_upstream import CLOSE, HOLD, RESET, Exchange, Read, Script, Step, Upstream, Wait
from serving import REST, Serving, everything, site

MB = 1024 * 1024
SWITCH = b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket")
UNITS = site(REST, "rest", everything(REST))


@pytest.fixture(scope="module")
def shared() -> Iterator[Serving]:
    with Serving(UNITS) as engine:
        yield engine


@pytest.fixture
def engine(shared: Serving) -> Iterator[Serving]:
    """One engine for all: what a test leaves behind would show in the next one too."""
    shared.upstream.forget()
    shared.upstream.scripts.clear()
    yield shared
    shared.until_clean()
    assert not shared.failures


def head(target: str = "/x", *headers: bytes, method: str = "GET") -> bytes:
    first = f"{method} {target} HTTP/1.1\r\nHost: rest.test".encode()
    return b"\r\n".join((first, *headers)) + b"\r\n\r\n"


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def test_a_tunnel_passes_much_both_ways_at_once(engine: Serving) -> None:
    size = 8 * MB
    up, down = noise(1, size), noise(2, size)
    engine.upstream.scripts[b"/t"] = (SWITCH, down[:100], Read(size), down[100:], HOLD)
    with RawClient(engine.port) as client:
        client.send(head("/t", *UPGRADE))
        assert client.read_answer().status == 101
        sender = engine.beside(lambda: client.send(up))
        got = client.read_exactly(size)
        sender.join()
    (call,) = engine.upstream.exchanges
    assert hashlib.sha256(got).digest() == hashlib.sha256(down).digest()
    assert call.extra == up


def test_a_client_that_does_not_read_its_tunnel_holds_the_backend_back(engine: Serving) -> None:
    """Rule 12: bounded memory, and nothing is lost."""
    size = 32 * MB
    sent = 0

    def script(_: Exchange) -> Script:
        nonlocal sent
        yield SWITCH
        while sent < size:
            yield b"x" * 65536
            sent += 65536
        yield CLOSE

    engine.upstream.scripts[b"/t"] = script
    with RawClient(engine.port, receive_buffer=65536) as client:
        client.send(head("/t", *UPGRADE))
        client.wait_for(SWITCH[-4:])
        engine.settle_held()
        assert sent < size
        held = engine.ask(
            lambda: [one.transport.get_write_buffer_size() for one in engine.gateway.connections]
        )
        assert max(held) < 2 * MB
        client.read_answer()
        assert len(client.read_to_end()) == size


def test_a_backend_that_does_not_read_its_tunnel_holds_the_client_back(engine: Serving) -> None:
    size = 24 * MB
    wait = Wait()

    def script(exchange: Exchange) -> Script:
        yield SWITCH
        yield wait
        for _ in range(size // MB):
            yield Read(MB)
            exchange.extra = b""
        yield b"done"
        yield HOLD

    engine.upstream.scripts[b"/t"] = script
    with RawClient(engine.port) as client:
        client.send(head("/t", *UPGRADE))
        assert client.read_answer().status == 101
        sender = engine.beside(lambda: client.send(b"x" * size))
        engine.settle_held(towards_upstreams=True)
        assert sender.is_alive()
        held = engine.ask(
            lambda: [
                connection.transport.get_write_buffer_size()
                for pool in engine.gateway.upstreams.live
                for connection in pool._open
            ]
        )
        assert max(held) < 2 * MB
        wait.event.set()
        assert client.read_exactly(4) == b"done"
        sender.join()


def test_what_a_client_said_before_it_left_reaches_the_backend(engine: Serving) -> None:
    """Also when the backend is slow: it was sent, and it ends with a FIN."""
    size = 8 * MB
    said = noise(3, size)
    wait = Wait()
    up = engine.upstream
    up.scripts[b"/t"] = (SWITCH, wait, HOLD)
    with RawClient(engine.port) as client:
        client.send(head("/t", *UPGRADE))
        assert client.read_answer().status == 101
        sender = engine.beside(lambda: client.send(said))
        engine.settle_held(towards_upstreams=True)
        wait.event.set()
        sender.join()
        client.half_close()
        up.wait_for(lambda: bool(up.exchanges[0].ended), "the end of the tunnel")
    assert (up.exchanges[0].extra == said, up.exchanges[0].ended) == (True, "fin")


def test_what_a_backend_said_before_it_left_reaches_the_client(engine: Serving) -> None:
    size = 16 * MB
    said = noise(4, size)
    engine.upstream.scripts[b"/t"] = (SWITCH + said, CLOSE)
    with RawClient(engine.port, receive_buffer=65536) as client:
        client.send(head("/t", *UPGRADE))
        client.wait_for(SWITCH[-4:])
        engine.settle_held()
        client.read_answer()
        assert client.read_to_end() == said
        assert client.ended == "fin"


def test_a_backend_that_never_takes_the_last_words_is_not_waited_for() -> None:
    with Serving(UNITS, write_timeout_s=0.1) as engine:
        up = engine.upstream
        wait = Wait()
        up.scripts[b"/t"] = (SWITCH, wait)
        with RawClient(engine.port) as client:
            client.send(head("/t", *UPGRADE))
            assert client.read_answer().status == 101
            sender = engine.beside(lambda: client.send(b"x" * 16 * MB))
            engine.settle_held(towards_upstreams=True)
            client.half_close()
            sender.join()
        engine.until_clean()
        wait.event.set()


@pytest.mark.parametrize("step", [CLOSE, RESET], ids=["fin", "reset"])
def test_a_tunnel_whose_backend_ends_is_ended(engine: Serving, step: Step) -> None:
    wait = Wait()
    engine.upstream.scripts[b"/t"] = (SWITCH, b"hello", wait, step)
    with RawClient(engine.port) as client:
        client.send(head("/t", *UPGRADE))
        assert client.read_answer().status == 101
        assert client.read_exactly(5) == b"hello"
        wait.event.set()
        client.expect_end()


def test_a_tunnel_is_not_for_another_method(engine: Serving) -> None:
    """RFC 6455 §4.1: GET; anything else is an ordinary request."""
    with RawClient(engine.port) as client:
        client.send(head("/x", *UPGRADE, method="POST") + head("/next"))
        assert [client.read_answer().body for _ in range(2)] == [b"ok", b"ok"]
    assert engine.upstream.exchanges[0].all("upgrade") == []


def test_what_comes_with_the_switch_and_before_it(engine: Serving) -> None:
    """Bytes glued to either head belong to the tunnel."""
    engine.upstream.scripts[b"/t"] = (SWITCH + b"down", Read(2), b"more", HOLD)
    with RawClient(engine.port) as client:
        client.send(head("/t", *UPGRADE) + b"up")
        assert client.read_answer().status == 101
        assert client.read_exactly(8) == b"downmore"
    (call,) = engine.upstream.exchanges
    assert call.extra == b"up"


def test_a_switch_says_that_an_address_works() -> None:
    """It answered: what was held against it is forgotten."""
    with Upstream() as one, Upstream() as two:
        endpoints = tuple(Endpoint(host="127.0.0.1", port=up.port) for up in (one, two))
        with Serving(UNITS, endpoints=endpoints) as engine:

            def ask(target: str, *headers: bytes) -> int:
                with RawClient(engine.port) as client:
                    client.send(head(target, *headers))
                    return client.read_answer().status

            for up in (one, two):
                up.scripts[b"/reset"] = (RESET,)
                up.scripts[b"/t"] = (SWITCH, HOLD)
            for _ in range(4):
                assert ask("/reset") == 504
                assert ask("/t", *UPGRADE) == 101
                assert ask("/t", *UPGRADE) == 101
            (upstream,) = engine.ask(lambda: list(engine.gateway.upstreams._by_key.values()))
            assert "ejected" not in repr(upstream)
            engine.until_clean()
