"""Functions behind the whole engine: real sockets, and the runtime client that AWS itself ships."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from conformance_client import Response, exchange
from engine import snapshot
from lambda_runtime import LambdaService
from portico_dataplane.app import Gateway
from portico_dataplane.settings import Settings
from portico_ir.model import (
    ApiKind,
    ApiUnit,
    GatewayUnit,
    HttpSegments,
    LambdaProxy,
    Match,
    RestSegments,
    Route,
    RoutesUnit,
    Stage,
    UrlTarget,
)

HANDLERS: Final = """
import base64, json, os, time

def echo(event, context):
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"},
            "body": json.dumps(event)}

def traced(event, context):
    return {"statusCode": 200, "body": os.environ["_X_AMZN_TRACE_ID"]}

def binary(event, context):
    body = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()
    return {"statusCode": 201, "headers": {"Content-Type": "application/octet-stream"},
            "body": base64.b64encode(bytes(reversed(body))).decode(), "isBase64Encoded": True}

def raises(event, context):
    raise ValueError("the secret of the house")

def exits(event, context):
    if event.get("queryStringParameters"):
        os._exit(3)
    return {"statusCode": 200, "body": str(os.getpid())}

def unserialisable(event, context):
    return {"statusCode": 200, "body": object()}

def raw_bytes(event, context):
    return {"statusCode": 200, "body": b"bytes"}

def nothing(event, context):
    return None

def text(event, context):
    return "Hello from Lambda!"

def cookies(event, context):
    return {"statusCode": 200, "cookies": ["a=1; Path=/", "b=2"], "body": "ok"}

def injects(event, context):
    return {"statusCode": 200, "headers": {"x-v": "1\\r\\nX-Evil: 1"}, "body": "ok"}

def sleeps(event, context):
    time.sleep(3600)
