"""The event that a function authorizer is asked with: AWS §6.1 (REST), §4.10 (HTTP APIs).

Called by `policies/function_authorizer.py` for each question. What of it a route's own function
would get too is made where that event is made. Pure: plain data, ready to be encoded.
"""

from __future__ import annotations

from typing import Final

from portico_dataplane.core.messages import Request
from portico_dataplane.integrations.function_event import Event, http_v1, http_v2, rest
from portico_ir.access import FunctionAuthorizer
from portico_ir.model import ApiKind

_BODY: Final = ("body", "isBase64Encoded")
_MAPS: Final = (
    "headers",
    "multiValueHeaders",
    "queryStringParameters",
    "multiValueQueryStringParameters",
    "pathParameters",
    "stageVariables",
)


def build(
    spec: FunctionAuthorizer, request: Request, arn: str, sources: tuple[str, ...] | None
) -> Event:
    """The event; `sources` are the values of the identity sources, None where there are none."""
    if spec.kind == "TOKEN":
        token = sources[0] if sources else ""
        return {"type": "TOKEN", "methodArn": arn, "authorizationToken": token}
    if request.api.kind is not ApiKind.HTTP:
        return {"type": "REQUEST", "methodArn": arn, **_rest(request)}
    if spec.payload_format == "2.0":
        return _http_v2(request, arn, sources)
    return _http_v1(request, arn, sources)


def _rest(request: Request) -> Event:
    return _without_body(_filled(rest(request, b"")))


def _http_v1(request: Request, arn: str, sources: tuple[str, ...] | None) -> Event:
    event = _without_body(_filled(http_v1(request, b"")))
    joined = ",".join(sources) if sources else None
    return {
        "version": event.pop("version"),
        "type": "REQUEST",
        "methodArn": arn,
        "identitySource": joined,
        "authorizationToken": joined,
        **event,
    }


def _http_v2(request: Request, arn: str, sources: tuple[str, ...] | None) -> Event:
    event = _without_body(http_v2(request, b""))
    return {
        "version": event.pop("version"),
        "type": "REQUEST",
        "routeArn": arn,
        "identitySource": list(sources) if sources else None,
        **event,
    }


def _filled(event: Event) -> Event:
    """Authorizers get `{}` where functions get null (AWS §6.1, examples)."""
    for name in _MAPS:
        if event[name] is None:
            event[name] = {}
    return event


def _without_body(event: Event) -> Event:
    """The body is still on its way: an authorizer never sees it."""
    for name in _BODY:
        event.pop(name, None)
    return event
