"""What the policies of a route decide about one request, without asking anybody.

Called by `inquiry` for the route that takes the request. Promises: the engine's own policies
decide, in their order, until one refuses or would have to ask the world outside; what it would
ask is said, and nothing is sent. Counters are those of a gateway that has just begun.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import (
    Continue,
    Need,
    NeedBody,
    NeedKeys,
    NeedTokens,
    Reject,
    RequestPolicy,
    Respond,
    Verdict,
)
from portico_ir.model import ServiceTarget

_STEPS = {
    "FunctionAuthorizerPolicy": "authorizer",
    "JwtPolicy": "token",
    "RequireKeyPolicy": "API key",
    "ResourcePolicy": "resource policy",
    "SignaturePolicy": "signature",
    "ThrottlePolicy": "throttle",
}
"""What people call them."""


class Decision(NamedTuple):
    """One step of the chain."""

    step: str
    """What decided."""
    verdict: str
    """`allowed`, `refused` or `open`."""
    says: str
    """Who calls, why not, or what would be asked."""


class Decided(NamedTuple):
    """The chain as far as it can be followed."""

    decisions: tuple[Decision, ...]
    """In their order."""
    refusal: Reject | None = None
    """Ends the request."""
    depends: str = ""
    """What the rest depends on; empty: on nothing."""


def decide(policies: tuple[RequestPolicy, ...], request: Request) -> Decided:
    """Ask the chain; `request.caller` must be the request's own."""
    found: list[Decision] = []
    for policy in policies:
        step = _STEPS.get(type(policy).__name__, type(policy).__name__)
        before = request.caller.principal, request.caller.api_key_id
        verdict: Verdict = policy.on_request(request)
        while isinstance(verdict, NeedTokens):
            verdict = verdict.then(True)
        match verdict:
            case Continue():
                found.append(Decision(step, "allowed", _who(request, before)))
            case Reject():
                found.append(Decision(step, "refused", verdict.cause))
                return Decided(tuple(found), verdict)
            case Respond(response):
                found.append(Decision(step, "refused", f"it answers {response.status} itself"))
                return Decided(tuple(found))
            case Need() | NeedKeys() | NeedBody():
                depends = _asked(verdict)
                found.append(Decision(step, "open", depends))
                return Decided(tuple(found), None, depends)
            case _:
                assert_never(verdict)
    return Decided(tuple(found))


def _who(request: Request, before: tuple[str, str]) -> str:
    """What the step found out about the caller."""
    caller = request.caller
    if caller.principal and caller.principal != before[0]:
        return f"the caller is {caller.principal}"
    if caller.api_key_id and caller.api_key_id != before[1]:
        return f"key {caller.api_key_id}, plan {caller.plan}"
    return ""


def _asked(verdict: Need | NeedKeys | NeedBody) -> str:
    match verdict:
        case Need(effect=effect):
            target = effect.target
            where = target.upstream if isinstance(target, ServiceTarget) else target.url
            return f"asks {where}"
        case NeedKeys(effect=effect):
            return f"asks {effect.issuer} for its key {effect.key_id!r}"
        case NeedBody():
            return "reads the whole body"
        case _:
            assert_never(verdict)
