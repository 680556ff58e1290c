"""Pass 4: the stages of every API, the implicit `$default` among them.

Called by `compiler.compile`. Promises: stages of one API have different names, sorted; a stage
that asks for something unbuilt that restricts says which of its routes must fail closed; the
implicit `$default` goes when a Stage of the API was programmed, and never comes back while it is
there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from portico_compiler.features import unbuilt
from portico_compiler.features.throttling import Throttles, method_and_path, throttles
from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import stages
from portico_compiler.passes.apis import ApiPlan
from portico_compiler.passes.attachment import attached
from portico_compiler.passes.deployments import Deployments, Pin
from portico_compiler.problems import ObjectRef, Problem, Reason
from portico_compiler.routekeys import RouteKey
from portico_ir.model import AccessLog

DEFAULT_STAGE = "$default"


class Metrics(msgspec.Struct, frozen=True):
    """Whose metrics are kept by route; the more specific entry wins (AWS §3.15)."""

    everything: bool = False
    """The stage's default."""
    by_key: dict[str, bool] = {}
    """Route key (as settings name it) to an answer of its own."""

    def keys(self, routes: Iterable[RouteKey]) -> tuple[str, ...]:
        """What `Stage.detailed_metrics` says."""
        if not any(on != self.everything for on in self.by_key.values()):
            return ("*",) if self.everything else ()
        named = (key.text for key in routes if self._on(key))
        return tuple(sorted(named))

    def _on(self, key: RouteKey) -> bool:
        plain = f"{key.method} {key.path.rstrip('/') or '/'}"
        return self.by_key.get(key.text, self.by_key.get(plain, self.everything))


class StagePlan(msgspec.Struct, frozen=True):
    """A stage that is served; compares by value, which is what memos need."""

    name: str
    """`$default` has no path prefix."""
    ref: ObjectRef | None = None
    """Its manifest; None for the implicit `$default`."""
    variables: dict[str, str] = {}
    """Stage variables."""
    restrictions: tuple[str, ...] = ()
    """Why its routes must fail closed."""
    access_log: AccessLog | None = None
    """Access log."""
    metrics: Metrics = Metrics()
    """Metrics by route."""
    throttles: Throttles = Throttles()
    """Token buckets."""
    pin: Pin | None = None
    """What it serves of a deployment; None: the current routes."""


class Stages(NamedTuple):
    """Stages by API, and what became of the others."""

    plans: dict[ObjectRef, tuple[StagePlan, ...]]
    """Every served API, if only with ()."""
    problems: tuple[Problem, ...]
    """Conflicts and references."""


def stages_of(
    inventory: Inventory,
    apis: dict[ObjectRef, ApiPlan],
    known_apis: frozenset[ObjectRef],
    deployments: Deployments,
) -> Stages:
    """The stages of every served API."""
    problems: list[Problem] = []
    claimed: dict[tuple[ObjectRef, str], Document] = {}
    documents = [d for d in inventory.of_kind("Stage") if isinstance(d.content, stages.Stage)]
    for document in sorted(documents, key=lambda d: d.age):
        api = document.api
        if api is None or not attached(document.ref, api, inventory, apis, known_apis, problems):
            continue
        if not document.valid:
            continue
        name = document.content.spec.stage_name
        winner = claimed.setdefault((api, name), document)
        if winner is not document:
            message = f"{winner.ref} is older and already the stage {name!r} of {api}"
            problems.append(Problem(document.ref, "spec.stageName", Reason.CONFLICTED, message))
    found: dict[ObjectRef, list[StagePlan]] = {api: [] for api in apis}
    serving: set[ObjectRef] = set()
    for (api, _), document in claimed.items():
        pin = None
        if document.content.spec.deployment_ref is not None:
            pin = deployments.pin(document, apis[api])
        found[api].append(_plan(document, pin))
        if document.object.established and (pin is None or not pin.fault):
            serving.add(api)
    for api, plan in apis.items():
        wanted = plan.spec.default_stage
        if (wanted == "Always" or (wanted == "Auto" and api not in serving)) and not any(
            stage.name == DEFAULT_STAGE for stage in found[api]
        ):
            found[api].append(StagePlan(DEFAULT_STAGE))
    plans = {api: tuple(sorted(own, key=lambda s: s.name)) for api, own in found.items()}
    return Stages(plans, tuple(problems))


def _plan(document: Document, pin: Pin | None) -> StagePlan:
    spec: stages.StageSpec = document.content.spec
    log = spec.access_log_settings
    return StagePlan(
        name=spec.stage_name,
        ref=document.ref,
        variables=spec.variables,
        restrictions=tuple(_restrictions(document)),
        access_log=AccessLog(format=log.format, destination=log.destination or "") if log else None,
        metrics=_metrics(spec),
        throttles=throttles(spec),
        pin=pin,
    )


def _restrictions(document: Document) -> Iterator[str]:
    for field in document.unbuilt:
        if field.effect is unbuilt.Effect.RESTRICTS:
            yield f"{document.ref}: {field.field} is not built yet"


def _metrics(spec: stages.StageSpec) -> Metrics:
    everything = bool(
        spec.default_route_settings and spec.default_route_settings.detailed_metrics_enabled
    )
    by_key = {
        key: settings.detailed_metrics_enabled
        for key, settings in spec.route_settings.items()
        if settings.detailed_metrics_enabled is not None
    }
    for key, method_settings in spec.method_settings.items():
        if method_settings.metrics_enabled is None:
            continue
        method, path = method_and_path(key)
        if path == "*":
            everything = everything or method_settings.metrics_enabled
        else:
            by_key[f"{method} {path}"] = method_settings.metrics_enabled
    return Metrics(everything, by_key)
