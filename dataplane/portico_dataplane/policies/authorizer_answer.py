"""What a function authorizer returned, read once and then held against each request.

Called by `policies/function_authorizer.py`, which remembers it (AWS §6.1: what is kept is the
policy, not the decision). Promises: never raises, whatever an authorizer returns; what is not
exactly an answer is a fault with its cause for the log, and lets nobody through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from portico_dataplane.core.facts import facts_of
from portico_dataplane.core.judgement import Judgement, Policy
from portico_dataplane.core.messages import Request
from portico_ir.model import ApiKind, GatewayUnit
from portico_ir.policydocument import LONGEST_RESOURCE, parse

EventForm = Literal["rest", "1.0", "2.0"]
"""How the event of the route's own function shows the caller (AWS §3.27, §4.4, §4.5)."""

LONGEST: Final = 131_072
"""Bytes of an answer: what is more would hold up everybody else while it is judged."""
_MOST_REMEMBERED: Final = 256


class Fault(NamedTuple):
    """Why something is no answer."""

    cause: str
    """For the log."""


class Answer:
    """What an authorizer says about a caller."""

    __slots__ = (
        "_gateway",
        "_policy",
        "context",
        "events",
        "judged",
        "members",
        "principal",
        "usage_key",
    )

    def __init__(
        self,
        policy: Policy | Judgement,
        principal: str,
        context: Mapping[str, Any],
        usage_key: str,
    ) -> None:
        self._policy = policy
        self.judged: dict[tuple[str, str], Judgement] = {}
        """Judgements that depend on method and path alone."""
        self._gateway: GatewayUnit | None = None
        """Whose account and region they were made with."""
        self.events: dict[EventForm, Mapping[str, Any]] = {}
        """`requestContext.authorizer` where nobody was asked."""
        self.principal = principal
        """`principalId`; empty for a simple answer."""
        self.context = context
        """`context`, as the API's kind has it."""
        self.members: Mapping[str, Any] = (
            {**context, "principalId": principal} if principal else context
        )
        """`$context.authorizer.*`."""
        self.usage_key = usage_key
        """`usageIdentifierKey`."""

    def knows(self, request: Request) -> Judgement | None:
        """What `judge` said about such a request before; None: nothing that still holds."""
        if request.gateway is not self._gateway:
            return None
        return self.judged.get((request.method, request.path))

    def judge(self, arn: str, request: Request) -> Judgement:
        """Whether the caller may call what `arn` names."""
        policy = self._policy
        judgement: Judgement
        if isinstance(policy, str):
            judgement = policy
        else:
            judgement = policy.judge(arn, facts_of(request))
            if not policy.unconditional:
                return judgement
        if request.gateway is not self._gateway or len(self.judged) >= _MOST_REMEMBERED:
            self.judged.clear()
            self._gateway = request.gateway
        self.judged[request.method, request.path] = judgement
        return judgement

    def event(self, form: EventForm, latency_ms: int) -> Mapping[str, Any]:
        """`requestContext.authorizer`; `latency_ms` is 0 where nobody was asked."""
        if latency_ms and form != "2.0":
            return {**self.members, "integrationLatency": latency_ms}
        found = self.events.get(form)
        if found is None:
            flat = {**self.members, "integrationLatency": 0}
            found = self.events[form] = {"lambda": self.context} if form == "2.0" else flat
        return found


def read(raw: bytes, kind: ApiKind, *, simple: bool) -> Answer | Fault:
    """The answer that these bytes are; `simple`: `{"isAuthorized": …}` (AWS §4.10)."""
    if len(raw) > LONGEST:
        return Fault(f"the answer has {len(raw)} bytes, more than {LONGEST}")
    try:
        answer = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as why:
        return Fault(f"the answer is not JSON: {why}")
    if not isinstance(answer, dict):
        return Fault("the answer is not an object")
    context = _context(answer.get("context"), kind)
    if isinstance(context, Fault):
        return context
    if simple:
        allowed = answer.get("isAuthorized")
        if not isinstance(allowed, bool):
            return Fault("isAuthorized is not true or false")
        return Answer("allow" if allowed else "", "", context, "")
    return _with_policy(answer, context)


def _with_policy(answer: dict[str, Any], context: Mapping[str, Any]) -> Answer | Fault:
    principal = answer.get("principalId")
    if isinstance(principal, bool) or not (principal := _text(principal)):
        return Fault("principalId is missing or empty")
    usage_key = answer.get("usageIdentifierKey")
    if usage_key is not None and not isinstance(usage_key, str):
        return Fault("usageIdentifierKey is not a text")
    document = answer.get("policyDocument")
    if not isinstance(document, dict):
        return Fault("policyDocument is missing, or not an object")
    parsed = parse(document, "identity", LONGEST_RESOURCE)
    if parsed.document is None:
        flaw = parsed.flaws[0]
        place = ".".join(str(step) for step in ("policyDocument", *flaw.steps))
        return Fault(f"{place} {flaw.message}")
    return Answer(Policy(parsed.document), principal, context, usage_key or "")


def _context(given: object, kind: ApiKind) -> Mapping[str, Any] | Fault:
    """AWS §6.1: texts, numbers and booleans, shown as texts; §4.10: anything, as it is."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        return Fault("context is not an object")
    if kind is ApiKind.HTTP:
        return given
    shown: dict[str, str] = {}
    for name, value in given.items():
        if value is None:
            continue
        text = _text(value)
        if text is None:
            return Fault(f"context.{name} is neither text, number nor boolean")
        shown[name] = text
    return shown


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None
