"""Who is let in: so many in total, so many of one client, whoever says who that is."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from engine import Engine
from pki import Authority
from portico_dataplane.core.crowd import CLIENT, TOTAL
from portico_dataplane.http import door
from portico_ir.model import GatewayUnit
from raw_http import RawClient
from secure_engine import GET, SecureEngine, answer, connect, cut, domain, trusting

CA = Authority()
A = "a.example.com"
PAGE = GET % b"rest.test"
TRUSTING = GatewayUnit(egress_open=True, trusted_proxies=("127.0.0.0/8",))


def introduced(engine: Engine, client: str, stack: ExitStack) -> socket.socket:
    """A connection of a load balancer, for that client."""
    sock = socket.create_connection(("127.0.0.1", engine.port), timeout=10)
    stack.enter_context(sock)
    sock.sendall(f"PROXY TCP4 {client} 198.51.100.7 56324 80\r\n".encode())
    return sock


def refused(engine: Engine) -> dict[str, float]:
    counters = engine.ask(engine.gateway.counters)
    return {name: counters[f"connections_refused.{name}"] for name in (CLIENT, TOTAL)}


def nobody(engine: Engine) -> None:
    """Everybody has left, and nobody is remembered."""
    gateway = engine.gateway
    engine.until(lambda: not gateway.connections and not len(gateway.crowd), "everybody left")


def test_one_client_has_so_many_connections() -> None:
    with Engine(max_connections_per_client=2) as engine, ExitStack() as stack:
        mine = [stack.enter_context(RawClient(engine.port)) for _ in range(2)]
        for client in mine:
            client.send(PAGE)
            assert client.read_answer().status == 200
        with RawClient(engine.port) as third:
            third.send(PAGE)
            assert not third.read_to_end(), "it is cut without a word"
        assert refused(engine) == {CLIENT: 1, TOTAL: 0}
        mine[0].close()
        engine.until(lambda: len(engine.gateway.connections) == 1, "one left")
        with RawClient(engine.port) as fourth:
            fourth.send(PAGE)
            assert fourth.read_answer().status == 200
        stack.close()
        nobody(engine)


def test_another_client_is_not_held_back() -> None:
    with Engine(max_connections_per_client=1) as engine, RawClient(engine.port) as first:
        first.send(PAGE)
        assert first.read_answer().status == 200
        with socket.socket() as other:
            other.settimeout(10)
            other.bind(("127.0.0.2", 0))
            other.connect(("127.0.0.1", engine.port))
            assert answer(other, PAGE).startswith(b"HTTP/1.1 200")
        with socket.create_connection(("127.0.0.1", engine.port), timeout=10) as again:
            assert cut(again)


def test_the_client_is_the_one_that_the_balancer_names() -> None:
    with (
        SecureEngine(gateway=TRUSTING, proxy_protocol=True, max_connections_per_client=1) as engine,
        ExitStack() as stack,
    ):
        for number in range(1, 4):
            sock = introduced(engine, f"203.0.113.{number}", stack)
            assert answer(sock, PAGE).startswith(b"HTTP/1.1 200")
        assert cut(introduced(engine, "203.0.113.2", stack))
        assert refused(engine) == {CLIENT: 1, TOTAL: 0}
        stack.close()
        nobody(engine)


def test_a_trusted_proxy_is_not_one_client() -> None:
    with (
        SecureEngine(gateway=TRUSTING, max_connections_per_client=1) as engine,
        ExitStack() as stack,
    ):
        for _ in range(5):
            client = stack.enter_context(RawClient(engine.port))
            client.send(PAGE)
            assert client.read_answer().status == 200
        assert refused(engine) == {CLIENT: 0, TOTAL: 0}
        stack.close()
        nobody(engine)


def test_over_tls_a_client_counts_from_before_its_handshake() -> None:
    with (
        SecureEngine(domain(A, pair=CA.server(A)), max_connections_per_client=2) as engine,
        ExitStack() as stack,
    ):
        silent = socket.create_connection(("127.0.0.1", engine.tls_port), timeout=10)
        stack.enter_context(silent)
        open_ = stack.enter_context(connect(engine.tls_port, trusting(CA), A))
        assert answer(open_, GET % A.encode()).startswith(b"HTTP/1.1 200")
        with pytest.raises(OSError):
            connect(engine.tls_port, trusting(CA), A)
        with RawClient(engine.port) as plain:
            assert not plain.read_to_end(), "of both ports together"
        silent.close()
        engine.until(lambda: not engine.gateway.listeners.handshakes.pending, "it has left")
        with connect(engine.tls_port, trusting(CA), A) as other:
            assert answer(other, GET % A.encode()).startswith(b"HTTP/1.1 200")
        assert refused(engine) == {CLIENT: 2, TOTAL: 0}
        stack.close()
        nobody(engine)


def test_a_handshake_that_fails_is_not_counted_on() -> None:
    with SecureEngine(domain(A, pair=CA.server(A)), max_connections_per_client=1) as engine:
        for _ in range(3):
            with pytest.raises(OSError):
                connect(engine.tls_port, trusting(CA), "unknown.example.com")
            engine.until(lambda: not len(engine.gateway.crowd), "it has left")
        with connect(engine.tls_port, trusting(CA), A) as sock:
            assert answer(sock, GET % A.encode()).startswith(b"HTTP/1.1 200")


def test_beyond_the_total_so_many_are_told_and_the_others_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To tell costs a descriptor until the client has read it: a flood is not told."""
    monkeypatch.setattr(door, "MOST_TOLD", 1)
    with Engine(max_connections=1) as engine, ExitStack() as stack:
        first, told, silent = (stack.enter_context(RawClient(engine.port)) for _ in range(3))
        assert told.read_answer().status == 503
        assert not silent.read_to_end()
        first.send(PAGE)
        assert first.read_answer().status == 200
        assert refused(engine) == {CLIENT: 0, TOTAL: 2}
        stack.close()
        nobody(engine)
