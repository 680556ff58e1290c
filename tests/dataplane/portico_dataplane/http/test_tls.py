"""TLS on real sockets: each domain's own settings, refusals that say why, and the bytes behind.

Clients are OpenSSL's; the gateway runs on uvloop as in production, and on asyncio's own loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pki import Authority
from portico_dataplane.http import connection
from portico_dataplane.http.alerts import Cause
from portico_dataplane.http.connection import ClientConnection
from portico_ir.domains import TlsPolicy
from raw_http import RawClient
from raw_upstream import BODY, CLOSE, HOLD, OK, Read, Wait
from secure_engine import GET, LOOPS, SecureEngine, answer, connect, domain, get, trusting

CA = Authority()
CLIENTS = Authority("Clients")
A, B, MUTUAL, NEW = "a.example.com", "b.example.com", "mutual.example.com", "new.example.com"
PAST = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)
DOMAINS = (
    domain(A, pair=CA.server(A)),
    domain(B, pair=CA.server(B)),
    domain("*.wild.example.com", pair=CA.server("*.wild.example.com")),
    domain("own.wild.example.com", pair=CA.server("own.wild.example.com")),
    domain(MUTUAL, pair=CA.server(MUTUAL), mutual=CLIENTS.pem),
    domain(NEW, pair=CA.server(NEW), policy=TlsPolicy(minimum="1.3")),
    domain("broken.example.com", pair=CA.server(A)._replace(key="no key")),
    domain("bare.example.com"),
)


@contextmanager
def refused(pattern: str) -> Iterator[None]:
    """An alert, by its name in OpenSSL."""
    with pytest.raises(ssl.SSLError) as raised:
        yield
    reason = raised.value.reason or str(raised.value).upper().replace(" ", "_")
    assert re.search(pattern, reason), reason


@pytest.fixture(scope="module", params=LOOPS, ids=lambda loop: loop.__module__)
def engine(
    request: pytest.FixtureRequest,
) -> Iterator[SecureEngine]:
    loop: Callable[[], asyncio.AbstractEventLoop] = request.param
    with SecureEngine(*DOMAINS, loop=loop) as running:
        yield running


@pytest.fixture(scope="module", params=LOOPS, ids=lambda loop: loop.__module__)
def hurried(request: pytest.FixtureRequest) -> Iterator[SecureEngine]:
    """Gives handshakes a moment only."""
    loop: Callable[[], asyncio.AbstractEventLoop] = request.param
    with SecureEngine(*DOMAINS, loop=loop, head_timeout_s=0.3) as running:
        yield running


def names(sock: ssl.SSLSocket) -> str:
    """Of the certificate that was shown."""
    certificate = sock.getpeercert()
    assert certificate is not None
    return str(certificate["subjectAltName"])


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (A, A),
        (B, B),
        (B.upper(), B),
        ("x.wild.example.com", "*.wild.example.com"),
        ("own.wild.example.com", "own.wild.example.com"),
    ],
)
def test_each_name_has_its_own_certificate(engine: SecureEngine, asked: str, shown: str) -> None:
    with connect(engine.tls_port, trusting(CA), asked) as sock:
        assert names(sock) == str((("DNS", shown),))
        assert sock.version() == "TLSv1.3"
        assert sock.selected_alpn_protocol() == "http/1.1"
        assert answer(sock, GET % asked.encode()).startswith(b"HTTP/1.1 200")
        # And again on the same connection.
        assert answer(sock, GET % asked.encode()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("name", ["c.example.com", "wild.example.com"])
def test_an_unknown_name_is_refused(engine: SecureEngine, name: str) -> None:
    with refused("UNRECOGNIZED_NAME"):
        connect(engine.tls_port, trusting(CA), name)


def test_no_name_is_refused(engine: SecureEngine) -> None:
    with refused("MISSING_EXTENSION"):
        connect(engine.tls_port, trusting(None), None)
    with refused("HANDSHAKE_FAILURE"):
        connect(engine.tls_port, trusting(None, most=ssl.TLSVersion.TLSv1_2), None)


@pytest.mark.parametrize("name", ["broken.example.com", "bare.example.com"])
def test_a_domain_without_a_usable_certificate_refuses_its_own_clients_only(
    engine: SecureEngine, name: str
) -> None:
    with refused("INTERNAL_ERROR"):
        connect(engine.tls_port, trusting(CA), name)
    assert get(engine.tls_port, trusting(CA), A).startswith(b"HTTP/1.1 200")


def test_a_version_is_the_domains_own(engine: SecureEngine) -> None:
    old = trusting(CA, most=ssl.TLSVersion.TLSv1_2)
    with refused("PROTOCOL_VERSION"):
        connect(engine.tls_port, old, NEW)
    with connect(engine.tls_port, old, A) as sock:
        assert sock.version() == "TLSv1.2"
        assert answer(sock, GET % A.encode()).startswith(b"HTTP/1.1 200")
    assert get(engine.tls_port, trusting(CA), NEW).startswith(b"HTTP/1.1 200")


def test_clients_that_want_http_2_only_are_told_so(engine: SecureEngine) -> None:
    with refused("NO_APPLICATION_PROTOCOL"):
        connect(engine.tls_port, trusting(CA, protocols=("h2",)), A)
    both = trusting(CA, protocols=("h2", "http/1.1"))
    with connect(engine.tls_port, both, A) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"


# --- client certificates ------------------------------------------------------------------------


def shown_to(engine: SecureEngine, context: ssl.SSLContext) -> bytes:
    return get(engine.tls_port, context, MUTUAL)


def test_a_client_that_the_domain_trusts_is_let_in_and_shown_to_the_backend(
    engine: SecureEngine, tmp_path: Path
) -> None:
    pair = CLIENTS.client("My Client", serial=0xA10F)
    context = trusting(CA, client=pair.file(tmp_path, "client"))
    engine.upstream.exchanges.clear()
    with connect(engine.tls_port, context, MUTUAL) as sock:
        forged = b"GET /x HTTP/1.1\r\nHost: %b\r\nClient-Cert: :AAAA:\r\n\r\n" % MUTUAL.encode()
        assert answer(sock, forged).startswith(b"HTTP/1.1 200")
        facts = engine.ask(lambda: next(iter(engine.gateway.connections)).tls)
    assert facts is not None
    assert facts.server_name == MUTUAL
    assert (facts.version, facts.cipher) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    certificate = facts.client_certificate
    assert certificate is not None
    assert certificate.pem == pair.chain
    assert certificate.subject == "C=US,O=Example,CN=My Client"
    assert certificate.issuer == "C=US,O=Example,CN=Clients"
    assert certificate.serial == "a1:0f"
    assert certificate.not_before == "Jan  1 00:00:00 2020 GMT"
    sent = engine.upstream.exchanges[-1]
    assert sent.all("client-cert") == [certificate.line[13:-2]]
    assert sent.all("x-forwarded-proto") == [b"https"]


def test_a_client_without_a_certificate_is_refused(engine: SecureEngine) -> None:
    with refused("CERTIFICATE_REQUIRED"):
        shown_to(engine, trusting(CA))
    with refused("HANDSHAKE_FAILURE"):
        shown_to(engine, trusting(CA, most=ssl.TLSVersion.TLSv1_2))


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_of_somebody_else_is_refused(
    engine: SecureEngine, tmp_path: Path, most: ssl.TLSVersion
) -> None:
    other = Authority("Clients").client("My Client").file(tmp_path, "other")
    with refused("UNKNOWN_CA|DECRYPT_ERROR|BAD_CERTIFICATE"):
        shown_to(engine, trusting(CA, client=other, most=most))
    late = CLIENTS.client("My Client", until=PAST).file(tmp_path, "late")
    with refused("CERTIFICATE_EXPIRED"):
        shown_to(engine, trusting(CA, client=late, most=most))
    server = CLIENTS.server("My Client").file(tmp_path, "server")
    with refused("UNSUPPORTED_CERTIFICATE|BAD_CERTIFICATE"):
        shown_to(engine, trusting(CA, client=server, most=most))


def test_what_a_client_says_of_certificates_never_goes_on(engine: SecureEngine) -> None:
    lines = b"Client-Cert: :AAAA:\r\nclient-cert-chain: :AAAA:\r\nX-Forwarded-Proto: gopher\r\n"
    request = b"GET /x HTTP/1.1\r\nHost: %b\r\n" + lines + b"\r\n"
    with connect(engine.tls_port, trusting(CA), A) as sock:
        answer(sock, request % A.encode())
    secure = engine.upstream.exchanges[-1]
    for host in (b"rest.test", b"http.test"):
        with RawClient(engine.port) as client:
            client.send(request % host)
            assert client.read_answer().status == 200
    plain = engine.upstream.exchanges[-2:]
    for sent in (secure, *plain):
        assert sent.all("client-cert") == sent.all("client-cert-chain") == []
    assert secure.all("x-forwarded-proto") == [b"https"]
    assert secure.all("x-forwarded-port") == [str(engine.tls_port).encode()]
    assert plain[0].all("x-forwarded-proto") == [b"http"]


def test_sessions_are_resumed_but_not_where_certificates_are_asked_for(
    engine: SecureEngine, tmp_path: Path
) -> None:
    def reused(context: ssl.SSLContext, name: str) -> bool | None:
        with connect(engine.tls_port, context, name) as sock:
            answer(sock, GET % name.encode())
            session = sock.session
        with connect(engine.tls_port, context, name, session=session) as sock:
            answer(sock, GET % name.encode())
            return sock.session_reused

    for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert reused(trusting(CA, most=most), A)
        client = CLIENTS.client("me").file(tmp_path, "me")
        assert not reused(trusting(CA, client=client, most=most), MUTUAL)


# --- what is no handshake -----------------------------------------------------------------------


def test_plain_http_on_this_port_is_told_so(engine: SecureEngine) -> None:
    with RawClient(engine.tls_port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
        assert client.read_answer().status == 400
        assert client.ended or client.sock.recv(1) == b""


@pytest.mark.parametrize(
    "data", [b"\0" * 100, b"SSH-2.0-OpenSSH_9.2\r\n", b"\x80\x2e\x01\x00\x02" + bytes(40)]
)
def test_what_is_not_tls_is_closed_without_a_word(engine: SecureEngine, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", engine.tls_port), timeout=10) as sock:
        sock.sendall(data)
        assert sock.recv(100) == b""


def test_a_malformed_hello_gets_an_alert(engine: SecureEngine) -> None:
    with socket.create_connection(("127.0.0.1", engine.tls_port), timeout=10) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03")
        assert sock.recv(100) == b"\x15\x03\x01\x00\x02\x02\x32"  # decode_error
        assert sock.recv(100) == b""


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01\x00"])
def test_who_says_nothing_or_half_is_cut_in_time(hurried: SecureEngine, begun: bytes) -> None:
    before = hurried.results().get(Cause.TIMEOUT.value, 0)
    with socket.create_connection(("127.0.0.1", hurried.tls_port), timeout=10) as sock:
        sock.sendall(begun)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(100) == b""
    assert hurried.results()[Cause.TIMEOUT.value] == before + 1


def test_a_byte_now_and_then_does_not_buy_time(hurried: SecureEngine) -> None:
    """Slowloris: the deadline is that of the whole handshake."""
    before = hurried.results().get(Cause.TIMEOUT.value, 0)
    hello = b"\x16\x03\x01\x3f\x00\x01\x00\x3e\xfc\x03\x03" + bytes(16_000)
    with socket.create_connection(("127.0.0.1", hurried.tls_port), timeout=10) as sock:
        sock.settimeout(0.005)
        with pytest.raises(ConnectionError):
            for byte in hello:
                sock.sendall(bytes((byte,)))
                with contextlib.suppress(TimeoutError):
                    assert not sock.recv(1), "nothing was asked"
    assert hurried.results()[Cause.TIMEOUT.value] == before + 1


def test_a_client_that_leaves_in_the_middle_is_forgotten(engine: SecureEngine) -> None:
    handshakes = engine.gateway.listeners.handshakes
    before = engine.results().get(Cause.CLOSED.value, 0)
    with socket.create_connection(("127.0.0.1", engine.tls_port), timeout=10) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00")
        linger = struct.pack("ii", 1, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    engine.until(lambda: handshakes.results.get("closed", 0) > before, "it is counted")
    engine.until(lambda: handshakes.pending == 0, "nothing is under way")


def test_a_handshake_in_single_bytes(engine: SecureEngine) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(CA).wrap_bio(incoming, outgoing, server_hostname=A)
    with socket.create_connection(("127.0.0.1", engine.tls_port), timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def through(step: Callable[[], object]) -> object:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        sock.sendall(bytes((byte,)))
                    incoming.write(sock.recv(1))

        through(client.do_handshake)
        client.write(GET % A.encode())
        found = through(lambda: client.read(1000))
        assert isinstance(found, bytes)
        assert found.startswith(b"HTTP/1.1 200")


@given(st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_handshakes_harm_nobody(engine: SecureEngine, data: st.DataObject) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(CA).wrap_bio(incoming, outgoing, server_hostname=A)
    damage = data.draw(st.integers(0, 1))
    with socket.create_connection(("127.0.0.1", engine.tls_port), timeout=10) as sock:
        try:
            for flight in range(2):
                with contextlib.suppress(ssl.SSLWantReadError):
                    client.do_handshake()
                sent = bytearray(outgoing.read())
                if flight == damage and sent:
                    sent[data.draw(st.integers(0, len(sent) - 1))] ^= data.draw(st.integers(1, 255))
                sock.sendall(sent)
                if flight == damage:
                    sock.shutdown(socket.SHUT_WR)
                got = sock.recv(65_536)
                if not got:
                    break
                incoming.write(got)
        except OSError:  # an alert, a reset
            pass
    assert get(engine.tls_port, trusting(CA), A).startswith(b"HTTP/1.1 200")
    assert not engine.failures


# --- bytes --------------------------------------------------------------------------------------

MEGABYTES = 3 * 1024 * 1024 + 7


def respond(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_large_bodies_both_ways(engine: SecureEngine) -> None:
    body = bytes(range(256)) * (MEGABYTES // 256)
    engine.upstream.scripts[b"/large"] = [respond(body)]
    head = b"POST /large HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n\r\n"
    with connect(engine.tls_port, trusting(CA), A) as sock:
        found = answer(sock, head % (A.encode(), len(body)) + body)
    assert found.endswith(body)
    sent = engine.upstream.exchanges[-1]
    assert sent.size == len(body)


def test_a_slow_reader_gets_all_of_an_answer_that_closes(
    engine: SecureEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both loops' own TLS cut it after their shutdown timeout."""
    monkeypatch.setattr(connection, "_LINGER_S", 0.05)
    body = b"x" * 8_000_000
    engine.upstream.scripts[b"/slow"] = [respond(body)]
    request = b"GET /slow HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % A.encode()
    with connect(engine.tls_port, trusting(CA), A, receive_buffer=65_536) as sock:
        sock.sendall(request)
        received = 0
        while not (slow := engine.ask(lambda: lingering(engine))):
            received += len(sock.recv(65_536))
        first = slow[0]._deadline
        engine.until(lambda: slow[0].closed or slow[0]._deadline > first, "its time is over")
        while data := sock.recv(65_536):
            received += len(data)
    assert received > len(body)


