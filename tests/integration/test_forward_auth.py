"""Login proxies: an Authorizer that sees the head of each request, over the running gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

import worlds
from portico_ir.model import Snapshot
from raw_http import Answer, RawClient
from raw_upstream import Upstream
from serving import Serving

MANIFESTS: Final = """
apiVersion: portico.dev/v1alpha1
kind: {kind}
metadata: {{name: shop}}
spec: {{}}
---
apiVersion: portico.dev/v1alpha1
kind: Authorizer
metadata: {{name: login}}
spec:
  apiRef: {{kind: {kind}, name: shop}}
  authorizerType: REQUEST
  url: "http://127.0.0.1:{login}/auth"
  extensions:
    forwardAuth: {{requestHeaders: [Cookie, X-Tenant], responseHeaders: [X-User, X-Groups]}}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {{name: inside}}
spec:
  apiRef: {{kind: {kind}, name: shop}}
  routeKey: POST /inside
  authorizationType: CUSTOM
  authorizerRef: {{name: login}}
  integration: {{url: "http://127.0.0.1:{backend}/pets", {mapping}}}
"""
MAPPED: Final = {
    "RestApi": "requestParameters: {integration.request.header.x-user: context.authorizer.x-user}",
    "HttpApi": "type: HTTP_PROXY",
}
GENERAL: Final = b'{"message":"Internal Server Error"}'


class Shop(Serving):
    """A route behind a login proxy."""

    def __init__(self, kind: str, login: Upstream) -> None:
        super().__init__({})
        self.kind = kind
        self.login = login

    def snapshot(self, *_: Any) -> Snapshot:
        text = MANIFESTS.format(
            kind=self.kind,
            login=self.login.port,
            backend=self.upstream.port,
            mapping=MAPPED[self.kind],
        )
        result = worlds.compiled(text, egress_open=True)
        assert result.report.errors == ()
        return result.snapshot

    def post(self, *lines: str) -> Answer:
        head = ["POST /inside?a=%2F&b HTTP/1.1", "Host: shop.default.localhost", *lines]
        body = b"abc"
        with RawClient(self.port) as client:
            text = "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""])
            client.send(text.encode() + body)
            return client.read_answer("POST")


@pytest.fixture
def login() -> Iterator[Upstream]:
    with Upstream() as served:
        yield served


@pytest.fixture(params=["RestApi", "HttpApi"])
def shop(request: pytest.FixtureRequest, login: Upstream) -> Iterator[Shop]:
    with Shop(request.param, login) as served:
        yield served


def says(login: Upstream, status: str, *lines: bytes, body: bytes = b"") -> None:
    head = [f"HTTP/1.1 {status}".encode(), *lines]
    if not status.startswith("204"):
        head.append(b"Content-Length: %d" % len(body))
    login.default = (b"\r\n".join(head) + b"\r\n\r\n" + body,)


def test_the_service_sees_the_head_and_lets_it_through(shop: Shop, login: Upstream) -> None:
    says(login, "204 No Content", b"X-User: u1", b"x-groups: a", b"X-Groups: b", b"X-Other: no")
    answer = shop.post("Cookie: s=1", "X-Tenant: blue", "X-Secret: no", "X-User: forged")
    assert answer.status == 200
    (asked,) = login.exchanges
    assert asked.method == b"GET"
    assert asked.body == b""
    assert asked.all("cookie") == [b"s=1"]
    assert asked.all("x-tenant") == [b"blue"]
    assert asked.all("x-secret") == []
    assert asked.all("x-forwarded-method") == [b"POST"]
    assert asked.all("x-forwarded-uri") == [b"/inside?a=%2F&b"]
    assert asked.all("x-forwarded-host") == [b"shop.default.localhost"]
    (called,) = shop.upstream.exchanges
    assert called.body == b"abc"
    if shop.kind == "RestApi":
        assert called.all("x-user") == [b"u1"]


def test_a_header_that_a_mapping_sets_cannot_be_forged(login: Upstream) -> None:
    says(login, "200 OK")
    with Shop("RestApi", login) as shop:
        assert shop.post("X-User: forged").status == 200
        (called,) = shop.upstream.exchanges
    assert b"forged" not in b"".join(called.all("x-user"))


def test_refusals_are_the_words_of_the_service(shop: Shop, login: Upstream) -> None:
    says(login, "302 Found", b"Location: https://login.example/?rd=1", b"Set-Cookie: t=1")
    answer = shop.post()
    assert answer.status == 302
    assert answer.get("location") == b"https://login.example/?rd=1"
    assert answer.get("set-cookie") == b"t=1"
    says(
        login, "401 Unauthorized", b'WWW-Authenticate: Basic realm="x"', b"X-Own: no", body=b"who?"
    )
    answer = shop.post()
    assert (answer.status, answer.body) == (401, b"who?")
    assert answer.get("www-authenticate") == b'Basic realm="x"'
    assert answer.get("x-own") is None
    assert shop.upstream.exchanges == []


@pytest.mark.parametrize("status", ["500 Oh", "503 Busy", "429 Slow", "404 Not Found"])
def test_everything_else_fails_closed(shop: Shop, login: Upstream, status: str) -> None:
    says(login, status, body=b"the secret of the house")
    answer = shop.post()
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert shop.upstream.exchanges == []
