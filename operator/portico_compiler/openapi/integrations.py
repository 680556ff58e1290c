"""`x-amazon-apigateway-integration` as the `spec.integration` of a Route (AWS §9.3).

Called by routes.py. Field names are AWS's own, so most of it is spelling: upper-case enums,
durations, keys as texts. Promises: what cannot be taken is a finding, and then the caller leaves
the integration out, so that the Route fails closed.
"""

from __future__ import annotations

import re
from typing import Any

from portico_compiler.openapi.document import Json, Node
from portico_compiler.problems import Reason

_TYPES = {
    "RestApi": frozenset({"HTTP", "HTTP_PROXY", "AWS", "AWS_PROXY", "MOCK"}),
    "HttpApi": frozenset({"HTTP_PROXY", "AWS_PROXY"}),
}
_UPPER = ("passthroughBehavior", "contentHandling", "connectionType", "responseTransferMode")
_TEXTS = ("credentials", "cacheNamespace")
_REST_ONLY = frozenset(
    {
        "cacheKeyParameters",
        "cacheNamespace",
        "contentHandling",
        "passthroughBehavior",
        "requestTemplates",
        "responseTransferMode",
        "responses",
    }
)
_HTTP_ONLY = frozenset({"payloadFormatVersion", "responseParameters"})
_KNOWN = (
    {"httpMethod", "requestParameters", "timeoutInMillis", "tlsConfig", "type", "uri"}
    | {*_UPPER, *_TEXTS, "description"}
    | _REST_ONLY
    | _HTTP_ONLY
)
# How AWS's network reaches a private address. Ours is one network: the address is enough.
_NETWORK = frozenset({"connectionId", "integrationTarget"})

_INVOCATION = re.compile(
    r"arn:[^:]*:apigateway:[^:]*:lambda:path/+(?:2015-03-31|2021-11-15)/functions/(.+)"
    r"/(?:invocations|response-streaming-invocations)\Z"
)
_FUNCTION_ARN = re.compile(r"arn:[^:]*:lambda:[^:]*:[^:]*:function:(.+)\Z")
_VARIABLE = re.compile(r"\$\{stageVariables\.[^}]*\}")
_BRACES = re.compile(r"\{([^{}]*)\}")
_PATH_MAPPING = "integration.request.path."


def integration(place: Node, kind: str) -> dict[str, Any]:
    """The integration's fields; complaints go to the place's findings."""
    fields: dict[str, Any] = {}
    _check_keys(place, kind)
    type_ = place["type"].text().upper()
    if type_ not in _TYPES[kind]:
        if type_:
            place["type"].unsupported(f"{kind} has no integrations of type {type_}")
        elif not place["type"].value:
            place["type"].missing("an integration needs a type")
        return fields
    fields["type"] = type_
    if type_ != "MOCK":
        fields |= _target(place, kind, type_)
    fields |= _settings(place, kind)
    if kind == "RestApi":
        _check_variables(place, fields)
    return fields


def function_name(uri: str) -> str | None:
    """Function that a Lambda URI names: `fn`, `fn:alias`, or with stage variables; else None."""
    invocation = _INVOCATION.match(uri)
    arn = invocation[1] if invocation else uri
    named = _FUNCTION_ARN.match(arn)
    if named:
        return named[1]
    # A stage variable may hold the whole ARN; after an invocation path AWS also takes a bare name.
    if invocation and (_VARIABLE.fullmatch(arn) or re.fullmatch(r"[\w:.-]+", arn)):
        return arn
    return None


def _check_keys(place: Node, kind: str) -> None:
    for key, node in place.items():
        if key == "integrationSubtype":
            node.unsupported("first-class integrations with AWS services are not available")
        elif key in _NETWORK:
            node.ignored(f"{key} is not needed: the address is called directly")
        elif kind == "HttpApi" and key in _REST_ONLY:
            node.ignored(f"HTTP APIs have no {key}")
        elif kind == "RestApi" and key in _HTTP_ONLY:
            node.ignored(f"REST APIs have no {key}")
        elif key not in _KNOWN and not key.startswith("x-"):
            node.unknown(f"{key} is not a known field of an integration")