def lingering(engine: SecureEngine) -> list[ClientConnection]:
    return [each for each in engine.gateway.connections if each._lingering]


def test_the_end_is_announced(engine: SecureEngine) -> None:
    """A close_notify: without it OpenSSL raises instead of ending."""
    request = b"GET /x HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % A.encode()
    with connect(engine.tls_port, trusting(CA), A) as sock:
        sock.sendall(request)
        received = b""
        while data := sock.recv(65_536):
            received += data
    assert received.startswith(b"HTTP/1.1 200")


def test_a_client_that_leaves_takes_its_request_along(engine: SecureEngine) -> None:
    engine.upstream.scripts[b"/hold"] = [HOLD]
    count = len(engine.upstream.exchanges)
    with connect(engine.tls_port, trusting(CA), A) as sock:
        sock.sendall(b"GET /hold HTTP/1.1\r\nHost: %b\r\n\r\n" % A.encode())
        engine.until(lambda: len(engine.upstream.exchanges) > count, "the backend has it")
        sock.unwrap()
    held = engine.upstream.exchanges[-1]
    engine.until(lambda: bool(held.ended), "the backend is told")
    engine.until(lambda: engine.gateway.in_flight == 0, "nothing is in flight")


def test_requests_in_one_record_are_answered_in_turn(engine: SecureEngine) -> None:
    with connect(engine.tls_port, trusting(CA), A) as sock:
        one = b"GET /x HTTP/1.1\r\nHost: %b\r\n\r\n" % A.encode()
        sock.sendall(one * 50)
        received = b""
        while received.count(b"\r\n\r\nok") < 50:
            more = sock.recv(65_536)
            assert more
            received += more


