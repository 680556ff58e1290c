"""Requests that wait for an authorizer: what is held, who is slowed down, what ends with whom.

What an authorizer's answer means is in policies/test_function_authorizer.py.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from guarded import ALLOW, ASKED, DENY, authorizer, guarded, guarded_site, policy, returns
from portico_dataplane.core.messages import Request
from portico_dataplane.core.router import Found
from portico_dataplane.core.verdicts import (
    CONTINUE,
    CallFunction,
    FunctionAnswer,
    Need,
    Unavailable,
    Verdict,
)
from portico_dataplane.http import admission
from portico_dataplane.runtime import RouteRuntime
from portico_ir.model import FromContext, ParameterMapping, ServiceTarget, UrlTarget
from portico_ir.policies import Cors
from raw_http import Answer, RawClient
from raw_upstream import CLOSE, HOLD, OK, RESET, Exchange, Script, Wait
from serving import HTTP, REST, SERVICE, Serving, answering, function, proxied, route

SMALL = 1000
INVOKED = b"/2015-03-31/functions/f/invocations"
UNITS = {
    **guarded_site(
        REST,
        "rest",
        (
            guarded(REST, "ANY /{proxy+}"),
            guarded(REST, "ANY /small", proxied(max_request_body=SMALL)),
            guarded(REST, "ANY /f", function(max_request_body=200_000)),
            guarded(REST, "ANY /mock", answering(200, "{}")),
            guarded(REST, "ANY /quick", by="quick"),
            guarded(REST, "ANY /kept", by="kept"),
            guarded(REST, "ANY /kept/{id}", by="kept"),
            guarded(REST, "ANY /nowhere", by="nowhere"),
            guarded(REST, "ANY /service", by="service"),
            guarded(
                REST,
                "ANY /mapped",
                proxied(
                    mappings=(
                        ParameterMapping(
                            place="header",
                            name="X-User",
                            source=FromContext(name="authorizer.principalId"),
                        ),
                        ParameterMapping(
                            place="querystring",
                            name="tenant",
                            source=FromContext(name="authorizer.tenant"),
                        ),
                    )
                ),
            ),
            route(REST, "ANY /open"),
        ),
        authorizer(),
        authorizer("quick", timeout_ms=80),
        authorizer("kept", ttl_s=300, stale_ms=60_000),
        authorizer("nowhere", target=UrlTarget(url="http://127.0.0.1:1/")),
        authorizer(
            "service",
            function="",
            target=ServiceTarget(
                upstream=SERVICE.upstream, host=SERVICE.host, path="/check?full=1"
            ),
        ),
        cors=Cors(allow_origins=("https://a.example",), allow_headers=("authorization",)),
    ),
    **guarded_site(
        HTTP,
        "http",
        (guarded(HTTP, "$default"), guarded(HTTP, "ANY /f", function(payload_format="2.0"))),
        authorizer(kind=HTTP),
    ),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Serving]:
    with Serving(UNITS) as engine:
        yield engine


@pytest.fixture
def engine(shared: Serving) -> Iterator[Serving]:
    up = shared.upstream
    up.forget()
    up.scripts.clear()
    up.scripts[ASKED] = (ALLOW,)
    yield shared
    shared.until_clean()
    assert not len(shared.gateway.flights)
    assert not shared.failures
    shared.gateway.answers.flush()


def head(
    *headers: bytes,
    method: str = "GET",
    target: str = "/x",
    host: str = "rest",
    token: bytes | None = b"allow",
) -> bytes:
    first = f"{method} {target} HTTP/1.1\r\nHost: {host}.test".encode()
    sent = (b"Authorization: " + token,) if token is not None else ()
    return b"\r\n".join((first, *sent, *headers)) + b"\r\n\r\n"


def ask(engine: Serving, *headers: bytes, body: bytes = b"", **fields: Any) -> Answer:
    with RawClient(engine.port) as client:
        client.send(head(*headers, **fields) + body)
        return client.read_answer(fields.get("method", "GET"))


def message(answer: Answer) -> tuple[int, Any]:
    said = json.loads(answer.body)
    return answer.status, said.get("message", said.get("Message"))


def asked(engine: Serving) -> list[Exchange]:
    return [one for one in engine.upstream.exchanges if one.target == ASKED]


def passed_on(engine: Serving) -> list[Exchange]:
    return [one for one in engine.upstream.exchanges if one.target != ASKED]


def held_up(engine: Serving, answer: bytes = ALLOW) -> Wait:
    """The authorizer answers once a test lets it."""
    wait = Wait()
    engine.upstream.scripts[ASKED] = (wait, answer)
    return wait


UNAUTHORIZED = (401, "Unauthorized")
FAILED = (500, None)


# --- asked first ------------------------------------------------------------------------------


def test_the_authorizer_is_asked_before_the_backend(engine: Serving) -> None:
    assert ask(engine, target="/pets").status == 200
    question, call = engine.upstream.exchanges
    assert question.line == b"POST " + ASKED + b" HTTP/1.1"
    assert json.loads(question.body) == {
        "type": "TOKEN",
        "authorizationToken": "allow",
        "methodArn": ("arn:aws:execute-api:us-east-1:000000000000:restxxxxxx/$default/GET/pets"),
    }
    assert call.line == b"GET /pets HTTP/1.1"


def test_a_service_is_asked_by_its_own_path(engine: Serving) -> None:
    engine.upstream.scripts[b"/check?full=1"] = (ALLOW,)
    assert ask(engine, target="/service").status == 200
    question, call = engine.upstream.exchanges
    assert question.line == b"POST /check?full=1 HTTP/1.1"
    assert json.loads(question.body)["type"] == "TOKEN"
    assert call.target == b"/service"


def test_who_is_refused_reaches_nobody(engine: Serving) -> None:
    engine.upstream.scripts[ASKED] = (DENY,)
    answer = ask(engine, b"Origin: https://a.example")
    assert message(answer) == (
        403,
        "User is not authorized to access this resource with an explicit deny",
    )
    assert answer.get("x-amzn-errortype") == b"AccessDeniedException"
    assert answer.get("access-control-allow-origin") == b"https://a.example"
    assert message(ask(engine, host="http")) == (403, "Forbidden")
    assert not passed_on(engine)


def test_without_a_credential_nobody_is_asked(engine: Serving) -> None:
    answer = ask(engine, b"Origin: https://a.example", token=None)
    assert message(answer) == UNAUTHORIZED
    assert answer.get("access-control-allow-origin") == b"https://a.example"
    assert message(ask(engine, host="http", token=None)) == UNAUTHORIZED
    assert not engine.upstream.exchanges


def test_a_preflight_never_reaches_an_authorizer(engine: Serving) -> None:
    """AWS §4.7; browsers send no credentials with it."""
    asks = (
        b"Origin: https://a.example",
        b"Access-Control-Request-Method: GET",
        b"Access-Control-Request-Headers: authorization",
    )
    assert ask(engine, *asks, method="OPTIONS", token=None).status == 204
    assert not engine.upstream.exchanges


def test_what_the_authorizer_said_reaches_the_function(engine: Serving) -> None:
    engine.upstream.scripts[ASKED] = (returns(policy(context={"tenant": "blue", "n": 1})),)
    engine.upstream.scripts[INVOKED] = (returns(b'{"statusCode": 201}'),)
    for host in ("rest", "http"):
        assert ask(engine, target="/f", host=host).status == 201
    rest, http = [json.loads(one.body)["requestContext"]["authorizer"] for one in passed_on(engine)]
    assert rest.pop("integrationLatency") >= 0
    assert rest == {"principalId": "user", "tenant": "blue", "n": "1"}
    assert http == {"lambda": {"tenant": "blue", "n": 1}}


def test_what_the_authorizer_said_is_mapped(engine: Serving) -> None:
    engine.upstream.scripts[ASKED] = (returns(policy(context={"tenant": "blue"})),)
    assert ask(engine, b"X-User: forged", target="/mapped").status == 200
    (call,) = passed_on(engine)
    assert call.all("x-user") == [b"user"]
    assert call.target == b"/mapped?tenant=blue"


# --- the body meanwhile -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 5_000, 60_000])
def test_a_body_is_held_and_sent_on(engine: Serving, size: int) -> None:
    wait = held_up(engine)
    body = bytes(index % 251 for index in range(size))
    with RawClient(engine.port) as client:
        client.send(head(b"Content-Length: %d" % size, method="POST") + body)
        engine.upstream.wait_for(lambda: bool(asked(engine)), "the question")
        assert not passed_on(engine)
        wait.event.set()
        assert client.read_answer().status == 200
    (call,) = passed_on(engine)
    assert call.body == body
    assert call.all("content-length") == [b"%d" % size]


def test_the_rest_of_a_body_may_come_later(engine: Serving) -> None:
    wait = held_up(engine)
    with RawClient(engine.port) as client:
        client.send(head(b"Content-Length: 6", method="POST") + b"on")
        engine.upstream.wait_for(lambda: bool(asked(engine)), "the question")
        client.send(b"et")
        wait.event.set()
        engine.upstream.wait_for(lambda: bool(passed_on(engine)), "the call")
        client.send(b"wo")
        assert client.read_answer().status == 200
    assert passed_on(engine)[0].body == b"onetwo"


@pytest.mark.parametrize("later", [False, True])
def test_chunks(engine: Serving, later: bool) -> None:
    wait = held_up(engine)
    with RawClient(engine.port) as client:
        client.send(head(b"Transfer-Encoding: chunked", method="POST") + b"3\r\none\r\n")
        engine.upstream.wait_for(lambda: bool(asked(engine)), "the question")
        if not later:
            client.send(b"3\r\ntwo\r\n0\r\n\r\n")
        wait.event.set()
        if later:
            engine.upstream.wait_for(lambda: bool(passed_on(engine)), "the call")
            client.send(b"3\r\ntwo\r\n0\r\n\r\n")
        assert client.read_answer().status == 200
    assert passed_on(engine)[0].body == b"onetwo"


def test_a_function_gets_the_whole_body(engine: Serving) -> None:
    engine.upstream.scripts[INVOKED] = (returns(b'{"statusCode": 201}'),)
    for framing, body in (
        (b"Content-Length: 6", b"onetwo"),
        (b"Transfer-Encoding: chunked", b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
    ):
        assert ask(engine, framing, target="/f", method="POST", body=body).status == 201
    assert [json.loads(one.body)["body"] for one in passed_on(engine)] == ["onetwo"] * 2


@pytest.mark.parametrize("refused", [False, True])
def test_expect_100_continue(engine: Serving, refused: bool) -> None:
    """RFC 9110 §10.1.1: nobody sends a body for nothing."""
    wait = held_up(engine, DENY if refused else ALLOW)
    with RawClient(engine.port) as client:
        expects = (b"Content-Length: 3", b"Expect: 100-continue")
        client.send(head(*expects, method="POST"))
        engine.upstream.wait_for(lambda: bool(asked(engine)), "the question")
        engine.ask(lambda: None)
        assert not client.pending
        wait.event.set()
        if refused:
            answer = client.read_answer(interim=True)
            assert answer.status == 403
            assert answer.closes
            client.expect_end()
            return
        assert client.read_answer(interim=True).status == 100
        client.send(b"abc")
        assert client.read_answer().status == 200
    assert passed_on(engine)[0].body == b"abc"


def test_a_client_is_slowed_down(engine: Serving) -> None:
    """Rule 12: 64 KiB and a read are kept, however much is sent."""
    wait = held_up(engine)
    size = 8 * 1024 * 1024
    with RawClient(engine.port) as client:
        sending = engine.beside(
            lambda: client.send(head(b"Content-Length: %d" % size, method="POST") + b"x" * size)
        )

        def held() -> bool:
            return any(one._reading_paused for one in engine.gateway.connections)

        engine.until(held, "the client is read no further")

        def kept() -> int:
            works = [c.exchange._work for c in engine.gateway.connections if c.exchange]
            (work,) = [work for work in works if isinstance(work, admission.Admission)]
            return sum(map(len, work._held))

        assert admission.HELD < engine.ask(kept) <= admission.HELD + 256 * 1024
        wait.event.set()
        assert client.read_answer().status == 200
        sending.join(10)
    assert passed_on(engine)[0].size == size


def test_a_body_that_is_too_large(engine: Serving) -> None:
    """Known at once when it says so, else when it is passed on."""
    size = b"Content-Length: %d" % (SMALL + 1)
    answer = ask(engine, size, target="/small", method="POST", body=b"x" * (SMALL + 1))
    assert message(answer) == (413, "Request Too Long")
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (SMALL + 1, b"x" * (SMALL + 1))
    chunked = ask(engine, b"Transfer-Encoding: chunked", target="/small", method="POST", body=chunk)
    assert chunked.status == 413
    assert all(one.target == b"/small" for one in passed_on(engine))


def test_a_body_that_breaks_meanwhile(engine: Serving) -> None:
    engine.upstream.scripts[ASKED] = (HOLD,)
    with RawClient(engine.port) as client:
        client.send(head(b"Transfer-Encoding: chunked", method="POST"))
        engine.upstream.wait_for(lambda: bool(asked(engine)), "the question")
        client.send(b"zz\r\n")
        assert client.read_answer().status == 400
        client.expect_end()
    engine.upstream.wait_for(lambda: bool(asked(engine)[0].ended), "the end of the question")
    assert not passed_on(engine)


def test_pipelined_requests_wait_for_one_another(engine: Serving) -> None:
    wait = held_up(engine)
    with RawClient(engine.port) as client:
        first = head(b"Content-Length: 3", method="POST", target="/one") + b"abc"
        client.send(first + head(target="/two") + head(target="/open", token=None))
        engine.upstream.wait_for(lambda: bool(asked(engine)), "the question")
        engine.ask(lambda: None)
        assert len(engine.upstream.exchanges) == 1
        wait.event.set()
        assert [client.read_answer().status for _ in range(3)] == [200] * 3
    assert [one.target for one in engine.upstream.exchanges] == [
        ASKED,
        b"/one",
        ASKED,
        b"/two",
        b"/open",
    ]


# --- who leaves, and what takes too long ------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
@pytest.mark.parametrize("target", ["/x", "/kept"])
def test_a_client_that_leaves_ends_the_question(engine: Serving, target: str, reset: bool) -> None:
    """Rule 16."""
    engine.upstream.scripts[ASKED] = (HOLD,)
    with RawClient(engine.port) as client:
        client.send(head(b"Content-Length: 3", method="POST", target=target) + b"ab")
        engine.upstream.wait_for(lambda: bool(asked(engine)), "the question")
        if reset:
            client.reset()
    engine.upstream.wait_for(lambda: bool(asked(engine)[0].ended), "the end of the question")
    assert not passed_on(engine)


@pytest.mark.parametrize(
    "script",
    [(HOLD,), (ALLOW[:20], HOLD), (ALLOW[:-5], HOLD)],
    ids=["nothing", "head", "body"],
)
def test_an_authorizer_that_hangs(engine: Serving, script: Script) -> None:
    engine.upstream.scripts[ASKED] = script
    answer = ask(engine, target="/quick")
    assert message(answer) == FAILED
    assert answer.get("x-amzn-errortype") == b"AuthorizerFailureException"
    assert not passed_on(engine)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ((CLOSE,), b"AuthorizerFailureException"),
        ((RESET,), b"AuthorizerFailureException"),
        ((b"garbage\r\n\r\n", CLOSE), b"AuthorizerFailureException"),
        ((returns(b"{}"),), b"AuthorizerConfigurationException"),
        ((returns(b"nonsense"),), b"AuthorizerConfigurationException"),
        (
            (returns(b'{"errorMessage":"secret cause"}', b"X-Amz-Function-Error: Unhandled"),),
            b"AuthorizerFailureException",
        ),
        (
            (returns(policy(context={"k": "x" * 1_000_000})),),
            b"AuthorizerConfigurationException",
        ),
    ],
    ids=["closes", "resets", "garbage", "empty", "nonsense", "raises", "megabyte"],
)
def test_an_authorizer_that_fails(
    engine: Serving, script: Script, kind: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Closed, with the cause in the log under the request's id and nowhere else."""
    caplog.set_level(logging.INFO)
    engine.upstream.scripts[ASKED] = script
    answer = ask(engine)
    assert answer.body == b'{"message":null}'
    assert answer.status == 500
    assert answer.get("x-amzn-errortype") == kind
    assert b"secret cause" not in answer.raw
    request_id = answer.get("x-amzn-requestid")
    assert request_id is not None
    engine.ask(lambda: None)  # it is written down after it is answered
    lines = [r.getMessage() for r in caplog.records if request_id.decode() in r.getMessage()]
    assert len(lines) == 1
    assert "test/auth: " in lines[0]
    assert message(ask(engine, host="http")) == (500, "Internal Server Error")
    assert not passed_on(engine)


