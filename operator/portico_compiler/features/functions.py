"""Functions: a name, a Lambda ARN or an inline endpoint becomes a Lambda proxy (AWS §3.27, §4.4).

Called for AWS_PROXY integrations and for authorizers. Promises: names are looked up in the API's
`functions` by whole name, then without qualifier; what is not there is `FunctionUnresolved`.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from portico_compiler.features import targets, variables
from portico_compiler.features.scope import Scope
from portico_compiler.manifests.routes import Integration
from portico_compiler.manifests.shapes import FunctionEndpoint, FunctionRef, InlineFunction
from portico_compiler.problems import ObjectRef, Reason
from portico_ir.model import ApiKind, Broken, LambdaProxy, Target

FIELD = "spec.integration.function"
# `arn:aws:lambda:region:account:function:name[:qualifier]`, alone or in the ARN of an
# integration: `arn:aws:apigateway:region:lambda:path/2015-03-31/functions/<ARN>/invocations`.
_ARN = re.compile(r"arn:[^/]*?(?:\S*?:function:)([^/]+)(?:/invocations)?\Z")
_NAME = re.compile(r"[A-Za-z0-9_.$-]+(:[A-Za-z0-9_.$-]+)?\Z")


class Function(NamedTuple):
    """A function that can be invoked."""

    name: str
    """In the Invoke path, with its qualifier."""
    target: Target
    """Where the Invoke API answers."""


def lambda_proxy(
    integration: Integration, timeout_ms: int, max_request_body: int, scope: Scope
) -> LambdaProxy | Broken:
    """An AWS_PROXY integration."""
    rest = scope.api.kind is ApiKind.REST
    if rest and integration.http_method not in (None, "POST"):
        # AWS §3.4: "Lambda proxy needs integration method POST; another returns 500".
        message = f"a function is invoked with POST, not {integration.http_method}"
        return scope.broken("spec.integration.httpMethod", Reason.INVALID_COMBINATION, message)
    if integration.function is None:
        return scope.broken(FIELD, Reason.MISSING_FIELD, "is required")
    function = resolve(integration.function, scope)
    if isinstance(function, Broken):
        return function
    payload: Literal["1.0", "2.0"] = "1.0"
    if not rest:
        payload = integration.payload_format_version or "2.0"
    return LambdaProxy(
        target=function.target,
        function=function.name,
        payload_format=payload,
        timeout_ms=timeout_ms,
        max_request_body=max_request_body,
    )


def resolve(function: FunctionRef, scope: Scope, field: str = FIELD) -> Function | Broken:
    """Where a function is invoked, and under which name; `field` is where it is named."""
    if isinstance(function, InlineFunction):
        name = variables.resolve(function.name, f"{field}.name", (), scope)
        if isinstance(name, Broken):
            return name
        endpoint = FunctionEndpoint(service=function.service, url=function.url)
        return _function(name, endpoint, field, scope.route, scope)
    text = variables.resolve(function, field, (), scope)
    if isinstance(text, Broken):
        return text
    arn = _ARN.match(text)
    name = arn[1] if arn else text
    known = scope.api.functions
    found = known.get(name) or known.get(name.partition(":")[0])
    if found is None:
        message = f"{name!r} is not among the functions of {scope.api.ref}"
        return scope.broken(field, Reason.FUNCTION_UNRESOLVED, message)
    return _function(name, found, field, scope.api.ref, scope)


def _function(
    name: str, endpoint: FunctionEndpoint, field: str, owner: ObjectRef, scope: Scope
) -> Function | Broken:
    if not _NAME.match(name):
        return scope.broken(field, Reason.INVALID_VALUE, f"{name!r} is not a function's name")
    target: Target | Broken
    if endpoint.service is not None:
        # Nothing of the client's path goes along: the Invoke path is all there is.
        place = f"{field}.service"
        target = targets.service_target(endpoint.service, place, (), False, scope, owner)
    elif endpoint.url is not None:
        target = targets.url_target(endpoint.url, f"{field}.url", (), False, scope)
    else:
        target = scope.broken(field, Reason.MISSING_FIELD, "has neither service nor url")
    return target if isinstance(target, Broken) else Function(name, target)