def test_a_backend_that_takes_nothing_holds_the_client_up(engine: SecureEngine) -> None:
    """Back-pressure reaches through TLS: the client cannot send without end."""
    wait = Wait()
    engine.upstream.scripts[b"/wait"] = [wait, BODY, OK]
    engine.upstream.answer_early.add(b"/wait")
    size = 64 * 1024 * 1024
    head = b"POST /wait HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n\r\n" % (A.encode(), size)
    with connect(engine.tls_port, trusting(CA), A) as sock:
        sock.sendall(head)
        sock.settimeout(0.5)
        sent = 0
        block = bytes(65_536)
        with pytest.raises(TimeoutError):
            while sent < size:
                sent += sock.send(block)
        wait.event.set()
        sock.settimeout(10)
    assert sent < size


def test_a_tunnel_inside(engine: SecureEngine) -> None:
    switch = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    large = bytes(range(256)) * 4096
    engine.upstream.scripts[b"/ws"] = [switch + b"hello", Read(5 + len(large)), large, CLOSE]
    request = b"GET /ws HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with connect(engine.tls_port, trusting(CA), A) as sock:
        sock.sendall(request % A.encode() + b"first")
        sock.sendall(large)
        received = b""
        while more := sock.recv(65_536):
            received += more
    head, _, tunnelled = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert tunnelled == b"hello" + large
    assert engine.upstream.exchanges[-1].extra == b"first" + large


