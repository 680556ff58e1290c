"""Policy spec to what a route does about it; exhaustive.

Called by `build.py` for each route. Promises: the chain stands in the order of `phases.py`,
whatever the order in the unit; a policy that cannot be prepared fails its route closed. One that
this build does not know never gets here: the contract refuses the unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, assert_never

from portico_dataplane.core import phases
from portico_dataplane.core.credentials import Directory
from portico_dataplane.core.keyring import Keyring
from portico_dataplane.core.tokens import TokenCache
from portico_dataplane.core.verdicts import RequestPolicy
from portico_dataplane.policies.require_key import RequireKeyPolicy
from portico_dataplane.policies.signature import SignaturePolicy
from portico_ir.access import Authorizer, FunctionAuthorizer, JwtAuthorizer
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


class Outside(NamedTuple):
    """What policies use that outlives a Runtime; a gateway has one of each."""

    directory: Directory
    """Keys and plans."""
    keyring: Keyring
    """Keys of token issuers."""
    tokens: TokenCache
    """Tokens that were verified."""


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
    for spec in sorted(scope.route.policies, key=lambda spec: phases.position(kind, spec)):
        made = _made(spec, scope, outside)
        if isinstance(made, str):
            reasons.append(made)
        else:
            chain.append(made)
    return Prepared(tuple(chain), "; ".join(reasons))


def _made(spec: PolicySpec, scope: Scope, outside: Outside) -> RequestPolicy | str:
    """The policy, or why there is none."""
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
            return SignaturePolicy(kind, outside.directory)
        case Authorize():
            return _authorizer(spec, scope, outside)
        case Throttle():
            return f"{type(spec).__name__} is not built"
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
            return "FunctionAuthorizer is not built"
        case _:
            assert_never(authorizer)
