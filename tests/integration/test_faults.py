"""Faults of upstreams and clients: the answer is stated, memory is bounded, nothing is left.

What an upstream may send is a table in tests/dataplane/rules; here is what happens around it: that
every connection, wait and count is given back, whoever leaves and whenever (design.md §9, rules 12
and 16), and that a body larger than memory should be passes through.
"""

from __future__ import annotations

import json
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine import Engine
from portico_ir.model import Endpoint
from raw_http import Cut, RawClient
from raw_upstream import BODY, CLOSE, HOLD, OK, RESET, Script, Step, Upstream, Wait
from wire_rules import HTTP, REST, get, request

NETWORK = "Network error communicating with endpoint"
MB = 1024 * 1024


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One engine for all: what a fault leaves behind would show in the next test too."""
    with Engine() as engine:
        yield engine


@pytest.fixture(autouse=True)
def leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test: no request, no call, no waiting, no task; idle connections only."""
    yield
    if "engine" in request.fixturenames:
        is_clean(request.getfixturevalue("engine"))


def is_clean(engine: Engine) -> None:
    """Everything was given back."""
    gateway = engine.gateway

    def clean() -> bool:
        open_, idle = gateway.upstreams.counts()
        return not (gateway.connections or gateway.in_flight or open_ - idle or engine.tasks())

    engine.until(clean, "everything was given back")
    assert not engine.failures, engine.failures


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def answer_of(engine: Engine, *sends: bytes) -> tuple[int, object]:
    """Status and JSON body of the one answer to these writes."""
    with RawClient(engine.port) as client:
        client.send_pieces(sends)
        answer = client.read_answer()
        return answer.status, json.loads(answer.body)


# --- upstreams ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_an_upstream_that_refuses(method: bytes) -> None:
    """Design §6: 504 on a RestApi, 503 on an HttpApi; and again, for the next request."""
    with Engine(endpoints=(Endpoint(host="127.0.0.1", port=free_port()),)) as engine:
        for _ in range(2):
            assert answer_of(engine, request(method, b"/x")) == (504, {"message": NETWORK})
            assert answer_of(engine, request(method, b"/x", host=HTTP)) == (
                503,
                {"message": "Service Unavailable"},
            )
        is_clean(engine)


def test_an_upstream_that_refuses_while_a_body_arrives() -> None:
    """The body was announced and partly sent: it is refused, not waited for."""
    with Engine(endpoints=(Endpoint(host="127.0.0.1", port=free_port()),)) as engine:
        head = request(b"POST", b"/x", b"Content-Length: 10000000")
        assert answer_of(engine, head, b"x" * 1000) == (504, {"message": NETWORK})
        is_clean(engine)


def test_no_endpoint() -> None:
    """Design §6: 503 `Service Unavailable`."""
    with Engine(endpoints=()) as engine:
        for host in (REST, HTTP):
            assert answer_of(engine, get(b"/x", host=host)) == (
                503,
                {"message": "Service Unavailable"},
            )
        is_clean(engine)


def test_one_of_two_endpoints_refuses() -> None:
    """Nothing was written, so any method is tried at the other one: no client notices."""
    with Upstream() as upstream:
        endpoints = (
            Endpoint(host="127.0.0.1", port=free_port()),
            Endpoint(host="127.0.0.1", port=upstream.port),
        )
        with Engine(upstream=upstream, endpoints=endpoints) as engine:
            for method in (b"GET", b"POST") * 10:
                with RawClient(engine.port) as client:
                    client.send(request(method, b"/x", b"Content-Length: 5", body=b"hello"))
                    assert client.read_answer().status == 200
            is_clean(engine)


