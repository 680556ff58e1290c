"""Anything a client may write, against the real engine: an answer or an end, and one reading.

Each example is a crowd of clients, every one at a loopback address of its own, so that what the
upstream receives can be told apart whatever the clients wrote. Compared with what llhttp in strict
mode and a real nginx make of the same bytes: what we pass on, they must read as the same requests.
We may be stricter; and a head that is ambiguous must not be passed on at all.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Iterator

import httptools
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine import Engine
from raw_http import PATIENCE, Answer, Recorded
from raw_upstream import Exchange, Upstream
from real_nginx import NGINX, Nginx
from request_bytes import Crowd, Written, ambiguous, written

CROWD = (20, 40)
"""Clients of one example: they wait together, so that what costs time here, waiting for what does
not come, is paid once for all of them."""
WAIT_MS = 150
"""How long the gateway and nginx wait for what does not come."""
EXPECTED = frozenset({100, 200, 400, 403, 404, 408, 413, 431})
"""What may be answered. 5xx would be a bug: the upstream of these tests has no faults."""

Request = tuple[bytes, bytes, bytes]
"""Method, target and body, as an upstream reads it."""
Reading = list[Request | None]
"""Requests in order; None for one that was understood and answered here (an unknown host)."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine with little patience."""
    seconds = WAIT_MS / 1000
    with Engine(
        head_timeout_s=seconds, body_timeout_s=seconds, idle_timeout_s=seconds, access_log="off"
    ) as engine:
        yield engine


@pytest.fixture(scope="module")
def nginx() -> Iterator[Nginx]:
    """A real nginx with as little."""
    if NGINX is None:
        pytest.skip("no nginx: Debian has it as nginx-light or nginx")
    with Nginx(wait_ms=WAIT_MS) as nginx:
        yield nginx


@st.composite
def crowd(draw: st.DrawFn, strategy: st.SearchStrategy[Written]) -> Crowd:
    """A crowd of clients."""
    return Crowd(draw(st.lists(strategy, min_size=CROWD[0], max_size=CROWD[1])))


