"""What authorizers are asked with, member by member (AWS §6.1, §4.10)."""

from __future__ import annotations

from typing import Any

from portico_dataplane.core.messages import Request
from portico_dataplane.integrations.authorizer_event import build
from portico_ir.access import FunctionAuthorizer
from portico_ir.model import ApiKind
from portico_ir.targets import UrlTarget
from sample_requests import REQUEST_ID, SHORT_ID, TRACE, make_request

TARGET = UrlTarget(url="http://127.0.0.1:9000")
ARN = "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/test/GET/pets/a%20b"


def authorizer(**fields: Any) -> FunctionAuthorizer:
    made: dict[str, Any] = {"name": "default/auth", "kind": "REQUEST", "target": TARGET, **fields}
    return FunctionAuthorizer(**made)


def rest_request(**fields: Any) -> Request:
    return make_request(
        ApiKind.REST,
        **{
            "target": "/test/pets/a%20b?q=1&q=2&e=%20",
            "stage": "test",
            "headers": [(b"HeaderAuth1", b"one"), (b"User-Agent", b"curl/8")],
            "path_parameters": {"petId": "a%20b"},
            "variables": {"StageVar1": "stageValue1"},
        }
        | fields,
    )


def test_token() -> None:
    event = build(authorizer(kind="TOKEN"), rest_request(), ARN, ("allow",))
    assert event == {"type": "TOKEN", "methodArn": ARN, "authorizationToken": "allow"}


def test_request_of_a_rest_api() -> None:
    event = build(authorizer(), rest_request(), ARN, ("one",))
    context = event.pop("requestContext")
    headers = {
        "Host": "api.example.test",
        "HeaderAuth1": "one",
        "User-Agent": "curl/8",
        "X-Amzn-Trace-Id": TRACE,
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    assert event == {
        "type": "REQUEST",
        "methodArn": ARN,
        "resource": "/pets/{petId}",
        "path": "/pets/a%20b",
        "httpMethod": "GET",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {"q": "2", "e": " "},
        "multiValueQueryStringParameters": {"q": ["1", "2"], "e": [" "]},
        "pathParameters": {"petId": "a%20b"},
        "stageVariables": {"StageVar1": "stageValue1"},
    }
    assert context["resourcePath"] == "/pets/{petId}"
    assert context["path"] == "/test/pets/a%20b"
    assert context["stage"] == "test"
    assert context["requestId"] == REQUEST_ID
    assert context["accountId"] == "000000000000"
    assert context["apiId"] == "abcdef1234"
    assert context["resourceId"] == "r12345"
    assert context["httpMethod"] == "GET"
    assert context["identity"]["sourceIp"] == "203.0.113.9"
    assert "authorizer" not in context


def test_nothing_is_an_empty_object() -> None:
    request = rest_request(target="/test/pets", variables={}, path_parameters={})
    event = build(authorizer(), request, ARN, None)
    for name in (
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
    ):
        assert event[name] == {}


def http_request(**fields: Any) -> Request:
    return make_request(
        ApiKind.HTTP,
        **{
            "target": "/pets/a%20b?u=1&p=a&p=b",
            "headers": [(b"Authorization", b"secret"), (b"Cookie", b"c1=v1; c2=v2")],
            "path_parameters": {"petId": "a%20b"},
        }
        | fields,
    )


def test_format_2_0() -> None:
    event = build(authorizer(payload_format="2.0"), http_request(), ARN, ("secret", "1"))
    assert list(event)[:4] == ["version", "type", "routeArn", "identitySource"]
    assert event["version"] == "2.0"
    assert event["type"] == "REQUEST"
    assert event["routeArn"] == ARN
    assert event["identitySource"] == ["secret", "1"]
    assert event["routeKey"] == "GET /pets/{petId}"
    assert event["rawQueryString"] == "u=1&p=a&p=b"
    assert event["cookies"] == ["c1=v1", "c2=v2"]
    assert event["headers"]["authorization"] == "secret"
    assert event["queryStringParameters"] == {"u": "1", "p": "a,b"}
    assert event["pathParameters"] == {"petId": "a b"}
    assert event["requestContext"]["http"]["sourceIp"] == "203.0.113.9"
    assert event["requestContext"]["requestId"] == SHORT_ID
    assert "body" not in event
    assert "isBase64Encoded" not in event
    assert (
        build(authorizer(payload_format="2.0"), http_request(), ARN, None)["identitySource"] is None
    )


def test_format_1_0() -> None:
    event = build(authorizer(payload_format="1.0"), http_request(), ARN, ("secret", "1"))
    assert list(event)[:5] == [
        "version",
        "type",
        "methodArn",
        "identitySource",
        "authorizationToken",
    ]
    assert event["version"] == "1.0"
    assert event["methodArn"] == ARN
    assert event["identitySource"] == event["authorizationToken"] == "secret,1"
    assert event["resource"] == "/pets/{petId}"
    assert event["path"] == "/pets/a%20b"
    assert event["multiValueQueryStringParameters"] == {"u": ["1"], "p": ["a", "b"]}
    assert event["stageVariables"] == {}
    assert "body" not in event