FAULTS: dict[str, Script] = {
    "closes": (CLOSE,),
    "resets": (RESET,),
    "resets in the head": (b"HTTP/1.1 200 OK\r\nA: b\r\n", RESET),
    "broken head": (b"HTTP/1.1 2000 OK\r\n\r\n", HOLD),
    "too many headers": (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000 + b"\r\n", HOLD),
    "too large a head": (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200_000 + b"\r\n\r\n", HOLD),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_upstream_that_fails_before_its_answer(engine: Engine, fault: str) -> None:
    engine.upstream.scripts[b"/fault"] = FAULTS[fault]
    for send in (get(b"/fault"), request(b"POST", b"/fault", b"Content-Length: 2", body=b"hi")):
        assert answer_of(engine, send) == (504, {"message": NETWORK})


def test_an_upstream_that_hangs(engine: Engine) -> None:
    engine.upstream.scripts[b"/short"] = (HOLD,)
    assert answer_of(engine, get(b"/short")) == (504, {"message": "Endpoint request timed out"})
    assert answer_of(engine, get(b"/short", host=HTTP)) == (
        503,
        {"message": "Service Unavailable"},
    )


def test_an_upstream_that_does_not_read(engine: Engine) -> None:
    """It neither takes the body nor answers: its time runs all the same, from the last byte that
    the gateway could hand on."""
    up = engine.upstream
    up.answer_early.add(b"/short")
    waiting = Wait()
    up.scripts[b"/short"] = (waiting,)
    with RawClient(engine.port) as client:
        client.sock.settimeout(0.2)
        client.send(request(b"POST", b"/short", b"Content-Length: 500000000"))
        try:
            while True:
                client.sock.sendall(b"x" * MB)
        except (TimeoutError, ConnectionError):
            pass
        client.sock.settimeout(10)
        answer = client.read_answer()
        assert (answer.status, answer.closes) == (504, True)
    waiting.event.set()
    up.answer_early.discard(b"/short")


@pytest.mark.parametrize("step", [CLOSE, RESET], ids=["closes", "resets"])
def test_an_upstream_that_ends_mid_body_cuts_the_client(engine: Engine, step: Step) -> None:
    engine.upstream.scripts[b"/half"] = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000,
        step,
    )
    with RawClient(engine.port) as client:
        client.send(get(b"/half"))
        with pytest.raises(Cut):
            client.read_answer()


def test_an_upstream_that_ends_while_a_body_is_sent(engine: Engine) -> None:
    """Its half of the connection is gone before the request was whole."""
    up = engine.upstream
    up.answer_early.add(b"/deaf")
    up.scripts[b"/deaf"] = (RESET,)
    with RawClient(engine.port) as client:
        client.send(request(b"POST", b"/deaf", b"Content-Length: 5000000"))
        client.send(b"x" * 5_000_000)
        answer = client.read_answer()
        assert (answer.status, json.loads(answer.body)) == (504, {"message": NETWORK})


# --- clients that leave ---------------------------------------------------------------------------


def leave_fin(client: RawClient) -> None:
    client.close()


def leave_reset(client: RawClient) -> None:
    client.reset()


LEAVES = pytest.mark.parametrize("leave", [leave_fin, leave_reset], ids=["fin", "reset"])
Leave = Callable[[RawClient], None]


@LEAVES
@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET /x HTTP",
        get(b"/x")[:-2],
        request(b"POST", b"/x", b"Content-Length: 100"),
        request(b"POST", b"/x", b"Content-Length: 100", body=b"x" * 99),
        request(b"POST", b"/x", b"Transfer-Encoding: chunked", body=b"5\r\nhel"),
        request(b"POST", b"/x", b"Content-Length: 10000000", body=b"x" * 1_000_000),
    ],
    ids=["nothing", "line", "head", "no-body", "part", "chunk", "much"],
)
def test_a_client_that_stops_mid_request(engine: Engine, start: bytes, leave: Leave) -> None:
    """What was begun upstream is cut there: it must not look whole."""
    up = engine.upstream
    up.forget()
    with RawClient(engine.port) as client:
        client.send(start)
        if b"\r\n\r\n" in start:
            up.wait_for(lambda: bool(up.exchanges), "the head")
        leave(client)
    if up.exchanges:
        up.wait_for(lambda: bool(up.exchanges[0].ended), "the end of the call")
        assert not up.exchanges[0].complete


