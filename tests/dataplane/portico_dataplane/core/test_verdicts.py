"""The vocabulary between decisions and the world: values, comparable, closed."""

from __future__ import annotations

from typing import get_args

from portico_dataplane.core.messages import Response
from portico_dataplane.core.verdicts import (
    CONTINUE,
    CallFunction,
    Continue,
    FunctionAnswer,
    Need,
    NeedBody,
    NeedKeys,
    NeedTokens,
    Reject,
    Respond,
    Unavailable,
    Verdict,
)
from portico_ir.errors import ErrorKind
from portico_ir.model import UrlTarget


def test_the_union_is_closed() -> None:
    assert set(get_args(Verdict)) == {
        Continue,
        Respond,
        Reject,
        Need,
        NeedBody,
        NeedKeys,
        NeedTokens,
    }


def test_a_need_goes_on_with_the_answer() -> None:
    target = UrlTarget(url="http://functions.example")
    effect = CallFunction(target, "/2015-03-31/functions/f/invocations", (), b"{}", 1000)

    def then(answer: FunctionAnswer | Unavailable) -> Verdict:
        return Reject(answer.kind) if isinstance(answer, Unavailable) else CONTINUE

    need = Need(effect, then)
    down = Unavailable(ErrorKind.INTEGRATION_TIMEOUT, "slow")
    assert need.then(down) == Reject(ErrorKind.INTEGRATION_TIMEOUT)
    assert need.then(FunctionAnswer(200, "", b"{}")) is CONTINUE


def test_verdicts_compare_by_value() -> None:
    response = Response(200, [])
    assert Respond(response) == Respond(response)
    assert Reject(ErrorKind.INTERNAL, "x") != Reject(ErrorKind.INTERNAL)
    assert repr(CONTINUE) == "Continue"
