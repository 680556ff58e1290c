"""Resource policies refuse, or say what they think (AWS §3.21, §2.3)."""

from __future__ import annotations

from typing import Any

import pytest

from portico_dataplane.core.caller import Caller
from portico_dataplane.core.judgement import Policy
from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import CONTINUE, Reject
from portico_dataplane.policies.resource_policy import ResourcePolicy
from portico_ir.errors import ErrorKind
from portico_ir.policydocument import parse
from sample_requests import make_request

API = "arn:aws:execute-api:us-east-1:000000000000:abcdef1234"


def policy(*statements: dict[str, Any], alone: bool) -> ResourcePolicy:
    made = [{"Principal": "*", "Action": "execute-api:Invoke", **one} for one in statements]
    parsed = parse({"Version": "2012-10-17", "Statement": made}, "resource")
    assert parsed.document is not None, parsed.flaws
    return ResourcePolicy(Policy(parsed.document), alone=alone)


def request() -> Request:
    made = make_request(target="/test/pets/7", stage="test")
    made.caller = Caller()
    return made


ALLOW = {"Effect": "Allow", "Resource": f"{API}/*"}
DENY = {"Effect": "Deny", "Resource": f"{API}/*/GET/pets/*"}
ELSEWHERE = {"Effect": "Allow", "Resource": f"{API}/*/POST/*"}


@pytest.mark.parametrize(
    ("statements", "alone", "said"),
    [
        ([ALLOW], True, "allow"),
        ([ALLOW], False, "allow"),
        ([ELSEWHERE], False, ""),
    ],
)
def test_let_through(statements: list[dict[str, Any]], alone: bool, said: str) -> None:
    made = request()
    assert policy(*statements, alone=alone).on_request(made) is CONTINUE
    assert made.caller.resource_policy == said


@pytest.mark.parametrize(
    ("statements", "alone", "how"),
    [
        ([ALLOW, DENY], True, " with an explicit deny"),
        ([ALLOW, DENY], False, " with an explicit deny"),
        ([ELSEWHERE], True, ""),
    ],
)
def test_refused(statements: list[dict[str, Any]], alone: bool, how: str) -> None:
    verdict = policy(*statements, alone=alone).on_request(request())
    assert isinstance(verdict, Reject)
    assert verdict.kind is ErrorKind.ACCESS_DENIED
    assert verdict.message == (
        "User: anonymous is not authorized to perform: execute-api:Invoke on resource: "
        f"arn:aws:execute-api:us-east-1:********0000:abcdef1234/test/GET/pets/7{how}"
    )


def test_conditions_look_at_the_request() -> None:
    here = {"Condition": {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}
    made = policy(ALLOW, {"Effect": "Deny", "Resource": "*"} | here, alone=True)
    assert made.on_request(request()) is CONTINUE
    stranger = request()
    stranger.source_ip = "192.0.2.1"
    assert isinstance(made.on_request(stranger), Reject)