@LEAVES
def test_a_client_that_leaves_before_the_answer(engine: Engine, leave: Leave) -> None:
    up = engine.upstream
    up.forget()
    up.scripts[b"/hold"] = (HOLD,)
    with RawClient(engine.port) as client:
        client.send(get(b"/hold"))
        up.wait_for(lambda: bool(up.exchanges), "the request")
        leave(client)
    up.wait_for(lambda: bool(up.exchanges[0].ended), "the end of the call")


@LEAVES
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        b"HTTP/1.1 200 OK\r\n\r\npart",
    ],
    ids=["length", "chunked", "close"],
)
def test_a_client_that_leaves_mid_answer(engine: Engine, head: bytes, leave: Leave) -> None:
    up = engine.upstream
    up.forget()
    up.scripts[b"/part"] = (head, HOLD)
    with RawClient(engine.port) as client:
        client.send(get(b"/part"))
        client.wait_for(b"part")
        leave(client)
    up.wait_for(lambda: bool(up.exchanges[0].ended), "the end of the call")


@LEAVES
def test_a_client_that_leaves_with_requests_waiting(engine: Engine, leave: Leave) -> None:
    """Pipelined ones are never begun."""
    up = engine.upstream
    up.forget()
    up.scripts[b"/hold"] = (HOLD,)
    with RawClient(engine.port) as client:
        client.send(get(b"/hold") + get(b"/later") * 100)
        up.wait_for(lambda: bool(up.exchanges), "the first request")
        leave(client)
    up.wait_for(lambda: bool(up.exchanges[0].ended), "the end of the call")
    engine.settle()
    assert b"/later" not in [one.target for one in up.exchanges]


@LEAVES
def test_a_client_that_leaves_a_tunnel(engine: Engine, leave: Leave) -> None:
    up = engine.upstream
    up.forget()
    up.scripts[b"/tunnel"] = (
        b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        HOLD,
    )
    with RawClient(engine.port) as client:
        client.send(get(b"/tunnel", b"Connection: Upgrade", b"Upgrade: websocket"))
        assert client.read_answer().status == 101
        leave(client)
    up.wait_for(lambda: bool(up.exchanges[0].ended), "the end of the tunnel")


@pytest.fixture
def full_queue() -> Iterator[Endpoint]:
    """An address whose queue is full: connecting to it takes until somebody gives up."""
    with socket.socket() as deaf, ExitStack() as filling:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        for _ in range(4):
            sock = filling.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(address)
        yield Endpoint(host="127.0.0.1", port=address[1])


@LEAVES
def test_a_client_that_leaves_while_it_is_connected_for(full_queue: Endpoint, leave: Leave) -> None:
    """Its request ends at once, the attempt to connect by its own time limit."""
    with Engine(endpoints=(full_queue,), connect_timeout_s=0.3) as engine:
        with RawClient(engine.port) as client:
            client.send(get(b"/x"))
            engine.until(lambda: bool(engine.gateway.in_flight), "the request is in progress")
            leave(client)
        is_clean(engine)


def test_an_upstream_that_cannot_be_connected_to(full_queue: Endpoint) -> None:
    with Engine(endpoints=(full_queue,), connect_timeout_s=0.3) as engine:
        assert answer_of(engine, get(b"/x")) == (504, {"message": NETWORK})
        is_clean(engine)


def test_a_gateway_that_stops_while_it_connects(full_queue: Endpoint) -> None:
    """Leaving the block stops it; nothing may be left on its loop."""
    with Engine(endpoints=(full_queue,), connect_timeout_s=60) as engine:
        client = RawClient(engine.port)
        client.send(get(b"/x"))
        engine.until(lambda: bool(engine.gateway.in_flight), "the request is in progress")
    client.close()


