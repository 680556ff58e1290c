"""TLS towards a backend, on both event loops, against OpenSSL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
import pytest
import uvloop

from pki import Authority
from portico_dataplane.core.egress import EgressPolicy
from portico_dataplane.effects import tls_client
from portico_dataplane.effects.certificates import Unusable
from portico_dataplane.effects.dialer import Dialer, DialError, DialKind, failure_of
from portico_dataplane.effects.tls_client import (
    SESSION_S,
    AddressTls,
    NoTls,
    client_context,
)
from portico_ir.domains import Certificate
from portico_ir.errors import ErrorKind
from portico_ir.secrets import Redacted
from portico_ir.targets import UpstreamTls
from tls_backend import backend_context

Run = Callable[[Coroutine[Any, Any, Any]], Any]
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
CA, CLIENTS = Authority(), Authority("Clients")
NAME = "pets.example"
OWN = UpstreamTls(authorities=CA.pem)
LONG = 20.0


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    def run_on_loop(story: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(asyncio.wait_for(story, LONG))

    return run_on_loop


@contextlib.contextmanager
def backend(context: ssl.SSLContext, act: Callable[[ssl.SSLSocket], None]) -> Iterator[int]:
    """A port that shakes hands and then does this, once for each connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(LONG)
            with (
                contextlib.suppress(OSError),
                sock,
                context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False) as tls,
            ):
                act(tls)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(LONG)
        listener.close()


