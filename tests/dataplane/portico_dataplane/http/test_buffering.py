"""Integrations that want the whole body first: collected, bounded, asked once.

What a mock or a function makes of it is in integrations/; how calls go is in test_call.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from portico_dataplane.core.messages import Request, Response
from portico_dataplane.core.router import Found
from portico_dataplane.core.verdicts import CONTINUE, CallFunction, Need, Reject, Respond, Verdict
from portico_ir.errors import ErrorKind
from raw_http import RawClient
from raw_upstream import HOLD
from serving import HTTP, REST, SERVICE, Serving, answering, everything, function, route, site

INVOKE = b"/2015-03-31/functions/f/invocations"
LIMIT = 1000


class Asked:
    """Stands for an integration: keeps what it is asked and answers as told."""

    max_request_body = LIMIT

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.verdict: Verdict = Respond(Response(200, [(b"Content-Type", b"text/plain")], b"ok"))

    def on_request(self, request: Request, body: bytes) -> Verdict:
        self.bodies.append(body)
        return self.verdict


UNITS = {
    **site(
        REST,
        "rest",
        (route(REST, "ANY /asked", answering(200)), route(REST, "ANY /f", function())),
    ),
    **site(HTTP, "http", everything(HTTP, function(max_request_body=LIMIT))),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Serving]:
    with Serving(UNITS) as engine:
        yield engine


@pytest.fixture
def engine(shared: Serving) -> Iterator[Serving]:
    shared.upstream.forget()
    shared.upstream.scripts.clear()
    yield shared
    shared.until_clean()
    assert not shared.failures


@pytest.fixture
def asked(engine: Serving) -> Iterator[Asked]:
    """In place of the mock of `/asked`."""
    api = engine.gateway.holder.current.hosts["rest.test"]
    found = api.stages["$default"].router.find("GET", "/asked")
    assert isinstance(found, Found)
    before, integration = found.value.buffered, Asked()
    found.value.buffered = integration
    yield integration
    found.value.buffered = before


def head(
    *headers: bytes, method: str = "POST", target: str = "/asked", host: str = "rest"
) -> bytes:
    first = f"{method} {target} HTTP/1.1\r\nHost: {host}.test".encode()
    return b"\r\n".join((first, *headers)) + b"\r\n\r\n"


CHUNKED = b"Transfer-Encoding: chunked"


def length(count: int) -> bytes:
    return b"Content-Length: %d" % count


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ((head(),), b""),
        ((head(method="GET"),), b""),
        ((head(length(0)),), b""),
        ((head(length(5)) + b"hello",), b"hello"),
        ((head(length(5)), b"he", b"l", b"lo"), b"hello"),
        ((head(CHUNKED), b"2\r\nhe\r\n", b"3\r\nllo\r\n", b"0\r\n\r\n"), b"hello"),
        ((head(CHUNKED) + b"0\r\n\r\n",), b""),
        ((head(CHUNKED, method="GET") + b"1\r\nx\r\n0\r\nT: u\r\n\r\n",), b"x"),
        ((head(length(LIMIT)) + b"x" * LIMIT,), b"x" * LIMIT),
        ((head(CHUNKED) + b"3e8\r\n" + b"x" * LIMIT + b"\r\n0\r\n\r\n",), b"x" * LIMIT),
    ],
)
def test_it_is_asked_once_with_the_whole_body(
    engine: Serving, asked: Asked, pieces: tuple[bytes, ...], body: bytes
) -> None:
    with RawClient(engine.port) as client:
        client.send_pieces(pieces)
        assert client.read_answer().body == b"ok"
        assert asked.bodies == [body]
        # And the next request begins behind it.
        client.send(head(length(1)) + b"y" + head())
        assert [client.read_answer().body for _ in range(2)] == [b"ok", b"ok"]
    assert asked.bodies == [body, b"y", b""]


@pytest.mark.parametrize(
    "sent",
    [
        head(length(LIMIT + 1)),
        head(length(LIMIT + 1)) + b"x" * (LIMIT + 1),
        head(length(10**15)),
        head(CHUNKED) + b"3e9\r\n" + b"x" * (LIMIT + 1),
        head(CHUNKED) + b"1\r\nx\r\n" * (LIMIT + 1),
    ],
    ids=["said", "sent", "absurd", "one-chunk", "many-chunks"],
)
def test_it_is_not_asked_when_there_is_too_much(engine: Serving, asked: Asked, sent: bytes) -> None:
    with RawClient(engine.port) as client:
        client.send(sent)
        answer = client.read_answer()
        assert (answer.status, json.loads(answer.body)["message"]) == (413, "Request Too Long")
    assert asked.bodies == []


def test_too_much_on_an_http_api(engine: Serving) -> None:
    with RawClient(engine.port) as client:
        client.send(head(CHUNKED, host="http") + b"3e9\r\n" + b"x" * (LIMIT + 1))
        answer = client.read_answer()
        assert (answer.status, answer.closes) == (413, True)
    assert engine.upstream.exchanges == []


@pytest.mark.parametrize("part", [b"", b"he"])
def test_it_is_not_asked_when_the_client_leaves(engine: Serving, asked: Asked, part: bytes) -> None:
    with RawClient(engine.port) as client:
        client.send(head(length(5)) + part)
        engine.until(lambda: engine.gateway.in_flight == 1, "it began")
    engine.until_clean()
    assert asked.bodies == []


def test_it_is_not_asked_when_the_body_breaks(engine: Serving, asked: Asked) -> None:
    with RawClient(engine.port) as client:
        client.send(head(CHUNKED) + b"2\r\nhe\r\nzz\r\n")
        assert client.read_answer().status == 400
        client.expect_end()
    assert asked.bodies == []


def test_a_client_that_waits_to_be_asked_is(engine: Serving, asked: Asked) -> None:
    with RawClient(engine.port) as client:
        client.send(head(length(2), b"Expect: 100-continue"))
        assert client.read_answer(interim=True).status == 100
        client.send(b"hi")
        assert client.read_answer().body == b"ok"
    assert asked.bodies == [b"hi"]


# --- what it says ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (Respond(Response(299, [], b"")), 299),
        (Reject(ErrorKind.UNSUPPORTED_MEDIA_TYPE, "a cause"), 415),
        (CONTINUE, 500),
        (Need(CallFunction(SERVICE, "/", (), b"", 1000), lambda _: CONTINUE), 500),
    ],
    ids=["respond", "reject", "nothing", "a-call-without-target"],
)
def test_verdicts(engine: Serving, asked: Asked, verdict: Verdict, status: int) -> None:
    asked.verdict = verdict
    with RawClient(engine.port) as client:
        client.send(head(length(2)) + b"hi" + head())
        first, second = client.read_answer(), client.read_answer()
        assert (first.status, second.status) == (status, status)
        assert b"a cause" not in first.raw


def test_a_call_takes_its_time_and_other_requests_their_turn(engine: Serving) -> None:
    """One request is in progress at a time on a connection; others do not wait for it."""
    up = engine.upstream
    up.scripts[INVOKE] = (HOLD,)
    with RawClient(engine.port) as slow, RawClient(engine.port) as other:
        slow.send(head(target="/f") + head())
        up.wait_for(lambda: bool(up.exchanges), "the call")
        other.send(head())
        assert other.read_answer().status == 200
        assert not slow.pending
