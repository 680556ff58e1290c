"""Who calls: nothing is known until a policy has found it out."""

from __future__ import annotations

from portico_dataplane.core.caller import NOBODY, Caller
from portico_dataplane.core.messages import Request


def test_nothing_is_known_by_default() -> None:
    caller = Caller()
    known = {
        name: getattr(caller, name)
        for name in Caller.__annotations__
        if getattr(caller, name) not in ("", None, 0, -1.0)
    }
    assert known == {}


def test_requests_without_a_chain_share_nobody() -> None:
    assert Request().caller is Request().caller is NOBODY


def test_what_is_learnt_of_one_is_not_known_of_another() -> None:
    one, two = Request(), Request()
    one.caller = Caller()
    one.caller.principal = "somebody"
    assert two.caller.principal == ""
