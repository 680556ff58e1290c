"""The one way out, on both event loops: design "Outgoing connections", §9 rule 16."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from certificates import self_signed
from portico_dataplane.core.egress import EgressPolicy
from portico_dataplane.effects.dialer import CACHE_S, Dialer, DialError, DialKind, Resolver

Run = Callable[[Coroutine[Any, Any, Any]], Any]

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
OPEN = EgressPolicy(is_open=True)
CLOSED = EgressPolicy()
LONG = 20.0
"""Seconds that no test comes near."""


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on that loop; fails when it leaves a task or a descriptor behind."""

    def run_on_loop(story: Coroutine[Any, Any, Any]) -> Any:
        async def watched() -> Any:
            result = await asyncio.wait_for(story, LONG)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            if left:
                await asyncio.wait(left, timeout=LONG)
            assert not [task for task in left if not task.done()]
            return result

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(watched())

    return run_on_loop


def open_sockets() -> int:
    """How many descriptors of this process are sockets."""
    count = 0
    for entry in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{entry}").startswith("socket:")
        except OSError:
            continue
    return count


async def settles_at(count: int) -> None:
    """Returns when that many sockets are open; the test's own time limit ends it otherwise."""
    while open_sockets() != count:
        await asyncio.sleep(0.01)


def saying(*addresses: str) -> tuple[Resolver, list[str]]:
    """A resolver that always says this, and what it was asked."""
    asked: list[str] = []

    async def resolver(host: str) -> list[str]:
        asked.append(host)
        await asyncio.sleep(0)
        return list(addresses)

    return resolver, asked