@LEAVES
def test_a_client_that_leaves_the_queue_for_a_connection(leave: Leave) -> None:
    """One connection at most: the second request waits for it, and leaves. The third is served
    when the first ends."""
    with Engine(upstream_max_connections=1) as engine, ExitStack() as clients:
        up = engine.upstream
        slow = Wait()
        up.scripts[b"/slow"] = (slow, OK)
        first, second, third = (clients.enter_context(RawClient(engine.port)) for _ in range(3))
        first.send(get(b"/slow"))
        up.wait_for(lambda: bool(up.exchanges), "the first request")
        for count, client in enumerate((second, third), 2):
            client.send(get(b"/x%d" % count))
            engine.until(lambda n=count: engine.gateway.in_flight == n, "it waits")  # type: ignore[misc]
        leave(second)
        engine.until(lambda: engine.gateway.in_flight == 2, "the second left")
        slow.event.set()
        assert first.read_answer().status == 200
        assert third.read_answer().status == 200
        assert b"/x2" not in [one.target for one in up.exchanges]
        first.close()
        third.close()
        is_clean(engine)


def test_too_many_wait_for_a_connection() -> None:
    """Design §6: overload, 503 `Service Unavailable`, at once."""
    with (
        Engine(upstream_max_connections=1, upstream_max_waiting=1) as engine,
        ExitStack() as clients,
    ):
        up = engine.upstream
        slow = Wait()
        up.scripts[b"/slow"] = (slow, OK)
        first, second = (clients.enter_context(RawClient(engine.port)) for _ in range(2))
        first.send(get(b"/slow"))
        up.wait_for(lambda: bool(up.exchanges), "the first request")
        second.send(get(b"/x"))
        engine.until(lambda: engine.gateway.in_flight == 2, "the second waits")
        assert answer_of(engine, get(b"/y")) == (503, {"message": "Service Unavailable"})
        slow.event.set()
        assert first.read_answer().status == second.read_answer().status == 200
        first.close()
        second.close()
        is_clean(engine)


