"""Policy spec to what a route does about it; exhaustive.

Called by `build.py` for each route. Promises: the chain stands in the order of `phases.py`,
whatever the order in the unit; a policy that cannot be prepared fails its route closed. One that
this build does not know never gets here: the contract refuses the unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, assert_never

from portico_dataplane.core import phases
from portico_dataplane.core.authorizer_cache import AnswerCaches, CacheId
from portico_dataplane.core.credentials import Directory
from portico_dataplane.core.judgement import Policy
from portico_dataplane.core.key_counters import Counters
from portico_dataplane.core.keyring import Keyring
from portico_dataplane.core.lease import BucketLease
from portico_dataplane.core.tokens import TokenCache
from portico_dataplane.core.verdicts import RequestPolicy
from portico_dataplane.policies.authorizer_answer import Answer
from portico_dataplane.policies.forward_authorizer import ForwardAuthorizerPolicy
from portico_dataplane.policies.function_authorizer import FunctionAuthorizerPolicy
from portico_dataplane.policies.require_key import RequireKeyPolicy
from portico_dataplane.policies.resource_policy import ResourcePolicy
from portico_dataplane.policies.signature import SignaturePolicy
from portico_dataplane.policies.throttle import ThrottlePolicy
from portico_ir.access import (
    Authorizer,
    ForwardAuthorizer,
    FunctionAuthorizer,
    JwtAuthorizer,
)
from portico_ir.model import ApiKind, ApiUnit, Route, Stage
from portico_ir.patterns import BadPattern
from portico_ir.policies import (
    Authorize,
    Cors,
    FailClosed,
    PolicySpec,
    RequireKey,
    Signature,
    Throttle,
)


class Scope(NamedTuple):
    """Where a route stands."""

    api: ApiUnit
    stage: Stage
    route: Route
    authorizers: Mapping[str, Authorizer]
    """Of the unit that holds the route."""
    resource_policy: Policy | None = None
    """Of the API, for this stage (AWS §3.21)."""


class Outside(NamedTuple):
    """What policies use that outlives a Runtime; a gateway has one of each."""

    directory: Directory
    """Keys and plans."""
    keyring: Keyring
    """Keys of token issuers."""
    tokens: TokenCache
    """Tokens that were verified."""
    answers: AnswerCaches[Answer]
    """What function authorizers answered."""
    counters: Counters
    """Buckets and quotas."""


class Prepared(NamedTuple):
    """What stands between a request and the route's integration."""

    chain: tuple[RequestPolicy, ...]
    """To be asked in this order."""
    broken: str
    """Why the route must fail closed; empty when it need not."""


def prepare(scope: Scope, outside: Outside) -> Prepared:
    """The chain of one route."""
    kind = scope.api.kind
    reasons: list[str] = []
    chain: list[RequestPolicy] = []
    policy, asked_after = _resource_policy(scope)
    for spec in sorted(scope.route.policies, key=lambda spec: phases.position(kind, spec)):
        made = _made(spec, scope, outside)
        if isinstance(made, str):
            reasons.append(made)
        elif made is not None:
            chain.append(made)
        if policy is not None and spec is asked_after:
            chain.append(policy)
    if policy is not None and asked_after is None:
        chain.insert(0, policy)
    # What is counted is one step, the last of those built: who calls is known by then.
    has_key = any(isinstance(step, RequireKeyPolicy) for step in chain)
    throttle = _throttle(scope, outside, has_key=has_key)
    if throttle is not None:
        chain.append(throttle)
    return Prepared(tuple(chain), "; ".join(reasons))


def _resource_policy(scope: Scope) -> tuple[RequestPolicy | None, PolicySpec | None]:
    """What the API's policy does on this route, and after whom it is asked (AWS §3.21)."""
    policy = scope.resource_policy
    if policy is None:
        return None, None
    alone = True
    for spec in scope.route.policies:
        if isinstance(spec, Signature):
            return None, None  # Statements may name who signed: the signature's policy asks it.
        if isinstance(spec, Authorize):
            if isinstance(scope.authorizers[spec.authorizer], JwtAuthorizer):
                return ResourcePolicy(policy, alone=True), spec
            alone = False
    return ResourcePolicy(policy, alone=alone), None


