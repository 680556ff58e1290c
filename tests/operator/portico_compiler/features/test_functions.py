"""Functions by name, by ARN and in place (design.md §3)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import scopes
from portico_compiler.features import functions
from portico_compiler.manifests.routes import Integration
from portico_compiler.manifests.shapes import FunctionEndpoint, ServiceRef
from portico_compiler.problems import Reason
from portico_ir.model import ApiKind, Broken, LambdaProxy, ServiceTarget, UrlTarget

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
INVOKE = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
KNOWN = {
    "resize": FunctionEndpoint(url="http://fn.example/${stageVariables.v}"),
    "thumb": FunctionEndpoint(service=ServiceRef(name="thumb", port=80)),
    "thumb:live": FunctionEndpoint(url="http://live.example"),
    "nowhere": FunctionEndpoint(),
}
SERVICE = "{apiVersion: v1, kind: Service, metadata: {name: thumb}, spec: {ports: [{port: 80}]}}"


def built(given: dict[str, Any], kind: ApiKind = ApiKind.REST) -> tuple[Any, list[Reason]]:
    scope = scopes.scope(SERVICE, kind=kind, variables={"v": "v1", "fn": "resize"}, functions=KNOWN)
    integration = msgspec.convert({"type": "AWS_PROXY", **given}, Integration)
    found = functions.lambda_proxy(integration, 29_000, 10, scope)
    return found, [p.reason for p in scope.problems]


@pytest.mark.parametrize(
    ("text", "name", "url"),
    [
        ("resize", "resize", "http://fn.example/v1"),
        ("${stageVariables.fn}", "resize", "http://fn.example/v1"),
        (f"{ARN}resize", "resize", "http://fn.example/v1"),
        (f"{ARN}resize:prod", "resize:prod", "http://fn.example/v1"),
        (f"{ARN}${{stageVariables.fn}}", "resize", "http://fn.example/v1"),
        (f"{INVOKE}{ARN}resize/invocations", "resize", "http://fn.example/v1"),
        ("thumb:live", "thumb:live", "http://live.example"),
    ],
)
def test_names_and_arns(text: str, name: str, url: str) -> None:
    found, problems = built({"function": text})
    assert problems == []
    assert found == LambdaProxy(
        target=UrlTarget(url=url), function=name, timeout_ms=29_000, max_request_body=10
    )


def test_services_get_nothing_of_the_client_s_path() -> None:
    found, _ = built({"function": "thumb"})
    assert isinstance(found.target, ServiceTarget)
    assert (found.target.path, found.target.append_path) == ("", False)


def test_in_place() -> None:
    inline = {"name": "x-${stageVariables.v}", "url": "http://x.example"}
    found, problems = built({"function": inline})
    assert problems == []
    assert (found.function, found.target) == ("x-v1", UrlTarget(url="http://x.example"))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"function": "gone"}, Reason.FUNCTION_UNRESOLVED),
        ({"function": f"{ARN}gone"}, Reason.FUNCTION_UNRESOLVED),
        ({"function": "${stageVariables.unset}"}, Reason.UNRESOLVED_VARIABLE),
        ({"function": "{id}"}, Reason.UNRESOLVED_VARIABLE),
        ({"function": "nowhere"}, Reason.MISSING_FIELD),
        ({"function": {"name": "a/b", "url": "http://x"}}, Reason.INVALID_VALUE),
        ({"function": {"name": "a?b", "url": "http://x"}}, Reason.INVALID_VALUE),
        ({"function": {"name": "a", "url": "nonsense"}}, Reason.INVALID_ADDRESS),
        (
            {"function": {"name": "a", "service": {"name": "gone", "port": 1}}},
            Reason.SERVICE_NOT_FOUND,
        ),
        ({}, Reason.MISSING_FIELD),
    ],
)
def test_what_cannot_be_invoked(given: dict[str, Any], reason: Reason) -> None:
    found, problems = built(given)
    assert isinstance(found, Broken)
    assert problems == [reason]


def test_payload_formats() -> None:
    rest, _ = built({"function": "resize", "payloadFormatVersion": "2.0"})
    http, _ = built({"function": "resize"}, ApiKind.HTTP)
    old, _ = built({"function": "resize", "payloadFormatVersion": "1.0"}, ApiKind.HTTP)
    assert [f.payload_format for f in (rest, http, old)] == ["1.0", "2.0", "1.0"]


@pytest.mark.parametrize("method", ["GET", "ANY", "PUT"])
def test_a_rest_function_is_invoked_with_post(method: str) -> None:
    """AWS §3.4: another integration method returns 500 at run time."""
    found, problems = built({"function": "resize", "httpMethod": method})
    assert isinstance(found, Broken)
    assert problems == [Reason.INVALID_COMBINATION]
    assert built({"function": "resize", "httpMethod": "POST"})[1] == []
    assert built({"function": "resize", "httpMethod": method}, ApiKind.HTTP)[1] == []
