"""The requests that `micro.py` repeats, and the routes that take them.

Each shape is one path through the engine that users meet often; the header lines are those of
real clients and backends, because what is remembered of them decides the cost.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from portico_ir.model import (
    ApiKind,
    HttpProxy,
    HttpSegments,
    Mock,
    MockResponse,
    MockTemplate,
    RestSegments,
    Route,
    UrlTarget,
)

VARIED = 5_000
"""Different requests of a shape that varies: more than the engine remembers header lines."""
BACKEND = "http://127.0.0.1:9"


class Shape(NamedTuple):
    """One kind of request, again and again."""

    meaning: str
    requests: list[bytes]
    answer: bytes
    """Of the backend; empty: it is not asked."""


def _request(line: str, host: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [line, f"Host: {host}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _answer(status: str, *headers: str, body: bytes) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        "Server: nginx/1.22.1",
        "Date: Mon, 23 Nov 2026 05:20:15 GMT",
        "Content-Type: application/json",
        *headers,
        "Connection: keep-alive",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


REST, HTTP = "rest.default.bench.internal", "http.default.bench.internal"
_PET = b'{"id": 1, "name": "Rex", "kind": "dog", "price": 24.9}'
_FILE = ('ETag: "6b03cd0c-36"', "Last-Modified: Mon, 23 Nov 2026 05:20:12 GMT")
_PLAIN = _answer(
    "200 OK", *_FILE, "Accept-Ranges: bytes", f"Content-Length: {len(_PET)}", body=_PET
)
_ORDER = json.dumps({"pet": 1, "notes": "x" * 250}).encode()
_BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
    "Accept: application/json, text/plain, */*",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br",
    "Referer: https://shop.example/pets",
    "Origin: https://shop.example",
    "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "Cookie: session=5f4dcc3b5aa765d61d8327deb882cf99; theme=dark",
    "Cache-Control: no-cache",
)

SHAPES: dict[str, Shape] = {
    "static": Shape(
        "REST, literal path, Host only", [_request("GET /small HTTP/1.1", REST)], _PLAIN
    ),
    "http": Shape("HTTP API, the same", [_request("GET /small HTTP/1.1", HTTP)], _PLAIN),
    "variable": Shape(
        "REST, path variable, 10 headers, one of them new each time",
        [
            _request(f"GET /pets/{n} HTTP/1.1", REST, *_BROWSER, f"X-Request-Id: {n:032x}")
            for n in range(VARIED)
        ],
        _PLAIN,
    ),
    "post": Shape(
        "REST, JSON body in the same packet",
        [_request("POST /orders HTTP/1.1", REST, "Content-Type: application/json", body=_ORDER)],
        _answer("201 Created", f"Content-Length: {len(_PET)}", body=_PET),
    ),
    "chunked": Shape(
        "REST, the backend answers in chunks",
        [_request("GET /small HTTP/1.1", REST)],
        _answer(
            "200 OK",
            "Transfer-Encoding: chunked",
            body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(_PET), _PET),
        ),
    ),
    "mock": Shape("REST, MOCK", [_request("GET /mock HTTP/1.1", REST)], b""),
}


def routes(kind: ApiKind) -> list[Route]:
    def route(method: str, path: str, url: str) -> Route:
        match = (HttpSegments if kind is ApiKind.HTTP else RestSegments)(method=method, path=path)
        target = HttpProxy(targets=(UrlTarget(url=f"{BACKEND}{url}"),))
        return Route(key=f"{method} {path}", match=match, integration=target)

    mock = Mock(
        templates=(MockTemplate(content_type="application/json", status=200),),
        responses=(
            MockResponse(pattern="", status=200, templates=(("application/json", _PET.decode()),)),
        ),
    )
    found = [
        route("GET", "/small", "/small"),
        route("GET", "/pets/{petId}", "/v1/pets/{petId}"),
        route("POST", "/orders", "/orders"),
    ]
    if kind is ApiKind.REST:
        match = RestSegments(method="GET", path="/mock")
        found.append(Route(key="GET /mock", match=match, integration=mock))
    return found
