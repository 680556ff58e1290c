"""An Authorizer's spec becomes what the contract knows: one branch for each type.

Called by the authorizers pass, once per stage where stage variables are used, with a Scope whose
Problems land on the Authorizer. Promises: what is returned is usable as it stands; anything else
is a Problem and a Broken, and the Routes that name the Authorizer fail closed.
"""

from __future__ import annotations

import re
from typing import assert_never

from portico_compiler.features import identity_sources, targets
from portico_compiler.features.authorizers_forward import forward_authorizer
from portico_compiler.features.authorizers_function import function_authorizer
from portico_compiler.features.scope import Scope
from portico_compiler.manifests.access import AuthorizerSpec
from portico_compiler.problems import Reason, field_path
from portico_ir.access import Authorizer, IdentitySource, JwtAuthorizer
from portico_ir.model import Broken

GOES_WITH = {
    "TOKEN": "CUSTOM",
    "REQUEST": "CUSTOM",
    "JWT": "JWT",
    "COGNITO_USER_POOLS": "COGNITO_USER_POOLS",
}
"""authorizerType to the authorizationType of Routes that name it (AWS §14.1)."""

_SOURCE = "spec.identitySource"
_BEARER = IdentitySource(place="header", name="Authorization")
_POOL = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):cognito-idp:(?P<region>[a-z0-9-]+):[0-9]{12}:"
    r"userpool/(?P<pool>[A-Za-z0-9_-]+)\Z"
)


def authorizer(name: str, spec: AuthorizerSpec, scope: Scope) -> Authorizer | Broken:
    """What decides; `name` is namespace/name of the Authorizer."""
    match spec.authorizer_type:
        case "JWT":
            return _jwt(name, spec, scope)
        case "COGNITO_USER_POOLS":
            return _cognito(name, spec, scope)
        case "TOKEN" | "REQUEST":
            forward = spec.extensions.forward_auth if spec.extensions is not None else None
            if forward is not None and spec.authorizer_type == "TOKEN":
                field = "spec.extensions.forwardAuth"
                message = "goes with authorizerType REQUEST"
                return scope.broken(field, Reason.INVALID_COMBINATION, message)
            if forward is not None:
                return forward_authorizer(name, forward, spec, scope)
            return function_authorizer(name, spec.authorizer_type, spec, scope)
        case _:
            assert_never(spec.authorizer_type)


def _jwt(name: str, spec: AuthorizerSpec, scope: Scope) -> JwtAuthorizer | Broken:
    """AWS §4.9."""
    configuration = spec.jwt_configuration
    if configuration is None:
        return scope.broken("spec.jwtConfiguration", Reason.MISSING_FIELD, "is required")
    if spec.identity_validation_expression is not None:
        # What nobody applies must not look like a restriction.
        message = "JWT has none (AWS §4.9); it goes with TOKEN and COGNITO_USER_POOLS"
        field = "spec.identityValidationExpression"
        return scope.broken(field, Reason.INVALID_COMBINATION, message)
    issuer = _issuer(configuration.issuer, scope)
    source = _token_source(spec, scope, ("header", "querystring"))
    if isinstance(issuer, Broken):
        return issuer
    if isinstance(source, Broken):
        return source
    return JwtAuthorizer(
        name=name,
        issuers=(issuer,),
        audience=configuration.audience,
        source=source,
        algorithms=_algorithms(spec),
    )


def _cognito(name: str, spec: AuthorizerSpec, scope: Scope) -> JwtAuthorizer | Broken:
    """AWS §6.2. `jwtConfiguration` (ours here) puts another issuer in the pools' place."""
    source = _token_source(spec, scope, ("header",))
    if isinstance(source, Broken):
        return source
    issuers: list[str] = []
    configuration = spec.jwt_configuration
    if configuration is not None:
        issuer = _issuer(configuration.issuer, scope)
        if isinstance(issuer, Broken):
            return issuer
        issuers.append(issuer)
    for position, arn in enumerate(spec.provider_arns if configuration is None else ()):
        pool = _POOL.match(arn)
        if pool is None:
            message = f"{arn!r} is not arn:aws:cognito-idp:REGION:ACCOUNT:userpool/POOL"
            field = field_path("spec", "providerARNs", position)
            return scope.broken(field, Reason.INVALID_VALUE, message)
        domain = "amazonaws.com.cn" if pool["partition"] == "aws-cn" else "amazonaws.com"
        issuers.append(f"https://cognito-idp.{pool['region']}.{domain}/{pool['pool']}")
    return JwtAuthorizer(
        name=name,
        issuers=tuple(dict.fromkeys(issuers)),
        audience=configuration.audience if configuration is not None else (),
        source=source,
        profile="cognito",
        validation=spec.identity_validation_expression or "",
        algorithms=_algorithms(spec),
    )


def _algorithms(spec: AuthorizerSpec) -> tuple[str, ...]:
    return spec.extensions.algorithms if spec.extensions is not None else ()


def _issuer(text: str, scope: Scope) -> str | Broken:
    """As it stands in `iss`: discovery appends its path to it (OpenID Discovery §4)."""
    fault = targets.url_fault(text)
    if not fault and "?" in text:
        fault = "holds a query"
    if not fault and text.endswith("/.well-known/openid-configuration"):
        fault = "is the address of the discovery document: leave out /.well-known/…"
    if fault:
        shown = repr(text) if "@" not in text else "the issuer"
        field = "spec.jwtConfiguration.issuer"
        return scope.broken(field, Reason.INVALID_ADDRESS, f"{shown} {fault}")
    return text


def _token_source(
    spec: AuthorizerSpec, scope: Scope, places: tuple[str, ...]
) -> IdentitySource | Broken:
    """Where the one token stands; the Authorization header unless something else is said."""
    said = identity_sources.texts(spec.identity_source)
    if not said:
        return _BEARER
    if len(said) > 1:
        message = f"{spec.authorizer_type} reads one token, so one source, not {len(said)}"
        return scope.broken(_SOURCE, Reason.INVALID_VALUE, message)
    source = identity_sources.parse(said[0], scope.api.kind)
    if isinstance(source, str):
        return scope.broken(_SOURCE, Reason.INVALID_VALUE, source)
    if source.place not in places:
        message = f"{spec.authorizer_type} reads a token from {' or '.join(places)}, not {said[0]}"
        return scope.broken(_SOURCE, Reason.INVALID_VALUE, message)
    return source
