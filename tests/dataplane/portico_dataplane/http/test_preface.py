"""The PROXY protocol in front of plaintext and TLS, from balancers that are trusted or not."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from pki import Authority
from portico_dataplane.core.proxy_protocol import SIGNATURE
from portico_ir.model import GatewayUnit
from secure_engine import GET, SecureEngine, answer, connect, cut, domain, trusting

CA = Authority()
A = "a.example.com"
LINE = b"PROXY TCP4 203.0.113.9 198.51.100.7 56324 443\r\n"
BINARY = (
    SIGNATURE + b"\x21\x11\x00\x0c" + bytes((203, 0, 113, 9, 198, 51, 100, 7)) + b"\xdc\x04\x01\xbb"
)
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
TRUSTING = GatewayUnit(egress_open=True, trusted_proxies=("127.0.0.0/8",))


@pytest.fixture(scope="module")
def engine() -> Iterator[SecureEngine]:
    with SecureEngine(
        domain(A, pair=CA.server(A)), gateway=TRUSTING, proxy_protocol=True
    ) as running:
        yield running


def plain(engine: SecureEngine, *pieces: bytes, host: bytes = b"rest.test") -> bytes:
    with socket.create_connection(("127.0.0.1", engine.port), timeout=10) as sock:
        for piece in pieces:
            sock.sendall(piece)
        return answer(sock, GET % host)


@pytest.mark.parametrize("header", [LINE, BINARY])
def test_the_client_is_the_one_that_the_balancer_names(engine: SecureEngine, header: bytes) -> None:
    assert plain(engine, header).startswith(b"HTTP/1.1 200")
    sent = engine.upstream.exchanges[-1]
    assert sent.all("x-forwarded-for") == [b"203.0.113.9"]
    assert sent.all("x-forwarded-port") == [b"443"]
    assert sent.all("x-forwarded-proto") == [b"http"]
    with connect(engine.tls_port, trusting(CA), A, first=header) as sock:
        assert answer(sock, GET % A.encode()).startswith(b"HTTP/1.1 200")
    sent = engine.upstream.exchanges[-1]
    assert sent.all("x-forwarded-for") == [b"203.0.113.9"]
    assert sent.all("x-forwarded-port") == [b"443"]
    assert sent.all("x-forwarded-proto") == [b"https"]


def test_a_client_behind_the_balancer_is_not_believed(engine: SecureEngine) -> None:
    forged = b"GET /x HTTP/1.1\r\nHost: rest.test\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", engine.port), timeout=10) as sock:
        assert answer(sock, LINE + forged).startswith(b"HTTP/1.1 200")
    sources = engine.upstream.exchanges[-1].all("x-forwarded-for")
    assert sources == [b"10.0.0.1, 203.0.113.9"]


def test_a_header_in_pieces(engine: SecureEngine) -> None:
    assert plain(engine, *(bytes((byte,)) for byte in BINARY)).startswith(b"HTTP/1.1 200")


def test_the_balancers_own_connections_are_its_own(engine: SecureEngine) -> None:
    assert plain(engine, LOCAL).startswith(b"HTTP/1.1 200")
    assert engine.upstream.exchanges[-1].all("x-forwarded-for") == [b"127.0.0.1"]


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "missing"),
        (b"\x16\x03\x01\x00\x05", "missing"),
        (b"PROXY nonsense\r\n", "malformed"),
    ],
)
def test_who_does_not_introduce_a_client_is_cut(
    engine: SecureEngine, data: bytes, cause: str
) -> None:
    is_cut(engine, data, cause)


@pytest.mark.parametrize("data", [b"PROXY TCP4", b""])
def test_who_takes_too_long_over_it_is_cut(data: bytes) -> None:
    with SecureEngine(gateway=TRUSTING, proxy_protocol=True, head_timeout_s=0.1) as engine:
        is_cut(engine, data, "timeout")


def is_cut(engine: SecureEngine, data: bytes, cause: str) -> None:
    """On both ports, and counted."""
    name = f"proxy_protocol_refused.{cause}"
    for port in (engine.port, engine.tls_port):
        before = engine.ask(engine.gateway.counters).get(name, 0)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(data)
            assert cut(sock)
        assert engine.ask(engine.gateway.counters)[name] == before + 1


def test_who_is_not_trusted_is_cut() -> None:
    with SecureEngine(domain(A, pair=CA.server(A)), proxy_protocol=True) as engine:
        with socket.create_connection(("127.0.0.1", engine.port), timeout=10) as sock:
            assert cut(sock)
        assert engine.ask(engine.gateway.listeners.counters) == {
            "proxy_protocol_refused.untrusted": 1.0
        }


def test_connections_that_wait_are_bounded_and_end_with_the_gateway() -> None:
    with SecureEngine(gateway=TRUSTING, proxy_protocol=True, max_connections=2) as engine:
        waiting = engine.gateway.listeners._prefaces
        socks = []
        for count in (1, 2):
            socks.append(socket.create_connection(("127.0.0.1", engine.port), timeout=10))
            engine.until(lambda count=count: len(waiting) == count, "it waits")  # type: ignore[misc]
        with socket.create_connection(("127.0.0.1", engine.port), timeout=10) as sock:
            assert cut(sock)
    for sock in socks:
        with sock:
            assert cut(sock)
