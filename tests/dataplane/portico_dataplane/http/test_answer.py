"""Heads of answers as bytes: status, ids, date, framing, in that shape and once."""

from __future__ import annotations

import pytest

from portico_dataplane.core.messages import Response
from portico_dataplane.http import answer
from portico_dataplane.http.upstream_head import AnswerHead, read_answer
from portico_ir.model import ApiKind
from sample_requests import NOON_MS, REQUEST_ID, SHORT_ID, make_request

DATE = b"Date: Thu, 09 Apr 2015 12:34:56 GMT\r\n"
LENGTH = b"Content-Length: 2\r\n"


def came(*lines: bytes) -> AnswerHead:
    found = read_answer(b"\r\n".join((b"HTTP/1.1 200 OK", *lines)), 100)
    assert isinstance(found, AnswerHead)
    return found


def proxied(kind: ApiKind, *lines: bytes) -> bytes:
    rest = kind is not ApiKind.HTTP
    return answer.proxied_head(make_request(kind), came(*lines), rest, LENGTH, DATE)


def test_the_date_is_of_the_second() -> None:
    date = answer.Date()
    assert date.line(NOON_MS) == DATE
    assert date.line(NOON_MS + 1) is date.line(NOON_MS)
    assert date.line(NOON_MS + 1000) == DATE.replace(b":56", b":57")
    assert date.line().startswith(b"Date: ")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK\r\n"),
        (404, b"HTTP/1.1 404 Not Found\r\n"),
        (299, b"HTTP/1.1 299 \r\n"),
        (599, b"HTTP/1.1 599 \r\n"),
    ],
)
def test_status_lines(status: int, line: bytes) -> None:
    """RFC 9112 §4: the space is there although the reason is not."""
    assert answer.status_line(status) == line


def test_an_answer_of_a_rest_api() -> None:
    assert proxied(ApiKind.REST, b"ETag: x", b"Date: theirs", b"Server: s") == (
        b"HTTP/1.1 200 OK\r\nETag: x\r\nx-amzn-Remapped-Date: theirs\r\n"
        b"x-amzn-Remapped-Server: s\r\nContent-Type: application/json\r\n" + DATE + b""
        b"x-amzn-RequestId: " + REQUEST_ID.encode() + b"\r\n"
        b"x-amz-apigw-id: " + SHORT_ID.encode() + b"\r\n" + LENGTH + b"\r\n"
    )


def test_an_answer_of_an_http_api() -> None:
    assert proxied(ApiKind.HTTP, b"ETag: x", b"Server: s") == (
        b"HTTP/1.1 200 OK\r\nETag: x\r\nServer: s\r\n" + DATE + b""
        b"Apigw-Requestid: " + SHORT_ID.encode() + b"\r\n" + LENGTH + b"\r\n"
    )


def test_a_backend_s_date_stays_on_an_http_api() -> None:
    assert proxied(ApiKind.HTTP, b"Date: theirs").count(b"Date:") == 1


@pytest.mark.parametrize("kind", [ApiKind.REST, ApiKind.HTTP])
def test_ids_that_a_backend_made_up_are_not_ours(kind: ApiKind) -> None:
    """AWS §3.8: its own x-amzn-RequestId is remapped; nobody may answer in our name."""
    head = proxied(kind, b"x-amzn-RequestId: fake", b"apigw-requestid: fake", b"x-amz-apigw-id: f")
    lines = [line.lower() for line in head.split(b"\r\n")]
    ours = b"apigw-requestid:" if kind is ApiKind.HTTP else b"x-amzn-requestid:"
    assert len([line for line in lines if line.startswith(ours)]) == 1
    assert not [line for line in lines if line.startswith(ours) and b"fake" in line]


def test_an_answer_made_here() -> None:
    response = Response(418, [(b"A", b"b"), (b"A", b"c")], b"ok")
    assert answer.own_head(response, b"Id: 1\r\n", LENGTH, DATE) == (
        b"HTTP/1.1 418 I'm a Teapot\r\nA: b\r\nA: c\r\n" + DATE + b"Id: 1\r\n" + LENGTH + b"\r\n"
    )


def test_a_date_of_its_own_is_the_only_one() -> None:
    response = Response(200, [(b"dAtE", b"then")])
    head = answer.own_head(response, b"", b"", DATE)
    assert head == b"HTTP/1.1 200 OK\r\ndAtE: then\r\n\r\n"


@pytest.mark.parametrize("kind", [ApiKind.REST, ApiKind.HTTP])
def test_ids(kind: ApiKind) -> None:
    parts: list[bytes] = []
    answer.identity(parts, make_request(kind))
    names = [line.partition(b":")[0] for line in b"".join(parts).split(b"\r\n")[:-1]]
    assert names == (
        [b"Apigw-Requestid"] if kind is ApiKind.HTTP else [b"x-amzn-RequestId", b"x-amz-apigw-id"]
    )


def test_a_switch_carries_the_backend_s_own_lines() -> None:
    """RFC 6455 §4.2.2: the handshake is between the client and the backend."""
    raw = b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a="
    found = read_answer(raw, 100)
    assert isinstance(found, AnswerHead)
    assert answer.upgrade_head(found.lines) == (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: a=\r\n\r\n"
    )
