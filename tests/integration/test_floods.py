"""Clients and backends by the hundred that mean harm: served are the others, and nothing is left.

One of each kind is in test_faults.py and in tests/dataplane/rules; here is what many of them cost.
After each flood: no descriptor, task, request or memory more than before, and the next is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import select
import selectors
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from engine import Engine
from gateway_process import HOST, GatewayProcess, shop
from pki import Authority
from raw_http import PATIENCE, RawClient
from raw_upstream import BODY, OK, Exchange, Script, Upstream, Wait
from secure_engine import SecureEngine, answer, connect, domain, trusting
from serving import HTTP, REST, Serving, answering, everything, proxied, route, site
from wire_rules import get, request

MB = 1024 * 1024
UNITS = {
    **site(
        REST,
        "rest",
        everything(REST),
        (
            route(REST, "ANY /mock", answering(200, "m")),
            route(REST, "ANY /short", proxied(timeout_ms=300)),
            route(REST, "ANY /big", proxied(max_request_body=100 * MB)),
        ),
    ),
    **site(HTTP, "http", everything(HTTP)),
}
GROWTH = 12 * MB
"""More than this is a leak: a flood that leaves 10 KB for each of its connections leaves more."""


def resident() -> int:
    """Bytes of memory this process has now."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def descriptors(engine: Engine) -> int:
    """Open ones, apart from both ends of connections to the upstream that are kept."""
    open_, _ = engine.gateway.upstreams.counts()
    return len(os.listdir("/proc/self/fd")) - 2 * open_


@contextmanager
def leaving_nothing(engine: Serving) -> Iterator[None]:
    """What is open and under way afterwards is what was before; the next client is served."""
    served(engine)
    engine.until_clean()
    before = engine.ask(lambda: descriptors(engine))
    yield
    engine.until_clean()
    engine.until(lambda: descriptors(engine) <= before, "every descriptor was given back")
    assert engine.ask(lambda: engine.gateway.load.held) == 0
    served(engine)


def twice(flood: Callable[[], None]) -> None:
    """The second time costs no more memory: what the first one left is the allocator's own."""
    flood()
    before = resident()
    flood()
    assert resident() - before < GROWTH


def served(engine: Engine) -> None:
    """A client that means well, at this moment."""
    with RawClient(engine.port) as client:
        client.send(get(b"/mock"))
        assert client.read_answer().status == 200


