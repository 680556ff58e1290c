"""The event that a function is invoked with, in AWS's three forms, from a request and its body.

Called by `integrations/function.py` for each invocation. `rest` is AWS §3.27, `http_v1` AWS §4.5,
`http_v2` AWS §4.4, all corrected by what was recorded (AWS §18 and the conformance cases). Pure:
ids, clock and trace are fields of the request. The result is plain data, ready to be encoded.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import blake2b
from typing import Any, Final, Literal

from portico_dataplane.core.context import (
    context_path,
    decoded,
    domain_prefix,
    header_text,
    query_pairs,
    request_time,
    resource_path,
)
from portico_dataplane.core.identifiers import TRACE_BYTES, trace_id
from portico_dataplane.core.messages import Request
from portico_ir.model import ApiKind

PayloadFormat = Literal["1.0", "2.0"]
Event = dict[str, Any]
_Lines = list[tuple[str, str]]

# Never shown to a function as the client sent them: hop-by-hop, framing, and what is set below.
_NOT_PASSED: Final = frozenset(
    {
        b"client-cert",
        b"client-cert-chain",
        b"connection",
        b"content-length",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"x-amzn-trace-id",
        b"x-forwarded-for",
        b"x-forwarded-port",
        b"x-forwarded-proto",
    }
)
# AWS §3.8, the Lambda column.
_NOT_PASSED_BY_REST: Final = _NOT_PASSED | {
    b"content-md5",
    b"max-forwards",
    b"server",
    b"www-authenticate",
}

# Bodies of HTTP APIs that arrive as text; everything else is base64 (AWS §4.4, measured: §18).
_TEXT_TYPES: Final = frozenset({"application/json", "application/javascript", "application/xml"})


def build(request: Request, body: bytes, payload_format: PayloadFormat) -> Event:
    """The event for this request; REST APIs have one form whatever `payload_format` says."""
    if request.api.kind is not ApiKind.HTTP:
        return rest(request, body)
    if payload_format == "2.0":
        return http_v2(request, body)
    return http_v1(request, body)


def trace_of(request: Request) -> str:
    """The trace id that goes on; made from the request's own ids where nobody has made it."""
    if request.trace_id:
        return request.trace_id
    seed = f"{request.request_id};{request.extended_id}".encode("utf-8", "replace")
    chance = blake2b(seed, digest_size=TRACE_BYTES).digest()
    return trace_id(request.header(b"x-amzn-trace-id"), request.received_ms // 1000, chance)


# --- REST (AWS §3.27) -----------------------------------------------------------------------


def rest(request: Request, body: bytes) -> Event:
    """A REST API's event: paths stay encoded, query values are decoded, text bodies only."""
    headers, multi_headers = _maps(_lines(request, _NOT_PASSED_BY_REST))
    # `;` splits a parameter on REST (AWS §3.2).
    query, multi_query = _maps(query_pairs(request.query.replace(";", "&")), fold=False)
    route = request.route
    # A base path stays here, a stage does not (AWS §8.2).
    path = request.raw_path if request.mapped else request.path
    context: Event = {
        "resourceId": route.resource_id,
        "resourcePath": resource_path(route),
        **_context_v1(request, context_path(request)),
        "deploymentId": request.stage.deployment_id,
    }
    if route.operation_name:
        context["operationName"] = route.operation_name
    return {
        "resource": resource_path(route),
        # Leading slashes collapse here, not in requestContext.path (AWS §3.2.5).
        "path": "/" + path.lstrip("/") if path.startswith("//") else path or "/",
        "httpMethod": request.method,
        "headers": headers or None,
        "multiValueHeaders": multi_headers or None,
        "queryStringParameters": query or None,
        "multiValueQueryStringParameters": multi_query or None,
        "pathParameters": dict(request.path_parameters) or None,
        "stageVariables": request.stage.variables or None,
        "requestContext": context,
        # Without binary media types a body is text, and what is not UTF-8 is lost (AWS §18).
        "body": body.decode("utf-8", "replace") if body else None,
        "isBase64Encoded": False,
    }


def _identity(request: Request, missing_agent: str | None) -> Event:
    agent = request.header(b"user-agent")
    caller = request.caller
    signed = caller.user_arn != ""
    identity: Event = {
        "accessKey": caller.access_key or None,
        "accountId": request.gateway.account_id if signed else None,
        "caller": caller.user_id or None,
        "cognitoAuthenticationProvider": None,
        "cognitoAuthenticationType": None,
        "cognitoIdentityId": None,
        "cognitoIdentityPoolId": None,
        "principalOrgId": None,
        "sourceIp": request.source_ip,
        "user": caller.user_id or None,
        "userAgent": missing_agent if agent is None else header_text(agent),
        "userArn": caller.user_arn or None,
    }
    if caller.api_key_id:
        # AWS §7.3: only methods that require a key look at it.
        identity["apiKey"] = caller.api_key
        identity["apiKeyId"] = caller.api_key_id
    shown = _client_certificate(request)
    if shown is not None:
        identity["clientCert"] = shown
    return identity


def _client_certificate(request: Request) -> Event | None:
    """AWS §6.4: only where the domain asks for one."""
    shown = request.tls.client_certificate if request.tls is not None else None
    if shown is None:
        return None
    return {
        "clientCertPem": shown.pem,
        "subjectDN": shown.subject,
        "issuerDN": shown.issuer,
        "serialNumber": shown.serial,
        "validity": {"notBefore": shown.not_before, "notAfter": shown.not_after},
    }


def _context_v1(request: Request, path: str) -> Event:
    """What the contexts of REST and of format 1.0 have in common."""
    # REST has null where HTTP APIs have an empty string (recorded, lambda-event.http-v1).
    http = request.api.kind is ApiKind.HTTP
    identity = _identity(request, "" if http else None)
    if http:
        identity["cognitoAmr"] = None
    context = {
        "accountId": request.gateway.account_id,
        "apiId": request.api.api_id,
        "domainName": request.domain_name,
        "domainPrefix": domain_prefix(request.domain_name),
        "extendedRequestId": request.extended_id,
        "httpMethod": request.method,
        "identity": identity,
        "path": path,
        "protocol": f"HTTP/{request.version}",
        "requestId": request.request_id,
        "requestTime": request_time(request),
        "requestTimeEpoch": request.received_ms,
        "stage": request.stage.name,
    }
    if request.caller.event is not None:
        context["authorizer"] = dict(request.caller.event)
    return context


# --- HTTP APIs (AWS §4.4, §4.5) -------------------------------------------------------------


def http_v1(request: Request, body: bytes) -> Event:
    """Format 1.0: REST's shape; `path` is encoded, parameters and context path are decoded."""
    lines = _lines(request, _NOT_PASSED)
    lines.append(("Content-Length", str(len(body))))
    headers, multi_headers = _maps(lines)
    query, multi_query = _maps(query_pairs(request.query), fold=False)
    resource = resource_path(request.route)
    path = context_path(request)
    text, is_base64 = _http_body(request, body)
    return {
        "version": "1.0",
        "resource": resource,
        "path": path,
        "httpMethod": request.method,
        "headers": headers or None,
        "multiValueHeaders": multi_headers or None,
        "queryStringParameters": query or None,
        "multiValueQueryStringParameters": multi_query or None,
        "requestContext": {
            **_context_v1(request, decoded(path)),
            "resourceId": request.route.key,
            "resourcePath": resource,
        },
        "pathParameters": _decoded_parameters(request) or None,
        "stageVariables": request.stage.variables or None,
        "body": text,
        "isBase64Encoded": is_base64,
    }


def http_v2(request: Request, body: bytes) -> Event:
    """Format 2.0: lower-case headers joined by commas, cookies apart, absent members left out."""
    lines = [(name.lower(), value) for name, value in _lines(request, _NOT_PASSED)]
    lines.append(("content-length", str(len(body))))
    cookies = [
        cookie
        for name, value in lines
        if name == "cookie"
        for cookie in (part.strip() for part in value.split(";"))
        if cookie
    ]
    raw_path = _before_question_mark(decoded(context_path(request)))
    agent = request.header(b"user-agent")
    event: Event = {
        "version": "2.0",
        "routeKey": request.route.key,
        "rawPath": raw_path,
        "rawQueryString": request.query,
        "headers": _joined([line for line in lines if line[0] != "cookie"]),
        "requestContext": {
            "accountId": request.gateway.account_id,
            "apiId": request.api.api_id,
            "domainName": request.domain_name,
            "domainPrefix": domain_prefix(request.domain_name),
            "http": {
                "method": request.method,
                "path": raw_path,
                "protocol": f"HTTP/{request.version}",
                "sourceIp": request.source_ip,
                "userAgent": "" if agent is None else header_text(agent),
            },
            "requestId": request.request_id,
            "routeKey": request.route.key,
            "stage": request.stage.name,
            "time": request_time(request),
            "timeEpoch": request.received_ms,
        },
    }
    if request.caller.event is not None:
        event["requestContext"]["authorizer"] = dict(request.caller.event)
    shown = _client_certificate(request)
    if shown is not None:
        event["requestContext"]["authentication"] = {"clientCert": shown}
    text, is_base64 = _http_body(request, body)
    optional: Event = {
        "cookies": cookies,
        "queryStringParameters": _joined(query_pairs(request.query)),
        "pathParameters": _decoded_parameters(request),
        "stageVariables": request.stage.variables,
        "body": text,
    }
    event.update({name: member for name, member in optional.items() if member})
    event["isBase64Encoded"] = is_base64
    return event


def _before_question_mark(path: str) -> str:
    # A `?` that only shows after decoding cuts rawPath off (AWS §4.4, observed).
    return path.partition("?")[0]


def _decoded_parameters(request: Request) -> dict[str, str]:
    return {name: decoded(raw) for name, raw in request.path_parameters.items()}


def _http_body(request: Request, body: bytes) -> tuple[str | None, bool]:
    if not body:
        return None, False
    if _is_text(request):
        try:
            return body.decode("utf-8"), False
        except UnicodeDecodeError:
            # A text type is a promise, not a fact; base64 keeps the bytes.
            pass
    return b64encode(body).decode("ascii"), True


def _is_text(request: Request) -> bool:
    content_type = request.header(b"content-type")
    if content_type is None or request.header(b"content-encoding") is not None:
        return False
    media_type = content_type.partition(b";")[0].strip().lower().decode("latin-1")
    return (
        media_type.startswith("text/")
        or media_type in _TEXT_TYPES
        or media_type.endswith(("+json", "+xml"))
    )


# --- headers and query ----------------------------------------------------------------------


def _lines(request: Request, not_passed: frozenset[bytes]) -> _Lines:
    """The headers a function sees, in order; the client's spelling (AWS §3.27: preserved)."""
    lowered = [(name.lower(), name, value) for name, value in request.headers]
    named: set[bytes] = set()
    hops: list[str] = []
    for lower, _, value in lowered:
        if lower == b"connection":
            # What Connection names is for the next hop only (RFC 9110 §7.6.1).
            named.update(token.strip() for token in value.lower().split(b","))
        elif lower == b"x-forwarded-for":
            hops.append(header_text(value))
    rest_api = request.api.kind is not ApiKind.HTTP
    lines = [
        (name.decode("latin-1"), header_text(value))
        for lower, name, value in lowered
        if lower not in not_passed
        and lower not in named
        # A signature for us is not the function's business (AWS §3.8).
        and not (rest_api and lower == b"authorization" and value.startswith(b"AWS4-"))
    ]
    lines += [
        ("X-Amzn-Trace-Id", trace_of(request)),
        ("X-Forwarded-For", ", ".join([*hops, request.source_ip])),
        ("X-Forwarded-Port", str(request.local_port)),
        ("X-Forwarded-Proto", request.scheme),
    ]
    return lines


def _maps(lines: _Lines, *, fold: bool = True) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Last value and all values by name; `fold`: spellings of one name are one entry."""
    multi: dict[str, list[str]] = {}
    spelt: dict[str, str] = {}
    for name, value in lines:
        key = spelt.setdefault(name.lower(), name) if fold else name
        multi.setdefault(key, []).append(value)
    return {name: values[-1] for name, values in multi.items()}, multi


def _joined(lines: _Lines) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name, value in lines:
        found.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in found.items()}
