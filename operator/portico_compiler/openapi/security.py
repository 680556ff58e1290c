"""Security requirements and schemes as what a Route asks of its callers, and Authorizers.

Called by routes.py (per operation) and importer.py (Authorizer objects). Promises: a requirement
that is not understood is a finding, never an open route (design §3, fail closed).
"""

from __future__ import annotations

from typing import Any

from portico_compiler.openapi.document import Node
from portico_compiler.openapi.integrations import function_name
from portico_compiler.openapi.names import part_name

AUTHORIZER = "x-amazon-apigateway-authorizer"
AUTHTYPE = "x-amazon-apigateway-authtype"
AUTH = "x-amazon-apigateway-auth"

_TYPES = {
    "RestApi": {"TOKEN": "CUSTOM", "REQUEST": "CUSTOM", "COGNITO_USER_POOLS": "COGNITO_USER_POOLS"},
    "HttpApi": {"REQUEST": "CUSTOM", "JWT": "JWT"},
}
_KNOWN = frozenset(
    {
        "authorizerPayloadFormatVersion",
        "authorizerResultTtlInSeconds",
        "authorizerUri",
        "enableSimpleResponses",
        "identitySource",
        "identityValidationExpression",
        "jwtConfiguration",
        "providerARNs",
        "type",
    }
)
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
"""AWS §4.9: RSA only. What is imported goes on as it was; the manifest may say more."""
_PLACES = {"header": "header", "query": "querystring"}


def schemes(root: Node) -> Node:
    """Where the document declares its schemes: OpenAPI 3, or Swagger 2."""
    if root["openapi"].present:
        return root["components"]["securitySchemes"]
    return root["securityDefinitions"]


