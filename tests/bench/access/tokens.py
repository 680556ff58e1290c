"""What a token costs a request: the policy of a route, driven as an exchange does."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from access.stretches import HEADERS, Row, microseconds
from oidc_issuer import public_jwk, signed
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.keyring import Keyring
from portico_dataplane.core.messages import Request
from portico_dataplane.core.tokens import TokenCache
from portico_dataplane.core.verdicts import CONTINUE
from portico_dataplane.policies.jwt import JwtPolicy
from portico_ir.access import IdentitySource, JwtAuthorizer
from portico_ir.model import ApiKind, LambdaProxy, Route, UrlTarget
from portico_ir.policies import Authorize
from sample_requests import NOON_MS, make_request, match_of

ISSUER: Final = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_example"
NOW: Final = NOON_MS // 1000
CLAIMS: Final = {
    "sub": "940805d0-a810-42da-9515-a213e211bbd1",
    "iss": ISSUER,
    "aud": "6an6jbhc8qh494sh33d1ope8d3",
    "token_use": "id",
    "auth_time": NOW - 10,
    "iat": NOW - 10,
    "exp": NOW + 3600,
    "email": "ada@example.test",
    "email_verified": True,
    "cognito:username": "ada",
    "cognito:groups": ["admin", "poweruser"],
}


class Case(NamedTuple):
    """A policy and a request for it."""

    policy: JwtPolicy
    request: Request
    cache: TokenCache


def case(algorithm: str, **claims: Any) -> Case:
    """A route that asks for a token of this algorithm, and a request with one."""
    ring, cache = Keyring(), TokenCache()
    ring.put(ISSUER, {"k1": (public_jwk("k1", algorithm),)}, NOON_MS + 7_200_000)
    authorizer = JwtAuthorizer(
        name="default/people",
        issuers=(ISSUER,),
        audience=(str(CLAIMS["aud"]),),
        source=IdentitySource(place="header", name="Authorization"),
    )
    token = signed({**CLAIMS, **claims}, "k1", algorithm).encode()
    headers = [*HEADERS, (b"Authorization", b"Bearer " + token)]
    request = make_request(ApiKind.HTTP, headers=headers)
    request.caller = Caller()
    function = LambdaProxy(target=UrlTarget(url="http://f"), function="f", payload_format="2.0")
    key = "GET /pets"
    route = Route(key=key, match=match_of(ApiKind.HTTP, key), integration=function)
    spec = Authorize(authorizer="default/people")
    policy = JwtPolicy(spec, authorizer, ApiKind.HTTP, route, ring, cache)
    return Case(policy, request, cache)


def cached() -> float:
    """A token that was verified before."""
    policy, request, _ = case("RS256")
    assert policy.on_request(request) is CONTINUE
    return microseconds(lambda: policy.on_request(request))


def uncached(algorithm: str) -> float:
    """A token that nobody has seen, its key known."""
    policy, request, cache = case(algorithm)
    assert policy.on_request(request) is CONTINUE

    def verify() -> None:
        cache._recent.clear()  # as if nobody had ever come with it
        policy.on_request(request)

    return microseconds(verify)


def expired() -> float:
    """The most common bad token."""
    policy, request, _ = case("RS256", exp=NOW - 1)
    assert policy.on_request(request) is not CONTINUE
    return microseconds(lambda: policy.on_request(request))


def rows() -> list[Row]:
    """Remembered, bad, and new ones by algorithm."""
    found = [
        Row("token, verified before", cached(), 3.0),
        Row("token, expired", expired()),
        Row("token, new: RS256", uncached("RS256"), 100.0),
    ]
    others = ("PS256", "ES256", "EdDSA")
    return found + [Row(f"token, new: {name}", uncached(name)) for name in others]
