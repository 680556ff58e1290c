"""Which sockets speak what, the default certificate, and how accepting ends."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from engine import Engine
from pki import Authority
from portico_ir.domains import TlsPolicy
from raw_upstream import Wait
from secure_engine import GET, SecureEngine, answer, connect, cut, domain, get, trusting

CA = Authority()
A, B = "a.example.com", "b.example.com"


def test_without_a_tls_port_there_is_none() -> None:
    with Engine() as engine:
        assert engine.gateway.listeners.tls_port == 0
        assert engine.ask(engine.gateway.listeners.counters) == {}


def test_the_default_certificate_is_for_names_that_have_none(tmp_path: Path) -> None:
    certificate, key = CA.server("default.example.com", "rest.test", B).files(tmp_path, "default")
    with SecureEngine(
        domain(A, pair=CA.server(A)),
        domain(B, policy=TlsPolicy(minimum="1.3")),
        tls_certificate=str(certificate),
        tls_key=str(key),
    ) as engine:
        port = engine.tls_port
        assert get(port, trusting(CA), A).startswith(b"HTTP/1.1 200")
        # A default endpoint.
        assert get(port, trusting(CA), "rest.test").startswith(b"HTTP/1.1 200")
        assert get(port, trusting(CA), "default.example.com").startswith(b"HTTP/1.1 403")
        # No name at all.
        with connect(port, trusting(None), None) as sock:
            assert answer(sock, GET % b"rest.test").startswith(b"HTTP/1.1")
        # The domain's own settings hold with it too.
        assert get(port, trusting(CA), B).startswith(b"HTTP/1.1 200")
        with pytest.raises(ssl.SSLError):
            connect(port, trusting(CA, most=ssl.TLSVersion.TLSv1_2), B)


def test_certificates_that_nobody_signed() -> None:
    with SecureEngine(domain(A, pair=CA.server(A)), tls_self_signed=True) as engine:
        with connect(engine.tls_port, trusting(None), "rest.test") as sock:
            der = sock.getpeercert(True)
            assert answer(sock, GET % b"rest.test").startswith(b"HTTP/1.1 200")
        assert der is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(der))
        # Who has seen it may trust it, and it is for this name.
        assert get(engine.tls_port, context, "rest.test").startswith(b"HTTP/1.1 200")
        with pytest.raises(ssl.SSLError):
            get(engine.tls_port, context, A)


def test_a_drain_finishes_requests_and_accepts_no_more() -> None:
    with SecureEngine(domain(A, pair=CA.server(A))) as engine:
        wait = Wait()
        engine.upstream.scripts[b"/wait"] = [wait, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
        with (
            connect(engine.tls_port, trusting(CA), A) as busy,
            connect(engine.tls_port, trusting(CA), A) as idle,
            socket.create_connection(("127.0.0.1", engine.tls_port), timeout=10) as half,
        ):
            answer(idle, GET % A.encode())
            busy.sendall(b"GET /wait HTTP/1.1\r\nHost: %b\r\n\r\n" % A.encode())
            engine.upstream.wait_for(
                lambda: engine.upstream.exchanges[-1].target == b"/wait", "the request"
            )
            half.sendall(b"\x16\x03\x01")
            handshakes = engine.gateway.listeners.handshakes
            engine.until(lambda: handshakes.pending == 1, "half a hello waits")
            port = engine.tls_port

            drained = asyncio.run_coroutine_threadsafe(engine.gateway.drain(10), engine._loop)
            assert idle.recv(100) == b""  # announced, or it would raise
            wait.event.set()
            received = busy.recv(10_000)
            assert b"Connection: close" in received
            busy.unwrap()
            busy.close()
            drained.result(10)
            assert cut(half)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=10)
