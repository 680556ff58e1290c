"""`$context`: what access logs, parameter mappings and function events may say about a request.

Called by `build.py` (`compile_format`, once per stage), by the access log (the compiled line, for
every request), by parameter mapping (`value`) and by function events (the parts in one spelling).
Promises: a format is parsed once; unset and unknown variables print `-` (AWS §10.1); a line holds
no line break and no bare quote that a client wrote, so nobody can forge a line or a member of one.
Names are AWS §10.2 (REST) and §10.4 (HTTP).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from portico_dataplane.core.authorizer_context import LOGGED_OF_AUTHORIZER, of_authorizer
from portico_dataplane.core.errors import error_message
from portico_dataplane.core.identifiers import REPLACED_REQUEST_ID, is_uuid
from portico_dataplane.core.messages import Outcome, Request
from portico_ir.model import ApiKind, DefaultMatch, Route

LogLine = Callable[[Request, Outcome], str]
_Getter = Callable[[Request, Outcome], str | None]

_REST: Final = ApiKind.REST
_HTTP: Final = ApiKind.HTTP

_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"
_LOCAL_PREFIX: Final = "/_aws/execute-api/"
_DEFAULT_STAGE: Final = "$default"
_NO_OUTCOME: Final = Outcome()

_VARIABLE: Final = re.compile(
    r"\$context\.([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*(?:\['[^'\[\]\n]+'\])?)"
)
# Whatever str.splitlines would split at.
_LINE_BREAKS: Final = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")


# --- parts that events spell the same way ---------------------------------------------------


def header_text(value: bytes) -> str:
    """A header's value as text: UTF-8, as clients mean it today, else the bytes one by one."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def decoded(raw: str) -> str:
    """A raw path or part of one, percent-decoded; what is not UTF-8 becomes U+FFFD."""
    if raw.isascii() and "%" not in raw:
        return raw
    return unquote_to_bytes(raw.encode("latin-1", "replace")).decode("utf-8", "replace")


def query_pairs(query: str) -> list[tuple[str, str]]:
    """Names and values decoded once, `+` as a space (AWS §3.2), in order; without `=` empty."""
    pairs: list[tuple[str, str]] = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_query_text(name), _query_text(value)))
    return pairs


def _query_text(raw: str) -> str:
    if raw.isascii() and "%" not in raw and "+" not in raw:
        return raw
    spaced = raw.replace("+", " ").encode("latin-1", "replace")
    return unquote_to_bytes(spaced).decode("utf-8", "replace")


def context_path(request: Request) -> str:
    """The path with its stage, as the client wrote it: `$context.path` of REST (AWS §3.27).

    REST collapses slashes before the stage, not those after it (AWS §3.2.5). The development
    address `/_aws/execute-api/<apiId>` is no part of it.
    """
    raw = request.raw_path
    if request.gateway.local_paths and raw.startswith(_LOCAL_PREFIX):
        _, _, rest = raw[len(_LOCAL_PREFIX) :].partition("/")
        first, slash, after = rest.partition("/")
        raw = slash + after if first == _DEFAULT_STAGE else f"/{rest}"
        raw = raw or "/"
    if raw.startswith("//") and request.api.kind is not _HTTP:
        raw = "/" + raw.lstrip("/")
    return raw


def shown_path(request: Request) -> str:
    """`$context.path`: raw on REST, decoded on HTTP APIs, as in their events (AWS §4.5)."""
    raw = context_path(request)
    return decoded(raw) if request.api.kind is _HTTP else raw


def domain_prefix(domain_name: str) -> str:
    """The first label of the host."""
    return domain_name.partition(".")[0]


def resource_path(route: Route) -> str:
    """The path of the route's key; `$default` for the route that has none."""
    match = route.match
    # To ask a Struct's class for its instances takes as long as all the rest of this module.
    return "$default" if type(match) is DefaultMatch else str(getattr(match, "path", ""))


@lru_cache(maxsize=4)
def _clf_second(second: int) -> str:
    at = datetime.fromtimestamp(second, UTC)
    # strftime's %b depends on the locale.
    month = _MONTHS[at.month * 3 - 3 : at.month * 3]
    return f"{at.day:02d}/{month}/{at:%Y:%H:%M:%S} +0000"


