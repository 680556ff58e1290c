"""What a chain decides about a request, with and without somebody to ask."""

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
    FunctionAnswer,
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


async def test_everybody_allows() -> None:
    steps = (JwtPolicy(CONTINUE, "u1"), Says(CONTINUE, key="abc"), Says(CONTINUE))
    decided = await decide(steps, nobody())
    assert decided.decisions == (
        Decision("token", "allowed", "the caller is u1"),
        Decision("Says", "allowed", "key abc, plan gold"),
        Decision("Says", "allowed", ""),
    )
    assert decided.refusal is None
    assert decided.depends == ""


async def test_nobody_is_asked_after_a_refusal() -> None:
    decided = await decide((JwtPolicy(REFUSAL), Says(CONTINUE)), nobody())
    assert decided.decisions == (Decision("token", "refused", "no token was sent"),)
    assert decided.refusal is REFUSAL


async def test_a_policy_that_answers_itself() -> None:
    decided = await decide((Says(Respond(Response(204, []))),), nobody())
    assert [one.verdict for one in decided.decisions] == ["refused"]


def keys(_: KeySet | Unavailable) -> Verdict:
    raise AssertionError("nobody was asked")


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        (NeedKeys(FetchKeys("https://i.example", "k1"), keys), "https://i.example"),
        (call(UrlTarget(url="http://a.example")), "http://a.example"),
        (call(ServiceTarget(upstream="d/auth:80", host="auth")), "d/auth:80"),
    ],
)
async def test_what_would_be_asked_is_said(verdict: Verdict, says: str) -> None:
    decided = await decide((Says(verdict), Says(REFUSAL)), nobody())
    (one,) = decided.decisions
    assert one.verdict == "open"
    assert says in one.says
    assert says in decided.depends
    assert decided.refusal is None


class World:
    """Answers every question with these."""

    def __init__(self, answer: FunctionAnswer | Unavailable, keys: KeySet | Unavailable) -> None:
        self._answer = answer
        self._keys = keys

    async def call(self, request: Request, effect: CallFunction) -> FunctionAnswer | Unavailable:
        return self._answer

    async def keys(self, effect: FetchKeys) -> KeySet | Unavailable:
        return self._keys


async def test_answers_decide_where_asking_is_allowed() -> None:
    down = Unavailable(ErrorKind.AUTHORIZER_FAILURE, "it is down")
    world = World(FunctionAnswer(200, "", b"yes"), down)

    def called(answer: FunctionAnswer | Unavailable) -> Verdict:
        assert answer == FunctionAnswer(200, "", b"yes")
        return CONTINUE

    def known(found: KeySet | Unavailable) -> Verdict:
        assert isinstance(found, Unavailable)
        return Reject(found.kind, found.cause)

    first = call(UrlTarget(url="http://a.example"))._replace(then=called)
    second = NeedKeys(FetchKeys("https://i.example", "k1"), known)
    decided = await decide((Says(first), Says(second)), nobody(), outside=world)
    assert decided.decisions == (
        Decision("Says", "allowed", "asked http://a.example"),
        Decision("Says", "refused", "it is down; asked https://i.example for its key 'k1'"),
    )
    assert decided.refusal == Reject(ErrorKind.AUTHORIZER_FAILURE, "it is down")


async def test_who_needs_the_body_gets_it() -> None:
    def signed(body: bytes) -> Verdict:
        assert body == b"abc"
        return CONTINUE

    decided = await decide((Says(NeedBody(signed)),), nobody(), b"abc")
    assert decided.decisions == (Decision("Says", "allowed", ""),)
