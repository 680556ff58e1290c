"""Which requests carry a token that opens the route (AWS §4.9, §6.2); keys and tokens are real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from oidc_issuer import public_jwk, signed
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.keyring import Keyring, KeySet
from portico_dataplane.core.messages import Headers, Request
from portico_dataplane.core.tokens import TokenCache
from portico_dataplane.core.verdicts import (
    CONTINUE,
    FetchKeys,
    NeedKeys,
    Reject,
    Unavailable,
    Verdict,
)
from portico_dataplane.policies.jwt import JwtPolicy
from portico_ir.access import IdentitySource, JwtAuthorizer
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, Broken, Integration, LambdaProxy, Route, UrlTarget
from portico_ir.patterns import BadPattern
from portico_ir.policies import Authorize
from sample_requests import NOON_MS, make_request, match_of

ISSUER = "https://issuer.example"
NOW = NOON_MS // 1000
GOOD = {"iss": ISSUER, "sub": "u1", "aud": "app", "iat": NOW - 10, "exp": NOW + 3600}
HEADER = IdentitySource(place="header", name="Authorization")
QUERY = IdentitySource(place="querystring", name="token")
FUNCTION = LambdaProxy(target=UrlTarget(url="http://f.example"), function="f", payload_format="2.0")
PREFIX = 'Bearer scope="" error="invalid_token" error_description='


class Site:
    """A route with its demand, and the keys of its issuer."""

    def __init__(
        self,
        kind: ApiKind = ApiKind.HTTP,
        *,
        scopes: tuple[str, ...] = (),
        integration: Integration = FUNCTION,
        published: tuple[dict[str, Any], ...] | None = None,
        **fields: Any,
    ) -> None:
        self.kind = kind
        self.ring = Keyring()
        self.cache = TokenCache()
        if published is None:
            published = (public_jwk("k1"),)
        if published:
            self.ring.put(ISSUER, {jwk["kid"]: (jwk,) for jwk in published}, NOON_MS + 7_200_000)
        given: dict[str, Any] = {"audience": ("app",), "source": HEADER, **fields}
        profile: Literal["cognito", "jwt"] = "cognito" if kind is ApiKind.REST else "jwt"
        self.authorizer = JwtAuthorizer(
            **{"issuers": (ISSUER,), **given}, name="d/a", profile=profile
        )
        self.scopes = scopes
        self.integration = integration
        self.policy = self.made()

    def made(self) -> JwtPolicy:
        """The policy once more, as a new Runtime has it."""
        key = "GET /pets"
        match = match_of(self.kind, key)
        route = Route(key=key, match=match, integration=self.integration)
        spec = Authorize(authorizer="d/a", scopes=self.scopes)
        return JwtPolicy(spec, self.authorizer, self.kind, route, self.ring, self.cache)

    def request(self, headers: Headers, target: str = "/pets", at_ms: int = NOON_MS) -> Request:
        request = make_request(self.kind, target=target, headers=headers)
        request.received_ms = at_ms
        request.caller = Caller()
        return request

    def ask(self, token: str | None, at_ms: int = NOON_MS) -> tuple[Verdict, Caller]:
        """What is decided about a token in the header."""
        headers = [] if token is None else [(b"Authorization", token.encode("utf-8"))]
        request = self.request(headers, at_ms=at_ms)
        return self.policy.on_request(request), request.caller


def claims(**more: Any) -> dict[str, Any]:
    return {name: value for name, value in {**GOOD, **more}.items() if value is not ...}


def challenge(verdict: Verdict) -> str:
    assert isinstance(verdict, Reject)
    return dict(verdict.headers).get(b"www-authenticate", b"").decode()


# --- good tokens ----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "Bearer ", "bearer ", "BEARER ", "bEaReR   "])
def test_bearer_is_optional_and_has_no_case(prefix: str) -> None:
    verdict, caller = Site().ask(prefix + signed(GOOD))
    assert verdict is CONTINUE
    assert caller.principal == "u1"


@pytest.mark.parametrize("name", [b"authorization", b"AUTHORIZATION", b"Authorization"])
def test_the_header_has_no_case(name: bytes) -> None:
    site = Site()
    request = site.request([(name, signed(GOOD).encode())])
    assert site.policy.on_request(request) is CONTINUE


def test_a_token_in_a_parameter() -> None:
    site = Site(source=QUERY)
    request = site.request([], target=f"/pets?a=1&token={signed(GOOD)}&b=2")
    assert site.policy.on_request(request) is CONTINUE
    assert challenge(site.ask(signed(GOOD))[0]) == "Bearer", "the header is not looked at"
    other = site.request([], target=f"/pets?Token={signed(GOOD)}")
    assert isinstance(site.policy.on_request(other), Reject)


@pytest.mark.parametrize(
    "said",
    [
        {"aud": ["else", "app"]},
        {"aud": ..., "client_id": "app"},
        {"nbf": NOW},
        {"iat": ...},
        {"sub": ...},
        {"scope": "anything"},
    ],
)
def test_what_else_a_good_token_may_say(said: dict[str, Any]) -> None:
    verdict, _ = Site().ask(signed(claims(**said)))
    assert verdict is CONTINUE


def test_without_an_audience_none_is_asked_for() -> None:
    for said in ({"aud": "other"}, {"aud": ...}, {"aud": 7}):
        assert Site(audience=()).ask(signed(claims(**said)))[0] is CONTINUE


@pytest.mark.parametrize("algorithm", ["RS512", "PS256", "ES256", "ES384", "EdDSA"])
def test_algorithms_follow_the_issuers_keys(algorithm: str) -> None:
    site = Site(published=(public_jwk("k1", algorithm),))
    assert site.ask(signed(GOOD, "k1", algorithm))[0] is CONTINUE


def test_algorithms_may_be_fewer() -> None:
    site = Site(published=(public_jwk("k1", "ES256"),), algorithms=("RS256", "PS256"))
    verdict, _ = site.ask(signed(GOOD, "k1", "ES256"))
    assert challenge(verdict) == f'{PREFIX}"signing method is invalid"'


# --- bad tokens -----------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", "  ", "\t"])
def test_no_token(token: str | None) -> None:
    verdict, _ = Site().ask(token)
    assert isinstance(verdict, Reject)
    assert verdict.kind is ErrorKind.UNAUTHORIZED
    assert challenge(verdict) == "Bearer"


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        ("Bearer", "token contains an invalid number of segments"),
        ("Bearer ", "token contains an invalid number of segments"),
        ("Basic dTpw", "token contains an invalid number of segments"),
        ("not.a.token", "token is malformed"),
        ("é.ü.ö", "token is malformed"),
        ("x" * 20_000, "token is too long"),
        (signed(claims(aud="other")), "the token does not have a valid audience"),
        (signed(claims(aud=...)), "the token does not have a valid audience"),
        (signed(claims(aud=None, client_id="app")), "the token does not have a valid audience"),
        (signed(claims(aud="other", client_id="app")), "the token does not have a valid audience"),
        (signed(claims(iss="https://other.example")), "the token does not have a valid issuer"),
        (signed(claims(iss=ISSUER + "/")), "the token does not have a valid issuer"),
        (signed(claims(iss=...)), "the token does not have a valid issuer"),
        (signed(claims(iss=[ISSUER])), "the token does not have a valid issuer"),
        (signed(claims(exp=NOW - 60)), "the token has expired"),
        (signed(claims(exp=NOW)), "the token has expired"),
        (signed(claims(exp=str(NOW + 60))), "the token has expired"),
        (signed(claims(exp=...)), "the token has no expiry"),
        (signed(claims(nbf=NOW + 60)), "the token is not valid yet"),
        (signed(claims(iat=NOW + 600)), "the token was issued in the future"),
        (signed(GOOD, "k2", header={"kid": "k1"}), "the token's signature is not valid"),
        (signed(GOOD, header={"kid": None}), "the token names no key"),
        (signed(b"[1]"), "token is malformed"),
    ],
)
def test_what_is_wrong_with_a_token(token: str, fault: str) -> None:
    verdict, caller = Site().ask(token)
    assert isinstance(verdict, Reject)
    assert verdict.kind is ErrorKind.UNAUTHORIZED
    assert challenge(verdict) == f'{PREFIX}"{fault}"'
    assert fault in verdict.cause
    assert caller.authorizer is None


def test_two_tokens_are_none() -> None:
    """A backend could read the other one."""
    site = Site()
    token = signed(GOOD).encode()
    for second in (token, b"anything"):
        request = site.request([(b"Authorization", token), (b"authorization", second)])
        verdict = site.policy.on_request(request)
        assert isinstance(verdict, Reject)
        assert verdict.kind is ErrorKind.UNAUTHORIZED
    query = Site(source=QUERY)
    text = token.decode()
    verdict = query.policy.on_request(query.request([], target=f"/pets?token={text}&token=x"))
    assert isinstance(verdict, Reject)


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": "ES256K"}])
def test_algorithms_that_do_not_exist(header: Mapping[str, Any]) -> None:
    head, _, rest = signed(GOOD).partition(".")
    forged = signed(GOOD, header=None).replace(head, _encoded({"kid": "k1", **header}), 1)
    for token in (forged, f"{_encoded({'kid': 'k1', **header})}.{rest.split('.')[0]}."):
        verdict, _ = Site().ask(token)
        assert challenge(verdict) == f'{PREFIX}"signing method is invalid"'


def test_a_tampered_claim() -> None:
    head, _, signature = signed(GOOD).split(".")
    verdict, _ = Site().ask(f"{head}.{_encoded(claims(sub='admin'))}.{signature}")
    assert challenge(verdict) == f'{PREFIX}"the token\'s signature is not valid"'


def test_a_nest_of_claims_is_bounded() -> None:
    deep: Any = "x"
    for _ in range(400):
        deep = [deep]
    verdict, caller = Site().ask(signed(claims(deep=deep)))
    assert verdict is CONTINUE
    assert caller.authorizer is not None


def _encoded(value: Any) -> str:
    import base64
    import json

    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


# --- scopes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [{"scope": "openid write"}, {"scp": ["read"]}, {"scp": "read x"}])
def test_one_scope_of_the_route_is_enough(said: dict[str, Any]) -> None:
    site = Site(scopes=("read", "write"))
    assert site.ask(signed(claims(**said)))[0] is CONTINUE


@pytest.mark.parametrize("said", [{}, {"scope": "openid"}, {"scope": "reader"}, {"scp": []}])
def test_without_a_scope_of_the_route_it_is_forbidden(said: dict[str, Any]) -> None:
    site = Site(scopes=("read", "api/write"))
    token = signed(claims(**said))
    for _ in range(2):
        verdict, caller = site.ask(token)
        assert isinstance(verdict, Reject)
        assert verdict.kind is ErrorKind.ACCESS_DENIED
        assert challenge(verdict).startswith('Bearer scope="read api/write" error="insufficient_s')
        assert caller.authorizer is None


def test_a_scope_cannot_break_out_of_the_header() -> None:
    site = Site(scopes=('a"b', "c\r\nd", "ok"))
    assert challenge(site.ask(signed(GOOD))[0]).startswith('Bearer scope="ok" error=')


# --- keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize("published", [(), (public_jwk("k0"),)])
def test_an_unknown_key_is_asked_for(published: tuple[dict[str, Any], ...]) -> None:
    site = Site(published=published)
    need, caller = site.ask(signed(GOOD))
    assert isinstance(need, NeedKeys)
    assert need.effect == FetchKeys(ISSUER, "k1")
    keys = KeySet({"k1": (public_jwk("k1"),)}, NOON_MS + 1)
    assert need.then(keys) is CONTINUE
    assert caller.principal == "u1"


def test_keys_that_cannot_be_had_fail_closed() -> None:
    """Nothing is wrong with the caller, so it is no 401."""
    need, caller = Site(published=()).ask(signed(GOOD))
    assert isinstance(need, NeedKeys)
    verdict = need.then(Unavailable(ErrorKind.AUTHORIZER_FAILURE, "it burns"))
    assert verdict == Reject(ErrorKind.AUTHORIZER_FAILURE, "d/a: it burns")
    assert caller.authorizer is None


def test_a_key_that_does_not_exist() -> None:
    need, _ = Site(published=()).ask(signed(GOOD))
    assert isinstance(need, NeedKeys)
    verdict = need.then(KeySet({"k0": (public_jwk("k0"),)}, NOON_MS + 1))
    assert challenge(verdict) == f'{PREFIX}"the token was signed with an unknown key"'


@pytest.mark.parametrize(
    "token",
    [
        signed(claims(iss="https://evil.example")),
        signed(claims(exp=NOW - 1)),
        "a.b.c",
    ],
)
def test_nobody_is_asked_about_a_token_that_is_bad_anyway(token: str) -> None:
    verdict, _ = Site(published=()).ask(token)
    assert isinstance(verdict, Reject)


def test_the_keys_of_one_issuer_are_not_those_of_another() -> None:
    other = "https://other.example"
    site = Site(issuers=(ISSUER, other))
    verdict, _ = site.ask(signed(claims(iss=other)))
    assert isinstance(verdict, NeedKeys)
    assert verdict.effect == FetchKeys(other, "k1")


# --- what is remembered ---------------------------------------------------------------------


def test_a_token_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    token = signed(GOOD)
    assert site.ask(token)[0] is CONTINUE
    monkeypatch.setattr("portico_dataplane.core.jose.read", None)
    site.policy = site.made()
    verdict, caller = site.ask(f"Bearer {token}", at_ms=NOON_MS + 3_000_000)
    assert verdict is CONTINUE
    assert caller.principal == "u1"


def test_a_remembered_token_expires() -> None:
    site = Site()
    token = signed(GOOD)
    assert site.ask(token)[0] is CONTINUE
    verdict, _ = site.ask(token, at_ms=(NOW + 3600) * 1000)
    assert challenge(verdict) == f'{PREFIX}"the token has expired"'


def test_a_revoked_key_takes_its_tokens_along() -> None:
    site = Site()
    token = signed(GOOD)
    assert site.ask(token)[0] is CONTINUE
    site.ring.put(ISSUER, {"k2": (public_jwk("k2"),)}, NOON_MS + 7_200_000)
    assert isinstance(site.ask(token)[0], NeedKeys)


def test_old_keys_take_their_tokens_along() -> None:
    site = Site()
    token = signed(claims(exp=NOW + 20_000))
    assert site.ask(token)[0] is CONTINUE
    assert isinstance(site.ask(token, at_ms=NOON_MS + 7_200_000)[0], NeedKeys)


def test_a_bad_token_is_not_remembered_as_good() -> None:
    site = Site()
    token = signed(claims(aud="other"))
    for _ in range(2):
        assert isinstance(site.ask(token)[0], Reject)
    assert len(site.cache) == 0


def test_authorizers_judge_for_themselves() -> None:
    site = Site()
    token = signed(GOOD)
    assert site.ask(token)[0] is CONTINUE
    other = Site(audience=("other",))
    other.cache, other.ring = site.cache, site.ring
    other.policy = other.made()
    assert isinstance(other.ask(token)[0], Reject)


# --- what the token says goes on ------------------------------------------------------------

RICH = claims(level=7, ok=True, groups=["a", "b"], scope="read write")
TEXTS = {
    "iss": ISSUER,
    "sub": "u1",
    "aud": "app",
    "iat": str(NOW - 10),
    "exp": str(NOW + 3600),
    "level": "7",
    "ok": "true",
    "groups": "[a b]",
    "scope": "read write",
}


def lambda_proxy(payload: Literal["1.0", "2.0"]) -> LambdaProxy:
    return LambdaProxy(target=FUNCTION.target, function="f", payload_format=payload)


@pytest.mark.parametrize(
    ("integration", "scopes", "event"),
    [
        (lambda_proxy("2.0"), (), {"jwt": {"claims": TEXTS, "scopes": None}}),
        (
            lambda_proxy("2.0"),
            ("read",),
            {"jwt": {"claims": TEXTS, "scopes": ["read", "write"]}},
        ),
        (lambda_proxy("1.0"), (), {"claims": TEXTS, "scopes": None}),
        (lambda_proxy("1.0"), ("write",), {"claims": TEXTS, "scopes": ["read", "write"]}),
        (Broken(reason="x"), (), {"claims": TEXTS, "scopes": None}),
    ],
)
def test_claims_reach_the_function(
    integration: Integration, scopes: tuple[str, ...], event: dict[str, Any]
) -> None:
    site = Site(integration=integration, scopes=scopes)
    for _ in range(2):
        verdict, caller = site.ask(signed(RICH))
        assert verdict is CONTINUE
        assert caller.event == event
        assert caller.authorizer == {"claims": TEXTS}


# --- Cognito --------------------------------------------------------------------------------

ID = {"token_use": "id", "cognito:groups": ["a", "b"]}
ACCESS = {"token_use": "access", "aud": ..., "client_id": "app", "scope": "shop/write openid"}


def test_an_id_token_opens_a_route_without_scopes() -> None:
    site = Site(ApiKind.REST)
    verdict, caller = site.ask(signed(claims(**ID)))
    assert verdict is CONTINUE
    assert caller.event is not None
    assert caller.event["claims"]["cognito:groups"] == "a,b"
    assert caller.event["claims"]["exp"].endswith(" UTC 2015")
    assert set(caller.event) == {"claims"}


def test_an_access_token_opens_a_route_with_scopes() -> None:
    site = Site(ApiKind.REST, scopes=("shop/write", "shop/read"))
    assert site.ask(signed(claims(**ACCESS)))[0] is CONTINUE


@pytest.mark.parametrize(
    ("scopes", "said"),
    [
        ((), ACCESS),
        (("shop/write",), {**ID, "scope": "shop/write"}),
        (("shop/other",), ACCESS),
        (("shop/write",), {**ACCESS, "scope": ...}),
        ((), {**ID, "aud": "other"}),
        ((), {**ID, "token_use": "refresh"}),
    ],
)
def test_any_other_token_is_401_without_particulars(
    scopes: tuple[str, ...], said: dict[str, Any]
) -> None:
    """AWS §6.2, §6.6: REST has no 403 for a scope."""
    verdict, _ = Site(ApiKind.REST, scopes=scopes).ask(signed(claims(**said)))
    assert isinstance(verdict, Reject)
    assert verdict.kind is ErrorKind.UNAUTHORIZED
    assert verdict.headers == ()
    assert verdict.message is None


def test_an_issuer_in_the_place_of_a_pool_need_not_say_what_a_token_is_for() -> None:
    assert Site(ApiKind.REST).ask(signed(GOOD))[0] is CONTINUE
    assert Site(ApiKind.REST, scopes=("a",)).ask(signed(claims(scope="a")))[0] is CONTINUE


@pytest.mark.parametrize("token", [None, "not.a.token", signed(claims(iss="https://x.example"))])
def test_what_is_no_token_of_the_pool(token: str | None) -> None:
    verdict, _ = Site(ApiKind.REST).ask(token)
    assert isinstance(verdict, Reject)
    assert (verdict.kind, verdict.message) == (ErrorKind.UNAUTHORIZED, None)
    assert verdict.headers == ()


def test_an_expired_token_is_told_so() -> None:
    verdict, _ = Site(ApiKind.REST).ask(signed(claims(**ID, exp=NOW - 1)))
    assert isinstance(verdict, Reject)
    assert verdict.kind is ErrorKind.UNAUTHORIZED
    assert verdict.message == "The incoming token has expired"


@pytest.mark.parametrize(
    ("pattern", "good"), [("app|other", True), ("ap", False), ("[a-z]+", True), ("", True)]
)
def test_the_validation_expression_is_matched_against_the_whole_audience(
    pattern: str, good: bool
) -> None:
    site = Site(ApiKind.REST, validation=pattern, audience=())
    assert (site.ask(signed(claims(**ID)))[0] is CONTINUE) is good
    scoped = Site(ApiKind.REST, validation=pattern, audience=(), scopes=("openid",))
    assert (scoped.ask(signed(claims(**ACCESS)))[0] is CONTINUE) is good


def test_a_bad_expression_is_found_when_the_route_is_built() -> None:
    with pytest.raises(BadPattern):
        Site(ApiKind.REST, validation="(")