def test_an_authorizer_that_is_not_there(engine: Serving) -> None:
    assert message(ask(engine, target="/nowhere")) == FAILED


def test_a_connection_that_was_closed_meanwhile_is_no_failure(engine: Serving) -> None:
    """A question may be asked twice; a pooled connection may be closed at any time."""
    seen: dict[int, int] = {}

    def script(exchange: Exchange) -> Script:
        seen[exchange.connection] = seen.get(exchange.connection, 0) + 1
        return (ALLOW,) if seen[exchange.connection] == 1 else (CLOSE,)

    engine.upstream.scripts[ASKED] = script
    engine.upstream.scripts[b"/x"] = (OK, CLOSE)
    assert [ask(engine).status for _ in range(4)] == [200] * 4


# --- several who ask the same -----------------------------------------------------------------


def test_those_who_ask_the_same_wait_for_one_answer(engine: Serving) -> None:
    wait = held_up(engine)
    clients = [RawClient(engine.port) for _ in range(5)]
    for number, client in enumerate(clients):
        client.send(head(target=f"/kept/{number}"))
    engine.until(lambda: engine.gateway.in_flight == 5, "all have arrived")
    clients.pop(0).close()  # who asked first leaves: the others go on waiting
    engine.until(lambda: engine.gateway.in_flight == 4, "it is gone")
    wait.event.set()
    assert [client.read_answer().status for client in clients] == [200] * 4
    assert len(asked(engine)) == 1
    assert ask(engine, target="/kept").status == 200
    assert len(asked(engine)) == 1
    for client in clients:
        client.close()


