"""What a chain decides about a request, asked without asking anybody."""

from __future__ import annotations

import pytest

from portico_cli.chain import Decision, decide
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.keyring import KeySet
from portico_dataplane.core.messages import Request, Response
from portico_dataplane.core.verdicts import (
    CONTINUE,
    CallFunction,
    FetchKeys,
    Need,
    NeedBody,
    NeedKeys,
    Reject,
    Respond,
    Unavailable,
    Verdict,
)
from portico_ir.errors import ErrorKind
from portico_ir.model import ServiceTarget, Target, UrlTarget

REFUSAL = Reject(ErrorKind.UNAUTHORIZED, "no token was sent")


class Says:
    """A policy that always decides this."""

    def __init__(self, verdict: Verdict, principal: str = "", key: str = "") -> None:
        self._verdict = verdict
        self._principal = principal
        self._key = key

    def on_request(self, request: Request) -> Verdict:
        if self._principal:
            request.caller.principal = self._principal
        if self._key:
            request.caller.api_key_id, request.caller.plan = self._key, "gold"
        return self._verdict


class JwtPolicy(Says):
    """Named as the engine names its own."""


def nobody() -> Request:
    request = Request()
    request.caller = Caller()
    return request


def never(_: object) -> Verdict:
    raise AssertionError("nobody was asked")


def call(target: Target) -> Need:
    effect = CallFunction(target, "/2015-03-31/functions/f/invocations", (), b"{}", 1000)
    return Need(effect, never)


def test_everybody_allows() -> None:
    steps = (JwtPolicy(CONTINUE, "u1"), Says(CONTINUE, key="abc"), Says(CONTINUE))
    decided = decide(steps, nobody())
    assert decided.decisions == (
        Decision("token", "allowed", "the caller is u1"),
        Decision("Says", "allowed", "key abc, plan gold"),
        Decision("Says", "allowed", ""),
    )
    assert decided.refusal is None
    assert decided.depends == ""


def test_nobody_is_asked_after_a_refusal() -> None:
    decided = decide((JwtPolicy(REFUSAL), Says(CONTINUE)), nobody())
    assert decided.decisions == (Decision("token", "refused", "no token was sent"),)
    assert decided.refusal is REFUSAL


def test_a_policy_that_answers_itself() -> None:
    decided = decide((Says(Respond(Response(204, []))),), nobody())
    assert [one.verdict for one in decided.decisions] == ["refused"]


def keys(_: KeySet | Unavailable) -> Verdict:
    raise AssertionError("nobody was asked")


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        (NeedKeys(FetchKeys("https://i.example", "k1"), keys), "https://i.example"),
        (call(UrlTarget(url="http://a.example")), "http://a.example"),
        (call(ServiceTarget(upstream="d/auth:80", host="auth")), "d/auth:80"),
        (NeedBody(never), "the whole body"),
    ],
)
def test_what_would_be_asked_is_said(verdict: Verdict, says: str) -> None:
    decided = decide((Says(verdict), Says(REFUSAL)), nobody())
    (one,) = decided.decisions
    assert one.verdict == "open"
    assert says in one.says
    assert says in decided.depends
    assert decided.refusal is None
