"""One request's story over real sockets: which stage, which ids, and one account of how it ended.

What a head may look like is a table of tests/dataplane/rules; here is what a good one means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from portico_ir.model import (
    AccessLog,
    Broken,
    Deployed,
    GatewayUnit,
    HttpProxy,
    ServiceTarget,
    Stage,
    Unit,
)
from portico_ir.policies import Cors
from raw_http import Answer, Cut, RawClient
from raw_upstream import CLOSE, HOLD, OK, RESET, Script, Wait
from serving import (
    HTTP,
    REST,
    Serving,
    answering,
    everything,
    function,
    proxied,
    route,
    site,
    unit_id,
)

UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}")
SHORT = re.compile(rb"[A-Za-z0-9_-]{15}=")
OWN_ID = b"9d7a7cb4-5c1b-4a0e-8d3e-0123456789ab"
ORIGIN = b"Origin: https://a.test"
PREFLIGHT = (ORIGIN, b"Access-Control-Request-Method: PUT")
LOG = "$context.requestId $context.status $context.httpMethod $context.path $context.responseLength"

GONE = "test/gone:80"
STAGED = (Stage(name="stage"), Stage(name="dev"))
MIXED = (Stage(name="$default"), Stage(name="stage"))
CORS = Cors(
    allow_origins=("https://a.test",), allow_methods=("PUT",), allow_headers=("x-a",), max_age=5
)


AGED = (
    Stage(name="before", deployed=Deployed(cors=Cors(allow_origins=("https://old.test",)))),
    Stage(name="without", deployed=Deployed()),
    Stage(name="now"),
)


def story() -> dict[str, Unit]:
    """An API whose every route ends in its own way, all of it logged and metered."""
    return site(
        REST,
        "story",
        (
            route(REST, "ANY /proxy"),
            route(REST, "ANY /short", proxied(timeout_ms=50)),
            route(REST, "ANY /small", proxied(max_request_body=10)),
            route(REST, "ANY /mock", answering(200, "mocked")),
            route(REST, "ANY /none", answering(204)),
            route(REST, "ANY /same", answering(304, "never sent")),
            route(REST, "ANY /function", function(max_request_body=1000)),
            route(REST, "ANY /broken", Broken(reason="no such Service")),
            route(
                REST,
                "ANY /gone",
                HttpProxy(targets=(ServiceTarget(upstream=GONE, host="gone"),)),
            ),
        ),
        stages=(Stage(name="$default", access_log=AccessLog(format=LOG), detailed_metrics=("*",)),),
        cors=CORS,
    )


UNITS: dict[str, Unit] = {
    "gateway": GatewayUnit(egress_open=True, local_paths=True),
    **site(REST, "rest", everything(REST)),
    **site(REST, "staged", everything(REST), stages=STAGED),
    **site(REST, "mixed", everything(REST), stages=MIXED),
    **site(HTTP, "http", everything(HTTP)),
    **site(HTTP, "hstaged", everything(HTTP), stages=STAGED),
    **site(HTTP, "hmixed", everything(HTTP), stages=MIXED),
    **site(REST, "off", everything(REST), disable_default_endpoint=True),
    **site(HTTP, "hoff", everything(HTTP), disable_default_endpoint=True),
    **site(REST, "sick", everything(REST), broken="no class"),
    **site(HTTP, "hsick", everything(HTTP), broken="no class"),
    **site(REST, "few", (route(REST, "GET /a"), route(REST, "PUT /put"))),
    **site(HTTP, "hfew", (route(HTTP, "GET /a"),)),
    **site(HTTP, "cors", (route(HTTP, "GET /a"),), stages=STAGED, cors=CORS),
    **site(HTTP, "aged", (route(HTTP, "GET /a"),), stages=AGED, cors=CORS),
    **story(),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Serving]:
    with Serving(UNITS) as engine:
        yield engine


@pytest.fixture(autouse=True)
def fresh(engine: Serving) -> Iterator[None]:
    """Records begin anew; and afterwards everything was given back (rule 16)."""
    up = engine.upstream
    up.forget()
    up.scripts.clear()
    up.answer_early.clear()
    engine.ask(engine.meters.forget)
    engine.ask(engine.lines.lines.clear)
    yield
    engine.until_clean()
    assert not engine.failures


def ask(
    engine: Serving,
    host: str,
    target: str = "/x",
    *headers: bytes,
    method: str = "GET",
    version: str = "1.1",
    body: bytes = b"",
) -> Answer:
    """One request on a connection of its own."""
    with RawClient(engine.port) as client:
        client.send(head(host, target, *headers, method=method, version=version) + body)
        return client.read_answer(method)


def head(
    host: str, target: str = "/x", *headers: bytes, method: str = "GET", version: str = "1.1"
) -> bytes:
    if "." not in host:
        host = f"{host}.test"
    first = f"{method} {target} HTTP/{version}".encode()
    return b"\r\n".join((first, f"Host: {host}".encode(), *headers)) + b"\r\n\r\n"


def seen(engine: Serving) -> list[str]:
    """Targets of what the upstream was sent."""
    return [one.target.decode() for one in engine.upstream.exchanges]


def message(answer: Answer) -> Any:
    return json.loads(answer.body)["message"]


# --- stages (AWS §3.2.5, §4.2) --------------------------------------------------------------------

STAGES = [
    ("staged", "/stage/proxy-value", "/proxy-value"),
    ("staged", "/stage/proxy-value/", "/proxy-value/"),
    ("staged", "/stage/a//b", "/a//b"),
    ("staged", "//stage/proxy-value", "/proxy-value"),
    ("staged", "///stage/proxy-value", "/proxy-value"),
    ("staged", "/stage//proxy-value", "/proxy-value"),
    ("staged", "/stage///a//b", "/a//b"),
    ("staged", "/stage/x/t%2Balias@gmail.com/t+alias", "/x/t%2Balias@gmail.com/t+alias"),
    ("staged", "/stage", "/"),
    ("staged", "/stage/", "/"),
    ("staged", "/stage//", "/"),
    ("staged", "/stage?a=b", "/?a=b"),
    ("staged", "/stage/?a=b", "/?a=b"),
    ("staged", "/stage/stage/x", "/stage/x"),
    ("staged", "/dev/stage", "/stage"),
    ("staged", "/nope/x", 403),
    ("staged", "/", 403),
    ("staged", "//", 403),
    ("staged", "/Stage/x", 403),
    ("staged", "/stagex", 403),
    ("staged", "/stag%65/x", 403),
    ("staged", "/$default/x", 403),
    ("mixed", "/stage/x", "/x"),
    ("mixed", "//stage/x", "/x"),
    ("mixed", "/other/x", "/other/x"),
    ("mixed", "/", "/"),
    ("mixed", "/$default/x", "/$default/x"),
    ("rest", "/stage/x", "/stage/x"),
    ("rest", "//x//y/", "/x//y/"),
    ("hstaged", "/stage/x", "/x"),
    ("hstaged", "/stage", "/"),
    ("hstaged", "/stage/", "/"),
    ("hstaged", "/stage//x/", "//x/"),
    ("hstaged", "/stage?a=b", "/?a=b"),
    ("hstaged", "//stage/x", 404),
    ("hstaged", "/nope/x", 404),
    ("hstaged", "/", 404),
    ("hmixed", "/stage/x", "/x"),
    ("hmixed", "//stage/x", "//stage/x"),
    ("hmixed", "/other", "/other"),
    ("hmixed", "/$default/x", "/$default/x"),
    ("http", "//x", "//x"),
    ("http", "/stage/x", "/stage/x"),
]  # fmt: skip


@pytest.mark.parametrize(("host", "target", "expected"), STAGES)
def test_stages(engine: Serving, host: str, target: str, expected: str | int) -> None:
    answer = ask(engine, host, target)
    if isinstance(expected, str):
        assert answer.status == 200
        assert seen(engine) == [expected]
    else:
        texts = {403: "Forbidden", 404: "Not Found"}
        assert (answer.status, message(answer)) == (expected, texts[expected])
        assert seen(engine) == []


def local(name: str, rest: str) -> str:
    return f"/_aws/execute-api/{name:x<10}{rest}"


@pytest.mark.parametrize("host", ["127.0.0.1", "nobody.test", "rest"])
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (local("staged", "/stage/x?a=b"), "/x?a=b"),
        (local("staged", "/dev/a//b/"), "/a//b/"),
        (local("staged", "/stage"), "/"),
        (local("staged", "/stage//x"), "/x"),
        (local("hstaged", "/stage//x"), "//x"),
        (local("rest", "/$default/x"), "/x"),
        (local("mixed", "/$default/stage/x"), "/stage/x"),
        (local("mixed", "/stage/stage/x"), "/stage/x"),
        (local("rest", ""), "/"),
        (local("rest", "/"), "/"),
        (local("staged", "/nope/x"), 403),
        (local("hstaged", "/nope/x"), 404),
        (local("staged", "/$default/x"), 403),
        (local("nobody", "/stage/x"), 403),
        (local("off", "/$default/x"), 403),
    ],
)
def test_local_paths(engine: Serving, host: str, target: str, expected: str | int) -> None:
    """Design §3: under `portico dev` any host also serves `/_aws/execute-api/<apiId>/<stage>/…`."""
    answer = ask(engine, host, target)
    if isinstance(expected, str):
        assert answer.status == 200
        assert seen(engine) == [expected]
    else:
        assert answer.status == expected
        assert seen(engine) == []


def test_local_paths_are_for_development_only() -> None:
    units = {**site(REST, "rest", everything(REST)), "gateway": GatewayUnit(egress_open=True)}
    with Serving(units) as engine:
        assert ask(engine, "nobody", local("rest", "/$default/x")).status == 403
        target = local("rest", "/$default/x")
        assert ask(engine, "rest", target).status == 200
        assert seen(engine) == [target]


def test_the_sole_api_takes_unknown_hosts() -> None:
    """Design §2: under `portico dev` with just one API, `curl localhost:8080/pets` works."""
    sole = GatewayUnit(egress_open=True, sole_api=unit_id(REST, "rest"))
    with Serving({**site(REST, "rest", everything(REST)), "gateway": sole}) as engine:
        for host in ("localhost", "127.0.0.1", "rest"):
            assert ask(engine, host, "/pets").status == 200
        with RawClient(engine.port) as client:
            client.send(b"GET /old HTTP/1.0\r\n\r\n")
            assert client.read_answer().status == 200


@pytest.mark.parametrize(
    ("host", "target", "status", "text"),
    [
        ("nobody", "/x", 403, "Forbidden"),
        ("off", "/x", 403, "Forbidden"),
        ("hoff", "/x", 404, "Not Found"),
        ("sick", "/x", 500, "Internal server error"),
        ("hsick", "/x", 500, "Internal Server Error"),
        ("few", "/none", 403, "Missing Authentication Token"),
        ("few", "/put", 403, "Missing Authentication Token"),
        ("hfew", "/none", 404, "Not Found"),
        ("hfew", "/a/", 404, "Not Found"),
    ],
)
def test_what_is_not_there(engine: Serving, host: str, target: str, status: int, text: str) -> None:
    answer = ask(engine, host, target)
    assert (answer.status, message(answer)) == (status, text)
    assert not answer.closes
    assert seen(engine) == []


# --- ids (AWS §2.4) -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "target"),
    [("rest", "/x"), ("story", "/mock"), ("story", "/broken"), ("few", "/none"), ("nobody", "/x")],
)
def test_ids_of_rest_apis(engine: Serving, host: str, target: str) -> None:
    """On every answer, once, of their form, never the same twice."""
    answers = [ask(engine, host, target) for _ in range(2)]
    for answer in answers:
        assert UUID.fullmatch(answer.get("x-amzn-requestid") or b"")
        assert SHORT.fullmatch(answer.get("x-amz-apigw-id") or b"")
        assert answer.get("apigw-requestid") is None
    assert answers[0].get("x-amzn-requestid") != answers[1].get("x-amzn-requestid")
    assert answers[0].get("x-amz-apigw-id") != answers[1].get("x-amz-apigw-id")


@pytest.mark.parametrize(("host", "target"), [("http", "/x"), ("hfew", "/none"), ("hsick", "/x")])
def test_ids_of_http_apis(engine: Serving, host: str, target: str) -> None:
    answers = [ask(engine, host, target, b"x-amzn-RequestId: " + OWN_ID) for _ in range(2)]
    for answer in answers:
        assert SHORT.fullmatch(answer.get("apigw-requestid") or b"")
        assert answer.get("x-amzn-requestid") is None
        assert answer.get("x-amz-apigw-id") is None
    assert answers[0].get("apigw-requestid") != answers[1].get("apigw-requestid")


def test_a_client_s_own_uuid_is_kept(engine: Serving) -> None:
    answer = ask(engine, "story", "/proxy", b"X-Amzn-RequestId: " + OWN_ID)
    assert answer.get("x-amzn-requestid") == OWN_ID
    assert engine.ask(lambda: engine.lines.lines)[0].split()[0] == OWN_ID.decode()


def test_a_client_s_id_that_is_no_uuid_is_replaced(engine: Serving) -> None:
    answer = ask(engine, "story", "/proxy", b"x-amzn-requestid: mine")
    assert UUID.fullmatch(answer.get("x-amzn-requestid") or b"")
    line = engine.ask(lambda: engine.lines.lines)[0]
    assert line.split()[0] == "UUID_REPLACED_INVALID_REQUEST_ID"


@pytest.mark.parametrize("host", ["rest", "http"])
def test_trace_ids(engine: Serving, host: str) -> None:
    root = b"Root=1-5e272390-8c398be037738dc042009320"
    ask(engine, host)
    ask(engine, host, "/x", b"X-Amzn-Trace-Id: " + root + b";Sampled=1")
    ask(engine, host, "/x", b"X-Amzn-Trace-Id: nonsense")
    ids = [one.all("x-amzn-trace-id") for one in engine.upstream.exchanges]
    assert re.fullmatch(rb"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", ids[0][0])
    assert ids[1] == [root + b";Sampled=1"]
    assert re.fullmatch(rb"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", ids[2][0])
    assert [len(one) for one in ids] == [1, 1, 1]


# --- methods --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "method", "override", "expected"),
    [
        ("rest", "POST", b"DELETE", "DELETE"),
        ("rest", "POST", b"put", "PUT"),
        ("rest", "GET", b"PATCH", "PATCH"),
        ("rest", "POST", b"TRACE", "POST"),
        ("rest", "POST", b"ANY", "POST"),
        ("rest", "POST", b"", "POST"),
        ("rest", "POST", b"DELETE, PUT", "POST"),
        ("rest", "POST", b"D\xc3\xa9LETE", "POST"),
        ("http", "POST", b"DELETE", "POST"),
    ],
)
def test_method_override(
    engine: Serving, host: str, method: str, override: bytes, expected: str
) -> None:
    """AWS §15.29: REST only, and one of the seven."""
    line = b"X-HTTP-Method-Override: " + override
    assert ask(engine, host, "/x", line, method=method).status == 200
    assert engine.upstream.exchanges[0].method.decode() == expected


def test_method_override_takes_part_in_routing(engine: Serving) -> None:
    assert ask(engine, "few", "/put", b"X-HTTP-Method-Override: PUT", method="POST").status == 200
    assert ask(engine, "few", "/a", b"X-HTTP-Method-Override: PUT").status == 403


@pytest.mark.parametrize(
    ("host", "target", "status", "length"),
    [
        ("story", "/mock", 200, b"6"),
        ("story", "/broken", 500, b"36"),
        ("few", "/none", 403, b"42"),
        ("nobody", "/x", 403, b"23"),
        ("rest", "/x", 200, b"2"),
    ],
)
def test_head_is_answered_without_a_body(
    engine: Serving, host: str, target: str, status: int, length: bytes
) -> None:
    """RFC 9110 §9.3.2: the same head, and the next answer begins right behind it."""
    with RawClient(engine.port) as client:
        client.send(head(host, target, method="HEAD") + head("story", "/mock"))
        answer = client.read_answer("HEAD")
        assert answer.status == status
        if host != "rest":
            assert answer.get("content-length") == length
        assert client.read_answer().body == b"mocked"


@pytest.mark.parametrize("target", ["/none", "/same"])
def test_an_answer_that_has_no_body_has_no_length(engine: Serving, target: str) -> None:
    """RFC 9110 §8.6: on a 304 it would be that of the 200."""
    with RawClient(engine.port) as client:
        client.send(head("story", target) + head("story", "/mock"))
        answer = client.read_answer()
        assert (answer.status, answer.framing) == (204 if target == "/none" else 304, "none")
        assert answer.get("content-length") is None
        assert client.read_answer().body == b"mocked"


# --- CORS (AWS §4.7) ------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/stage/a", "/stage/none", "/nope", "/"])
def test_a_preflight_is_answered_before_anything_else(engine: Serving, target: str) -> None:
    answer = ask(engine, "cors", target, *PREFLIGHT, method="OPTIONS")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.get("access-control-allow-origin") == b"https://a.test"
    assert answer.get("access-control-allow-methods") == b"PUT"
    assert answer.get("access-control-max-age") == b"5"
    assert answer.get("apigw-requestid") is not None
    assert answer.get("content-length") is None
    assert seen(engine) == []
    # Counted where it belongs, as far as that is known.
    stage = "stage" if target.startswith("/stage") else ""
    assert engine.ask(engine.meters.counts) == {("cors", stage, ""): [204]}


@pytest.mark.parametrize(
    ("target", "status"), [("/stage/a", 200), ("/stage/none", 404), ("/nope", 404)]
)
def test_every_answer_is_decorated(engine: Serving, target: str, status: int) -> None:
    answer = ask(engine, "cors", target, ORIGIN)
    assert answer.status == status
    assert answer.get("access-control-allow-origin") == b"https://a.test"
    assert b"Origin" in (answer.get("vary") or b"")
    other = ask(engine, "cors", target, b"Origin: https://b.test")
    assert other.status == status
    assert other.get("access-control-allow-origin") is None


def test_what_a_backend_says_about_cors_is_replaced(engine: Serving) -> None:
    engine.upstream.scripts[b"/a"] = (
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Max-Age: 1\r\n"
        b"Content-Length: 2\r\n\r\nok",
    )
    for _ in range(2):  # the second time its head is remembered
        assert ask(engine, "cors", "/stage/a").get("access-control-allow-origin") is None
        answer = ask(engine, "cors", "/stage/a", ORIGIN)
        assert answer.get("access-control-allow-origin") == b"https://a.test"
        assert answer.get("access-control-max-age") is None
        assert answer.body == b"ok"


def test_options_without_a_route(engine: Serving) -> None:
    """AWS §4.7: 204 without CORS headers."""
    answer = ask(engine, "cors", "/stage/a", method="OPTIONS")
    assert answer.status == 204
    assert not [name for name, _ in answer.headers if name.lower().startswith(b"access-control")]


@pytest.mark.parametrize(
    ("stage", "origin"), [("before", b"https://old.test"), ("without", None), ("now", None)]
)
def test_a_deployment_keeps_its_own(engine: Serving, stage: str, origin: bytes | None) -> None:
    """AWS §3.15: what an API says takes effect with the next deployment."""
    for target in (f"/{stage}/a", f"/{stage}/none"):
        answer = ask(engine, "aged", target, b"Origin: https://old.test")
        assert answer.get("access-control-allow-origin") == origin
    preflight = ask(engine, "aged", f"/{stage}/a", *PREFLIGHT, method="OPTIONS")
    allowed = preflight.get("access-control-allow-origin")
    assert (preflight.status, allowed) == {
        "before": (204, None),
        "without": (404, None),
        "now": (204, b"https://a.test"),
    }[stage]
    # No stage takes it, so the API as it is now answers.
    lost = ask(engine, "aged", "/nope", ORIGIN)
    assert lost.get("access-control-allow-origin") == b"https://a.test"


# --- one account of every request -----------------------------------------------------------------

Leave = Callable[[RawClient], None]


@dataclass(frozen=True, kw_only=True)
class Ending:
    """One way for a request to end, and what is said of it."""

    target: str
    status: int
    """In metrics and log; 0: none was sent."""
    sends: bytes = b""
    """After the head."""
    headers: tuple[bytes, ...] = ()
    method: str = "GET"
    script: Script | None = None
    early: bool = False
    leaves: bytes | None = None
    """The client goes when it has read this; `b""`: when the upstream has the request."""
    cut: bool = False
    routed: bool = True
    called: bool = False
    """Whether there is an integration latency."""
    length: int | None = None
    """Bytes of body, where it is worth saying."""


UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket")
SWITCH = b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"
LENGTH = b"Content-Length: %d"
CHUNKED = b"Transfer-Encoding: chunked"
RESULT = b'{"statusCode":201,"body":"made"}'
RETURNS = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(RESULT), RESULT)

ENDINGS: dict[str, Ending] = {
    "proxied": Ending(target="/proxy", status=200, called=True, length=2),
    "proxied-body": Ending(
        target="/proxy",
        method="PUT",
        status=200,
        headers=(LENGTH % 5,),
        sends=b"hello",
        called=True,
    ),
    "proxied-head": Ending(target="/proxy", method="HEAD", status=200, called=True, length=0),
    "chunks": Ending(
        target="/proxy",
        status=200,
        called=True,
        length=6,
        script=(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"3\r\nabc\r\n",
            b"3\r\ndef\r\n0\r\n\r\n",
        ),
    ),
    "mock": Ending(target="/mock", status=200, length=6),
    "no-content": Ending(target="/none", status=204, length=0),
    "function": Ending(target="/function", status=201, script=(RETURNS,), called=True, length=4),
    "function-body": Ending(
        target="/function",
        method="POST",
        status=201,
        headers=(CHUNKED,),
        sends=b"3\r\nabc\r\n0\r\n\r\n",
        script=(RETURNS,),
        called=True,
    ),
    "function-fails": Ending(target="/function", status=504, script=(CLOSE,), called=True),
    "function-malformed": Ending(target="/function", status=502, script=(OK,), called=True),
    "no-route": Ending(target="/nothing", status=403, routed=False),
    "broken-route": Ending(target="/broken", status=500, length=36),
    "no-endpoint": Ending(target="/gone", status=503),
    "upstream-breaks": Ending(target="/proxy", method="POST", status=504, script=(RESET,)),
    "upstream-hangs": Ending(target="/short", status=504, script=(HOLD,)),
    "upstream-cuts": Ending(
        target="/proxy", status=200, script=(PART, CLOSE), cut=True, called=True, length=4
    ),
    "too-large": Ending(target="/small", method="POST", status=413, headers=(LENGTH % 11,)),
    "too-large-in-the-end": Ending(
        target="/small",
        method="POST",
        status=413,
        headers=(CHUNKED,),
        sends=b"b\r\nhello there\r\n",
    ),
    "function-too-large": Ending(
        target="/function",
        method="POST",
        status=413,
        headers=(CHUNKED,),
        sends=b"3e9\r\n" + b"x" * 1001 + b"\r\n",
    ),
    "bad-chunk": Ending(
        target="/proxy",
        method="POST",
        status=400,
        headers=(CHUNKED,),
        sends=b"zz\r\n",
        early=True,
        script=(HOLD,),
    ),
    "refused-expectation": Ending(
        target="/small",
        method="POST",
        status=413,
        headers=(LENGTH % 99, b"Expect: 100-continue"),
    ),
    "preflight": Ending(
        target="/proxy", method="OPTIONS", status=204, headers=PREFLIGHT, routed=False
    ),
    "leaves-before-the-answer": Ending(
        target="/proxy", status=0, script=(HOLD,), leaves=b"", length=0
    ),
    "leaves-in-the-upload": Ending(
        target="/proxy",
        method="PUT",
        status=0,
        headers=(LENGTH % 99,),
        sends=b"some",
        early=True,
        script=(HOLD,),
        leaves=b"",
    ),
    "leaves-in-the-answer": Ending(
        target="/proxy", status=200, script=(PART, HOLD), leaves=b"part", called=True, length=4
    ),
    "leaves-a-function": Ending(target="/function", status=0, script=(HOLD,), leaves=b""),
    "leaves-a-tunnel": Ending(
        target="/proxy",
        headers=UPGRADE,
        status=101,
        script=(SWITCH + b"abc", HOLD),
        leaves=b"abc",
        called=True,
        length=3,
    ),
    "tunnel-ends": Ending(
        target="/proxy", headers=UPGRADE, status=101, script=(SWITCH, CLOSE), called=True
    ),
    "tunnel-refused": Ending(
        target="/proxy",
        headers=UPGRADE,
        status=403,
        script=(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",),
        called=True,
    ),
    "half-a-tunnel": Ending(target="/proxy", headers=UPGRADE, status=0, script=(HOLD,), leaves=b""),
}


def run(ending: Ending, engine: Serving) -> None:
    """Play it to its end."""
    up = engine.upstream
    target = ending.target.encode()
    if ending.target == "/function":
        target = b"/2015-03-31/functions/f/invocations"
    if ending.script is not None:
        up.scripts[target] = ending.script
    if ending.early:
        up.answer_early.add(target)
    with RawClient(engine.port) as client:
        opening = head("story", ending.target, *ending.headers, method=ending.method)
        client.send(opening + ending.sends)
        if ending.leaves is not None:
            if ending.leaves:
                client.wait_for(ending.leaves)
            else:
                up.wait_for(lambda: bool(up.exchanges), "the request")
        elif ending.cut:
            with pytest.raises(Cut):
                client.read_answer(ending.method)
        else:
            answer = client.read_answer(ending.method)
            assert answer.status == ending.status, answer.raw
            if ending.status == 101:
                client.expect_end()


@pytest.mark.parametrize("name", ENDINGS)
def test_a_request_is_accounted_for_once(engine: Serving, name: str) -> None:
    """Design §6.9: always; one line, one count for the stage, one for the route."""
    ending = ENDINGS[name]
    run(ending, engine)
    engine.until_clean()
    engine.settle()
    counts = engine.ask(engine.meters.counts)
    ours = {labels: statuses for labels, statuses in counts.items() if labels[0] == "story"}
    expected = {("story", "$default", ""): [ending.status]}
    if ending.routed:
        expected["story", "$default", f"ANY {ending.target}"] = [ending.status]
    assert ours == expected
    meter = engine.meters.by_labels["test", "story", "rest", "$default", ""].requests[0]
    assert meter.latency_ms >= 0
    assert (meter.integration_ms >= 0) is ending.called
    if ending.length is not None:
        assert meter.sent == ending.length
    lines = engine.ask(lambda: list(engine.lines.lines))
    assert len(lines) == 1
    identity, *rest = lines[0].split(" ")
    assert UUID.fullmatch(identity.encode())
    status = str(ending.status) if ending.status else "-"
    assert rest[:3] == [status, ending.method, ending.target]


@pytest.mark.parametrize(
    ("host", "target", "labels", "status"),
    [
        ("nobody", "/x", ("", "", ""), 403),
        ("staged", "/nope", ("staged", "", ""), 403),
        ("off", "/x", ("off", "", ""), 403),
        ("sick", "/x", ("sick", "$default", ""), 500),
        ("staged", "/stage/x", ("staged", "stage", ""), 200),
    ],
)
def test_what_reaches_no_stage_is_counted_too(
    engine: Serving, host: str, target: str, labels: tuple[str, str, str], status: int
) -> None:
    ask(engine, host, target)
    assert engine.ask(engine.meters.counts) == {labels: [status]}
    assert engine.ask(lambda: engine.lines.lines) == []


def test_a_refused_head_is_counted(engine: Serving) -> None:
    with RawClient(engine.port) as client:
        client.send(b"GET /x HTTP/1.1\r\n\r\n")
        assert client.read_answer().status == 400
        client.expect_end()
    assert engine.ask(engine.meters.counts) == {("", "", ""): [400]}


def test_the_short_line_of_development() -> None:
    """Every request has one, whatever it reached."""
    units = {**site(REST, "rest", everything(REST)), **site(REST, "few", (route(REST, "GET /a"),))}
    with Serving(units, access_log="dev") as engine:
        for host, target in (("rest", "/x?a=b"), ("few", "/none"), ("nobody", "/y")):
            ask(engine, host, target)
        up = engine.upstream
        up.scripts[b"/held"] = (HOLD,)
        with RawClient(engine.port) as client:
            client.send(head("rest", "/held"))
            up.wait_for(lambda: b"/held" in [one.target for one in up.exchanges], "the request")
        engine.until_clean()
        lines = engine.ask(lambda: engine.lines.lines)
    assert [line.split(" ")[:3] for line in lines] == [
        ["200", "GET", "/x?a=b"],
        ["403", "GET", "/none"],
        ["403", "GET", "/y"],
        ["---", "GET", "/held"],
    ]


# --- swaps (rule 9) -------------------------------------------------------------------------------


def two_routes(*, body: str = "old", target: ServiceTarget | None = None) -> dict[str, Unit]:
    integration = proxied(targets=(target,)) if target else proxied()
    called = function(target=target) if target else function()
    return site(
        REST,
        "swap",
        (
            route(REST, "ANY /mock", answering(200, body)),
            route(REST, "ANY /proxy", integration),
            route(REST, "ANY /function", called),
        ),
    )


ELSEWHERE = ServiceTarget(upstream=GONE, host="gone")


@pytest.mark.parametrize("path", ["/proxy", "/function"])
@pytest.mark.parametrize("when", ["head", "body", "connection", "gone"])
def test_a_request_keeps_the_configuration_it_began_with(path: str, when: str) -> None:
    """Swapped while its body comes, while it waits for a connection, while it is answered; and
    what it calls is not named by anything any more."""
    with Serving(two_routes(), upstream_max_connections=1) as engine:
        up = engine.upstream
        wait, other = Wait(), Wait()
        up.scripts[b"/proxy"] = (wait, OK)
        up.scripts[b"/2015-03-31/functions/f/invocations"] = (wait, RETURNS)
        up.scripts[b"/busy"] = (other, OK)
        units = {} if when == "gone" else two_routes(body="new", target=ELSEWHERE)
        with RawClient(engine.port) as client, RawClient(engine.port) as first:
            if when == "connection":
                up.scripts[b"/proxy?busy"] = (other, OK)
                first.send(head("swap", "/proxy?busy"))
                up.wait_for(lambda: bool(up.exchanges), "the first request")
            client.send(head("swap", path, LENGTH % 4, method="PUT") + b"bo")
            number = 2 if when == "connection" else 1
            engine.until(lambda: engine.gateway.in_flight == number, "it began")
            if when == "body":
                engine.apply(units)
            client.send(b"dy")
            if when == "head":
                up.wait_for(lambda: bool(up.exchanges), "the request")
            if when != "body":
                engine.apply(units)
            wait.event.set()
            other.event.set()
            answer = client.read_answer()
            assert answer.status == (200 if path == "/proxy" else 201), answer.raw
            client.send(head("swap", "/mock"))
            after = client.read_answer()
            assert after.status == 403 if when == "gone" else after.body == b"new"
        engine.until_clean()
        assert engine.ask(engine.gateway.upstreams.counts) == (0, 0)


def test_a_bug_in_an_integration_is_answered(
    engine: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Rule 10: 500, and nothing of the exception reaches a client; nobody waits for ever."""
    up = engine.upstream
    up.scripts[b"/2015-03-31/functions/f/invocations"] = (RETURNS,)

    def fails(*args: object) -> None:
        raise ValueError("the secret of the house")

    for module, name in (("function", "convert"), ("function", "build")):
        with monkeypatch.context() as patched:
            patched.setattr(f"portico_dataplane.integrations.{module}.{name}", fails)
            for body in (b"", b"body"):
                answer = ask(engine, "story", "/function", LENGTH % len(body), body=body)
                assert (answer.status, message(answer)) == (500, "Internal server error")
                assert b"secret" not in answer.raw
        engine.until_clean()
    assert ask(engine, "story", "/function").status == 201
    assert "the secret of the house" in caplog.text


def test_trusted_proxies_name_the_client() -> None:
    """Never trust X-Forwarded-For beyond `trustedProxies` (design §13)."""
    logged = (Stage(name="$default", access_log=AccessLog(format="$context.identity.sourceIp")),)
    units = site(REST, "rest", everything(REST), stages=logged)
    hops = b"X-Forwarded-For: 6.6.6.6, 203.0.113.7, 127.0.0.9"
    for trusted, expected in (((), "127.0.0.1"), (("127.0.0.0/8",), "203.0.113.7")):
        gateway = GatewayUnit(egress_open=True, trusted_proxies=trusted)
        with Serving({**units, "gateway": gateway}) as engine:
            ask(engine, "rest", "/x", hops)
            assert engine.ask(lambda e=engine: e.lines.lines) == [expected]  # type: ignore[misc]
            (call,) = engine.upstream.exchanges
            assert call.all("x-forwarded-for") == [hops[17:] + b", " + expected.encode()]
