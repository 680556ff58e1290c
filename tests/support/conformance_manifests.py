"""The objects that a conformance case describes: what a user would apply to get its API.

Used by conformance_scene. OpenAPI documents go through the product's importer; WebSocket APIs,
which OpenAPI cannot describe, and keys and plans are written here as the objects they are.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from conformance_cases import Backend, Conversion, Exchange, Request, Stage, Step
from conformance_connections import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from portico_compiler.openapi import import_document
from portico_compiler.openapi.importer import API_VERSION
from portico_compiler.openapi.integrations import function_name
from portico_compiler.problems import Problem

API = "case"
NAMESPACE = "default"
CONNECTIONS = "runner-connections"
"""Function that the runner adds where `$connect` has no route, to learn connection ids."""

_KINDS = {"rest": "RestApi", "http": "HttpApi", "websocket": "WebSocketApi"}
_LAMBDA = (
    "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
    "arn:aws:lambda:us-east-1:123456789012:function:{name}/invocations"
)

Objects = list[dict[str, Any]]
Functions = Mapping[str, dict[str, str]]


class CannotArrange(Exception):
    """The case asks for something the runner has no objects for."""


def objects_of(case: Exchange, functions: Functions) -> tuple[Objects, list[Problem]]:
    """Every object of a case whose placeholders are written out."""
    problems: list[Problem] = []
    if case.protocol == "websocket":
        objects = _websocket(case, functions)
    else:
        imported = import_document(
            case.api,
            kind="RestApi" if case.protocol == "rest" else "HttpApi",
            name=API,
            namespace=NAMESPACE,
            stage=case.stage.name,
            variables=case.stage.variables,
            functions=functions,
        )
        objects, problems = imported.objects, imported.problems
    _set_stage(case, objects)
    return objects + _keys_and_plans(case) + _domain(case), problems


def exchange_of(case: Conversion) -> Exchange:
    """A conversion case as an API with one function, and a request to it."""
    integration: dict[str, Any] = {
        "type": "aws_proxy",
        "httpMethod": "POST",
        "uri": _LAMBDA.format(name="{backend:fn}"),
    }
    if case.protocol == "http":
        integration["payloadFormatVersion"] = case.payload
    backend: dict[str, Any] = {"kind": "lambda"}
    if case.raises is not None:
        backend["raises"] = case.raises
    elif case.raw is not None:
        backend["raw"] = case.raw
    else:
        backend["returns"] = case.returns
    document = {
        "openapi": "3.0.1",
        "info": {"title": case.id, "version": "1"},
        "paths": {"/": {"get": {"x-amazon-apigateway-integration": integration}}},
    }
    return Exchange(
        id=case.id,
        source=case.source,
        basis=case.basis,
        title=case.title,
        needs=case.needs,
        file=case.file,
        protocol=case.protocol,
        api=document,
        stage=Stage(name="test" if case.protocol == "rest" else "$default"),
        backends={"fn": Backend(**backend)},
        steps=[Step(request=Request(method="GET", path="/"), expect=case.expect)],
    )


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _api_ref(case: Exchange) -> dict[str, str]:
    return {"kind": _KINDS[case.protocol], "name": API}


def _set_stage(case: Exchange, objects: Objects) -> None:
    stage = next(each for each in objects if each["kind"] == "Stage")
    if case.stage.method_settings:
        stage["spec"]["methodSettings"] = case.stage.method_settings
    if case.stage.canary:
        # Its document would be another deployment of the same API: a revision, which only
        # exists once deployments do.
        raise CannotArrange("stages with a canary")


def _domain(case: Exchange) -> Objects:
    if case.domain is None:
        return []
    objects = [_object("DomainName", "domain", {"domainNames": [case.domain.name]})]
    for number, key in enumerate(case.domain.keys):
        spec = {
            "domainRef": {"name": "domain"},
            "apiMappingKey": key,
            "apiRef": _api_ref(case),
            "stage": case.stage.name,
        }
        objects.append(_object("ApiMapping", f"mapping-{number}", spec))
    return objects


def _keys_and_plans(case: Exchange) -> Objects:
    objects: Objects = []
    for plan in case.usage_plans:
        stages = [case.stage.name] if plan.stages is None else plan.stages
        spec: dict[str, Any] = {
            "apiStages": [{"apiRef": _api_ref(case), "stage": stage} for stage in stages]
        }
        if plan.throttle is not None:
            spec["throttle"] = plan.throttle
        if plan.quota is not None:
            spec["quota"] = plan.quota
        objects.append(_object("UsagePlan", _label(plan.name), spec))
    for key in case.api_keys:
        name = _label(key.name)
        secret = _object("Secret", name, {})
        del secret["spec"]
        secret |= {"apiVersion": "v1", "data": {"key": _base64(key.value)}}
        plans = [{"name": _label(plan.name)} for plan in case.usage_plans if key.name in plan.keys]
        spec = {
            "enabled": key.enabled,
            "usagePlanRefs": plans,
            "secretRef": {"name": name, "key": "key"},
        }
        objects += [secret, _object("ApiKey", name, spec)]
    return objects


def _label(name: str) -> str:
    return name.lower().replace("_", "-")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# --- WebSocket ------------------------------------------------------------------------------


def _websocket(case: Exchange, functions: Functions) -> Objects:
    api = dict(case.api)
    routes: dict[str, Any] = api.pop("routes", {})
    authorizers: dict[str, Any] = api.pop("authorizers", {})
    models: dict[str, dict[str, Any]] = {}
    objects: Objects = []
    for name, authorizer in authorizers.items():
        objects.append(_object("Authorizer", _label(name), _authorizer(case, authorizer)))
    for number, (key, route) in enumerate(routes.items()):
        spec = _route(case, key, route, models)
        objects.append(_object("Route", f"{API}-{number}", spec))
    if "$connect" not in routes:
        integration = {"type": "AWS_PROXY", "httpMethod": "POST", "function": CONNECTIONS}
        spec = {"apiRef": _api_ref(case), "routeKey": "$connect", "integration": integration}
        objects.append(_object("Route", f"{API}-connect", spec))
    stage: dict[str, Any] = {"apiRef": _api_ref(case), "stageName": case.stage.name}
    if case.stage.variables:
        stage["variables"] = case.stage.variables
    objects += _signer()
    unknown = api.keys() - {"routeSelectionExpression", "apiKeySelectionExpression"}
    if unknown:
        raise CannotArrange(f"WebSocket APIs with {', '.join(sorted(unknown))}")
    spec = api | {"functions": dict(functions)} | ({"models": models} if models else {})
    return [_object("WebSocketApi", API, spec), _object("Stage", f"{API}-stage", stage), *objects]


def _route(
    case: Exchange, key: str, route: dict[str, Any], models: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    spec = {"apiRef": _api_ref(case), "routeKey": key} | route
    if "authorizer" in spec:
        spec["authorizerRef"] = {"name": _label(spec.pop("authorizer"))}
    if "integration" in spec:
        spec["integration"] = _integration(spec["integration"])
    if "requestModels" in spec:
        named = {}
        for place, schema in spec["requestModels"].items():
            name = f"Model{len(models)}"
            models[name] = {"contentType": "application/json", "schema": schema}
            named[place] = name
        spec["requestModels"] = named
    return spec


def _integration(extension: dict[str, Any]) -> dict[str, Any]:
    """x-amazon-apigateway-integration as it stands on a WebSocket route."""
    fields = dict(extension)
    fields["type"] = str(fields["type"]).upper()
    uri = fields.pop("uri", None)
    if uri is not None:
        name = function_name(uri)
        fields |= {"url": uri} if name is None else {"function": name}
    if "integrationResponses" in fields:
        fields["responses"] = fields.pop("integrationResponses")
    return fields


def _signer() -> Objects:
    """Who signs the runner's calls of @connections."""
    secret = _object("Secret", "runner-key", {})
    del secret["spec"]
    pair = {"accessKeyId": ACCESS_KEY_ID, "secretAccessKey": SECRET_ACCESS_KEY}
    secret |= {"apiVersion": "v1", "data": {key: _base64(value) for key, value in pair.items()}}
    statement = {"Effect": "Allow", "Action": "execute-api:*", "Resource": "*"}
    spec = {
        "accessKeys": [{"secretRef": {"name": "runner-key"}}],
        "policy": {"Version": "2012-10-17", "Statement": [statement]},
    }
    return [secret, _object("IamUser", "runner", spec)]


def _authorizer(case: Exchange, extension: dict[str, Any]) -> dict[str, Any]:
    fields = dict(extension)
    spec = {"apiRef": _api_ref(case), "authorizerType": str(fields.pop("type")).upper()}
    spec["function"] = function_name(fields.pop("authorizerUri")) or ""
    seconds = fields.pop("authorizerResultTtlInSeconds", None)
    if seconds is not None:
        spec["authorizerResultTtl"] = f"{seconds}s"
    return spec | fields