def test_a_failure_is_everybody_s_and_is_not_kept(engine: Serving) -> None:
    wait = held_up(engine, returns(b"{}"))
    clients = [RawClient(engine.port) for _ in range(3)]
    for client in clients:
        client.send(head(target="/kept"))
    engine.until(lambda: engine.gateway.in_flight == 3, "all have arrived")
    wait.event.set()
    assert [client.read_answer().status for client in clients] == [500] * 3
    engine.upstream.scripts[ASKED] = (ALLOW,)
    assert ask(engine, target="/kept").status == 200
    assert len(asked(engine)) == 2
    for client in clients:
        client.close()


def test_when_all_have_left_the_question_ends(engine: Serving) -> None:
    engine.upstream.scripts[ASKED] = (HOLD,)
    clients = [RawClient(engine.port) for _ in range(3)]
    for client in clients:
        client.send(head(target="/kept"))
    engine.until(lambda: engine.gateway.in_flight == 3, "all have arrived")
    engine.upstream.wait_for(lambda: bool(asked(engine)), "the question")
    for client in clients:
        client.close()
    engine.upstream.wait_for(lambda: bool(asked(engine)[0].ended), "the end of the question")


def test_others_are_asked_about_by_themselves(engine: Serving) -> None:
    for token in (b"a", b"b", b"a"):
        assert ask(engine, target="/kept", token=token).status == 200
    assert len(asked(engine)) == 2


