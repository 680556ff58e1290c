"""What people are shown of served APIs: addresses and the route table.

Called when a report is read. Promises: says what the units say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

from portico_compiler.conditions import RouteRow
from portico_compiler.passes.shards import CompiledApi, Served
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


def provisional(apis: list[CompiledApi], settings: Settings) -> Mapping[ObjectRef, str]:
    """URL of each implicit `$default` that goes once a Stage of its API is programmed."""
    return {
        api.plan.document.ref: f"{base_url(api, stage.name, settings)}/"
        for api in apis
        if api.plan.spec.default_stage == "Auto"
        for stage in api.stages
        if stage.ref is None
    }


def rows(apis: list[CompiledApi], settings: Settings) -> Iterator[RouteRow]:
    """Every route in every stage that serves it."""
    for api in apis:
        for stage in api.stages:
            base = base_url(api, stage.name, settings)
            for served in api.served(stage):
                yield _row(api, stage.name, base, served)


def base_url(api: CompiledApi, stage: str, settings: Settings) -> str:
    """Address of a stage, without the last slash."""
    port = f":{settings.port}" if settings.port is not None else ""
    if settings.port == {"http": 80, "https": 443}[settings.scheme]:
        port = ""
    prefix = "" if stage == DEFAULT_STAGE else f"/{stage}"
    return f"{settings.scheme}://{api.plan.host}{port}{prefix}"


def _row(api: CompiledApi, stage: str, base: str, served: Served) -> RouteRow:
    route = served.route
    refusal = _refusal(api, route)
    return RouteRow(
        api=api.plan.document.ref,
        stage=stage,
        key=route.key,
        url=f"{base}{served.path or '/'}",
        target=summary(route.integration),
        accepted=not refusal,
        route=served.source,
        message=refusal,
    )


def _refusal(api: CompiledApi, route: Route) -> str:
    """Why requests are answered 500; empty when they are not."""
    if api.broken:
        return api.broken
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