def _throttle(scope: Scope, outside: Outside, *, has_key: bool) -> ThrottlePolicy | None:
    """Everything that a request of the route is counted with."""
    leases = outside.counters.leases
    api, stage, route = scope.api, scope.stage, scope.route
    place = (api.uid, stage.name, route.key)
    client: Throttle | None = None
    own: list[BucketLease] = []
    takes_stage = True
    for spec in route.policies:
        if not isinstance(spec, Throttle):
            continue
        if spec.per_client:
            client = spec
            continue
        part = "route-in-stage" if spec.instead_of_stage else "route"
        takes_stage = takes_stage and not spec.instead_of_stage
        own.append(leases.bucket("/".join((part, *place)), spec.rate, spec.burst))
    if stage.throttle is not None and takes_stage:
        name = f"stage/{api.uid}/{stage.name}"
        own.append(leases.bucket(name, stage.throttle.rate, stage.throttle.burst))
    if leases.account is not None:
        own.append(leases.account)
    if not (own or client or has_key):
        return None
    return ThrottlePolicy(place, tuple(own), client, outside.counters, outside.directory)


def _made(spec: PolicySpec, scope: Scope, outside: Outside) -> RequestPolicy | str | None:
    """The policy, or why there is none; None: another one does it."""
    kind = scope.api.kind
    match spec:
        case FailClosed(reason=reason):
            return reason or "fails closed"
        case Cors():
            # CORS belongs to the API (AWS §4.7); on a route it would go unnoticed.
            return "CORS is configured on the API, not on a route"
        case RequireKey():
            if kind is ApiKind.HTTP:
                return "HTTP APIs know no API keys (AWS §1.5)"
            return RequireKeyPolicy(spec, scope.api.uid, scope.stage.name, outside.directory)
        case Signature():
            return SignaturePolicy(kind, outside.directory, scope.resource_policy)
        case Authorize():
            return _authorizer(spec, scope, outside)
        case Throttle():
            return None  # counted together with whatever else there is
        case _:
            assert_never(spec)


def _authorizer(spec: Authorize, scope: Scope, outside: Outside) -> RequestPolicy | str:
    """Who decides about callers; `invariants` saw to it that the unit has it."""
    authorizer = scope.authorizers[spec.authorizer]
    match authorizer:
        case JwtAuthorizer():
            # Only where there are tokens: what verifies signatures takes 20 MB.
            from portico_dataplane.policies.jwt import JwtPolicy

            try:
                return JwtPolicy(
                    spec, authorizer, scope.api.kind, scope.route, outside.keyring, outside.tokens
                )
            except BadPattern as why:
                return f"{authorizer.name}: {why}"
        case FunctionAuthorizer():
            cache = CacheId(scope.api.uid, scope.stage.name, spec.authorizer)
            answers = outside.answers.of(cache, authorizer)
            try:
                return FunctionAuthorizerPolicy(authorizer, scope.api.kind, scope.route, answers)
            except BadPattern as why:
                return f"{authorizer.name}: {why}"
        case ForwardAuthorizer():
            return ForwardAuthorizerPolicy(authorizer)
        case _:
            assert_never(authorizer)


def routes_differ(before: Stage, now: Stage) -> bool:
    """Whether what a stage says goes into each of its routes."""
    return (
        before.detailed_metrics != now.detailed_metrics
        or before.policy != now.policy
        or before.throttle != now.throttle
    )


def authorizes(route: Route) -> bool:
    """Whether the route depends on the authorizers of its unit."""
    return any(isinstance(policy, Authorize) for policy in route.policies)
