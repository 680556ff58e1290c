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
from hypothesis import given, note
from hypothesis import strategies as st

from engine import Engine
from raw_http import PATIENCE, Answer, Recorded
from raw_upstream import Exchange, Upstream
from real_nginx import NGINX, Nginx
from request_bytes import Written, ambiguous, written

CROWD = 40
"""Clients of one example: they wait together."""
WAIT_MS = 150
"""How long the gateway and nginx wait for what does not come."""
EXPECTED = frozenset({100, 200, 400, 403, 404, 408, 413, 431})
"""What may be answered. 5xx would be a bug: the upstream of these tests has no faults."""

Request = tuple[bytes, bytes, bytes]
"""Method, target and body, as an upstream reads it."""


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


def crowd(strategy: st.SearchStrategy[Written]) -> st.SearchStrategy[list[Written]]:
    """A whole crowd in the usual case; few when an example is made smaller."""
    return st.lists(strategy, min_size=1, max_size=CROWD)


def address(number: int) -> str:
    """Client `number`'s own."""
    return f"127.1.{number // 200}.{number % 200 + 1}"


def converse(port: int, clients: list[Written]) -> list[bytes]:
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


def ours(engine: Engine, clients: list[Written]) -> list[list[Request]]:
    """Run a crowd against the engine; check what holds for any input; what was passed on."""
    engine.upstream.forget()
    read = converse(engine.port, clients)
    engine.settle()
    result = passed_on(engine.upstream, len(clients))
    for client, data, requests in zip(clients, read, result, strict=True):
        note(f"wrote {client.data!r}")
        note(f"read  {data!r}")
        note(f"passed on {requests}")
        check_answers(Recorded(data).answers(), requests)
    assert not engine.failures, engine.failures
    return result


def check_answers(answers: list[Answer], requests: list[Request]) -> None:
    """Well-formed, of the expected kinds, one for each request, and nothing after a refusal."""
    final = [answer for answer in answers if answer.status != 100]
    assert {answer.status for answer in answers} <= EXPECTED, answers
    assert [answer.body for answer in final if answer.status == 200] == [b"ok"] * len(requests)
    for answer in final[:-1]:
        assert not answer.closes, answers
        assert answer.status not in (400, 408, 431), answers


@given(crowd(written()))
def test_an_answer_or_an_end(engine: Engine, clients: list[Written]) -> None:
    """Never a hang, a crash, an answer that is none, or one more than was asked for; and llhttp
    reads what was passed on as the same requests."""
    for client, requests in zip(clients, ours(engine, clients), strict=True):
        assert llhttp_reads(client.data, requests), (client.data, requests)


@given(crowd(ambiguous()))
def test_nothing_ambiguous_is_passed_on(engine: Engine, clients: list[Written]) -> None:
    """Nor anything behind it."""
    for client, requests in zip(clients, ours(engine, clients), strict=True):
        assert not requests, client.data


@pytest.mark.nginx
@given(crowd(written()))
def test_nginx_reads_the_same(engine: Engine, nginx: Nginx, clients: list[Written]) -> None:
    """What we pass on, nginx passes on: the same requests in the same order."""
    mine = ours(engine, clients)
    nginx.upstream.forget()
    converse(nginx.port, clients)
    for client, requests, theirs in zip(
        clients, mine, passed_on(nginx.upstream, len(clients)), strict=True
    ):
        note(f"nginx {theirs}")
        assert same_reading(requests, theirs), (client.data, requests, theirs)


def same_reading(mine: list[Request], theirs: list[Request]) -> bool:
    """Whether ours is where theirs begins: being stricter ends a connection earlier."""
    return theirs[: len(mine)] == mine


def llhttp_reads(data: bytes, mine: list[Request]) -> bool:
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