"""
NAMES: Final = (
    *("echo", "traced", "binary", "raises", "exits", "unserialisable", "nothing", "text"),
    *("cookies", "injects", "raw_bytes", "sleeps"),
)
REST_BODY: Final = b'{"message": "Internal server error"}'
HTTP_BODY: Final = b'{"message":"Internal Server Error"}'


class _Meter:
    def record(
        self, status: int, latency_ms: float, integration_latency_ms: float, sent: int
    ) -> None:
        """Nothing: counters have tests of their own."""


class _Meters:
    def meter(self, namespace: str, api: str, kind: str, stage: str, route: str) -> _Meter:
        return _Meter()


class _Lines:
    def write(self, line: str) -> None:
        """Nothing: the access log has tests of its own."""


def routes(kind: ApiKind, folder: str, url: str) -> RoutesUnit:
    """`/v1/<function>` and, on HTTP APIs, `/v2/<function>`; the last path segment is free."""
    found = []
    formats: tuple[Any, ...] = ("1.0", "2.0") if kind is ApiKind.HTTP else ("1.0",)
    for version in formats:
        for name in (*NAMES, "missing"):
            path = f"/v{version[0]}/{name}/{{rest+}}"
            match: Match = RestSegments(method="ANY", path=path)
            if kind is ApiKind.HTTP:
                match = HttpSegments(method="ANY", path=path)
            found.append(
                Route(
                    key=f"ANY {path}",
                    match=match,
                    integration=LambdaProxy(
                        target=UrlTarget(url=url),
                        function=name,
                        payload_format=version,
                        timeout_ms=300 if name == "sleeps" else 60_000,
                        max_request_body=1024,
                    ),
                )
            )
    return RoutesUnit(
        api=f"api/test/{folder}/pets", routes=tuple(sorted(found, key=lambda r: r.key))
    )


def api(kind: ApiKind, folder: str, host: str) -> ApiUnit:
    return ApiUnit(
        uid=f"uid-{kind}",
        api_id=f"{kind:x<10}",
        kind=kind,
        name="pets",
        namespace="test",
        hosts=(host,),
        stages=(Stage(name="$default", shards=(f"routes/test/{folder}/pets/*/0",)),),
    )


class House:
    """The gateway with a REST API at `rest.test` and an HTTP API at `http.test`."""

    def __init__(self, gateway: Gateway, functions: LambdaService) -> None:
        self.gateway = gateway
        self.functions = functions

    async def ask(
        self,
        host: str,
        path: str,
        *,
        method: str = "GET",
        headers: list[tuple[str, str]] | None = None,
        body: bytes = b"",
    ) -> Response:
        return await exchange(
            self.gateway.port, method, path, host=host, headers=headers or [], body=body
        )


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    (tmp_path / "handlers.py").write_text(HANDLERS)
    async with LambdaService(tmp_path, {name: f"handlers.{name}" for name in NAMES}) as functions:
        gateway = Gateway(Settings(host="127.0.0.1", port=0), meters=_Meters(), lines=_Lines())
        await gateway.start()
        applied = await gateway.apply(
            snapshot(
                {
                    "gateway": GatewayUnit(egress_open=True),
                    "api/test/RestApi/pets": api(ApiKind.REST, "RestApi", "rest.test"),
                    "api/test/HttpApi/pets": api(ApiKind.HTTP, "HttpApi", "http.test"),
                    "routes/test/RestApi/pets/*/0": routes(ApiKind.REST, "RestApi", functions.url),
                    "routes/test/HttpApi/pets/*/0": routes(ApiKind.HTTP, "HttpApi", functions.url),
                },
                {},
            )
        )
        assert not applied.refused, applied.refused
        try:
            yield House(gateway, functions)
        finally:
            await gateway.stop()


def values(response: Response, name: str) -> list[str]:
    return [value for key, value in response.headers if key.lower() == name]


# --- events ---------------------------------------------------------------------------------


async def test_a_function_sees_the_request(house: House) -> None:
    response = await house.ask(
        "rest.test",
        "/v1/echo/a%20b?x=1&x=2",
        method="POST",
        headers=[("Content-Type", "application/json"), ("X-Own", "1")],
        body='{"λ": 1}'.encode(),
    )
    assert response.status == 200
    event = json.loads(response.body)
    assert event == house.functions.calls[0].event
    assert event["path"] == "/v1/echo/a%20b"
    assert event["pathParameters"] == {"rest": "a%20b"}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert event["headers"]["X-Own"] == "1"
    assert event["body"] == '{"λ": 1}'
    assert event["requestContext"]["requestId"] == values(response, "x-amzn-requestid")[0]
    assert event["requestContext"]["extendedRequestId"] == values(response, "x-amz-apigw-id")[0]
    sent = house.functions.calls[0].headers
    assert sent["Content-Type"] == "application/json"
    assert sent["X-Amz-Invocation-Type"] == "RequestResponse"


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_http_apis_send_their_formats(house: House, version: str) -> None:
    response = await house.ask("http.test", f"/{version}/echo/a%20b", method="POST", body=b"x=1")
    assert response.status == 200
    event = json.loads(response.body)
    assert event["version"] == f"{version[1]}.0"
    assert event["pathParameters"] == {"rest": "a b"}
    assert (event["body"], event["isBase64Encoded"]) == ("eD0x", True)
    assert event["requestContext"]["requestId"] == values(response, "apigw-requestid")[0]
    assert values(response, "x-amzn-trace-id") == []


async def test_one_trace_goes_all_the_way(house: House) -> None:
    """To the function's own environment, and back to the client of a REST API."""
    trace = "Root=1-3152b799-8954dae64eda91bc9a23a7e8;Parent=7fa8c0f79203be72;Sampled=1"
    headers = [("x-amzn-trace-id", trace)]
    response = await house.ask("rest.test", "/v1/traced/x", headers=headers)
    assert response.body.decode() == trace
    assert values(response, "x-amzn-trace-id") == [trace]


# --- answers --------------------------------------------------------------------------------


async def test_bytes_there_and_back(house: House) -> None:
    body = bytes(range(256))
    for version in ("v1", "v2"):
        response = await house.ask("http.test", f"/{version}/binary/x", method="POST", body=body)
        assert (response.status, response.body) == (201, bytes(reversed(body)))