def crowds(share: int) -> settings:
    """The profile's examples divided by `share`, because each is a crowd; and none made smaller,
    because a failure names the one client that it is about."""
    return settings(
        max_examples=max(1, settings().max_examples // share),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def address(number: int) -> str:
    """Client `number`'s own."""
    return f"127.1.{number // 200}.{number % 200 + 1}"


def converse(port: int, clients: Crowd) -> list[bytes]:
    """What each client reads until the other side ends, all at once."""
    read = [bytearray() for _ in clients]
    with selectors.DefaultSelector() as selector:
        for number, client in enumerate(clients):
            sock = socket.create_connection(("127.0.0.1", port), PATIENCE, (address(number), 0))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(sock, selectors.EVENT_READ, number)
            for piece in client.pieces:
                try:
                    sock.sendall(piece)
                except (BrokenPipeError, ConnectionResetError):
                    break  # it had enough; what it answered is still to be read
        deadline = time.monotonic() + PATIENCE
        while selector.get_map():
            for key, _ in selector.select(0.1):
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                try:
                    data = ready.recv(65536)
                except ConnectionResetError:
                    data = b""
                read[key.data] += data
                if not data:
                    selector.unregister(ready)
                    ready.close()
            if time.monotonic() > deadline:
                hanging = [key.data for key in selector.get_map().values()]
                for key in list(selector.get_map().values()):
                    key.fileobj.close()  # type: ignore[union-attr]
                raise AssertionError(f"hangs: {[clients[number].data for number in hanging]}")
    return [bytes(data) for data in read]


def passed_on(upstream: Upstream, count: int) -> list[list[Request]]:
    """Whole requests the upstream received, by client."""
    assert not upstream.garbage, upstream.garbage
    by_address: dict[str, list[Request]] = {address(number): [] for number in range(count)}
    for one in upstream.exchanges:
        if one.complete and one.target != Engine.SETTLED:
            by_address[_client(one)].append((one.method, one.target, one.body))
    return list(by_address.values())


def _client(exchange: Exchange) -> str:
    """The address that our gateway, or nginx, saw; not what the client claims."""
    if named := exchange.all("x-client"):
        return named[-1].decode()
    if hops := exchange.all("x-forwarded-for"):
        return hops[-1].rpartition(b",")[2].strip().decode()
    (forwarded,) = exchange.all("forwarded")
    return forwarded.rpartition(b"for=")[2].partition(b";")[0].decode()


def ours(engine: Engine, clients: Crowd) -> list[Reading]:
    """Run a crowd against the engine; check what holds for any input; how it was read."""
    engine.upstream.forget()
    read = converse(engine.port, clients)
    engine.settle()
    readings = []
    for client, data, requests in zip(
        clients, read, passed_on(engine.upstream, len(clients)), strict=True
    ):
        try:
            readings.append(reading(Recorded(data).answers(), requests))
        except AssertionError as error:
            raise AssertionError(
                f"wrote {client.pieces}, read {data!r}, passed on {requests}"
            ) from error
    assert not engine.failures, engine.failures
    return readings


def reading(answers: list[Answer], requests: list[Request]) -> Reading:
    """Answers are well-formed, of the expected kinds, one for each request that was passed on, and
    none comes after a refusal; what they were answers to."""
    final = [answer for answer in answers if answer.status != 100]
    assert {answer.status for answer in answers} <= EXPECTED
    assert [answer.body for answer in final if answer.status == 200] == [b"ok"] * len(requests)
    for answer in final[:-1]:
        assert not answer.closes
        assert answer.status not in (400, 408, 431)
    left = iter(requests)
    return [
        next(left) if answer.status == 200 else None
        for answer in final
        if answer.status not in (400, 408, 431)
    ]


@crowds(share=15)
@given(crowd(written()))
def test_an_answer_or_an_end(engine: Engine, clients: Crowd) -> None:
    """Never a hang, a crash, an answer that is none, or one more than was asked for; and llhttp
    reads what was passed on as the same requests."""
    for client, requests in zip(clients, ours(engine, clients), strict=True):
        if not llhttp_reads(client.data, requests):
            raise AssertionError(f"wrote {client.pieces}, read as {requests}")


@crowds(share=10)
@given(crowd(ambiguous()))
def test_nothing_ambiguous_is_passed_on(engine: Engine, clients: Crowd) -> None:
    """Nor anything behind it."""
    for client, requests in zip(clients, ours(engine, clients), strict=True):
        if any(requests):
            raise AssertionError(f"wrote {client.pieces}, read as {requests}")


@pytest.mark.nginx
@crowds(share=15)
@given(crowd(written()))
def test_nginx_reads_the_same(engine: Engine, nginx: Nginx, clients: Crowd) -> None:
    """What we pass on, nginx passes on: the same requests in the same order."""
    mine = ours(engine, clients)
    different: list[tuple[Written, Reading, list[Request]]] = []
    # Its patience is as short as ours, and a busy machine may use it up: a difference is one when
    # it comes again.
    for _ in range(3):
        nginx.upstream.forget()
        converse(nginx.port, clients)
        theirs = passed_on(nginx.upstream, len(clients))
        rows = zip(clients, mine, theirs, strict=True)
        different = [row for row in rows if not same_reading(row[1], row[2])]
        if not different:
            return
    client, requests, others = different[0]
    raise AssertionError(f"wrote {client.pieces}, read as {requests}, by nginx as {others}")


def by_name(request: Request) -> Request:
    """REST APIs take several slashes at the start of a path for one (AWS §3.2)."""
    method, target, body = request
    return method, b"/" + target.lstrip(b"/"), body


def same_reading(mine: Reading, theirs: list[Request]) -> bool:
    """Whether ours is where theirs begins: being stricter ends a connection earlier."""
    if len(mine) > len(theirs):
        return all(one is None for one in mine[len(theirs) :]) and same_reading(
            mine[: len(theirs)], theirs
        )
    return all(
        one is None or by_name(one) == by_name(other)
        for one, other in zip(mine, theirs, strict=False)
    )


def llhttp_reads(data: bytes, mine: Reading) -> bool:
    """Whether llhttp, in strict mode, reads in `data` what we did."""
    reader = _Reader()
    while data:
        parser = reader.begin()
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # It ends a request at any offer to upgrade, body or not. Without one it can go on;
            # with one it has no opinion on what follows.
            if reader.framed:
                return same_reading(mine[: len(reader.requests) - 1], reader.requests)
            data = data[upgrade.args[0] :]
            continue
        except httptools.HttpParserError:
            pass
        break
    return same_reading(mine, reader.requests)


class _Reader:
    """Collects what llhttp reads."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.framed = False
        """Whether the request at hand announced a body."""
        self._parser: httptools.HttpRequestParser | None = None
        self._target = self._body = b""

    def begin(self) -> httptools.HttpRequestParser:
        """A fresh parser."""
        self._parser = httptools.HttpRequestParser(self)
        # RFC 9112 §7.1.1 has blanks before a chunk extension; llhttp has them on request.
        self._parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
        return self._parser

    def on_message_begin(self) -> None:
        self._target = self._body = b""
        self.framed = False

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self.framed = True

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        assert self._parser is not None
        # In origin form, as it goes on (RFC 9112 §3.2.2).
        target = re.sub(rb"^https?://[^/?]*", b"", self._target, flags=re.IGNORECASE)
        if not target.startswith(b"/"):
            target = b"/" + target
        self.requests.append((self._parser.get_method(), target, self._body))