def authorizers(root: Node, kind: str, api: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and spec of every authorizer declared; `apiRef` is the caller's."""
    return [
        (part_name(api, name), _authorizer(scheme.followed(), kind))
        for name, scheme in schemes(root).items()
        if scheme.followed()[AUTHORIZER].present
    ]


def requirements(operation: Node, root: Node, kind: str, api: str) -> dict[str, Any]:
    """`authorizationType`, `authorizerRef`, `authorizationScopes`, `apiKeyRequired`."""
    auth = operation[AUTH]["type"].text().upper()
    if auth not in ("", "NONE", "AWS_IAM"):
        operation[AUTH]["type"].unsupported("must be NONE or AWS_IAM")
    own = operation["security"].present
    asked = operation["security"] if own else _inherited(root, operation)
    wanted = [(name, node) for element in asked.elements() for name, node in element.items()]
    if kind == "HttpApi" and len(wanted) > 1:
        # AWS §4.11: HTTP APIs refuse several requirements on one operation.
        asked.wrong("an operation of an HttpApi has one security requirement at most")
    fields: dict[str, Any] = {"authorizationType": "AWS_IAM"} if own and auth == "AWS_IAM" else {}
    for name, scopes in wanted:
        _require(name, scopes, root, kind, api, fields)
    if auth and not own:
        # The operation's own word replaces an inherited authorizer; a key is another matter.
        keys = {"apiKeyRequired": True} if "apiKeyRequired" in fields else {}
        return {"authorizationType": auth} | keys
    return fields


def _inherited(root: Node, operation: Node) -> Node:
    """Root-level security counts: the guide denies it, a recorded import shows it (AWS §9.1)."""
    return root["security"].reporting_to(operation.findings)


def _require(
    name: str, scopes: Node, root: Node, kind: str, api: str, fields: dict[str, Any]
) -> None:
    scheme = schemes(root)[name].reporting_to(scopes.findings).followed()
    if not scheme.present:
        if name == "NONE":
            return  # SAM's way to say that a method is open
        scopes.dangling(f"there is no security scheme {name!r}")
        return
    extension = scheme[AUTHORIZER]
    if extension.present:
        type_ = extension["type"].text().upper()
        grants = _TYPES[kind].get(type_)
        if grants is None:
            extension["type"].unsupported(f"{kind} has no authorizers of type {type_ or 'null'}")
            return
        _claim(grants, part_name(api, name), scopes, fields)
        if scopes.texts():
            fields["authorizationScopes"] = scopes.texts()
    elif scheme[AUTHTYPE].text().lower().startswith("aws"):
        _claim("AWS_IAM", "", scopes, fields)
    elif kind == "RestApi" and _is_api_key(scheme):
        fields["apiKeyRequired"] = True
    else:
        scopes.unsupported(f"nothing here enforces the security scheme {name!r}")


def _claim(type_: str, authorizer: str, scopes: Node, fields: dict[str, Any]) -> None:
    before = (fields.get("authorizationType", type_), fields.get("authorizerRef", {}).get("name"))
    if before[0] != type_ or before[1] not in (None, authorizer):
        scopes.wrong("a method has one authorizer at most")
        return
    fields["authorizationType"] = type_
    if authorizer:
        fields["authorizerRef"] = {"name": authorizer}


def _is_api_key(scheme: Node) -> bool:
    return (
        scheme["type"].text() == "apiKey"
        and scheme["in"].text() == "header"
        and scheme["name"].text().lower() == "x-api-key"
        and not scheme[AUTHTYPE].present
    )


def _authorizer(scheme: Node, kind: str) -> dict[str, Any]:
    place = scheme[AUTHORIZER]
    for key, node in place.items():
        if key == "authorizerCredentials":
            node.ignored("functions are called without a role")
        elif key not in _KNOWN and not key.startswith("x-"):
            node.unknown(f"{key} is not a known field of an authorizer")
    type_ = place["type"].text().upper()
    fields: dict[str, Any] = {"authorizerType": type_}
    if type_ not in _TYPES[kind]:
        place["type"].unsupported(f"{kind} has no authorizers of type {type_ or 'null'}")
    source = _identity_source(scheme, type_)
    if source:
        fields["identitySource"] = source
    for key in ("authorizerPayloadFormatVersion", "identityValidationExpression"):
        if place[key].present:
            fields[key] = place[key].text()
    if place["enableSimpleResponses"].present:
        fields["enableSimpleResponses"] = place["enableSimpleResponses"].flag()
    if place["providerARNs"].present:
        fields["providerARNs"] = place["providerARNs"].texts()
    jwt = place["jwtConfiguration"]
    if jwt.present:
        fields["jwtConfiguration"] = {
            "issuer": jwt["issuer"].text(),
            "audience": _one_or_many(jwt["audience"]),
        }
    if type_ == "JWT":
        fields["extensions"] = {"algorithms": list(_RSA)}
    seconds = place["authorizerResultTtlInSeconds"].integer()
    if seconds is not None:
        fields["authorizerResultTtl"] = f"{seconds}s"
    if type_ in ("TOKEN", "REQUEST"):
        fields |= _function(place["authorizerUri"])
    return fields


def _function(uri: Node) -> dict[str, Any]:
    name = function_name(uri.text())
    if name is None:
        uri.unsupported("an authorizer of this type needs the address of a Lambda function")
        return {}
    return {"function": name}


def _identity_source(scheme: Node, type_: str) -> list[str]:
    """Where the token is: as said, or for tokens the header that the scheme names."""
    said = scheme[AUTHORIZER]["identitySource"]
    if said.present:
        return _one_or_many(said)
    place = _PLACES.get(scheme["in"].text())
    if type_ in ("TOKEN", "COGNITO_USER_POOLS") and place and scheme["name"].present:
        return [f"method.request.{place}.{scheme['name'].text()}"]
    return []


def _one_or_many(place: Node) -> list[str]:
    if isinstance(place.value, str):
        return [part.strip() for part in place.value.split(",") if part.strip()]
    return place.texts()