class Waiting(asyncio.Protocol):
    """Remembers what happened to its connection."""

    def __init__(self) -> None:
        self.made = asyncio.Event()
        self.heard = asyncio.Event()
        self.lost = asyncio.Event()
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made.set()

    def data_received(self, data: bytes) -> None:
        assert self.made.is_set()
        self.data += data
        self.heard.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def listening(
    host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> tuple[asyncio.Server, int, list[Waiting]]:
    accepted: list[Waiting] = []

    def accept() -> Waiting:
        accepted.append(Waiting())
        return accepted[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(accept, host, 0, ssl=tls)
    return server, server.sockets[0].getsockname()[1], accepted


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that is ours and refuses: bound, not listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextmanager
def silent_port(address: str = "127.0.0.1") -> Iterator[int]:
    """A port that takes no connection and refuses none: its queue is full."""
    with socket.socket() as sock:
        sock.bind((address, 0))
        sock.listen(0)
        port = sock.getsockname()[1]
        fillers = []
        try:
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex((address, port))
                fillers.append(filler)
            yield port
        finally:
            for filler in fillers:
                filler.close()


def test_a_connection_without_delay(run: Run) -> None:
    async def story() -> None:
        server, port, accepted = await listening()
        transport, protocol = await Dialer(OPEN).connect(Waiting, "127.0.0.1", port, timeout_s=LONG)
        assert protocol.made.is_set()
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.close()
        await protocol.lost.wait()
        while not accepted:
            await asyncio.sleep(0)
        await accepted[0].lost.wait()
        server.close()
        await server.wait_closed()

    run(story())


def test_localhost_is_resolved_by_the_system(run: Run) -> None:
    async def story() -> None:
        server, port, _ = await listening()
        transport, _ = await Dialer(OPEN).connect(Waiting, "localhost", port, timeout_s=LONG)
        assert transport.get_extra_info("peername")[:2] == ("127.0.0.1", port)
        transport.close()
        server.close()
        await server.wait_closed()

    run(story())


def failure(run: Run, dialer: Dialer, host: str, port: int, **options: Any) -> DialError:
    """The error of a dial that must fail."""

    async def story() -> DialError:
        options.setdefault("timeout_s", LONG)
        with pytest.raises(DialError) as caught:
            await dialer.connect(Waiting, host, port, **options)
        return caught.value

    error = run(story())
    assert isinstance(error, DialError)
    return error


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254"])
def test_a_private_address_is_refused_without_a_packet(run: Run, host: str) -> None:
    error = failure(run, Dialer(CLOSED), host, 80)
    assert error.kind is DialKind.REFUSED_BY_POLICY
    assert host in error.cause


@pytest.mark.parametrize("spelling", ["localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1"])
def test_the_decision_is_about_the_resolved_address(run: Run, spelling: str) -> None:
    error = failure(run, Dialer(CLOSED), spelling, 80)
    assert error.kind is DialKind.REFUSED_BY_POLICY


def test_a_name_that_changes_its_mind_gains_nothing(run: Run) -> None:
    """DNS rebinding: a public address when asked first, ours when asked again."""
    answers = iter([["192.0.2.1", "127.0.0.1"], ["127.0.0.1"]])

    async def resolver(host: str) -> list[str]:
        return next(answers)

    error = failure(run, Dialer(CLOSED, resolver), "evil.example", 80)
    assert error.kind is DialKind.REFUSED_BY_POLICY
    assert next(answers) == ["127.0.0.1"]  # it was not asked again


def test_of_several_addresses_only_the_permitted_are_dialled(run: Run) -> None:
    async def story() -> None:
        server, port, _ = await listening()
        resolver, _ = saying("10.0.0.1", "127.0.0.1", "169.254.169.254")
        dialer = Dialer(EgressPolicy(["127.0.0.0/8"]), resolver)
        transport, _ = await dialer.connect(Waiting, "h.example", port, timeout_s=LONG)
        assert transport.get_extra_info("peername")[0] == "127.0.0.1"
        transport.close()
        server.close()
        await server.wait_closed()

    run(story())


def test_an_endpoint_given_by_reference_is_trusted(run: Run) -> None:
    async def story() -> None:
        server, port, _ = await listening()
        transport, _ = await Dialer(CLOSED).connect(
            Waiting, "127.0.0.1", port, timeout_s=LONG, trusted=True
        )
        transport.close()
        server.close()
        await server.wait_closed()

    run(story())


def test_the_next_address_is_tried(run: Run) -> None:
    async def story() -> None:
        with refusing_port() as port:
            server = await asyncio.get_running_loop().create_server(Waiting, "127.0.0.2", port)
            resolver, _ = saying("127.0.0.1", "127.0.0.2")
            transport, _ = await Dialer(OPEN, resolver).connect(
                Waiting, "h.example", port, timeout_s=LONG
            )
            assert transport.get_extra_info("peername")[0] == "127.0.0.2"
            transport.close()
            server.close()
            await server.wait_closed()

    run(story())


def test_a_silent_address_leaves_time_for_the_next(run: Run) -> None:
    async def story() -> None:
        with silent_port("127.0.0.1") as port:
            server = await asyncio.get_running_loop().create_server(Waiting, "127.0.0.2", port)
            resolver, _ = saying("127.0.0.1", "127.0.0.2")
            transport, _ = await Dialer(OPEN, resolver).connect(
                Waiting, "h.example", port, timeout_s=1.0
            )
            assert transport.get_extra_info("peername")[0] == "127.0.0.2"
            transport.close()
            server.close()
            await server.wait_closed()

    run(story())


def test_refused(run: Run) -> None:
    resolver, _ = saying("127.0.0.1", "127.0.0.2")
    with refusing_port() as port:
        error = failure(run, Dialer(OPEN, resolver), "h.example", port)
    assert error.kind is DialKind.CONNECT
    assert f"127.0.0.1 port {port}: " in error.cause
    assert f"127.0.0.2 port {port}: " in error.cause


def test_nobody_answers_in_time(run: Run) -> None:
    with silent_port() as port:
        error = failure(run, Dialer(OPEN), "127.0.0.1", port, timeout_s=0.05)
    assert error.kind is DialKind.TIMEOUT
    assert str(error) == f"timed out: 127.0.0.1:{port}: no connection within 0.05 s"


def test_a_resolver_that_hangs_is_no_reason_to_wait(run: Run) -> None:
    release: list[asyncio.Event] = []

    async def resolver(host: str) -> list[str]:
        release.append(asyncio.Event())
        await release[0].wait()
        return ["127.0.0.1"]

    async def story() -> None:
        dialer = Dialer(OPEN, resolver)
        with pytest.raises(DialError) as caught:
            await dialer.connect(Waiting, "h.example", 80, timeout_s=0.05)
        assert caught.value.kind is DialKind.TIMEOUT
        release[0].set()
        assert await dialer.resolve("h.example") == ("127.0.0.1",)

    run(story())


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid", "x..y", ""])
def test_a_name_without_an_address(run: Run, host: str) -> None:
    async def resolver(host: str) -> list[str]:
        # As the system does, which a test does not ask about names beyond this machine.
        host.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = failure(run, Dialer(OPEN, resolver), host, 80)
    assert error.kind is DialKind.DNS
    assert error.cause.startswith(f"{host}: ")


def test_a_resolver_that_says_nothing(run: Run) -> None:
    resolver, _ = saying()
    error = failure(run, Dialer(OPEN, resolver), "h.example", 80)
    assert (error.kind, error.cause) == (DialKind.DNS, "h.example: the name has no address")


# --- looking names up ---------------------------------------------------------------------------


def test_those_who_ask_at_once_share_one_answer(run: Run) -> None:
    resolver, asked = saying("127.0.0.1", "127.0.0.1")

    async def story() -> None:
        dialer = Dialer(OPEN, resolver)
        answers = await asyncio.gather(*(dialer.resolve("h.example") for _ in range(20)))
        assert set(answers) == {("127.0.0.1",)}
        assert await dialer.resolve("h.example") == ("127.0.0.1",)
        assert await dialer.resolve("10.0.0.1") == ("10.0.0.1",)

    run(story())
    assert asked == ["h.example"]


def test_one_who_leaves_does_not_take_the_answer_along(run: Run) -> None:
    resolver, asked = saying("127.0.0.1")

    async def story() -> None:
        dialer = Dialer(OPEN, resolver)
        first = asyncio.ensure_future(dialer.resolve("h.example"))
        second = asyncio.ensure_future(dialer.resolve("h.example"))
        while not asked:
            await asyncio.sleep(0)
        first.cancel()
        assert await second == ("127.0.0.1",)
        assert first.cancelled()

    run(story())
    assert asked == ["h.example"]


def test_an_answer_holds_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver, asked = saying("127.0.0.1")
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        real, passed = loop.time, [0.0]
        monkeypatch.setattr(loop, "time", lambda: real() + passed[0])
        dialer = Dialer(OPEN, resolver)
        runner.run(dialer.resolve("h.example"))
        runner.run(dialer.resolve("h.example"))
        assert len(asked) == 1
        passed[0] = CACHE_S
        runner.run(dialer.resolve("h.example"))
        assert len(asked) == 2


def test_a_name_that_leads_nowhere_is_looked_up_again(run: Run) -> None:
    resolver, asked = saying("127.0.0.1")

    async def story() -> None:
        dialer = Dialer(OPEN, resolver)
        with refusing_port() as port:
            for _ in range(2):
                with pytest.raises(DialError):
                    await dialer.connect(Waiting, "h.example", port, timeout_s=LONG)

    run(story())
    assert len(asked) == 2


def test_names_are_not_remembered_without_bound(run: Run) -> None:
    resolver, _ = saying("127.0.0.1")

    async def story() -> int:
        dialer = Dialer(OPEN, resolver)
        for number in range(1100):
            await dialer.resolve(f"h{number}.example")
        return len(dialer._known)

    assert run(story()) == 1024


# --- TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a self-signed certificate for `backend.example`."""
    return self_signed(tmp_path_factory.mktemp("tls") / "backend.pem", "backend.example")


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_tls_by_the_name_of_the_url(run: Run, certificate: Path) -> None:
    async def story() -> None:
        server, port, _ = await listening(tls=server_context(certificate))
        client = ssl.create_default_context(cafile=str(certificate))
        resolver, _ = saying("127.0.0.1")
        dialer = Dialer(OPEN, resolver)
        transport, protocol = await dialer.connect(
            Waiting, "backend.example", port, tls=client, timeout_s=LONG
        )
        assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        transport.close()
        await protocol.lost.wait()
        # An endpoint has an address; the name to check comes with it.
        transport, protocol = await dialer.connect(
            Waiting, "127.0.0.1", port, tls=client, server_hostname="backend.example",
            timeout_s=LONG,
        )  # fmt: skip
        transport.close()
        await protocol.lost.wait()
        server.close()
        await server.wait_closed()

    run(story())


@pytest.mark.parametrize("name", ["other.example", "x" * 64 + ".example"])
def test_a_certificate_of_another_name(run: Run, certificate: Path, name: str) -> None:
    async def story() -> DialError:
        before = open_sockets()
        server, port, _ = await listening(tls=server_context(certificate))
        client = ssl.create_default_context(cafile=str(certificate))
        with pytest.raises(DialError) as caught:
            await Dialer(OPEN).connect(
                Waiting, "127.0.0.1", port, tls=client, server_hostname=name, timeout_s=LONG
            )
        server.close()
        await server.wait_closed()
        await settles_at(before)
        return caught.value

    assert run(story()).kind is DialKind.TLS


class Greeting(asyncio.Protocol):
    """A server that speaks first."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(b"220 ready")


@pytest.mark.parametrize("with_tls", [False, True])
def test_what_a_server_says_first_is_heard(run: Run, certificate: Path, with_tls: bool) -> None:
    async def story() -> None:
        context = server_context(certificate) if with_tls else None
        client = ssl.create_default_context(cafile=str(certificate)) if with_tls else None
        server = await asyncio.get_running_loop().create_server(
            Greeting, "127.0.0.1", 0, ssl=context
        )
        port = server.sockets[0].getsockname()[1]
        resolver, _ = saying("127.0.0.1")
        transport, protocol = await Dialer(OPEN, resolver).connect(
            Waiting, "backend.example", port, tls=client, timeout_s=LONG
        )
        await protocol.heard.wait()
        assert protocol.data == b"220 ready"
        transport.close()
        await protocol.lost.wait()
        server.close()
        await server.wait_closed()

    run(story())


class Leaving(asyncio.Protocol):
    """A server that closes, or resets, whatever connects."""

    def __init__(self, *, reset: bool) -> None:
        self.reset = reset

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.reset:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            cast("asyncio.Transport", transport).abort()
        else:
            transport.close()


@pytest.mark.parametrize("reset", [False, True])
def test_a_server_that_leaves_during_the_handshake(run: Run, reset: bool) -> None:
    async def story() -> list[DialKind]:
        before = open_sockets()
        server = await asyncio.get_running_loop().create_server(
            lambda: Leaving(reset=reset), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        kinds = []
        for _ in range(20):
            with pytest.raises(DialError) as caught:
                await Dialer(OPEN).connect(
                    Waiting, "127.0.0.1", port, tls=ssl.create_default_context(), timeout_s=LONG
                )
            kinds.append(caught.value.kind)
        server.close()
        await server.wait_closed()
        await settles_at(before)
        return kinds

    # A reset may arrive before the connection is known to be one.
    assert set(run(story())) <= {DialKind.TLS, DialKind.CONNECT}


def test_one_protocol_is_made_however_many_addresses_are_tried(run: Run) -> None:
    made: list[Waiting] = []

    def factory() -> Waiting:
        made.append(Waiting())
        return made[-1]

    async def story() -> None:
        with refusing_port() as port:
            server = await asyncio.get_running_loop().create_server(Waiting, "127.0.0.2", port)
            resolver, _ = saying("127.0.0.1", "127.0.0.2")
            transport, protocol = await Dialer(OPEN, resolver).connect(
                factory, "h.example", port, timeout_s=LONG
            )
            assert made == [protocol]
            transport.close()
            server.close()
            await server.wait_closed()

    run(story())


def test_a_server_that_speaks_no_tls(run: Run) -> None:
    class Plain(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            cast("asyncio.Transport", transport).write(b"220 ready\r\n")
            transport.close()

    async def story() -> DialError:
        before = open_sockets()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Plain, "127.0.0.1", 0)
        with pytest.raises(DialError) as caught:
            await Dialer(OPEN).connect(
                Waiting,
                "127.0.0.1",
                server.sockets[0].getsockname()[1],
                tls=ssl.create_default_context(),
                timeout_s=LONG,
            )
        server.close()
        await server.wait_closed()
        await settles_at(before)
        return caught.value

    assert run(story()).kind is DialKind.TLS


def test_a_handshake_without_answer_times_out_and_leaves_nothing(run: Run) -> None:
    async def story() -> DialError:
        before = open_sockets()
        server, port, accepted = await listening()
        with pytest.raises(DialError) as caught:
            await Dialer(OPEN).connect(
                Waiting, "127.0.0.1", port, tls=ssl.create_default_context(), timeout_s=0.1
            )
        await accepted[0].lost.wait()
        server.close()
        await server.wait_closed()
        await settles_at(before)
        return caught.value

    assert run(story()).kind is DialKind.TIMEOUT


# --- leaving ------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_tls", [False, True])
def test_cancelling_at_any_await_leaves_nothing(
    run: Run, certificate: Path, with_tls: bool
) -> None:
    """Cancelled after 0, 1, 2, ... turns of the loop, until it is done before that."""

    async def story() -> int:
        before = open_sockets()
        context = server_context(certificate) if with_tls else None
        client = ssl.create_default_context(cafile=str(certificate)) if with_tls else None
        server, port, _ = await listening(tls=context)
        resolver, _ = saying("127.0.0.1")
        for turns in range(2000):
            dial = asyncio.ensure_future(
                Dialer(OPEN, resolver).connect(
                    Waiting, "backend.example", port, tls=client, timeout_s=LONG
                )
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            dial.cancel()
            (outcome,) = await asyncio.gather(dial, return_exceptions=True)
            if not isinstance(outcome, BaseException):
                transport, protocol = outcome
                transport.close()
                await protocol.lost.wait()
                break
            assert isinstance(outcome, asyncio.CancelledError)
        server.close()
        await server.wait_closed()
        await settles_at(before)
        return turns

    assert run(story()) > 1
