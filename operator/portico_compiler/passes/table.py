"""What people are shown of served APIs: addresses and the route table.

Called when a report is read. Promises: says what the units say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

from portico_compiler.conditions import RouteRow
from portico_compiler.passes.routes import CompiledRoute
from portico_compiler.passes.shards import CompiledApi
from portico_compiler.passes.stages import DEFAULT_STAGE
from portico_compiler.problems import ObjectRef
from portico_compiler.world import Settings
from portico_ir.model import (
    Broken,
    HttpProxy,
    Integration,
    LambdaProxy,
    Mock,
    Route,
    ServiceTarget,
    Target,
    UrlTarget,
)
from portico_ir.policies import FailClosed


def addresses(apis: list[CompiledApi], settings: Settings) -> Mapping[ObjectRef, tuple[str, ...]]:
    """URLs of every API (one for each stage) and of every Stage object."""
    found: dict[ObjectRef, tuple[str, ...]] = {}
    for api in apis:
        urls = []
        for stage in api.stages:
            url = f"{base_url(api, stage.name, settings)}/"
            urls.append(url)
            if stage.ref is not None:
                found[stage.ref] = (url,)
        found[api.plan.document.ref] = tuple(urls)
    return found


def rows(apis: list[CompiledApi], settings: Settings) -> Iterator[RouteRow]:
    """Every Route in every stage that it serves."""
    for api in apis:
        for stage in api.stages:
            base = base_url(api, stage.name, settings)
            for compiled in api.routes:
                yield _row(api, stage.name, base, compiled, compiled.in_stage(stage.name))


def base_url(api: CompiledApi, stage: str, settings: Settings) -> str:
    """Address of a stage, without the last slash."""
    port = f":{settings.port}" if settings.port is not None else ""
    if settings.port == {"http": 80, "https": 443}[settings.scheme]:
        port = ""
    prefix = "" if stage == DEFAULT_STAGE else f"/{stage}"
    return f"{settings.scheme}://{api.plan.host}{port}{prefix}"


def _row(
    api: CompiledApi, stage: str, base: str, compiled: CompiledRoute, route: Route
) -> RouteRow:
    key = compiled.document.key
    refusal = _refusal(api, route)
    return RouteRow(
        api=api.plan.document.ref,
        stage=stage,
        key=route.key,
        url=f"{base}{key.path if key and key.path else '/'}",
        target=summary(route.integration),
        accepted=not refusal,
        route=compiled.document.ref,
        message=refusal,
    )


def _refusal(api: CompiledApi, route: Route) -> str:
    """Why requests are answered 500; empty when they are not."""
    if api.plan.broken:
        return api.plan.broken
    closed = [policy.reason for policy in route.policies if isinstance(policy, FailClosed)]
    if closed:
        return "; ".join(closed)
    return route.integration.reason if isinstance(route.integration, Broken) else ""


def summary(integration: Integration) -> str:
    """What an integration calls, in a few words."""
    match integration:
        case HttpProxy():
            return ", ".join(_target(target) for target in integration.targets)
        case LambdaProxy():
            return f"function {integration.function} at {_target(integration.target)}"
        case Mock():
            return "mock"
        case Broken():
            return "broken"
        case _:
            assert_never(integration)


def _target(target: Target) -> str:
    match target:
        case ServiceTarget():
            text = f"service {target.upstream}{target.path}"
        case UrlTarget():
            text = target.url
        case _:
            assert_never(target)
    return text if target.weight == 1 else f"{text} (weight {target.weight})"