@given(st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_requests_cut_anywhere_are_the_same_requests(
    engine: SecureEngine, data: st.DataObject
) -> None:
    """Records end where the client likes, and so do the pieces in which they arrive."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(CA).wrap_bio(incoming, outgoing, server_hostname=A)
    request = b"POST /echo HTTP/1.1\r\nHost: %b\r\nContent-Length: 300\r\n\r\n" % A.encode()
    request += bytes(300)
    with socket.create_connection(("127.0.0.1", engine.tls_port), timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def through(step: Callable[[], bytes | None]) -> bytes | None:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    incoming.write(sock.recv(65_536))

        through(client.do_handshake)
        for _ in range(2):
            start = 0
            while start < len(request):
                end = data.draw(st.integers(start + 1, len(request)))
                client.write(request[start:end])
                start = end
            sent = outgoing.read()
            cut_at = data.draw(st.integers(0, len(sent)))
            sock.sendall(sent[:cut_at])
            sock.sendall(sent[cut_at:])
            found = b""
            while not found.endswith(b"\r\n\r\nok"):
                more = through(lambda: client.read(65_536))
                assert more
                found += more
            assert found.startswith(b"HTTP/1.1 200")
            assert engine.upstream.exchanges[-1].size == 300
    assert not engine.failures