def test_answers_can_be_forgotten(engine: Serving) -> None:
    assert ask(engine, target="/kept").status == 200
    assert engine.ask(lambda: engine.gateway.answers.flush("test/kept")) == 1
    assert ask(engine, target="/kept").status == 200
    assert len(asked(engine)) == 2


# --- the configuration meanwhile --------------------------------------------------------------


def test_a_request_keeps_its_runtime(engine: Serving) -> None:
    """Rule 9: it was admitted by the route that it arrived on."""
    wait = held_up(engine)
    with RawClient(engine.port) as client:
        client.send(head(b"Content-Length: 3", method="POST", target="/kept") + b"abc")
        engine.upstream.wait_for(lambda: bool(asked(engine)), "the question")
        engine.apply(guarded_site(REST, "other", (guarded(REST, "GET /"),), authorizer()))
        assert ask(engine).status == 403
        wait.event.set()
        assert client.read_answer().status == 200
    assert passed_on(engine)[0].body == b"abc"
    engine.apply(UNITS)


def test_an_edit_of_the_authorizer_asks_anew(engine: Serving) -> None:
    assert ask(engine, target="/kept").status == 200
    engine.apply(UNITS)
    assert ask(engine, target="/kept").status == 200
    assert len(asked(engine)) == 1
    changed = guarded_site(
        REST, "rest", (guarded(REST, "ANY /kept", by="kept"),), authorizer("kept", ttl_s=10)
    )
    engine.apply(changed)
    assert ask(engine, target="/kept").status == 200
    assert len(asked(engine)) == 2
    engine.apply(UNITS)