def _target(place: Node, kind: str, type_: str) -> dict[str, Any]:
    uri = place["uri"].text().strip()
    if not uri:
        if not place["uri"].value:
            place["uri"].missing(f"an integration of type {type_} needs a uri")
        return {}
    name = function_name(uri)
    if type_ in ("AWS", "AWS_PROXY"):
        if name is None:
            place["uri"].unsupported("only Lambda functions can be called as AWS services")
            return {}
        return {"function": name}
    if name is not None or uri.lower().startswith("arn:"):
        place["uri"].unsupported(f"an integration of type {type_} needs an http(s) address")
        return {}
    # A stage variable may stand for the scheme too; what it holds is checked per stage.
    if not re.match(r"https?://", uri, re.IGNORECASE) and not uri.startswith("${stageVariables."):
        place["uri"].wrong("must be an http:// or https:// address")
        return {}
    return {"url": uri}


def _settings(place: Node, kind: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    method = place["httpMethod"].text().upper()
    if method:
        fields["httpMethod"] = method
    for key in _UPPER:
        if place[key].present and not (kind == "HttpApi" and key in _REST_ONLY):
            fields[key] = place[key].text().upper()
    for key in _TEXTS:
        if place[key].present and not (kind == "HttpApi" and key in _REST_ONLY):
            fields[key] = place[key].text()
    millis = place["timeoutInMillis"].integer()
    if millis is not None:
        fields["timeout"] = f"{millis // 1000}s" if millis % 1000 == 0 else f"{millis}ms"
    if place["tlsConfig"].present:
        fields["tlsConfig"] = _tls(place["tlsConfig"])
    if place["requestParameters"].present:
        fields["requestParameters"] = place["requestParameters"].text_map()
    if kind == "RestApi":
        fields |= _rest_settings(place)
    else:
        fields |= _http_settings(place)
    return fields


def _rest_settings(place: Node) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if place["requestTemplates"].present:
        fields["requestTemplates"] = place["requestTemplates"].text_map()
    if place["cacheKeyParameters"].present:
        fields["cacheKeyParameters"] = place["cacheKeyParameters"].texts()
    if place["responses"].present:
        fields["responses"] = {
            pattern: _response(node) for pattern, node in place["responses"].items()
        }
    return fields


def _http_settings(place: Node) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if place["payloadFormatVersion"].present:
        version = place["payloadFormatVersion"].text()
        fields["payloadFormatVersion"] = version if "." in version else f"{version}.0"
    if place["responseParameters"].present:
        fields["responseParameters"] = {
            status: node.text_map() for status, node in place["responseParameters"].items()
        }
    return fields


def _response(place: Node) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, node in place.items():
        if key == "statusCode":
            fields[key] = node.text()
        elif key in ("responseParameters", "responseTemplates"):
            # Exports write an empty template as null.
            fields[key] = {name: child.text() for name, child in node.items()}
        elif key == "contentHandling":
            if node.present:
                fields[key] = node.text().upper()
        elif not key.startswith("x-"):
            node.unknown(f"{key} is not a known field of an integration response")
    return fields


def _tls(place: Node) -> dict[str, Json]:
    fields: dict[str, Json] = {}
    for key, node in place.items():
        if key == "insecureSkipVerification":
            fields[key] = node.flag()
        elif key == "serverNameToVerify":
            fields[key] = node.text()
        else:
            node.unknown(f"{key} is not a known field of tlsConfig")
    return fields


def _check_variables(place: Node, fields: dict[str, Any]) -> None:
    """REST fills `{name}` from a mapping only; left alone it makes the address invalid (§3.4)."""
    target = str(fields.get("url") or fields.get("function") or "")
    mapped = {
        key.removeprefix(_PATH_MAPPING)
        for key in fields.get("requestParameters", {})
        if key.startswith(_PATH_MAPPING)
    }
    for name in _BRACES.findall(_VARIABLE.sub("", target)):
        if name not in mapped:
            place["uri"].complain(
                Reason.UNRESOLVED_VARIABLE,
                f"nothing fills {{{name}}}: requestParameters needs {_PATH_MAPPING}{name}",
            )
