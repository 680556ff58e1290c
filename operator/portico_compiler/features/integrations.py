"""An integration of a manifest becomes an integration of the contract, or a Broken one.

Called by the routes pass, once per route, or once per stage where stage variables are used.
Promises: every type has a branch; what is not built breaks its route and says so.
"""

from __future__ import annotations

from typing import assert_never

from portico_compiler import quantities
from portico_compiler.features import functions, mappings, mocks, targets
from portico_compiler.features.scope import Scope
from portico_compiler.manifests.routes import Integration as Wanted
from portico_compiler.problems import Reason
from portico_compiler.routekeys import DEFAULT_KEY
from portico_ir.model import (
    ApiKind,
    Broken,
    HttpProxy,
    Integration,
    ParameterMapping,
    Target,
)

FIELD = "spec.integration"
DEFAULT_TIMEOUT_MS = {ApiKind.REST: 29_000, ApiKind.HTTP: 30_000, ApiKind.WEBSOCKET: 29_000}
"""AWS §3.4, §4.3, §5.4."""
DEFAULT_BODY_LIMIT = 10 * 1024 * 1024


def integration(wanted: Wanted, scope: Scope) -> Integration:
    """What the data plane runs for a valid Route."""
    timeout = quantities.milliseconds(wanted.timeout) if wanted.timeout else None
    timeout_ms = timeout or DEFAULT_TIMEOUT_MS[scope.api.kind]
    size = wanted.max_request_body
    limit = None if size is None else quantities.size(size)
    body_limit = DEFAULT_BODY_LIMIT if limit is None else limit
    rest = scope.api.kind is ApiKind.REST
    parameters = wanted.request_parameters if rest else {}
    mapped = mappings.mappings(parameters, wanted.type, scope)
    if isinstance(mapped, Broken):
        return mapped
    match wanted.type:
        case "HTTP_PROXY":
            return _http_proxy(wanted, mapped, timeout_ms, body_limit, scope)
        case "AWS_PROXY":
            return functions.lambda_proxy(wanted, timeout_ms, body_limit, scope)
        case "MOCK":
            return mocks.mock(wanted, body_limit, scope)
        case "HTTP" | "AWS":
            message = f"integrations of type {wanted.type} are not built yet"
            return scope.broken(f"{FIELD}.type", Reason.NOT_IMPLEMENTED, message)
        case _:
            assert_never(wanted.type)


def _http_proxy(
    wanted: Wanted,
    mapped: tuple[ParameterMapping, ...],
    timeout_ms: int,
    body_limit: int,
    scope: Scope,
) -> HttpProxy | Broken:
    names = {mapping.name for mapping in mapped if mapping.place == "path"}
    names.update(scope.key.variables)
    found = _targets(wanted, names, scope)
    if isinstance(found, Broken):
        return found
    return HttpProxy(
        targets=found,
        method="" if wanted.http_method in (None, "ANY") else str(wanted.http_method),
        timeout_ms=timeout_ms,
        max_request_body=body_limit,
        preserve_host=wanted.preserve_host,
        mappings=mapped,
    )


def _targets(wanted: Wanted, names: set[str], scope: Scope) -> tuple[Target, ...] | Broken:
    # AWS §4.3: with `$default` the request's path is appended to the URI.
    append = scope.key.text == DEFAULT_KEY
    if wanted.url is not None:
        target = targets.url_target(wanted.url, f"{FIELD}.url", names, append, scope)
        return target if isinstance(target, Broken) else (target,)
    offered = [(f"{FIELD}.service", wanted.service, 1)] if wanted.service else []
    offered += [
        (f"{FIELD}.backends[{position}].service", backend.service, backend.weight)
        for position, backend in enumerate(wanted.backends)
    ]
    usable: list[Target] = []
    broken = Broken(reason=f"{FIELD}: calls nothing")
    for field, service, weight in offered:
        appended = append or not service.path
        one = targets.service_target(service, field, names, appended, scope, weight=weight)
        if isinstance(one, Broken):
            broken = one
        else:
            usable.append(one)
    # The share of a broken backend goes to the others: one mistake takes down none of them.
    return tuple(usable) if usable else broken