async def test_a_text_is_an_answer_of_format_2_only(house: House) -> None:
    response = await house.ask("http.test", "/v2/text/x")
    assert (response.status, response.body) == (200, b"Hello from Lambda!")
    assert values(response, "content-type") == ["application/json"]
    assert (await house.ask("http.test", "/v1/text/x")).body == HTTP_BODY
    assert (await house.ask("rest.test", "/v1/text/x")).body == REST_BODY


async def test_the_runtime_takes_bytes_for_text(house: House) -> None:
    """What awslambdaric makes of them is a JSON string like any other."""
    assert (await house.ask("rest.test", "/v1/raw_bytes/x")).body == b"bytes"


async def test_cookies(house: House) -> None:
    response = await house.ask("http.test", "/v2/cookies/x")
    assert values(response, "set-cookie") == ["a=1; Path=/", "b=2"]


async def test_nothing_is_null_in_format_2(house: House) -> None:
    response = await house.ask("http.test", "/v2/nothing/x")
    assert (response.status, response.body) == (200, b"null")
    assert (await house.ask("rest.test", "/v1/nothing/x")).status == 502


async def test_an_answer_to_head_has_no_body(house: House) -> None:
    response = await house.ask("http.test", "/v2/text/x", method="HEAD")
    assert (response.status, response.body) == (200, b"")
    assert values(response, "content-length") == ["18"]


# --- failure --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["raises", "unserialisable", "missing", "injects"])
async def test_a_function_that_fails_says_nothing(house: House, name: str) -> None:
    """AWS §2.3: 502 with 36 bytes, 500 with 35; nothing of the error gets out."""
    response = await house.ask("rest.test", f"/v1/{name}/x")
    assert (response.status, response.body) == (502, REST_BODY)
    assert values(response, "x-amzn-errortype") == ["InternalServerErrorException"]
    assert values(response, "x-amzn-trace-id") == []
    assert values(response, "x-evil") == []
    for version in ("v1", "v2"):
        response = await house.ask("http.test", f"/{version}/{name}/x")
        assert (response.status, response.body) == (500, HTTP_BODY)
        assert values(response, "x-amzn-errortype") == []


async def test_a_function_whose_process_ends(house: House) -> None:
    first = await house.ask("rest.test", "/v1/exits/x")
    assert first.status == 200
    assert (await house.ask("rest.test", "/v1/exits/x?now=1")).body == REST_BODY
    again = await house.ask("rest.test", "/v1/exits/x")
    assert again.status == 200
    assert again.body != first.body
    assert house.functions.processes("exits") == 2


async def test_a_function_that_takes_too_long(house: House) -> None:
    """Design §6: 504 on REST, 503 on HTTP APIs; the gateway's own patience, not Lambda's."""
    rest, http = await asyncio.gather(
        house.ask("rest.test", "/v1/sleeps/x"), house.ask("http.test", "/v2/sleeps/x")
    )
    assert rest.status == 504
    assert rest.body == b'{"message":"Endpoint request timed out"}'
    assert http.status == 503
    assert http.body == b'{"message":"Service Unavailable"}'


async def test_a_function_s_own_timeout(tmp_path: Path) -> None:
    """Lambda gives up: a function error, told from an answer by its header."""
    (tmp_path / "handlers.py").write_text(HANDLERS)
    names = {"sleeps": "handlers.sleeps"}
    async with LambdaService(tmp_path, names, timeout=0.2) as functions:
        url = "/2015-03-31/functions/sleeps/invocations"
        answer = await exchange(functions.port, "POST", url, host="lambda", body=b"{}")
        assert values(answer, "x-amz-function-error") == ["Unhandled"]
        assert "timed out" in json.loads(answer.body)["errorMessage"]


async def test_no_function_service(house: House) -> None:
    """Nobody answers at the target: design §6's table."""
    await house.functions.__aexit__(None, None, None)
    assert (await house.ask("rest.test", "/v1/echo/x")).status == 504
    assert (await house.ask("http.test", "/v2/echo/x")).status == 503


async def test_a_body_over_the_limit_is_not_sent(house: House) -> None:
    response = await house.ask("rest.test", "/v1/echo/x", method="POST", body=b"x" * 1025)
    assert response.status == 413
    assert house.functions.calls == []
