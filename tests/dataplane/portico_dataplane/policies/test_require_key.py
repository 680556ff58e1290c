"""AWS §7.3, §6.5: which requests carry a key that opens the stage."""

from __future__ import annotations

import hashlib
from typing import Literal

import pytest

from portico_dataplane.core.caller import Caller
from portico_dataplane.core.credentials import Credentials, Directory
from portico_dataplane.core.messages import Headers, Request
from portico_dataplane.core.verdicts import CONTINUE, Continue, Reject
from portico_dataplane.policies.require_key import RequireKeyPolicy
from portico_ir.access import ApiKey, Plan, PlanStage
from portico_ir.errors import ErrorKind
from portico_ir.policies import RequireKey

VALUE = "needatleast20characters"
KEY = ApiKey(id="abc", plans=("gold",), customer="cust")
GOLD = Plan(id="gold", name="d/gold", stages=(PlanStage(api="uid", stage="prod"),))


def directory(key: ApiKey | None = KEY, *plans: Plan) -> Directory:
    found = Directory()
    keys = {hashlib.sha256(VALUE.encode()).digest(): key} if key is not None else {}
    found.credentials = Credentials(keys, plans or (GOLD,))
    return found


def ask(
    known: Directory,
    headers: Headers,
    *,
    source: Literal["HEADER", "AUTHORIZER"] = "HEADER",
    usage_key: str = "",
    stage: str = "prod",
) -> tuple[Continue | Reject, Caller]:
    request = Request()
    request.headers = headers
    request.caller = Caller()
    request.caller.usage_key = usage_key
    policy = RequireKeyPolicy(RequireKey(source=source), "uid", stage, known)
    return policy.on_request(request), request.caller


def sent(value: bytes = VALUE.encode(), name: bytes = b"x-api-key") -> Headers:
    return [(b"Host", b"h"), (name, value)]


@pytest.mark.parametrize("name", [b"x-api-key", b"X-API-Key"])
def test_a_key_of_a_plan_opens_its_stage(name: bytes) -> None:
    verdict, caller = ask(directory(), sent(name=name))
    assert verdict is CONTINUE
    assert (caller.api_key, caller.api_key_id) == (VALUE, "abc")
    assert (caller.plan, caller.customer) == ("gold", "cust")


@pytest.mark.parametrize(
    "headers",
    [[], sent(b""), sent(b"x" * 20), sent(VALUE.upper().encode()), sent(b"\xff" * 20)],
    ids=["none", "empty", "unknown", "other case", "not a text"],
)
def test_any_other_is_refused_alike(headers: Headers) -> None:
    verdict, caller = ask(directory(), headers)
    assert isinstance(verdict, Reject)
    assert verdict.kind is ErrorKind.INVALID_API_KEY
    assert verdict.message is None
    assert not caller.plan


def test_a_key_without_a_plan_for_the_stage_is_refused() -> None:
    for known, stage in (
        (directory(), "beta"),
        (directory(ApiKey(id="k")), "prod"),
        (directory(ApiKey(id="k", plans=("gone",))), "prod"),
    ):
        verdict, _ = ask(known, sent(), stage=stage)
        assert isinstance(verdict, Reject)
        assert verdict.kind is ErrorKind.INVALID_API_KEY


def test_a_disabled_key_is_not_known() -> None:
    """The compiler leaves it out (AWS §7.1)."""
    verdict, _ = ask(directory(None), sent())
    assert isinstance(verdict, Reject)


def test_where_the_authorizer_says_it_the_header_means_nothing() -> None:
    """AWS §6.5."""
    verdict, _ = ask(directory(), sent(), source="AUTHORIZER")
    assert isinstance(verdict, Reject)
    verdict, caller = ask(directory(), [], source="AUTHORIZER", usage_key=VALUE)
    assert verdict is CONTINUE
    assert caller.plan == "gold"


def test_what_is_disabled_is_refused_with_the_next_request() -> None:
    known = directory()
    assert ask(known, sent())[0] is CONTINUE
    known.credentials = Credentials({}, [GOLD])
    assert isinstance(ask(known, sent())[0], Reject)
