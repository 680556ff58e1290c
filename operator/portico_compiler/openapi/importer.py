"""An OpenAPI document with `x-amazon-apigateway-*` extensions as our own objects (AWS §9).

Called through `portico_compiler.openapi`. OpenAPI 3.0 for both kinds of API, Swagger 2.0 for
RestApi. Promises: never raises for what a document holds; what cannot be taken is a Problem, and
the routes that it concerns come as Routes that fail closed; the same document gives the same
objects under the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from portico_compiler.manifests.apis import GatewayResponseType
from portico_compiler.openapi.document import Finding, Node, place, read
from portico_compiler.openapi.models import VALIDATOR, VALIDATORS, Models
from portico_compiler.openapi.names import part_name
from portico_compiler.openapi.routes import Routes
from portico_compiler.openapi.security import authorizers
from portico_compiler.problems import ObjectRef, Problem, Reason, Severity

API_VERSION = "portico.dev/v1alpha1"
MAX_TEXT = 1024

Kind = Literal["RestApi", "HttpApi"]
BasePath = Literal["ignore", "prepend", "split"]

_PREFIX = "x-amazon-apigateway-"
_ENDPOINT = f"{_PREFIX}endpoint-configuration"
_REST_EXTENSIONS = frozenset(
    {
        f"{_PREFIX}api-key-source",
        f"{_PREFIX}binary-media-types",
        f"{_PREFIX}gateway-responses",
        f"{_PREFIX}minimum-compression-size",
        f"{_PREFIX}policy",
        VALIDATOR,
        VALIDATORS,
    }
)
_HTTP_EXTENSIONS = frozenset({f"{_PREFIX}cors"})
# They describe, or say how AWS is reached: neither changes what a request meets here.
_IGNORED = {
    f"{_PREFIX}documentation": "documentation parts are not kept",
    f"{_PREFIX}importexport-version": "",
    f"{_PREFIX}tag-value": "",
    f"{_PREFIX}endpoint-access-mode": "TLS of the default endpoint is the platform's",
    f"{_PREFIX}security-policy": "TLS of the default endpoint is the platform's",
}


class Imported(NamedTuple):
    """What an import gives."""

    objects: list[dict[str, Any]]
    """Manifests: the API, its Stage if one was asked for, its Authorizers, its Routes."""
    problems: list[Problem]
    """About the API, with paths into the document."""


def import_document(
    document: object,
    *,
    kind: Kind,
    name: str,
    namespace: str = "default",
    stage: str = "",
    variables: Mapping[str, str] | None = None,
    functions: Mapping[str, Any] | None = None,
    base_path: BasePath = "ignore",
    account_id: str = "000000000000",
    region: str = "us-east-1",
) -> Imported:
    """The objects for a document.

    `stage` makes a Stage of that name with `variables`; `functions` goes into the API as it is.
    `base_path` is AWS's parameter of the import: what to do with the path of the server.
    """
    root = read(
        document,
        {"AWS::AccountId": account_id, "AWS::Partition": "aws", "AWS::Region": region},
    )
    api = ObjectRef(kind, namespace, name)
    if not _is_readable(root, kind):
        return Imported([], _problems(root, api))
    if not root["paths"].present:
        root["paths"].missing("a document without paths describes no API")
    prefix, split = _base_path(root, base_path)
    models = Models(root, name)
    routes = Routes(root, kind, name, models, prefix).all()
    guards = authorizers(root, kind, name)
    spec = _api(root, kind)
    if models.specs and kind == "RestApi":
        spec["models"] = models.specs
    if functions:
        spec["functions"] = dict(functions)
    objects = [_object(api, spec)]
    if stage or split:
        objects.append(_stage(api, stage or split, variables or {}))
    for part, (each, own) in [
        *(("Authorizer", authorizer) for authorizer in guards),
        *(("Route", route) for route in routes),
    ]:
        reference = {"name": name} if kind == "RestApi" else {"kind": kind, "name": name}
        objects.append(_object(ObjectRef(part, namespace, each), {"apiRef": reference} | own))
    return Imported(objects, _problems(root, api))


def _is_readable(root: Node, kind: Kind) -> bool:
    version = root["openapi"].text() or root["swagger"].text()
    if not isinstance(root.value, Mapping) or not version:
        message = "an OpenAPI document says its version in openapi, or in swagger"
        root.complain(Reason.MALFORMED_DOCUMENT, message)
        return False
    if root["openapi"].present:
        if version == "3.0" or version.startswith("3.0."):
            return True
        root["openapi"].unsupported(f"OpenAPI {version} is not read, only 3.0")
        return False
    if kind == "HttpApi":
        root["swagger"].unsupported("HTTP APIs are imported from OpenAPI 3.0 only")
        return False
    if not version.startswith("2.0"):
        root["swagger"].unsupported(f"Swagger {version} is not read, only 2.0")
        return False
    return True


def _base_path(root: Node, mode: BasePath) -> tuple[str, str]:
    """What is put before every path, and the stage that the path names (AWS §9.1)."""
    if mode == "ignore":
        return "", ""
    segments = [segment for segment in _server_path(root).split("/") if segment]
    stage = segments.pop(0) if mode == "split" and segments else ""
    return "".join(f"/{segment}" for segment in segments), stage


def _server_path(root: Node) -> str:
    if root["swagger"].present:
        return root["basePath"].text()
    servers = root["servers"].elements()
    for server in servers:
        if server["variables"]["basePath"].present:
            return server["variables"]["basePath"]["default"].text()
    url = servers[0]["url"].text() if servers else ""
    after_scheme = url.partition("://")[2] if "://" in url else url
    return after_scheme.partition("/")[2]


def _api(root: Node, kind: Kind) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for field in ("description", "version"):
        text = root["info"][field].text()
        if len(text) > MAX_TEXT:
            root["info"][field].ignored(f"cut to {MAX_TEXT} characters")
        if text:
            spec[field] = text[:MAX_TEXT]
    _check_extensions(root, kind)
    for endpoint in [root[_ENDPOINT], *(one[_ENDPOINT] for one in root["servers"].elements())]:
        if endpoint["disableExecuteApiEndpoint"].flag():
            spec["disableExecuteApiEndpoint"] = True
        for key, node in endpoint.items():
            if key != "disableExecuteApiEndpoint":
                node.ignored(f"{key} says how AWS's network reaches the API")
    return spec | (_rest(root) if kind == "RestApi" else _http(root))


def _check_extensions(root: Node, kind: Kind) -> None:
    known = _REST_EXTENSIONS if kind == "RestApi" else _HTTP_EXTENSIONS
    for key, node in root.items():
        if not key.startswith(_PREFIX) or key in known or key == _ENDPOINT:
            continue
        if key in _IGNORED:
            if _IGNORED[key]:
                node.ignored(_IGNORED[key])
        elif key in _REST_EXTENSIONS | _HTTP_EXTENSIONS:
            node.ignored(f"{kind} has no {key}")
        else:
            node.unknown(f"{key} is not known here")


def _rest(root: Node) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    source = root[f"{_PREFIX}api-key-source"]
    if source.present:
        spec["apiKeySource"] = source.text().upper()
    binary = root[f"{_PREFIX}binary-media-types"]
    if binary.present:
        spec["binaryMediaTypes"] = binary.texts()
    size = root[f"{_PREFIX}minimum-compression-size"].integer()
    if size is not None:
        spec["minimumCompressionSize"] = size
    responses = root[f"{_PREFIX}gateway-responses"]
    if responses.present:
        spec["gatewayResponses"] = {}
        for type_, node in responses.items():
            if type_ in get_args(GatewayResponseType):
                spec["gatewayResponses"][type_] = _gateway_response(node)
            else:
                node.unknown(f"there is no gateway response of type {type_}")
    policy = root[f"{_PREFIX}policy"]
    if policy.present:
        # As it stands: whoever evaluates it refuses what it does not understand.
        spec["policy"] = policy.value
    return spec


def _gateway_response(response: Node) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, node in response.items():
        if key == "statusCode":
            if node.present:
                fields[key] = node.text()
        elif key in ("responseParameters", "responseTemplates"):
            fields[key] = node.text_map()
        elif not key.startswith("x-"):
            node.unknown(f"{key} is not a known field of a gateway response")
    return fields


def _http(root: Node) -> dict[str, Any]:
    cors = root[f"{_PREFIX}cors"]
    if not cors.present:
        return {}
    fields: dict[str, Any] = {}
    for key, node in cors.items():
        if key in ("allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders"):
            fields[key] = [node.value] if isinstance(node.value, str) else node.texts()
        elif key == "maxAge":
            fields[key] = node.integer()
        elif key == "allowCredentials":
            fields[key] = node.flag()
        elif not key.startswith("x-"):
            node.unknown(f"{key} is not a known field of a CORS configuration")
    return {"corsConfiguration": {key: value for key, value in fields.items() if value is not None}}


def _stage(api: ObjectRef, name: str, variables: Mapping[str, str]) -> dict[str, Any]:
    reference = {"kind": api.kind, "name": api.name}
    spec: dict[str, Any] = {"apiRef": reference, "stageName": name}
    if variables:
        spec["variables"] = dict(variables)
    return _object(ObjectRef("Stage", api.namespace, part_name(api.name, name)), spec)


def _object(ref: ObjectRef, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": ref.kind,
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "spec": spec,
    }


def _problems(root: Node, api: ObjectRef) -> list[Problem]:
    return [_problem(finding, api) for finding in root.findings]


def _problem(finding: Finding, api: ObjectRef) -> Problem:
    ignored = finding.reason is Reason.FIELDS_IGNORED
    severity = Severity.WARNING if ignored else Severity.ERROR
    return Problem(api, place(finding), finding.reason, finding.message, severity)
