"""Authorizers that are functions or services: TOKEN and REQUEST (AWS §4.10, §6.1).

Called by `authorizers`, with a Scope whose Problems land on the Authorizer. Promises: what AWS
would not take on this kind of API is a Problem, because a restriction that nobody applies is none;
what is left out is what AWS makes of it.
"""

from __future__ import annotations

from typing import Literal

from portico_compiler import quantities
from portico_compiler.features import functions, identity_sources, targets
from portico_compiler.features.scope import Scope
from portico_compiler.manifests.access import AuthorizerSpec
from portico_compiler.problems import Reason
from portico_ir.access import FunctionAuthorizer, IdentitySource
from portico_ir.model import ApiKind, Broken, Target

DEFAULT_TTL_MS = 300_000
"""AWS §6.1; HTTP APIs keep nothing unless they are told to (AWS §4.10)."""
MOST_STALE_MS = 60_000
"""How long an answer stands in for a failing authorizer, and never longer than it lived."""

_SOURCE = "spec.identitySource"
_SIMPLE = "spec.enableSimpleResponses"
_FORMAT = "spec.authorizerPayloadFormatVersion"
_TTL = "spec.authorizerResultTtl"


def function_authorizer(
    name: str, kind: Literal["TOKEN", "REQUEST"], spec: AuthorizerSpec, scope: Scope
) -> FunctionAuthorizer | Broken:
    """What is asked; `name` is namespace/name of the Authorizer."""
    fault = _misplaced(kind, spec, scope)
    if fault is not None:
        return fault
    sources = _sources(kind, spec, scope)
    if isinstance(sources, Broken):
        return sources
    ttl_ms = _ttl_ms(spec, sources, scope)
    if isinstance(ttl_ms, Broken):
        return ttl_ms
    asked = _asked(spec, scope)
    if isinstance(asked, Broken):
        return asked
    payload: Literal["", "1.0", "2.0"] = ""
    if scope.api.kind is ApiKind.HTTP:
        payload = spec.authorizer_payload_format_version or "2.0"
    return FunctionAuthorizer(
        name=name,
        kind=kind,
        target=asked[0],
        function=asked[1],
        payload_format=payload,
        simple=spec.enable_simple_responses,
        sources=sources,
        validation=spec.identity_validation_expression or "",
        ttl_s=(ttl_ms + 999) // 1000,
        stale_ms=_stale_ms(spec, ttl_ms),
    )


def _misplaced(kind: str, spec: AuthorizerSpec, scope: Scope) -> Broken | None:
    """Fields that mean nothing on this kind of API or for this type."""
    wrong = Reason.INVALID_COMBINATION
    if spec.identity_validation_expression is not None and kind != "TOKEN":
        message = "goes with authorizerType TOKEN, which has one text to match (AWS §6.1)"
        return scope.broken("spec.identityValidationExpression", wrong, message)
    if scope.api.kind is ApiKind.HTTP:
        if spec.enable_simple_responses and spec.authorizer_payload_format_version == "1.0":
            message = "goes with authorizerPayloadFormatVersion 2.0 (AWS §4.10)"
            return scope.broken(_SIMPLE, wrong, message)
        return None
    if spec.enable_simple_responses:
        message = "only HttpApis have it: on other APIs an answer is a policy (AWS §6.1)"
        return scope.broken(_SIMPLE, wrong, message)
    if spec.authorizer_payload_format_version == "2.0":
        return scope.broken(_FORMAT, wrong, "only HttpApis have 2.0 (AWS §4.10)")
    return None


def _sources(kind: str, spec: AuthorizerSpec, scope: Scope) -> tuple[IdentitySource, ...] | Broken:
    said = identity_sources.texts(spec.identity_source)
    found: list[IdentitySource] = []
    for text in said:
        source = identity_sources.parse(text, scope.api.kind)
        if isinstance(source, str):
            return scope.broken(_SOURCE, Reason.INVALID_VALUE, source)
        found.append(source)
    if kind == "TOKEN" and (len(found) != 1 or found[0].place != "header"):
        message = f"TOKEN reads one header, not {', '.join(said) or 'nothing'} (AWS §6.1)"
        return scope.broken(_SOURCE, Reason.INVALID_VALUE, message)
    return tuple(found)


def _ttl_ms(
    spec: AuthorizerSpec, sources: tuple[IdentitySource, ...], scope: Scope
) -> int | Broken:
    """Without a source there is nothing to keep an answer under."""
    said = spec.authorizer_result_ttl
    if said is None:
        return DEFAULT_TTL_MS if sources and scope.api.kind is not ApiKind.HTTP else 0
    ttl_ms = quantities.milliseconds(said) or 0
    if ttl_ms and not sources:
        if scope.api.kind is ApiKind.HTTP:
            return 0  # AWS §4.10: caching needs a source.
        message = "answers are kept by identity source, and there is none (AWS §6.1)"
        return scope.broken(_TTL, Reason.INVALID_COMBINATION, message)
    return ttl_ms


def _stale_ms(spec: AuthorizerSpec, ttl_ms: int) -> int:
    said = spec.extensions.stale_if_error if spec.extensions is not None else None
    if said is None or not ttl_ms:
        return min(MOST_STALE_MS, ttl_ms)
    return quantities.milliseconds(said) or 0


def _asked(spec: AuthorizerSpec, scope: Scope) -> tuple[Target, str] | Broken:
    """Where, and the function's name; a service has none: it gets the event as it is."""
    target: Target | Broken
    if spec.function is not None:
        function = functions.resolve(spec.function, scope, "spec.function")
        return function if isinstance(function, Broken) else (function.target, function.name)
    if spec.service is not None:
        target = targets.service_target(spec.service, "spec.service", (), False, scope)
    elif spec.url is not None:
        target = targets.url_target(spec.url, "spec.url", (), False, scope)
    else:
        message = "has none of service, url and function"
        return scope.broken("spec.function", Reason.MISSING_FIELD, message)
    return target if isinstance(target, Broken) else (target, "")