def request_time(request: Request) -> str:
    """`$context.requestTime`, as common log format has it: `09/Apr/2015:12:34:56 +0000`."""
    return _clf_second(request.received_ms // 1000)


# --- variables ------------------------------------------------------------------------------


def _user_agent(request: Request, _: Outcome) -> str | None:
    agent = request.header(b"user-agent")
    return None if agent is None else header_text(agent)


def _trace_root(request: Request, _: Outcome) -> str | None:
    return request.trace_id.partition(";")[0].removeprefix("Root=")


def _resource_id(request: Request, _: Outcome) -> str | None:
    return None if request.api.kind is _HTTP else request.route.resource_id


def _resource_path(request: Request, _: Outcome) -> str | None:
    return None if request.api.kind is _HTTP else resource_path(request.route)


def _route_key(request: Request, _: Outcome) -> str | None:
    return None if request.api.kind is _REST else request.route.key


def _certificate(name: str) -> _Getter:
    """A member of the client's certificate (AWS §6.4)."""

    def of_certificate(request: Request, _: Outcome) -> str | None:
        shown = request.tls.client_certificate if request.tls is not None else None
        return None if shown is None else str(getattr(shown, name))

    return of_certificate


_REQUEST: Final[dict[str, _Getter]] = {
    "accountId": lambda request, _: request.gateway.account_id,
    "apiId": lambda request, _: request.api.api_id,
    "cipherSuite": lambda request, _: request.tls.cipher if request.tls is not None else None,
    "deploymentId": lambda request, _: request.stage.deployment_id,
    "domainName": lambda request, _: request.domain_name,
    "domainPrefix": lambda request, _: domain_prefix(request.domain_name),
    "extendedRequestId": lambda request, _: request.extended_id,
    "httpMethod": lambda request, _: request.method,
    "identity.accessKey": lambda request, _: request.caller.access_key,
    "identity.accountId": lambda request, _: (
        request.gateway.account_id if request.caller.user_arn else None
    ),
    "identity.apiKey": lambda request, _: request.caller.api_key,
    "identity.apiKeyId": lambda request, _: request.caller.api_key_id,
    "identity.clientCert.clientCertPem": _certificate("pem"),
    "identity.clientCert.issuerDN": _certificate("issuer"),
    "identity.clientCert.serialNumber": _certificate("serial"),
    "identity.clientCert.subjectDN": _certificate("subject"),
    "identity.clientCert.validity.notAfter": _certificate("not_after"),
    "identity.clientCert.validity.notBefore": _certificate("not_before"),
    "identity.caller": lambda request, _: request.caller.user_id,
    "identity.user": lambda request, _: request.caller.user_id,
    "identity.userArn": lambda request, _: request.caller.user_arn,
    "identity.sourceIp": lambda request, _: request.source_ip,
    "identity.userAgent": _user_agent,
    "operationName": lambda request, _: request.route.operation_name,
    "path": lambda request, _: shown_path(request),
    "protocol": lambda request, _: f"HTTP/{request.version}",
    "requestId": lambda request, _: request.request_id,
    "requestTime": lambda request, _: request_time(request),
    "requestTimeEpoch": lambda request, _: str(request.received_ms),
    "resourceId": _resource_id,
    "resourcePath": _resource_path,
    "routeKey": _route_key,
    "stage": lambda request, _: request.stage.name,
    "tlsVersion": lambda request, _: request.tls.version if request.tls is not None else None,
    "xrayTraceId": _trace_root,
}


def _logged_request_id(request: Request, _: Outcome) -> str | None:
    """AWS §2.4: a client's own id that is no UUID shows as a constant."""
    if request.api.kind is _REST:
        own = request.header(b"x-amzn-requestid")
        if own is not None and not is_uuid(own):
            return REPLACED_REQUEST_ID
    return request.request_id


def _integration_status(_: Request, outcome: Outcome) -> str | None:
    return str(outcome.integration_status) if outcome.integration_status else None


def _integration_latency(_: Request, outcome: Outcome) -> str | None:
    latency = outcome.integration_latency_ms
    return str(int(latency)) if latency >= 0 else None


def _integration_error(_: Request, outcome: Outcome) -> str | None:
    return outcome.integration_error


def _error_message(request: Request, outcome: Outcome) -> str | None:
    return error_message(outcome.error, request.api.kind) if outcome.error else None


_LOGGED: Final[dict[str, _Getter]] = {
    **_REQUEST,
    **LOGGED_OF_AUTHORIZER,
    "customDomain.basePathMatched": lambda request, _: request.base_path,
    "customDomain.routingRuleIdMatched": lambda request, _: request.routing_rule,
    "dataProcessed": lambda _, outcome: str(outcome.response_length),
    "error.message": _error_message,
    "error.responseType": lambda _, outcome: outcome.error.value if outcome.error else None,
    "integration.error": _integration_error,
    "integration.integrationStatus": _integration_status,
    "integration.latency": _integration_latency,
    "integration.status": _integration_status,
    "integrationErrorMessage": _integration_error,
    "integrationLatency": _integration_latency,
    "integrationStatus": _integration_status,
    "requestId": _logged_request_id,
    "responseLatency": lambda _, outcome: str(int(outcome.response_latency_ms)),
    "responseLength": lambda _, outcome: str(outcome.response_length),
    "status": lambda _, outcome: str(outcome.status) if outcome.status else None,
}


_PLAIN: Final = frozenset(
    {
        "accountId",
        "apiId",
        "dataProcessed",
        "extendedRequestId",
        "integration.integrationStatus",
        "integration.latency",
        "integration.status",
        "integrationLatency",
        "integrationStatus",
        "protocol",
        "requestId",
        "requestTime",
        "requestTimeEpoch",
        "responseLatency",
        "responseLength",
        "status",
    }
)
"""Made here, of digits, letters and harmless signs: nothing to escape."""


def _message_string(request: Request, outcome: Outcome) -> str | None:
    """`error.messageString` is the message with its quotes (AWS §3.12): JSON, never escaped."""
    if outcome.error is None:
        return None
    return json.dumps(_error_message(request, outcome))


def value(name: str, request: Request) -> str | None:
    """The variable `context.<name>` for parameter mapping; None when unset or unknown.

    What only a finished request has (status, latencies) is unset here.
    """
    getter = _REQUEST.get(name)
    if getter is None:
        getter = of_authorizer(name)
    if getter is None:
        return None
    try:
        return getter(request, _NO_OUTCOME) or None
    except AttributeError:
        return None


# --- access log lines -----------------------------------------------------------------------


def _escaped(text: str) -> str:
    shown = []
    for char in text:
        if char in '"\\':
            shown.append("\\" + char)
        elif char.isprintable():
            shown.append(char)
        else:
            # JSON's own escapes: \n, \u0085, surrogate pairs.
            shown.append(json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f")
    return "".join(shown)


def _field(getter: _Getter) -> _Getter:
    def shown(request: Request, outcome: Outcome) -> str | None:
        text = getter(request, outcome)
        if not text or (text.isprintable() and '"' not in text and "\\" not in text):
            return text
        return _escaped(text)

    return shown


def _unset(_: Request, __: Outcome) -> None:
    return None


def _field_of(name: str) -> _Getter:
    if name == "error.messageString":
        return _message_string
    getter = _LOGGED.get(name)
    if getter is None:
        getter = of_authorizer(name) or _unset
    return getter if name in _PLAIN else _field(getter)


def _guarded(field: _Getter, request: Request, outcome: Outcome) -> str | None:
    try:
        return field(request, outcome)
    except AttributeError:
        return None


def compile_format(format: str) -> LogLine:  # noqa: A002 - the field of accessLogSettings
    """The function that writes one line, without its newline, in this format.

    Values are escaped as JSON escapes them, which keeps JSON formats JSON and every other one
    on its line.
    """
    literals: list[str] = []
    fields: list[_Getter] = []
    # Odd pieces are names: the pattern has one group.
    for index, piece in enumerate(_VARIABLE.split(format.strip())):
        if index % 2:
            fields.append(_field_of(piece))
        else:
            literals.append(_LINE_BREAKS.sub(" ", piece))
    first = literals[0]
    pieces = list(zip(fields, literals[1:], strict=True))

    def line(request: Request, outcome: Outcome) -> str:
        parts = [first]
        try:
            for field, literal in pieces:
                parts.append(field(request, outcome) or "-")
                parts.append(literal)
        except AttributeError:
            # A request that was refused early lacks what later steps would have set.
            parts = [first]
            for field, literal in pieces:
                parts += (_guarded(field, request, outcome) or "-", literal)
        return "".join(parts)

    return line
