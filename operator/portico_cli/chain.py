"""What the policies of a route decide about one request.

Called by `inquiry` for the route that takes the request. Promises: the engine's own policies
decide, in their order, until one refuses or has to ask the world outside and may not; what it
asked, or would ask, is said. Counters are those of a gateway that has just begun.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, assert_never

from portico_dataplane.core.keyring import KeySet
from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import (
    CallFunction,
    Continue,
    FetchKeys,
    FunctionAnswer,
    Need,
    NeedBody,
    NeedKeys,
    NeedTokens,
    Reject,
    RequestPolicy,
    Respond,
    Unavailable,
    Verdict,
)
from portico_ir.model import ServiceTarget

_STEPS = {
    "ForwardAuthorizerPolicy": "authorizer",
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


class Outside(Protocol):
    """The world that policies ask; `asking.Outside` is the real one."""

    async def call(self, request: Request, effect: CallFunction) -> FunctionAnswer | Unavailable:
        """What a function or service answers."""
        ...

    async def keys(self, effect: FetchKeys) -> KeySet | Unavailable:
        """Keys of an issuer."""
        ...


async def decide(
    policies: tuple[RequestPolicy, ...],
    request: Request,
    body: bytes = b"",
    outside: Outside | None = None,
) -> Decided:
    """Ask the chain; `request.caller` must be the request's own. Without `outside` nobody else
    is asked."""
    found: list[Decision] = []
    for policy in policies:
        step = _STEPS.get(type(policy).__name__, type(policy).__name__)
        before = request.caller.principal, request.caller.api_key_id
        verdict, asked = await _answered(policy.on_request(request), request, body, outside)
        match verdict:
            case Continue():
                found.append(Decision(step, "allowed", _said(_who(request, before), asked)))
            case Reject():
                found.append(Decision(step, "refused", _said(verdict.cause, asked)))
                return Decided(tuple(found), verdict)
            case Respond(response):
                says = f"it answers {response.status} itself"
                found.append(Decision(step, "refused", _said(says, asked)))
                return Decided(tuple(found))
            case Need() | NeedKeys():
                depends = f"asks {_whom(verdict)}"
                found.append(Decision(step, "open", depends))
                return Decided(tuple(found), None, depends)
            case _:
                assert_never(verdict)
    return Decided(tuple(found))


async def _answered(
    verdict: Verdict, request: Request, body: bytes, outside: Outside | None
) -> tuple[Continue | Respond | Reject | Need | NeedKeys, tuple[str, ...]]:
    """What a policy decides once it has all that it can be given, and who was asked for it."""
    asked: list[str] = []
    while True:
        match verdict:
            case NeedTokens(then=then):
                verdict = then(True)
            case NeedBody(then=then):
                verdict = then(body)
            case Need(effect=effect, then=then) if outside is not None:
                asked.append(_whom(verdict))
                verdict = then(await outside.call(request, effect))
            case NeedKeys(effect=fetch, then=decide_with) if outside is not None:
                asked.append(_whom(verdict))
                verdict = decide_with(await outside.keys(fetch))
            case _:
                return verdict, tuple(asked)


def _said(says: str, asked: tuple[str, ...]) -> str:
    return "; ".join(filter(None, (says, *(f"asked {each}" for each in asked))))


def _who(request: Request, before: tuple[str, str]) -> str:
    """What the step found out about the caller."""
    caller = request.caller
    if caller.principal and caller.principal != before[0]:
        return f"the caller is {caller.principal}"
    if caller.api_key_id and caller.api_key_id != before[1]:
        return f"key {caller.api_key_id}, plan {caller.plan}"
    return ""


def _whom(verdict: Need | NeedKeys) -> str:
    match verdict:
        case Need(effect=effect):
            target = effect.target
            return target.upstream if isinstance(target, ServiceTarget) else target.url
        case NeedKeys(effect=fetch):
            return f"{fetch.issuer} for its key {fetch.key_id!r}"
        case _:
            assert_never(verdict)