def test_many_clients_that_leave_at_any_moment(engine: Engine) -> None:
    """Cut after each byte of what they send, or of what they are sent."""
    up = engine.upstream
    body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"3\r\nabc\r\n" * 5
    up.scripts[b"/slowly"] = (*(bytes([c]) for c in body), b"0\r\n\r\n")
    sent = request(b"PUT", b"/slowly", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")
    for count in range(len(sent)):
        with RawClient(engine.port) as client:
            client.send(sent[:count])
            leave_reset(client)
    for count in range(1, 200, 3):
        with RawClient(engine.port) as client:
            client.send(sent)
            client.sock.recv(count)
            leave_reset(client)
    is_clean(engine)
    up.forget()
    with RawClient(engine.port) as client:
        client.send(get(b"/x"))
        assert client.read_answer().body == b"ok"


# --- bodies larger than memory should be ----------------------------------------------------------

TOTAL = 200 * MB
BOUND = 40 * MB
"""What a body of any size may cost, buffers of this test included."""


def peak() -> int:
    """Most memory this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak() -> int:
    """Begin to measure anew where the kernel can; what it is now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    return peak()


class Stalls:
    """Counts something that ought to stop growing while nobody reads."""

    def __init__(self, engine: Engine, count: Callable[[], int]) -> None:
        self._engine = engine
        self._count = count

    def wait(self) -> int:
        """Where it stopped: it did not move while a dozen other requests were served."""
        last, still = -1, 0
        while still < 12:
            self._engine.settle()
            now = self._count()
            still = still + 1 if now == last else 0
            last = now
            assert now < TOTAL, "nothing holds it back"
        return last


class Source:
    """An upstream's script that sends `TOTAL` bytes and counts what the kernel took."""

    def __init__(self, head: bytes, frame: Callable[[bytes], bytes], end: bytes) -> None:
        self.sent = 0
        self._head, self._frame, self._end = head, frame, end

    def __iter__(self) -> Iterator[Step]:
        piece = self._frame(b"x" * 65536)
        yield self._head
        for _ in range(TOTAL // 65536):
            yield piece
            self.sent += 65536
        if self._end:
            yield self._end


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


SOURCES = {
    "length": lambda: Source(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % TOTAL, lambda data: data, b""
    ),
    "chunked": lambda: Source(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk, b"0\r\n\r\n"
    ),
}


def drain(client: RawClient) -> int:
    """Read and drop everything up to the end of the connection; how much it was."""
    count = len(client.pending)
    while data := client.sock.recv(MB):
        count += len(data)
    return count


class Sender(threading.Thread):
    """Writes `TOTAL` bytes of body in pieces of 64 KB, and counts them."""

    def __init__(self, client: RawClient, piece: bytes) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self._client, self._piece = client, piece

    def run(self) -> None:
        for _ in range(TOTAL // 65536):
            try:
                self._client.send(self._piece)
            except OSError:
                return  # closed by the test
            self.sent += 65536


@pytest.mark.parametrize("framing", SOURCES)
def test_a_client_that_reads_slowly_holds_the_upstream_back(engine: Engine, framing: str) -> None:
    """Rule 12, downwards."""
    source = SOURCES[framing]()
    engine.upstream.scripts[b"/large"] = source
    before = reset_peak()
    with RawClient(engine.port, receive_buffer=65536) as client:
        client.send(get(b"/large", b"Connection: close"))
        client.wait_for(b"\r\n\r\n")
        stopped = Stalls(engine, lambda: source.sent).wait()
        assert stopped < BOUND
        held = engine.ask(
            lambda: [one.transport.get_write_buffer_size() for one in engine.gateway.connections]
        )
        assert max(held) < 2 * MB
        assert drain(client) >= TOTAL
    assert source.sent == TOTAL
    assert peak() - before < BOUND


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_upstream_that_reads_slowly_holds_the_client_back(engine: Engine, framing: str) -> None:
    """Rule 12, upwards."""
    up = engine.upstream
    up.forget()
    up.keeps_bodies = False
    up.answer_early.add(b"/sink")
    slow = Wait()
    up.scripts[b"/sink"] = (slow, BODY, OK)
    is_chunked = framing == "chunked"
    field = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % TOTAL
    piece = chunk(b"x" * 65536) if is_chunked else b"x" * 65536
    before = reset_peak()
    try:
        with RawClient(engine.port, patience=60) as client:
            client.send(request(b"PUT", b"/sink", field))
            sender = Sender(client, piece)
            sender.start()
            assert Stalls(engine, lambda: sender.sent).wait() < BOUND
            slow.event.set()
            sender.join()
            if is_chunked:
                client.send(b"0\r\n\r\n")
            assert client.read_answer().body == b"ok"
        sink = [one for one in up.exchanges if one.target == b"/sink"]
        assert sink[0].size == TOTAL
    finally:
        up.keeps_bodies = True
        up.answer_early.discard(b"/sink")
    assert peak() - before < BOUND


def test_pipelined_requests_wait_unparsed_and_bounded(engine: Engine) -> None:
    """Design §6.1: at most 64 KB (and one read) wait; then reading pauses."""
    up = engine.upstream
    slow = Wait()
    up.scripts[b"/slow"] = (slow, OK)
    with RawClient(engine.port) as client:
        client.send(get(b"/slow", b"Connection: keep-alive"))
        sender = Sender(client, get(b"/x") * 100)
        sender.start()
        stopped = Stalls(engine, lambda: sender.sent).wait()
        assert stopped < TOTAL
        client.reset()
        slow.event.set()
        sender.join()
