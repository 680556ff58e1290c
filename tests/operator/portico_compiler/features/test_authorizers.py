"""Authorizers that take tokens: from a manifest to the contract (AWS §4.9, §6.2)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import scopes
from portico_compiler.features.authorizers import GOES_WITH, authorizer
from portico_compiler.manifests.access import AuthorizerSpec
from portico_compiler.problems import Reason
from portico_ir.access import Authorizer, IdentitySource, JwtAuthorizer
from portico_ir.model import ApiKind, Broken

POOL = "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_Ab9"
HTTP: dict[str, Any] = {
    "apiRef": {"kind": "HttpApi", "name": "shop"},
    "authorizerType": "JWT",
    "jwtConfiguration": {"issuer": "https://login.example/t", "audience": ["a", "b"]},
}
REST: dict[str, Any] = {
    "apiRef": {"name": "shop"},
    "authorizerType": "COGNITO_USER_POOLS",
    "providerARNs": [POOL],
}
BEARER = IdentitySource(place="header", name="Authorization")


def made(base: dict[str, Any], **more: Any) -> tuple[Authorizer | Broken, list[tuple[str, Reason]]]:
    kind = ApiKind.HTTP if base is HTTP else ApiKind.REST
    scope = scopes.scope(kind=kind)
    spec = msgspec.convert({**base, **more}, AuthorizerSpec)
    found = authorizer("default/who", spec, scope)
    return found, [(problem.field, problem.reason) for problem in scope.problems]


def good(base: dict[str, Any], **more: Any) -> JwtAuthorizer:
    found, problems = made(base, **more)
    assert problems == []
    assert isinstance(found, JwtAuthorizer)
    return found


def test_a_jwt_authorizer() -> None:
    assert good(HTTP) == JwtAuthorizer(
        name="default/who",
        issuers=("https://login.example/t",),
        audience=("a", "b"),
        source=BEARER,
    )


@pytest.mark.parametrize(
    "issuer",
    [
        "https://login.example",
        "https://login.example/",
        "http://127.0.0.1:8080/realms/a%20b",
        "http://[::1]:8080",
        "https://dex.auth.svc.cluster.local:5556/dex",
    ],
)
def test_an_issuer_is_kept_to_the_letter(issuer: str) -> None:
    assert good(HTTP, jwtConfiguration={"issuer": issuer}).issuers == (issuer,)


@pytest.mark.parametrize(
    "issuer",
    [
        "login.example",
        "ftp://login.example",
        "https://",
        "https://u:p@login.example",
        "https://login.example/?tenant=a",
        "https://login.example/#a",
        "https://login.example/a b",
        "https://login.example/.well-known/openid-configuration",
        "https://${stageVariables.host}/",
    ],
)
def test_an_issuer_that_cannot_be_asked(issuer: str) -> None:
    found, problems = made(HTTP, jwtConfiguration={"issuer": issuer})
    assert isinstance(found, Broken)
    assert problems == [("spec.jwtConfiguration.issuer", Reason.INVALID_ADDRESS)]


def test_a_problem_shows_no_password() -> None:
    found, _ = made(HTTP, jwtConfiguration={"issuer": "https://u:secret@login.example"})
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("said", "place", "name"),
    [
        ("$request.header.X-Token", "header", "X-Token"),
        (["$request.querystring.t"], "querystring", "t"),
        ([], "header", "Authorization"),
        ("", "header", "Authorization"),
    ],
)
def test_where_the_token_stands(said: Any, place: str, name: str) -> None:
    source = good(HTTP, identitySource=said).source
    assert (source.place, source.name) == (place, name)


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (HTTP, "$context.identity.sourceIp"),
        (HTTP, "$stageVariables.token"),
        (HTTP, "method.request.header.Authorization"),
        (HTTP, ["$request.header.A", "$request.header.B"]),
        (HTTP, "$request.header.A, $request.header.B"),
        (REST, "method.request.querystring.t"),
        (REST, "$request.header.Authorization"),
        (REST, "context.httpMethod"),
    ],
)
def test_where_no_token_stands(base: dict[str, Any], said: Any) -> None:
    found, problems = made(base, identitySource=said)
    assert isinstance(found, Broken)
    assert problems == [("spec.identitySource", Reason.INVALID_VALUE)]


def test_algorithms() -> None:
    assert good(HTTP).algorithms == ()
    assert good(HTTP, extensions={"algorithms": ["ES256"]}).algorithms == ("ES256",)
    assert good(REST, extensions={"algorithms": ["RS256"]}).algorithms == ("RS256",)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS1", "rs256", ""])
def test_algorithms_that_there_are_not(algorithm: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        made(HTTP, extensions={"algorithms": [algorithm]})


def test_a_pattern_that_nobody_applies() -> None:
    found, problems = made(HTTP, identityValidationExpression="a.*")
    assert isinstance(found, Broken)
    assert problems == [("spec.identityValidationExpression", Reason.INVALID_COMBINATION)]


@pytest.mark.parametrize(
    ("arn", "issuer"),
    [
        (POOL, "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab9"),
        (
            "arn:aws-cn:cognito-idp:cn-north-1:123456789012:userpool/cn-north-1_x",
            "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_x",
        ),
        (
            "arn:aws-us-gov:cognito-idp:us-gov-west-1:123456789012:userpool/us-gov-west-1_x",
            "https://cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_x",
        ),
    ],
)
def test_pools_are_issuers(arn: str, issuer: str) -> None:
    found = good(REST, providerARNs=[arn, arn], identityValidationExpression="a+")
    assert found == JwtAuthorizer(
        name="default/who",
        issuers=(issuer,),
        source=BEARER,
        profile="cognito",
        validation="a+",
    )


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "us-east-1_abc",
        "arn:aws:cognito-idp:us-east-1:123456789012:userpool",
        "arn:aws:cognito-idp:us-east-1:123456789012:userpool/a/b",
        "arn:aws:cognito-idp:us-east-1:1:userpool/a",
        "arn:aws:cognito-idp:evil.example/:123456789012:userpool/a",
        "arn:aws:cognito-idp:us-east-1:123456789012:userpool/a\n",
        "arn:aws:cognito-identity:us-east-1:123456789012:identitypool/a",
    ],
)
def test_what_is_no_pool(arn: str) -> None:
    found, problems = made(REST, providerARNs=[POOL, arn])
    assert isinstance(found, Broken)
    assert problems == [("spec.providerARNs[1]", Reason.INVALID_VALUE)]


def test_another_issuer_in_the_place_of_the_pools() -> None:
    local = {"issuer": "http://127.0.0.1:9/p", "audience": ["app"]}
    found = good(REST, jwtConfiguration=local)
    assert found.issuers == ("http://127.0.0.1:9/p",)
    assert found.audience == ("app",)
    assert found.profile == "cognito"
    assert good(REST, jwtConfiguration=local, providerARNs=[]) == found


def test_every_type_goes_with_one_of_routes() -> None:
    assert set(GOES_WITH) == {"TOKEN", "REQUEST", "JWT", "COGNITO_USER_POOLS"}
