"""The runner's own servers and clients: bytes in, bytes out, nothing added."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from conformance_backends import BackendServer
from conformance_cases import Backend, Issuer, SigningKey, Token
from conformance_client import NoAnswer, exchange, request_bytes
from conformance_connections import signed_headers
from conformance_issuers import IssuerServer, sign


@contextlib.asynccontextmanager
async def running(fields: dict[str, Any], name: str = "b") -> AsyncIterator[BackendServer]:
    server = BackendServer(name, msgspec.convert(fields, Backend))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def port_of(server: BackendServer) -> int:
    return int(server.authority.rpartition(":")[2])


async def raw(server: BackendServer, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_fixed_answer_has_the_given_headers_and_a_length() -> None:
    headers = {"Content-Type": "text/plain", "X-Two": ["a", "b"]}
    respond = {"status": 418, "headers": headers, "body": "short"}
    async with running({"kind": "http", "respond": respond}) as server:
        answer = await raw(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    head = b"Content-Type: text/plain\r\nX-Two: a\r\nX-Two: b\r\nContent-Length: 5\r\n\r\n"
    assert answer.partition(b"\r\n")[2] == head + b"short"


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(status: int) -> None:
    async with running({"kind": "http", "respond": {"status": status}}) as server:
        answer = await raw(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.endswith(b"Status\r\n\r\n")


async def test_bytes_and_head_requests() -> None:
    async with running({"kind": "http", "respond": {"body_base64": "AP8="}}) as server:
        whole = await exchange(port_of(server), "GET", "/", host="x")
        head = await exchange(port_of(server), "HEAD", "/", host="x")
    assert (whole.body, head.body) == (b"\x00\xff", b"")
    assert head.headers == [("Content-Length", "2")]


async def test_chunked_and_repeated_requests_on_one_connection() -> None:
    first = (
        b"POST /a?x=1&x=2&y=+%2B HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n2;e=1\r\nde\r\n0\r\nT: 1\r\n\r\n"
    )
    second = b"PUT //b HTTP/1.1\r\nX: 1\r\nx: 2\r\nContent-Length: 2\r\n\r\nhi"
    async with running({"kind": "echo"}) as server:
        await raw(server, first + second)
        one, two = server.received
    assert (one.method, one.path, one.body) == ("POST", "/a", b"abcde")
    assert one.query == {"x": ["1", "2"], "y": " +"}
    assert (two.target, two.headers[:2], two.body) == ("//b", [("X", "1"), ("x", "2")], b"hi")


async def test_an_echo_tells_what_it_got() -> None:
    async with running({"kind": "echo"}) as server:
        answer = await exchange(
            port_of(server), "POST", "/p?q=1", host="h", headers=[("X-A", "1")], body=b"hi"
        )
    assert json.loads(answer.body) == {
        "method": "POST",
        "path": "/p",
        "query": {"q": "1"},
        "headers": {"host": "h", "x-a": "1", "content-length": "2"},
        "body": "hi",
    }


INVOKE = "/2015-03-31/functions/b/invocations"


@pytest.mark.parametrize(
    ("fields", "body", "error"),
    [
        ({"returns": {"é": 1}}, {"é": 1}, False),
        ({"returns": None}, None, False),
        ({}, None, False),
        ({"echo_event": True}, {"statusCode": 200, "body": '{"a": 1}'}, False),
        (
            {"raises": "boom"},
            {"errorMessage": "boom", "errorType": "Error", "stackTrace": []},
            True,
        ),
    ],
)
async def test_functions(fields: dict[str, Any], body: Any, error: bool) -> None:
    async with running({"kind": "lambda"} | fields) as server:
        answer = await exchange(port_of(server), "POST", INVOKE, host="x", body=b'{"a": 1}')
        assert server.received[0].event == {"a": 1}
    assert answer.status == 200
    assert json.loads(answer.body) == body
    assert (("X-Amz-Function-Error", "Unhandled") in answer.headers) is error


async def test_raw_bytes_of_a_function() -> None:
    async with running({"kind": "lambda", "raw": "no json"}) as server:
        answer = await exchange(port_of(server), "POST", INVOKE, host="x", body=b"{}")
    assert answer.body == b"no json"


@pytest.mark.parametrize("path", ["/", "/2015-03-31/functions/other/invocations", INVOKE + "/x"])
async def test_what_is_no_invocation_of_the_function_is_not_one(path: str) -> None:
    async with running({"kind": "lambda"}) as server:
        answer = await exchange(port_of(server), "POST", path, host="x", body=b"{}")
        assert server.received == []
    assert answer.status == 404


async def test_a_function_is_found_by_alias_too() -> None:
    async with running({"kind": "lambda"}) as server:
        path = INVOKE.replace("/b/", "/b:live/")
        assert (await exchange(port_of(server), "POST", path, host="x")).status == 200


def test_requests_are_written_byte_for_byte() -> None:
    written = request_bytes("GET", "//a/%2f?b=ü", "h:1", [("X-é", "ü"), ("x", "")], b"")
    assert written == "GET //a/%2f?b=ü HTTP/1.1\r\nHost: h:1\r\nX-é: ü\r\nx: \r\n\r\n".encode()
    own = request_bytes("POST", "/", "h", [("host", "z"), ("content-length", "1")], b"a")
    assert own == b"POST / HTTP/1.1\r\nhost: z\r\ncontent-length: 1\r\n\r\na"


async def test_a_closed_connection_is_no_answer() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        with pytest.raises(NoAnswer):
            await exchange(server.sockets[0].getsockname()[1], "GET", "/", host="x")


# --- issuers --------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
async def test_tokens_are_signed_by_a_published_key(alg: str) -> None:
    server = IssuerServer("idp", Issuer(keys=[SigningKey(kid="k", alg=alg)]))
    await server.start()
    try:
        port = int(server.url.rpartition(":")[2])
        found = await exchange(port, "GET", "/.well-known/openid-configuration", host="x")
        configuration = json.loads(found.body)
        assert configuration["issuer"] == server.url
        path = configuration["jwks_uri"].removeprefix(server.url)
        (key,) = json.loads((await exchange(port, "GET", path, host="x")).body)["keys"]
    finally:
        await server.stop()
    token = Token(issuer="idp", kid="k", alg=alg, claims={})
    signed = sign(token, server.url, {"sub": "u", "exp": "+60", "nbf": "-60", "iat": 5})
    header, claims, signature = signed.split(".")
    assert json.loads(decoded(header)) == {"alg": alg, "kid": "k", "typ": "JWT"}
    said = json.loads(decoded(claims))
    assert (said["iss"], said["sub"], said["iat"]) == (server.url, "u", 5)
    assert said["exp"] - said["nbf"] == 120
    verify(key, f"{header}.{claims}".encode(), decoded(signature))


def decoded(part: str) -> bytes:
    import base64

    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def verify(key: dict[str, str], data: bytes, signature: bytes) -> None:
    number = {
        name: int.from_bytes(decoded(key[name])) for name in ("n", "e", "x", "y") if name in key
    }
    if key["kty"] == "RSA":
        public = rsa.RSAPublicNumbers(number["e"], number["n"]).public_key()
        public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        return
    curve = ec.EllipticCurvePublicNumbers(number["x"], number["y"], ec.SECP256R1()).public_key()
    both = (int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    curve.verify(encode_dss_signature(*both), data, ec.ECDSA(hashes.SHA256()))


def test_calls_are_signed() -> None:
    headers = dict(signed_headers("POST", "h:1", "/test/@connections/a%3D", b"x"))
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=")
    assert "X-Amz-Date" in headers