class Reader(asyncio.Protocol):
    """What a connection was told."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = False
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.ended = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


async def dialled(port: int, terms: UpstreamTls, **more: Any) -> tuple[asyncio.Transport, Reader]:
    more = {"server_hostname": NAME, "timeout_s": LONG, **more}
    dialer = Dialer(EgressPolicy(is_open=True))
    return await dialer.connect(Reader, "127.0.0.1", port, tls=client_context(terms), **more)


# --- contexts -------------------------------------------------------------------------------------


def test_a_context_by_its_terms() -> None:
    usual, own = client_context(UpstreamTls()), client_context(OWN)
    for context in (usual, own):
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert [one["serialNumber"] for one in own.get_ca_certs()] == ["01"]
    anybody = client_context(UpstreamTls(any_authority=True))
    assert (anybody.check_hostname, anybody.verify_mode) == (False, ssl.CERT_NONE)
    assert not anybody.get_ca_certs()


@pytest.mark.parametrize(
    "terms",
    [
        UpstreamTls(authorities="nonsense"),
        UpstreamTls(certificate=Certificate(chain="a", key=Redacted("b"))),
        UpstreamTls(
            certificate=Certificate(chain=CA.client("a").chain, key=Redacted(CA.client("b").key))
        ),
    ],
)
def test_terms_that_openssl_does_not_take(terms: UpstreamTls) -> None:
    with pytest.raises(Unusable) as caught:
        client_context(terms)
    assert "BEGIN" not in str(caught.value)


def test_no_key_shows() -> None:
    pair = CLIENTS.client("a")
    terms = msgspec.structs.replace(OWN, certificate=pair.contract())
    assert pair.key.splitlines()[1] not in repr(terms)


# --- bytes ----------------------------------------------------------------------------------------


def test_much_both_ways(run: Run) -> None:
    """More than any buffer holds, and a reader that rests."""
    much = bytes(range(256)) * 40_000

    def echo(tls: ssl.SSLSocket) -> None:
        received = b""
        while len(received) < len(much):
            received += tls.recv(65_536)
        tls.sendall(received)
        tls.unwrap()

    async def story() -> None:
        with backend(backend_context(CA.server(NAME)), echo) as port:
            transport, reader = await dialled(port, OWN)
            transport.write(much[:100])
            transport.writelines([much[100:500], much[500:]])
            transport.pause_reading()
            assert not transport.is_reading()
            await asyncio.sleep(0.05)
            assert not reader.data
            transport.resume_reading()
            assert await reader.lost is None
            assert reader.data == much
            assert reader.ended

    run(story())


def test_an_end_that_is_not_announced_is_none(run: Run) -> None:
    """RFC 9112 §9.8: what has no length would otherwise be whole wherever somebody cut it."""

    def cut(tls: ssl.SSLSocket) -> None:
        tls.sendall(b"half")

    def end(tls: ssl.SSLSocket) -> None:
        tls.sendall(b"whole")
        tls.unwrap()

    async def story(act: Callable[[ssl.SSLSocket], None]) -> tuple[bytes, bool]:
        with backend(backend_context(CA.server(NAME)), act) as port:
            _, reader = await dialled(port, OWN)
            await reader.lost
            return bytes(reader.data), reader.ended

    assert run(story(cut)) == (b"half", False)
    assert run(story(end)) == (b"whole", True)


def test_goodbye_is_said(run: Run) -> None:
    heard: list[bytes] = []

    def listen(tls: ssl.SSLSocket) -> None:
        heard.extend((tls.recv(100), tls.recv(100)))

    async def story() -> None:
        with backend(backend_context(CA.server(NAME)), listen) as port:
            transport, reader = await dialled(port, OWN)
            transport.write(b"last words")
            transport.close()
            await reader.lost
            while len(heard) < 2:
                await asyncio.sleep(0.005)

    run(story())
    assert heard == [b"last words", b""]


# --- who is who -----------------------------------------------------------------------------------


def refused(run: Run, context: ssl.SSLContext, terms: UpstreamTls, **more: Any) -> DialError:
    async def story() -> DialError:
        with backend(context, lambda tls: None) as port:
            with pytest.raises(DialError) as caught:
                await dialled(port, terms, **more)
            return caught.value

    error = run(story())
    assert isinstance(error, DialError)
    return error


@pytest.mark.parametrize(
    ("terms", "name", "told"),
    [
        (UpstreamTls(authorities=CLIENTS.pem), NAME, "unable to get local issuer certificate"),
        (OWN, "other.example", "Hostname mismatch"),
        (UpstreamTls(any_authority=True), "other.example", f"is for {NAME}, not other.example"),
    ],
)
def test_a_certificate_that_is_not_taken(
    run: Run, terms: UpstreamTls, name: str, told: str
) -> None:
    error = refused(run, backend_context(CA.server(NAME)), terms, server_hostname=name)
    assert error.kind is DialKind.TLS
    assert told in str(error)
    assert failure_of(error) is ErrorKind.API_CONFIGURATION_ERROR


def test_a_backend_that_speaks_old_versions_only(run: Run) -> None:
    old = backend_context(CA.server(NAME), least=ssl.TLSVersion.TLSv1, most=ssl.TLSVersion.TLSv1_1)
    error = refused(run, old, OWN)
    assert error.kind is DialKind.TLS
    assert "version" in str(error)


def test_a_backend_that_wants_a_certificate(run: Run) -> None:
    """TLS 1.2 says so in the handshake, TLS 1.3 when ours is over."""
    least = {"least": ssl.TLSVersion.TLSv1_2, "most": ssl.TLSVersion.TLSv1_2}
    asking = backend_context(CA.server(NAME), clients=CLIENTS.pem, **least)
    error = refused(run, asking, OWN)
    assert (error.kind, "the backend refuses" in str(error)) == (DialKind.TLS, True)

    async def story() -> Exception | None:
        context = backend_context(CA.server(NAME), clients=CLIENTS.pem)
        with backend(context, lambda tls: None) as port:
            _, reader = await dialled(port, OWN)
            return await reader.lost

    lost = run(story())
    assert isinstance(lost, NoTls)
    assert not lost.lost
    assert str(lost) == "the backend refuses: certificate required"


@pytest.mark.parametrize("lost", [DialKind.DNS, DialKind.CONNECT, DialKind.TIMEOUT])
def test_what_is_no_fault_of_the_configuration(lost: DialKind) -> None:
    assert failure_of(DialError(lost, "")) is ErrorKind.INTEGRATION_FAILURE


# --- what is remembered ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(run: Run, version: ssl.TLSVersion) -> None:
    resumed: list[bool] = []

    def greet(tls: ssl.SSLSocket) -> None:
        resumed.append(bool(tls.session_reused))
        tls.sendall(b"hello")
        tls.recv(100)

    async def story() -> None:
        server = backend_context(CA.server(NAME), least=version, most=version)
        context, memory = client_context(OWN), AddressTls()
        dialer = Dialer(EgressPolicy(is_open=True))
        with backend(server, greet) as port:
            for _ in range(3):
                transport, reader = await dialer.connect(
                    Reader, "127.0.0.1", port, tls=context, server_hostname=NAME,
                    session=memory.session(), timeout_s=LONG,
                )  # fmt: skip
                while not reader.data:
                    await asyncio.sleep(0.001)
                memory.learn(transport)
                transport.abort()  # no goodbye, which must not spoil the session
                await reader.lost

    run(story())
    assert resumed == [False, True, True]


class _Transport(asyncio.Transport):
    """Knows a session and whose it is."""

    def __init__(self, session: Any, certificate: dict[str, str]) -> None:
        super().__init__()
        self.session = session
        self.certificate = certificate

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self

    def getpeercert(self) -> dict[str, str]:
        return self.certificate


class _Session:
    has_ticket = True
    id = b""

    def __init__(self, timeout: int) -> None:
        self.timeout = timeout


@pytest.mark.parametrize(
    ("timeout", "ends_in", "kept"),
    [(7200, 1e6, SESSION_S), (60, 1e6, 60.0), (7200, 30.0, 30.0), (7200, -5.0, 0.0)],
)
def test_how_long_a_session_is_kept(
    monkeypatch: pytest.MonkeyPatch, timeout: int, ends_in: float, kept: float
) -> None:
    """Never beyond the certificate that was verified for it."""
    now, wall = [1000.0], float(int(time.time()))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: wall)
    ends = time.strftime("%b %d %H:%M:%S %Y GMT", time.gmtime(wall + ends_in))
    memory = AddressTls()
    memory.learn(_Transport(_Session(timeout), {"notAfter": ends}))
    now[0] += kept - 0.5
    assert (memory.session() is not None) is (kept > 0)
    now[0] += 1
    assert memory.session() is None


def test_nothing_is_learnt_of_a_backend_that_gives_no_tickets() -> None:
    session = _Session(7200)
    session.has_ticket = False
    memory = AddressTls()
    memory.learn(_Transport(session, {}))
    memory.learn(_Transport(None, {}))
    assert memory.session() is None


def test_complaints_are_sparse(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    memory = AddressTls()
    with caplog.at_level(logging.WARNING, tls_client.__name__):
        for _ in range(5):
            memory.complain("https:service:d/pets:443", "10.0.0.1", NoTls("expired"))
        now[0] = 60.0
        memory.complain("https:service:d/pets:443", "10.0.0.1", NoTls("expired"))
    assert [record.__dict__["reason"] for record in caplog.records] == ["expired", "expired"]
