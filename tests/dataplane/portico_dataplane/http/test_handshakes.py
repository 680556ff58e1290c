"""Many handshakes at once: bounded, in turn with requests, counted and sparsely logged."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import socket
import ssl
import threading
import time

import pytest

from pki import Authority
from portico_dataplane.http import handshakes
from portico_dataplane.http.alerts import Cause
from secure_engine import GET, SecureEngine, answer, connect, domain, get, trusting

CA = Authority()
A, B = "a.example.com", "b.example.com"


def test_handshakes_that_wait_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "portico_dataplane")
    with (
        SecureEngine(domain(A, pair=CA.server(A)), tls_max_handshakes=5) as engine,
        contextlib.ExitStack() as stack,
    ):
        under_way = engine.gateway.listeners.handshakes
        for _ in range(5):
            sock = socket.create_connection(("127.0.0.1", engine.tls_port), timeout=10)
            stack.enter_context(sock)
        engine.until(lambda: under_way.pending == 5, "all are under way")
        for _ in range(20):
            with pytest.raises(OSError):
                connect(engine.tls_port, trusting(CA), A)
        assert engine.results() == {Cause.OVERLOAD.value: 20}
        logged = [record for record in caplog.records if "handshake" in record.message]
        assert len(logged) == 10, "a flood of failures is no flood of lines"
        assert all(record.exc_info is None for record in caplog.records)
        stack.close()
        engine.until(lambda: under_way.pending == 0, "they are gone")
        assert get(engine.tls_port, trusting(CA), A).startswith(b"HTTP/1.1 200")


def test_those_that_failed_and_are_told_why_are_bounded() -> None:
    """Each has a descriptor until its client has read the alert: a flood of nonsense is cut."""
    nonsense = b"\x16\x03\x01\x00\x05nonse"
    with (
        SecureEngine(domain(A, pair=CA.server(A)), tls_max_handshakes=2) as engine,
        contextlib.ExitStack() as stack,
    ):
        under_way = engine.gateway.listeners.handshakes
        told = []
        for number in range(1, 5):
            sock = socket.create_connection(("127.0.0.1", engine.tls_port), timeout=10)
            stack.enter_context(sock)
            sock.sendall(nonsense)
            engine.until(lambda n=number: sum(under_way.results.values()) == n, "it failed")  # type: ignore[misc]
            try:
                told.append(sock.recv(7)[:1])
            except ConnectionResetError:
                told.append(b"")
        alert = b"\x15"
        assert told == [alert, alert, b"", b""]
        stack.close()
        engine.until(lambda: not under_way._ending, "they are gone")
        assert get(engine.tls_port, trusting(CA), A).startswith(b"HTTP/1.1 200")


def test_connections_are_bounded_before_their_handshakes() -> None:
    with SecureEngine(domain(A, pair=CA.server(A)), max_connections=2) as engine:
        with (
            connect(engine.tls_port, trusting(CA), A) as one,
            connect(engine.tls_port, trusting(CA), A) as two,
        ):
            for sock in (one, two):
                assert answer(sock, GET % A.encode()).startswith(b"HTTP/1.1 200")
            with pytest.raises(OSError):
                connect(engine.tls_port, trusting(CA), A)
            assert engine.results()[Cause.OVERLOAD.value] == 1
            assert engine.ask(engine.gateway.gauges)["tls_connections"] == 2
        engine.until(lambda: not engine.gateway.connections, "they are gone")
        assert engine.ask(engine.gateway.gauges)["tls_connections"] == 0


def test_a_flood_of_handshakes_leaves_requests_their_turn() -> None:
    """Between two turns of handshakes the loop gets round to requests."""
    with SecureEngine(domain(A, pair=CA.server(A))) as engine:
        under_way = engine.gateway.listeners.handshakes
        stop = threading.Event()

        def flood() -> None:
            context = trusting(CA)
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    connect(engine.tls_port, context, A).close()

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(flood)
            try:
                with connect(engine.tls_port, trusting(CA), A) as sock:
                    engine.until(lambda: under_way.results.get("completed", 0) > 20, "it floods")
                    for _ in range(20):
                        assert answer(sock, GET % A.encode()).startswith(b"HTTP/1.1 200")
            finally:
                stop.set()
        assert not engine.failures


def test_a_turn_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that do not fit in one turn wait for the next."""
    monkeypatch.setattr(handshakes, "_TURN_S", 0.0)
    with SecureEngine(domain(A, pair=CA.server(A))) as engine:
        contexts = [trusting(CA) for _ in range(8)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda c: get(engine.tls_port, c, A), contexts))
        assert all(each.startswith(b"HTTP/1.1 200") for each in answers)


def test_a_certificate_replaced_under_load_fails_nobody() -> None:
    old, new = CA.server(A), CA.server(A, "new.example.com")
    with SecureEngine(domain(A, pair=old)) as engine:
        stop = threading.Event()
        failures: list[str] = []
        shown: set[int] = set()

        def load() -> None:
            while not stop.is_set():
                try:
                    with connect(engine.tls_port, trusting(CA), A) as sock:
                        certificate = sock.getpeercert()
                        assert certificate is not None
                        shown.add(len(certificate["subjectAltName"]))
                        for _ in range(3):
                            assert answer(sock, GET % A.encode()).startswith(b"HTTP/1.1 200")
                except (OSError, AssertionError) as error:
                    failures.append(repr(error))

        with (
            connect(engine.tls_port, trusting(CA), A) as kept,
            concurrent.futures.ThreadPoolExecutor(3) as pool,
        ):
            for _ in range(3):
                pool.submit(load)
            try:
                end = time.monotonic() + 10
                turns = 0
                while (turns < 20 or shown != {1, 2}) and time.monotonic() < end:
                    turns += 1
                    engine.replace(domain(A, pair=new if turns % 2 else old))
                assert answer(kept, GET % A.encode()).startswith(b"HTTP/1.1 200")
            finally:
                stop.set()
        assert not failures
        assert shown == {1, 2}
        assert engine.results().keys() == {"completed"}


def test_domains_that_come_and_go() -> None:
    with SecureEngine(domain(A, pair=CA.server(A))) as engine:
        engine.replace(domain(A, pair=CA.server(A)), domain(B, pair=CA.server(B)))
        assert get(engine.tls_port, trusting(CA), B).startswith(b"HTTP/1.1 200")
        engine.replace(domain(B, pair=CA.server(B)))
        with pytest.raises(ssl.SSLError):
            connect(engine.tls_port, trusting(CA), A)
        # Certificates are asked for from the next handshake on.
        engine.replace(domain(B, pair=CA.server(B), mutual=CA.pem))
        with pytest.raises(ssl.SSLError):
            get(engine.tls_port, trusting(CA), B)


def test_a_fault_in_one_handshake_is_not_that_of_those_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with SecureEngine(domain(A, pair=CA.server(A))) as engine:
        store = engine.gateway.listeners.handshakes.certificates
        choose = store.choose
        monkeypatch.setattr(store, "choose", lambda name: 1 / 0)
        with pytest.raises(OSError):
            connect(engine.tls_port, trusting(CA), A)
        monkeypatch.setattr(store, "choose", choose)
        assert get(engine.tls_port, trusting(CA), A).startswith(b"HTTP/1.1 200")
