"""`$context.authorizer.*` in mappings and access logs (AWS §10.2, §10.4)."""

from __future__ import annotations

import pytest

from portico_dataplane.core.authorizer_context import of_authorizer
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.context import compile_format, value
from portico_dataplane.core.messages import Outcome, Request
from portico_ir.errors import ErrorKind
from sample_requests import make_request


def asked() -> Request:
    request = make_request()
    caller = request.caller = Caller()
    caller.authorizer = {
        "principalId": "user",
        "n": 1,
        "flag": False,
        "list": ["a", 2],
        "empty": None,
        "status": "gold",
        "claims": {"sub": "x", "custom:role": "admin", "https://x.example/a.b": "dots"},
        "a.b": "dotted",
    }
    return request


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("principalId", "user"),
        ("n", "1"),
        ("flag", "false"),
        ("list", '["a",2]'),
        ("empty", None),
        ("claims.sub", "x"),
        ("claims['custom:role']", "admin"),
        ("claims['https://x.example/a.b']", "dots"),
        ("claims.https://x.example/a.b", "dots"),
        ("claims['none']", None),
        ("n['m']", None),
        ("claims", None),
        ("claims.nothing", None),
        ("n.m", None),
        ("a.b", "dotted"),
        ("nothing", None),
    ],
)
def test_members(name: str, text: str | None) -> None:
    assert value(f"authorizer.{name}", asked()) == text


def test_nobody_was_asked() -> None:
    assert value("authorizer.principalId", make_request()) is None
    assert of_authorizer("identity.sourceIp") is None


def test_access_log() -> None:
    line = compile_format(
        "$context.authorizer.principalId $context.authorizer.claims.sub $context.authorizer.status "
        "$context.authorizer.latency $context.authorizer.integrationStatus "
        "$context.authorizer.error $context.authorizer.none"
    )
    request = asked()
    assert line(request, Outcome()) == "user x - - - - -"
    request.caller.authorizer_status = 200
    request.caller.authorizer_latency_ms = 12.7
    outcome = Outcome()
    outcome.error = ErrorKind.AUTHORIZER_FAILURE
    outcome.integration_error = "no answer in time"
    assert line(request, outcome) == "user x 200 12 200 no answer in time -"
    outcome.error = ErrorKind.INTEGRATION_FAILURE
    assert line(request, outcome) == "user x 200 12 200 - -"
