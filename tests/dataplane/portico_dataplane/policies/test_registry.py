"""Every policy of the contract means something to a route; what does not fails it closed."""

from __future__ import annotations

from typing import get_args

import pytest

from outside import outside
from portico_dataplane.core.judgement import Policy
from portico_dataplane.policies.function_authorizer import FunctionAuthorizerPolicy
from portico_dataplane.policies.jwt import JwtPolicy
from portico_dataplane.policies.registry import Outside, Prepared, Scope, prepare
from portico_dataplane.policies.resource_policy import ResourcePolicy
from portico_dataplane.policies.signature import SignaturePolicy
from portico_ir.access import (
    Authorizer,
    FunctionAuthorizer,
    IdentitySource,
    JwtAuthorizer,
    PolicyDocument,
)
from portico_ir.model import (
    ApiKind,
    ApiUnit,
    Broken,
    HttpSegments,
    RestSegments,
    Route,
    Stage,
    UrlTarget,
)
from portico_ir.policies import (
    Authorize,
    Cors,
    FailClosed,
    PolicySpec,
    RequireKey,
    Signature,
    Throttle,
)

HEADER = IdentitySource(place="header", name="Authorization")
FUNCTION = FunctionAuthorizer(
    name="d/function",
    kind="REQUEST",
    target=UrlTarget(url="http://auth.example"),
    sources=(HEADER,),
    ttl_s=300,
)
AUTHORIZERS: dict[str, Authorizer] = {
    "d/function": FUNCTION,
    "d/jwt": JwtAuthorizer(name="d/jwt", issuers=("https://issuer.example",), source=HEADER),
    "d/bad-jwt": JwtAuthorizer(name="d/bad-jwt", issuers=("i",), source=HEADER, validation="("),
    "d/bad-function": FunctionAuthorizer(
        name="d/bad-function", kind="TOKEN", target=FUNCTION.target, validation="("
    ),
}
API = ApiUnit(uid="u", api_id="a", kind=ApiKind.HTTP, name="n", namespace="d")


def prepared(*policies: PolicySpec) -> Prepared:
    match = HttpSegments(method="GET", path="/")
    route = Route(key="GET /", match=match, integration=Broken(reason="r"), policies=policies)
    return prepare(Scope(API, Stage(name="$default"), route, AUTHORIZERS), outside())


def test_no_policy_no_objection() -> None:
    assert prepared() == Prepared((), "")


@pytest.mark.parametrize("reason", ["apiKeyRequired is not built", ""])
def test_fail_closed_always_has_a_reason(reason: str) -> None:
    assert prepared(FailClosed(reason=reason)).broken == (reason or "fails closed")


def test_cors_on_a_route_would_go_unnoticed() -> None:
    """AWS §4.7: it belongs to the API."""
    assert prepared(Cors(allow_origins=("*",))).broken


def test_all_reasons_are_kept() -> None:
    text = prepared(FailClosed(reason="one"), FailClosed(reason="two")).broken
    assert text == "one; two"


def test_every_policy_of_the_contract_is_known() -> None:
    samples: dict[type, PolicySpec] = {
        Authorize: Authorize(authorizer="d/function"),
        Cors: Cors(),
        FailClosed: FailClosed(reason="r"),
        RequireKey: RequireKey(),
        Signature: Signature(),
        Throttle: Throttle(rate=1, burst=1),
    }
    assert set(samples) == set(get_args(PolicySpec))
    for sample in samples.values():
        chain, broken = prepared(sample)
        assert bool(chain) is not bool(broken)


@pytest.mark.parametrize("name", ["d/bad-jwt", "d/bad-function"])
def test_a_pattern_that_is_none_fails_closed(name: str) -> None:
    chain, broken = prepared(Authorize(authorizer=name))
    assert not chain
    assert name in broken


# --- resource policies (AWS §3.21) ------------------------------------------------------------


def on_rest(*policies: PolicySpec, known: Outside | None = None) -> list[type]:
    """What stands in the chain of a RestApi's route that has a policy."""
    api = ApiUnit(uid="u", api_id="a", kind=ApiKind.REST, name="n", namespace="d")
    match = RestSegments(method="GET", path="/")
    route = Route(key="GET /", match=match, integration=Broken(reason="r"), policies=policies)
    policy = Policy(PolicyDocument(statements=()))
    scope = Scope(api, Stage(name="test"), route, AUTHORIZERS, policy)
    chain, broken = prepare(scope, known or outside())
    assert not broken
    return [type(one) for one in chain]


def test_where_a_resource_policy_is_asked() -> None:
    """Before everybody, but after a token, and by a signature itself."""
    assert on_rest() == [ResourcePolicy]
    function = Authorize(authorizer="d/function")
    assert on_rest(function) == [ResourcePolicy, FunctionAuthorizerPolicy]
    assert on_rest(Authorize(authorizer="d/jwt")) == [JwtPolicy, ResourcePolicy]
    assert on_rest(Signature()) == [SignaturePolicy]
    with_key = on_rest(RequireKey(), Authorize(authorizer="d/jwt"))
    assert with_key[:2] == [JwtPolicy, ResourcePolicy]
    assert on_rest(RequireKey())[0] is ResourcePolicy


def test_routes_of_a_stage_share_what_was_answered() -> None:
    known = outside()
    for _ in range(2):
        on_rest(Authorize(authorizer="d/function"), known=known)
    assert len(known.answers._caches) == 1
