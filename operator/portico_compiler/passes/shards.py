"""Pass 7: an API becomes its unit and the units of its routes, in every state that it serves.

Called by `compiler.compile` for every served API; memoised on everything that goes in. Promises:
a Stage serves one state, the current one or that of a deployment; what is wrong with a state that
is not the current one is a Problem of the Stages that serve it, and of no live Route; a Stage that
has nothing to serve answers 500 to everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from portico_compiler.features.cors import cors
from portico_compiler.features.resource_policy import resource_policy
from portico_compiler.features.scope import Upstream
from portico_compiler.inventory import Document, Inventory
from portico_compiler.memo import Memo
from portico_compiler.passes.apis import ApiPlan, identity
from portico_compiler.passes.deployments import FIELD
from portico_compiler.passes.routes import CompiledRoute
from portico_compiler.passes.stages import StagePlan
from portico_compiler.passes.variants import Encoded as Encoded
from portico_compiler.passes.variants import State, Variant, compile_variant, encoded
from portico_compiler.problems import ObjectRef, Problem, Reason, Severity
from portico_compiler.revisions.content import Frozen
from portico_compiler.world import Settings
from portico_ir.model import (
    ApiKind,
    ApiUnit,
    Broken,
    DefaultMatch,
    Deployed,
    RestSegments,
    Route,
    RoutesUnit,
    Stage,
)

_DEPLOYMENT_ID = 6
"""Characters of `$context.deploymentId`, as AWS has them."""


class Served(NamedTuple):
    """A route in a stage, for people."""

    route: Route
    """As data planes get it."""
    path: str
    """Of its key; empty for `$default`."""
    source: ObjectRef
    """The Route, or the Stage that has nothing to serve."""


class CompiledApi:
    """Everything that an API adds to the snapshot and the report."""

    def __init__(
        self, plan: ApiPlan, stages: tuple[StagePlan, ...], variants: tuple[Variant, ...]
    ) -> None:
        self.plan = plan
        self.stages = stages
        self.variants = variants
        """Its states, the current one first."""
        self.units: dict[str, Encoded] = {}
        """Unit id to unit."""
        self.problems: list[Problem] = list(variants[0].problems)
        """Of the Routes, among others; of other states those of their Stages."""
        self.upstreams: frozenset[Upstream] = frozenset().union(*(v.upstreams for v in variants))
        """Services in use."""
        self.closed: dict[str, tuple[Route, ...]] = {}
        """Stages that answer 500 to everything: name to how."""
        # A deployment goes on serving when the current API is broken, unless all of its class is.
        self.broken = plan.broken if plan.barred or len(variants) == 1 else ""
        """Not empty: so does every stage, and why."""

    @property
    def routes(self) -> list[CompiledRoute]:
        """Current Routes that won their key."""
        return self.variants[0].routes

    @property
    def live_stages(self) -> tuple[StagePlan, ...]:
        """Stages that serve the current state."""
        return self.variants[0].state.stages

    def served(self, stage: StagePlan) -> Iterator[Served]:
        """What a stage serves, in no particular order."""
        closed = self.closed.get(stage.name, ())
        if stage.pin is not None and stage.pin.fault and not closed:
            closed = _closed(self.plan.kind, self.broken)  # with all of the API
        for route in closed:
            path = route.match.path if isinstance(route.match, RestSegments) else ""
            yield Served(route, path, stage.ref or self.plan.document.ref)
        label = stage.pin.label if stage.pin is not None else ""
        for variant in self.variants if not closed else ():
            for compiled in variant.routes if variant.state.label == label else ():
                key, ref = compiled.document.key, compiled.document.ref
                yield Served(compiled.in_stage(stage.name), key.path if key else "", ref)


def compile_api(
    plan: ApiPlan,
    stages: tuple[StagePlan, ...],
    documents: list[Document],
    guards: list[Document],
    pinned: Mapping[str, Frozen],
    inventory: Inventory,
    settings: Settings,
    memo: Memo,
) -> CompiledApi:
    """An API with its routes, from the memo when nothing has changed; `pinned`: by label."""
    ref = plan.document.ref
    live = State(
        label="",
        api=ref,
        unit_id=plan.unit_id,
        kind=plan.kind,
        document=plan.document,
        spec=plan.spec,
        stages=tuple(stage for stage in stages if stage.pin is None),
        documents=tuple(documents),
        guards=tuple(guards),
    )
    variants = [compile_variant(live, inventory, settings, memo)]
    for label, frozen in sorted(pinned.items()):
        state = live._replace(
            label=label,
            document=frozen.api,
            spec=frozen.api.content.spec,
            stages=tuple(s for s in stages if s.pin is not None and s.pin.label == label),
            documents=frozen.routes,
            guards=tuple(frozen.authorizers.values()),
        )
        view = inventory.with_authorizers(ref.namespace, frozen.authorizers)
        variants.append(compile_variant(state, view, settings, memo))
    shelf = memo.shelf("apis")
    known: CompiledApi | None = shelf.get(ref)
    if (
        known is None
        or known.plan != plan
        or known.stages != stages
        or len(known.variants) != len(variants)
        or any(a is not b for a, b in zip(known.variants, variants, strict=True))
    ):
        known = _joined(plan, stages, tuple(variants))
    shelf.keep(ref, known)
    return known


def _joined(
    plan: ApiPlan, stages: tuple[StagePlan, ...], variants: tuple[Variant, ...]
) -> CompiledApi:
    compiled = CompiledApi(plan, stages, variants)
    for variant in variants:
        compiled.units.update(variant.units)
        if variant.state.label:
            compiled.problems += _of_stages(variant)
    for stage in stages:
        fault = stage.pin.fault if stage.pin is not None else plan.broken
        if fault and not compiled.broken:
            compiled.closed[stage.name] = _closed(plan.kind, fault)
    spec = plan.spec
    # A broken API promises nothing to browsers either.
    current = None if plan.broken else cors(spec.cors_configuration)
    unit = ApiUnit(
        uid=plan.document.object.uid,
        api_id=plan.api_id,
        kind=plan.kind,
        name=plan.document.ref.name,
        namespace=plan.document.ref.namespace,
        hosts=(plan.host,),
        disable_default_endpoint=spec.disable_execute_api_endpoint,
        stages=(),
        cors=current,
        broken=compiled.broken,
        retry_after=spec.extensions is not None and spec.extensions.retry_after,
    )
    unit = msgspec.structs.replace(
        unit, stages=tuple([_stage(compiled, stage, unit) for stage in stages])
    )
    compiled.units[plan.unit_id] = encoded(unit)
    return compiled


def _stage(compiled: CompiledApi, plan: StagePlan, api: ApiUnit) -> Stage:
    label = plan.pin.label if plan.pin is not None else ""
    (variant,) = (v for v in compiled.variants if v.state.label == label)
    closed = compiled.closed.get(plan.name)
    shards = variant.shards.get(plan.name, ())
    if closed is not None:
        ref = compiled.plan.document.ref
        unit_id = f"routes/{ref.namespace}/{ref.kind}/{ref.name}/{plan.name}/closed"
        unit = RoutesUnit(api=compiled.plan.unit_id, routes=closed)
        compiled.units[unit_id] = encoded(unit)
        shards = (unit_id,)
    keys = [route.document.key for route in variant.routes if route.document.key]
    if plan.ref is not None and closed is None:
        compiled.problems += _about_no_route(plan.ref, plan.throttles.unused(keys))
    stage = Stage(
        name=plan.name,
        shards=shards,
        variables=plan.variables,
        access_log=plan.access_log,
        detailed_metrics=() if closed else plan.metrics.keys(keys),
        policy=None if closed else resource_policy(variant.state.spec, compiled.plan.arn),
        throttle=None if closed else plan.throttles.default,
    )
    if not label:
        return stage
    own = cors(variant.state.spec.cors_configuration)
    source = "/".join((*compiled.plan.document.ref, label))
    return msgspec.structs.replace(
        stage,
        deployment_id=identity(source)[:_DEPLOYMENT_ID],
        deployed=Deployed(cors=own) if own != api.cors else None,
    )


def _about_no_route(ref: ObjectRef, fields: Iterable[str]) -> Iterator[Problem]:
    for field in fields:
        message = "throttles a route that the API does not have: nothing is throttled by it"
        yield Problem(ref, field, Reason.FIELDS_IGNORED, message, Severity.WARNING)


def _closed(kind: ApiKind, reason: str) -> tuple[Route, ...]:
    """Routes that answer 500 to whatever comes."""
    broken = Broken(reason=reason)
    if kind is not ApiKind.REST:
        return (Route(key="$default", match=DefaultMatch(), integration=broken),)
    return tuple(
        Route(key=f"ANY {path}", match=RestSegments(method="ANY", path=path), integration=broken)
        for path in ("/", "/{proxy+}")
    )


def _of_stages(variant: Variant) -> Iterator[Problem]:
    """Problems of a state that is not the current one, on the Stages that serve it."""
    state = variant.state
    found: dict[tuple[str, Reason, str, Severity], list[str]] = {}
    own = [p for d in (state.document, *state.guards, *state.documents) for p in d.problems]
    for problem in (*own, *variant.problems):
        what = (problem.field, problem.reason, problem.message, problem.severity)
        found.setdefault(what, []).append(str(problem.object))
    for (field, reason, message, severity), objects in sorted(found.items()):
        rest = f" and {len(objects) - 1} more" if len(objects) > 1 else ""
        where = f"{min(objects)}{rest}: {field}: " if field else f"{min(objects)}{rest}: "
        for stage in state.stages:
            if stage.ref is not None:
                yield Problem(stage.ref, FIELD, reason, f"{where}{message}", severity)


def route_units(compiled: Iterable[CompiledApi]) -> dict[str, Encoded]:
    """Units of all APIs together."""
    return {unit_id: unit for api in compiled for unit_id, unit in api.units.items()}