class Herd:
    """Many connections that all do the same, on one thread."""

    def __init__(self, port: int, count: int, *, receive_buffer: int = 0) -> None:
        self._selector = selectors.DefaultSelector()
        self._answers: dict[int, bytearray] = {}
        self.open: set[socket.socket] = set()
        self.ended: list[bytes] = []
        """What each had been sent when its connection ended."""
        for _ in range(count):
            sock = socket.socket()
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.settimeout(PATIENCE)
            sock.connect(("127.0.0.1", port))
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ)
            self._answers[sock.fileno()] = bytearray()
            self.open.add(sock)

    def __enter__(self) -> Herd:
        return self

    def __exit__(self, *exc: object) -> None:
        self.reset()
        self._selector.close()

    def send(self, data: bytes) -> None:
        """Each of them sends this, as far as it goes."""
        for sock in self.open:
            with contextlib.suppress(OSError):
                sock.send(data)

    def read(self, most: int, seconds: float = 0.01) -> None:
        """Each reads so much of what is there."""
        for key, _ in self._selector.select(seconds):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            try:
                data = sock.recv(most)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                self._answers[key.fd] += data
            else:
                self._end(sock)

    def until_ended(self, act: Callable[[], None], most: int = 65_536) -> None:
        """Go on until the other side has ended every one of them."""
        while self.open:
            act()
            self.read(most)

    def reset(self) -> None:
        """All at once, without a goodbye."""
        for sock in list(self.open):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._end(sock)

    def _end(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        self.ended.append(bytes(self._answers.pop(sock.fileno())))
        self.open.discard(sock)
        sock.close()


# --- slowloris ------------------------------------------------------------------------------------


def test_heads_by_the_byte() -> None:
    with Serving(UNITS, head_timeout_s=0.4) as engine, leaving_nothing(engine):

        def flood() -> None:
            with Herd(engine.port, 200) as herd:
                herd.send(get(b"/x")[:-2] + b"A: ")
                served(engine)
                herd.until_ended(lambda: herd.send(b"a"))
                assert all(one.startswith(b"HTTP/1.1 408 ") for one in herd.ended)

        twice(flood)
        assert not [one for one in engine.upstream.exchanges if one.target == b"/x"]


@pytest.mark.parametrize("framing", [b"Content-Length: 100000", b"Transfer-Encoding: chunked"])
def test_bodies_by_the_byte(framing: bytes) -> None:
    """What was begun upstream is cut there: it must not look whole."""
    with (
        Serving(UNITS, body_timeout_s=0.4, min_body_rate=1_000_000) as engine,
        leaving_nothing(engine),
    ):
        piece = b"1\r\nx\r\n" if b"chunked" in framing else b"x"

        def flood() -> None:
            with Herd(engine.port, 60) as herd:
                herd.send(request(b"POST", b"/x", framing))
                served(engine)
                herd.until_ended(lambda: herd.send(piece))
                assert all(one.startswith(b"HTTP/1.1 408 ") for one in herd.ended)

        twice(flood)
        assert not [o for o in engine.upstream.exchanges if o.target == b"/x" and o.complete]


def test_a_body_that_a_backend_does_not_take_is_not_slow() -> None:
    """For most of the time that its rate is measured over, nobody read from the client."""
    with Serving(UNITS, body_timeout_s=1.5, min_body_rate=1_000_000_000) as engine:
        up = engine.upstream
        up.answer_early.add(b"/big")
        wait = Wait()
        up.scripts[b"/big"] = (wait, BODY, OK)
        size = 30 * MB

        def looks() -> float:
            (one,) = engine.gateway.connections
            return one._deadline

        def looked() -> None:
            before = engine.ask(looks)
            engine.until(lambda: looks() > before, "it was looked at")

        with RawClient(engine.port) as client:
            client.send(request(b"POST", b"/big", b"Content-Length: %d" % size))
            sender = engine.beside(lambda: client.send(b"x" * (size - 1)))
            engine.settle_held(towards_upstreams=True)
            looked()
            wait.event.set()
            sender.join(PATIENCE)
            # Nobody holds it back any more at the next look, and most of it came before the last.
            looked()
            client.send(b"x")
            assert client.read_answer().status == 200
            assert [one.size for one in up.exchanges] == [size]


def test_answers_by_the_byte() -> None:
    """Slow read: a byte now and then keeps a connection, a request and a backend's connection."""
    with (
        Serving(UNITS, write_timeout_s=0.4, min_write_rate=1_000_000) as engine,
        leaving_nothing(engine),
    ):
        size = 16 * MB
        engine.upstream.scripts[b"/large"] = (
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size,
            b"x" * size,
        )

        def flood() -> None:
            with Herd(engine.port, 8, receive_buffer=4096) as herd:
                herd.send(get(b"/large"))
                engine.settle_held()
                served(engine)
                herd.until_ended(lambda: None, most=1)
                assert all(len(one) < size for one in herd.ended)

        twice(flood)


def test_who_reads_nothing_over_tls_is_cut() -> None:
    authority = Authority()
    name = "a.example.com"
    certificate = domain(name, pair=authority.server(name))
    with SecureEngine(certificate, write_timeout_s=0.2) as engine, ExitStack() as stack:
        engine.upstream.scripts[b"/large"] = (
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (16 * MB),
            b"x" * (16 * MB),
        )
        for _ in range(4):
            sock = stack.enter_context(connect(engine.tls_port, trusting(authority), name))
            sock.sendall(get(b"/large", host=name.encode()))
        engine.until(lambda: engine.gateway.in_flight == 4, "all have begun")
        engine.until(lambda: not engine.gateway.connections, "all are cut")
        assert not engine.gateway.in_flight


# --- many, and resets -----------------------------------------------------------------------------


def room() -> int:
    """Connections whose both ends this process may hold: 10,000 where it may hold so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(10_000, (hard - len(os.listdir("/proc/self/fd")) - 200) // 2)


def test_ten_thousand_idle_connections() -> None:
    """Bounded memory for each, the next is served, and they are gone when they leave."""
    count = room()
    with Serving(UNITS, idle_timeout_s=600) as engine, leaving_nothing(engine):
        before = resident()
        with Herd(engine.port, count) as herd:
            engine.until(lambda: len(engine.gateway.connections) == count, "all are in")
            # The Herd's own part is in it.
            assert (resident() - before) / count < 24_000
            served(engine)
            assert engine.ask(lambda: len(engine.gateway.deadlines._slots)) < 100
            assert not engine.ask(engine.tasks)
            herd.send(b"G")  # and all of them begin at once
            served(engine)


def test_a_storm_of_resets() -> None:
    """At every stage of a request, and while its call is under way."""
    with Serving(UNITS) as engine, leaving_nothing(engine):
        engine.upstream.scripts[b"/hold"] = (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",)
        starts = (
            b"",
            b"GET /hold",
            get(b"/hold"),
            get(b"/mock") * 20,
            request(b"POST", b"/hold", b"Content-Length: 100000", body=b"x" * 50_000),
            get(b"/hold", b"Connection: Upgrade", b"Upgrade: websocket"),
        )

        def flood() -> None:
            for start in starts:
                with Herd(engine.port, 60) as herd:
                    herd.send(start)
                    herd.reset()
            for start in starts:
                with Herd(engine.port, 60) as herd:
                    herd.send(start)
                    herd.read(1, 0.05)
                    herd.reset()
            engine.until_clean()

        twice(flood)


def test_a_storm_of_resets_in_handshakes() -> None:
    """Nobody waits for them, and a client that means well is let in."""
    authority = Authority()
    name = "a.example.com"
    with SecureEngine(domain(name, pair=authority.server(name))) as engine:
        under_way = engine.gateway.listeners.handshakes
        starts = (
            b"",
            b"\x16\x03\x01\x02\x00\x01\x00\x01",
            b"\x16\x03\x01",
            b"GET / HTTP/1.1\r\n\r\n",
        )

        def flood() -> None:
            for start in starts:
                with Herd(engine.tls_port, 60) as herd:
                    herd.send(start)
                    herd.read(1, 0.05)
                    herd.reset()
            engine.until(lambda: not under_way.pending, "they are forgotten")

        with connect(engine.tls_port, trusting(authority), name) as sock:
            before = engine.ask(lambda: descriptors(engine))
            twice(flood)
            engine.until(lambda: descriptors(engine) <= before, "every descriptor was given back")
            assert answer(sock, get(b"/x", host=name.encode())).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "bomb",
    [
        get(b"/x")[:-2] + b"A: " + b"a" * MB,
        get(b"/x")[:-2] + b"A: b\r\n" * 100_000,
        get(b"/x")[:-2] + b"A" * MB,
        b"GET /" + b"x" * MB,
        b"\r\n" * 500_000,
        request(b"POST", b"/x", b"Transfer-Encoding: chunked", body=b"1;" + b"e" * MB),
        request(
            b"POST", b"/x", b"Transfer-Encoding: chunked", body=b"0\r\n" + b"A: b\r\n" * 99_999
        ),
    ],
    ids=["value", "count", "name", "line", "empty", "extension", "trailers"],
)
def test_bombs_in_heads(bomb: bytes) -> None:
    """What is too large is refused when it is known to be, not when it is whole."""
    with Serving(UNITS) as engine, leaving_nothing(engine):
        before = resident()

        def flood() -> None:
            with ExitStack() as stack:
                clients = [stack.enter_context(RawClient(engine.port)) for _ in range(30)]
                for client in clients:
                    client.send(bomb)
                served(engine)
                for client in clients:
                    assert client.read_to_end()[:12] in (
                        b"HTTP/1.1 400",
                        b"HTTP/1.1 431",
                        b"",  # a reset that overtook the answer: much of the bomb was unread
                    )

        flood()
        assert resident() - before < 2 * GROWTH
        twice(flood)


# --- backends that drip ---------------------------------------------------------------------------


def drip(data: bytes, over: threading.Event) -> Callable[[Exchange], Script]:
    """These bytes one by one, with a pause after each, until it is over."""

    def script(_: Exchange) -> Script:
        for byte in data:
            if over.wait(0.02):
                return
            yield bytes((byte,))

    return script


def test_a_backend_that_drips_its_head_is_too_late() -> None:
    """Design §6.6: `timeout` runs to the head, however busily it comes."""
    over = threading.Event()
    with Serving(UNITS) as engine, leaving_nothing(engine), contextlib.ExitStack() as stack:
        stack.callback(over.set)
        engine.upstream.scripts[b"/short"] = drip(b"HTTP/1.1 200 OK\r\nA: " + b"a" * 5000, over)

        def flood() -> None:
            with Herd(engine.port, 40) as herd:
                herd.send(get(b"/short", b"Connection: close"))
                served(engine)
                herd.until_ended(lambda: None)
                assert all(one.startswith(b"HTTP/1.1 504 ") for one in herd.ended)

        twice(flood)


def test_a_backend_that_drips_its_body_costs_its_own_clients_time_only() -> None:
    over = threading.Event()
    with Serving(UNITS) as engine, leaving_nothing(engine), contextlib.ExitStack() as stack:
        stack.callback(over.set)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        body = drip(b"x" * 100_000, over)

        def script(exchange: Exchange) -> Script:
            yield head
            yield from body(exchange)

        engine.upstream.scripts[b"/drip"] = script

        def flood() -> None:
            with Herd(engine.port, 40) as herd:
                herd.send(get(b"/drip"))
                engine.until(lambda: engine.gateway.in_flight == 40, "all wait")
                served(engine)
                # Each byte is passed on as it comes.
                while not all(len(one) > 200 for one in herd._answers.values()):
                    herd.read(100)
                herd.reset()
                engine.until_clean()

        twice(flood)


def test_a_client_that_is_cut_is_readable_at_once() -> None:
    """The limit of one client: no answer, no wait, no descriptor."""
    with Serving(UNITS, max_connections_per_client=1) as engine:
        with RawClient(engine.port) as one:
            one.send(get(b"/mock"))
            assert one.read_answer().status == 200
            before = engine.ask(lambda: descriptors(engine))
            for _ in range(300):
                with socket.create_connection(("127.0.0.1", engine.port), timeout=PATIENCE) as more:
                    assert select.select([more], [], [], PATIENCE)[0]
            engine.until(lambda: descriptors(engine) <= before, "all of them are gone")
        engine.until_clean()


async def test_who_takes_every_descriptor_leaves_some_for_backends(tmp_path: Path) -> None:
    """A real process that may have few: beyond its share clients are turned away, and those it has
    are served by backends that it still can connect to."""
    with Upstream() as upstream, ExitStack() as stack:
        file = tmp_path / "snapshot.json"
        file.write_bytes(shop(f"http://127.0.0.1:{upstream.port}", "/x"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "portico_dataplane", "--snapshot", str(file)),
            *("--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--workers", "1"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)),
            start_new_session=True,
        )
        gateway = GatewayProcess(process)
        try:
            await gateway.serving()
            first = stack.enter_context(RawClient(gateway.port))
            await asyncio.to_thread(_flood_of_idle, gateway.port, 150, stack)
            first.send(f"GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            answer = await asyncio.to_thread(first.read_answer)
            assert (answer.status, answer.body) == (200, b"ok")
        finally:
            await gateway.kill()


def _flood_of_idle(port: int, count: int, stack: ExitStack) -> None:
    """So many connections, of which the last one is turned away, told or not."""
    clients = [stack.enter_context(RawClient(port)) for _ in range(count)]
    clients[-1].read_to_end()
