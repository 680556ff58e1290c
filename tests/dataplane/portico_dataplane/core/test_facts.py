"""Condition keys and where their values come from (AWS §3.21)."""

from __future__ import annotations

from portico_dataplane.core.caller import Caller
from portico_dataplane.core.facts import facts_of
from sample_requests import make_request


def test_of_any_request() -> None:
    request = make_request(
        headers=[(b"User-Agent", b"curl/8"), (b"Referer", b"https://a.example/")]
    )
    facts = facts_of(request)
    assert facts("aws:sourceip") == ("203.0.113.9",)
    assert facts("aws:useragent") == ("curl/8",)
    assert facts("aws:referer") == ("https://a.example/",)
    assert facts("aws:securetransport") == ("true",)
    assert facts("aws:currenttime") == ("2015-04-09T12:34:56Z",)
    assert facts("aws:epochtime") == ("1428582896",)


def test_what_is_absent() -> None:
    facts = facts_of(make_request())
    for key in ("aws:useragent", "aws:referer", "aws:sourcevpce", "aws:username", "x:y"):
        assert facts(key) == ()


def test_of_a_caller_who_signed() -> None:
    request = make_request()
    request.caller = Caller()
    request.caller.user_arn = "arn:aws:iam::000000000000:user/ann"
    request.caller.user_id = "AIDAX"
    facts = facts_of(request)
    assert facts("aws:principalarn") == ("arn:aws:iam::000000000000:user/ann",)
    assert facts("aws:principalaccount") == ("000000000000",)
    assert facts("aws:principaltype") == ("User",)
    assert facts("aws:userid") == ("AIDAX",)
    assert facts("aws:username") == ("ann",)