# --- bugs of ours -----------------------------------------------------------------------------


class Bug:
    """A policy that fails: at once, or when it has its answer."""

    def __init__(self, *, later: bool) -> None:
        self._later = later

    def on_request(self, request: Request) -> Verdict:
        if not self._later:
            raise RuntimeError("a bug that nobody must read of")
        call = CallFunction(SERVICE, ASKED.decode(), (), b"{}", 1000)

        def then(_: FunctionAnswer | Unavailable) -> Verdict:
            raise RuntimeError("a bug that nobody must read of")

        return Need(call, then)


class Asks:
    """A policy that asks, and is content with whatever it hears."""

    def on_request(self, request: Request) -> Verdict:
        call = CallFunction(SERVICE, ASKED.decode(), (), b"{}", 1000)
        return Need(call, lambda _: CONTINUE)


@pytest.fixture
def opened(engine: Serving) -> Iterator[RouteRuntime]:
    """The route `/open`, for a chain of a test's own."""
    api = engine.gateway.holder.current.hosts["rest.test"]
    found = api.stages["$default"].router.find("GET", "/open")
    assert isinstance(found, Found)
    before = found.value.chain
    yield found.value
    found.value.chain = before


@pytest.mark.parametrize(
    "chain",
    [
        (Bug(later=False),),
        (Bug(later=True),),
        (Asks(), Bug(later=False)),
        (Asks(), Asks(), Bug(later=True)),
    ],
)
def test_a_bug_in_a_policy_calls_nothing(
    engine: Serving, opened: RouteRuntime, chain: Any, caplog: pytest.LogCaptureFixture
) -> None:
    opened.chain = chain
    answer = ask(engine, b"Content-Length: 3", target="/open", method="POST", body=b"abc")
    assert message(answer) == (500, "Internal server error")
    assert b"bug" not in answer.raw
    engine.ask(lambda: None)
    assert any(record.exc_info for record in caplog.records)
    assert not passed_on(engine)


def test_several_policies_may_wait_one_after_the_other(
    engine: Serving, opened: RouteRuntime
) -> None:
    opened.chain = (Asks(), Asks(), Asks())
    answer = ask(engine, b"Content-Length: 3", target="/open", method="POST", body=b"abc")
    assert answer.status == 200
    assert [one.target for one in engine.upstream.exchanges] == [ASKED] * 3 + [b"/open"]
    assert passed_on(engine)[0].body == b"abc"
