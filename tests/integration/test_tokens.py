"""Tokens through the whole product: manifests, the compiler, the real engine, a real issuer.

The issuer is slow, broken or hostile where a test wants it to be: whatever it does, nobody gets
through who should not, a client learns nothing of the cause, and the log does.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

import worlds
from oidc_issuer import DISCOVERY, JWKS, OidcIssuer, signed
from portico_dataplane.effects import documents
from portico_ir.model import Snapshot
from raw_http import Answer, RawClient
from serving import Serving

API: Final = """
kind: HttpApi
metadata: {name: shop}
spec:
  corsConfiguration: {allowOrigins: [https://app.example], allowHeaders: [authorization]}
---
kind: Authorizer
metadata: {name: people}
spec:
  apiRef: {kind: HttpApi, name: shop}
  authorizerType: JWT
  identitySource: $request.header.Authorization
  jwtConfiguration: {issuer: ISSUER, audience: [AUDIENCE]}
---
kind: Route
metadata: {name: guarded}
spec:
  apiRef: {kind: HttpApi, name: shop}
  routeKey: ANY /guarded
  authorizationType: JWT
  authorizerRef: {name: people}
  integration: {url: "http://127.0.0.1:PORT/pets"}
---
kind: Route
metadata: {name: scoped}
spec:
  apiRef: {kind: HttpApi, name: shop}
  routeKey: GET /scoped
  authorizationType: JWT
  authorizerRef: {name: people}
  authorizationScopes: [read, write]
  integration: {url: "http://127.0.0.1:PORT/pets"}
---
kind: Stage
metadata: {name: shop}
spec:
  apiRef: {kind: HttpApi, name: shop}
  stageName: $default
  accessLogSettings:
    format: >-
      $context.status $context.authorizer.claims.sub $context.authorizer.claims['x:role']
      "$context.authorizer.error"
---
kind: RestApi
metadata: {name: rest}
spec: {}
---
kind: Authorizer
metadata: {name: pool}
spec:
  apiRef: {name: rest}
  authorizerType: COGNITO_USER_POOLS
  providerARNs: [arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_abc]
  jwtConfiguration: {issuer: ISSUER, audience: [AUDIENCE]}
---
kind: Route
metadata: {name: me}
spec:
  apiRef: {name: rest}
  routeKey: GET /me
  authorizationType: COGNITO_USER_POOLS
  authorizerRef: {name: pool}
  integration:
    url: "http://127.0.0.1:PORT/me"
    requestParameters:
      integration.request.header.x-user: context.authorizer.claims.sub
      integration.request.header.x-role: context.authorizer.claims['x:role']
"""

HEAD: Final = (
    b"GET /guarded HTTP/1.1\r\nHost: shop.default.localhost\r\nAuthorization: Bearer %b\r\n\r\n"
)


def manifests(issuer: str, port: int, audience: str = "app") -> str:
    text = API.replace("ISSUER", issuer).replace("PORT", str(port)).replace("AUDIENCE", audience)
    return text.replace("\nkind: ", "\napiVersion: portico.dev/v1alpha1\nkind: ")


class Shop(Serving):
    """Serves what the manifests say."""

    def __init__(self, issuer: OidcIssuer, *, is_open: bool = True) -> None:
        super().__init__({})
        self.issuer = issuer
        self.audience = "app"
        self._is_open = is_open

    def snapshot(self, *_: Any) -> Snapshot:
        text = manifests(self.issuer.url, self.upstream.port, self.audience)
        result = worlds.compiled(text, egress_open=self._is_open)
        assert result.report.errors == ()
        return result.snapshot

    def get(
        self, token: str | None, path: str = "/guarded", host: str = "shop", **headers: str
    ) -> Answer:
        """One request on a connection of its own."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self.send(f"GET {path}", host, headers)

    def send(self, line: str, host: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in headers.items())
        head = f"{line} HTTP/1.1\r\nHost: {host}.default.localhost\r\n{lines}\r\n"
        with RawClient(self.port) as client:
            client.send(head.encode() + body)
            return client.read_answer(line.partition(" ")[0])


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is."""
    monkeypatch.setattr(documents, "BUDGET_S", 20.0)


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with OidcIssuer() as served:
        yield served


@pytest.fixture
def shop(issuer: OidcIssuer) -> Iterator[Shop]:
    with Shop(issuer) as served:
        yield served


def refused(answer: Answer, shop: Shop, calls: int = 0) -> str:
    """What a client reads of a 401; nobody was called."""
    assert answer.status == 401
    assert answer.body == b'{"message":"Unauthorized"}'
    assert len(shop.upstream.exchanges) == calls
    return (answer.get("www-authenticate") or b"").decode()


def failed_closed(answer: Answer, shop: Shop) -> None:
    """500, and not a word about why."""
    assert answer.status == 500
    assert answer.body == b'{"message":"Internal Server Error"}'
    assert answer.get("www-authenticate") is None
    assert shop.upstream.exchanges == []


# --- good and bad tokens --------------------------------------------------------------------


def test_a_good_token_opens_the_route(shop: Shop, issuer: OidcIssuer) -> None:
    token = issuer.token(more={"x:role": "admin"})
    for _ in range(3):
        assert shop.get(token).status == 200
    assert shop.upstream.exchanges[0].all("authorization") == [f"Bearer {token}".encode()]
    assert issuer.asked == [DISCOVERY, JWKS]
    assert shop.lines.lines[-1].rstrip() == '200 u1 admin "-"'


def test_bad_tokens_reach_nobody(shop: Shop, issuer: OidcIssuer) -> None:
    now = int(time.time())
    assert refused(shop.get(None), shop) == "Bearer"
    bad = [
        issuer.token(aud="other"),
        issuer.token(exp=now - 1),
        issuer.token(nbf=now + 100),
        issuer.token(iss="https://evil.example"),
        issuer.token(header={"kid": "k2"}),
        signed({"iss": issuer.url, "aud": "app", "exp": now + 60}, "other", header={"kid": "k1"}),
        "not.a.token",
        "x" * 9000,
        issuer.token(deep=json.loads("[" * 300 + "]" * 300), aud="other"),
    ]
    for token in bad:
        challenge = refused(shop.get(token), shop)
        assert challenge.startswith('Bearer scope="" error="invalid_token" error_description="')
    with RawClient(shop.port) as client:
        head = b"GET /guarded HTTP/1.1\r\nHost: shop.default.localhost\r\n"
        good = issuer.token().encode()
        two = head + b"Authorization: %b\r\nauthorization: %b\r\n\r\n" % (good, bad[0].encode())
        client.send(two)
        refused(client.read_answer(), shop)
        client.send(head + b"Authorization: " + good + b"\r\n\r\n")
        assert client.read_answer().status == 200, "the connection goes on"


def test_a_scope_that_is_missing(shop: Shop, issuer: OidcIssuer) -> None:
    assert shop.get(issuer.token(scope="openid write"), "/scoped").status == 200
    answer = shop.get(issuer.token(scope="openid"), "/scoped")
    assert answer.status == 403
    assert answer.body == b'{"message":"Forbidden"}'
    challenge = answer.get("www-authenticate") or b""
    assert challenge.startswith(b'Bearer scope="read write" error="insufficient_scope"')


def test_cors_stands_before_and_after(shop: Shop, issuer: OidcIssuer) -> None:
    """AWS §2.2, §4.7: a preflight has no token, and a refusal can be read by the page."""
    origin = {"Origin": "https://app.example"}
    asked = {
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    assert shop.send("OPTIONS /guarded", "shop", origin | asked).status == 204
    answer = shop.get(None, **origin)
    assert answer.status == 401
    assert answer.get("access-control-allow-origin") == b"https://app.example"
    assert issuer.asked == []


# --- keys -----------------------------------------------------------------------------------


def test_a_rotation_goes_unnoticed(shop: Shop, issuer: OidcIssuer) -> None:
    assert shop.get(issuer.token()).status == 200
    issuer.publish("k1", "k2")
    assert shop.get(issuer.token("k2")).status == 200
    issuer.publish("k3")
    assert shop.get(issuer.token("k3")).status == 200
    refused(shop.get(issuer.token("k1")), shop, calls=3)
    assert issuer.fetches <= 4


def test_a_flood_of_made_up_keys(shop: Shop, issuer: OidcIssuer) -> None:
    """At most one fetch a minute."""
    assert shop.get(issuer.token()).status == 200
    before = issuer.fetches
    with RawClient(shop.port) as client:
        for number in range(300):
            token = signed({"iss": issuer.url, "exp": 9_999_999_999}, header={"kid": str(number)})
            client.send(HEAD % token.encode())
            assert client.read_answer().status == 401
    assert issuer.fetches - before == 1
    assert shop.get(issuer.token()).status == 200


def test_many_who_wait_cause_one_fetch(shop: Shop, issuer: OidcIssuer) -> None:
    gate = issuer.hang(JWKS)
    clients = [RawClient(shop.port) for _ in range(20)]
    for client in clients:
        client.send(HEAD % issuer.token().encode())
    shop.until(lambda: shop.gateway.in_flight == 20, "all wait")
    gate.set()
    answers = [client.read_answer() for client in clients]
    for client in clients:
        client.close()
    assert {answer.status for answer in answers} == {200}
    assert issuer.fetches == 1


def test_a_body_waits_with_its_request(shop: Shop, issuer: OidcIssuer) -> None:
    body = b"x" * 300_000
    headers = {"Authorization": issuer.token(), "Content-Length": str(len(body))}
    answer = shop.send("POST /guarded", "shop", headers, body)
    assert answer.status == 200
    assert shop.upstream.exchanges[0].body == body


def test_who_leaves_while_waiting_leaves_nothing(shop: Shop, issuer: OidcIssuer) -> None:
    gate = issuer.hang(DISCOVERY)
    with RawClient(shop.port) as client:
        client.send(HEAD % issuer.token().encode())
        shop.until(lambda: shop.gateway.in_flight == 1, "it waits")
    shop.until(lambda: shop.gateway.in_flight == 0, "it is gone")
    gate.set()
    shop.until_clean()
    assert shop.upstream.exchanges == []


# --- issuers that fail ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "body", "cause"),
    [
        (DISCOVERY, 500, b"no", "status 500"),
        (JWKS, 500, b"no", "status 500"),
        (JWKS, 200, b"<html>login</html>", "not a JSON object"),
        (JWKS, 200, b'{"keys": "none"}', "no list of keys"),
        (JWKS, 200, b" " * 200_000, "more than 150000 bytes"),
        (DISCOVERY, 200, b'{"issuer": "https://evil.example", "jwks_uri": "http://x"}', "issuer"),
    ],
)
def test_an_issuer_that_fails(
    shop: Shop,
    issuer: OidcIssuer,
    path: str,
    status: int,
    body: bytes,
    cause: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    issuer.fail(path, status=status, body=body)
    answer = shop.get(issuer.token())
    failed_closed(answer, shop)
    request_id = (answer.get("apigw-requestid") or b"-").decode()

    def logged() -> list[str]:
        return [r.getMessage() for r in caplog.records if request_id in r.getMessage()]

    shop.until(lambda: bool(logged()), "the cause is in the log")
    (line,) = logged()
    assert cause in line
    assert "default/people" in line


def test_a_slow_issuer(shop: Shop, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "BUDGET_S", 0.2)
    issuer.hang(JWKS)
    failed_closed(shop.get(issuer.token()), shop)
    assert shop.get("a.b.c").status == 401, "what is bad anyway needs no keys"


def test_an_issuer_that_points_inside(issuer: OidcIssuer) -> None:
    """A cluster refuses private addresses, the issuer's own and those of redirects."""
    with Shop(issuer, is_open=False) as shop:
        failed_closed(shop.get(issuer.token()), shop)
        assert issuer.asked == []


def test_keys_outlive_an_outage(shop: Shop, issuer: OidcIssuer) -> None:
    assert shop.get(issuer.token()).status == 200
    issuer.fail(JWKS)
    issuer.fail(DISCOVERY)
    assert shop.get(issuer.token(sub="u2")).status == 200


# --- configuration --------------------------------------------------------------------------


def test_an_edit_judges_anew(shop: Shop, issuer: OidcIssuer) -> None:
    token = issuer.token()
    assert shop.get(token).status == 200
    shop.audience = "other"
    shop.apply({})
    assert "valid audience" in refused(shop.get(token), shop, calls=1)
    assert shop.get(issuer.token(aud="other")).status == 200
    assert issuer.fetches == 1, "the keys are still known"


def test_what_goes_takes_its_state_along(shop: Shop, issuer: OidcIssuer) -> None:
    assert shop.get(issuer.token()).status == 200
    with OidcIssuer() as other:
        shop.issuer = other
        shop.apply({})
        assert shop.get(other.token()).status == 200
        refused(shop.get(issuer.token()), shop, calls=2)
        shop.issuer = issuer
        shop.apply({})
        assert shop.get(issuer.token()).status == 200
    assert issuer.fetches == 2


# --- REST and Cognito -----------------------------------------------------------------------


def test_an_id_token_and_what_goes_on(shop: Shop, issuer: OidcIssuer) -> None:
    token = issuer.token(token_use="id", more={"x:role": ["a", "b"]})
    assert shop.get(token, "/me", "rest").status == 200
    (call,) = shop.upstream.exchanges
    assert call.all("x-user") == [b"u1"]
    assert call.all("x-role") == [b"a,b"]


def test_rest_answers_without_particulars(shop: Shop, issuer: OidcIssuer) -> None:
    expired = issuer.token(exp=int(time.time()) - 5)
    for token, body in (
        (None, b'{"message":"Unauthorized"}'),
        ("not.a.token", b'{"message":"Unauthorized"}'),
        (issuer.token(aud="other"), b'{"message":"Unauthorized"}'),
        (issuer.token(token_use="access"), b'{"message":"Unauthorized"}'),
        (expired, b'{"message":"The incoming token has expired"}'),
    ):
        answer = shop.get(token, "/me", "rest")
        assert (answer.status, answer.body) == (401, body)
        assert answer.get("x-amzn-errortype") == b"UnauthorizedException"
        assert answer.get("www-authenticate") is None
    assert shop.upstream.exchanges == []


def test_rest_without_keys(shop: Shop, issuer: OidcIssuer) -> None:
    issuer.fail(JWKS)
    answer = shop.get(issuer.token(), "/me", "rest")
    assert (answer.status, answer.body) == (500, b'{"message":null}')
