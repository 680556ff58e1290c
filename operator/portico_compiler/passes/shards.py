"""Pass 7: an API's routes are compiled, spread over units and encoded.

Called by `compiler.compile` for every served API; memoised on everything that goes in. Promises:
no unit has more than 500 routes; routes that are the same in every stage are in shards that all
stages share (`*`); an edit of one route changes the bytes of one shard.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

import msgspec

from portico_compiler.features.cors import cors
from portico_compiler.features.scope import ApiContext, Upstream
from portico_compiler.inventory import Document, Inventory
from portico_compiler.memo import Memo
from portico_compiler.passes.apis import ApiPlan
from portico_compiler.passes.conflicts import contest
from portico_compiler.passes.routes import (
    CompiledRoute,
    StageContext,
    StagesContext,
    compile_route,
)
from portico_compiler.passes.stages import StagePlan
from portico_compiler.problems import Problem
from portico_compiler.world import Settings
from portico_ir import codec
from portico_ir.model import (
    MAX_ROUTES_PER_UNIT,
    ApiUnit,
    Route,
    RoutesUnit,
    Stage,
)

SHARED = "*"
"""Stands for all stages in the ids of shards."""


class Encoded(NamedTuple):
    """A unit as sent."""

    data: msgspec.Raw
    """Its bytes."""
    digest: str
    """Their SHA-256."""


class CompiledApi:
    """Everything that an API adds to the snapshot and the report."""

    def __init__(self, plan: ApiPlan, stages: tuple[StagePlan, ...]) -> None:
        self.plan = plan
        self.stages = stages
        self.documents: tuple[Document, ...] = ()
        """What went in, for the memo."""
        self.ages: tuple[Hashable, ...] = ()
        """Ages of the documents, when they decided something."""
        self.routes: list[CompiledRoute] = []
        """Routes that won their key."""
        self.units: dict[str, Encoded] = {}
        """Unit id to unit."""
        self.problems: list[Problem] = []
        """Of the Routes, among others."""
        self.upstreams: frozenset[Upstream] = frozenset()
        """Services in use."""
        self.needs: dict[Hashable, Hashable] = {}
        """Lookups that the routes depend on."""


def compile_api(
    plan: ApiPlan,
    stages: tuple[StagePlan, ...],
    documents: list[Document],
    inventory: Inventory,
    settings: Settings,
    memo: Memo,
) -> CompiledApi:
    """An API with its routes, from the memo when nothing has changed."""
    shelf = memo.shelf("apis")
    ref = plan.document.ref
    known: CompiledApi | None = shelf.get(ref)
    if known is not None and _holds(known, plan, stages, documents, inventory):
        # Shelves forget what a compile does not keep.
        routes = memo.shelf("routes")
        for route in known.routes:
            routes.keep(route.document.ref, route)
        units = memo.shelf("shards")
        for unit_id in known.units:
            kept = units.get(unit_id)
            if kept is not None:
                units.keep(unit_id, kept)
        memo.shelf("contexts").keep(ref, memo.shelf("contexts").get(ref))
    else:
        known = _compile(plan, stages, documents, inventory, settings, memo)
    shelf.keep(ref, known)
    return known


def _holds(
    known: CompiledApi,
    plan: ApiPlan,
    stages: tuple[StagePlan, ...],
    documents: list[Document],
    inventory: Inventory,
) -> bool:
    return (
        known.documents == tuple(documents)
        and known.plan == plan
        and known.stages == stages
        and (not known.ages or known.ages == tuple(d.age for d in documents))
        and all(inventory.token(key) == token for key, token in known.needs.items())
    )


def _compile(
    plan: ApiPlan,
    stages: tuple[StagePlan, ...],
    documents: list[Document],
    inventory: Inventory,
    settings: Settings,
    memo: Memo,
) -> CompiledApi:
    compiled = CompiledApi(plan, stages)
    compiled.documents = tuple(documents)
    result = contest(documents)
    compiled.problems = result.problems
    if result.problems:
        compiled.ages = tuple(d.age for d in documents)
    api, context = _settled(plan, stages, memo)
    upstreams: set[Upstream] = set()
    for document in result.winners:
        route = compile_route(document, api, context, inventory, settings, memo)
        compiled.routes.append(route)
        if route.problems:
            compiled.problems += route.problems
        if route.needs:
            compiled.needs.update(route.needs)
            upstreams |= route.upstreams
    compiled.upstreams = frozenset(upstreams)
    _link(compiled, memo)
    return compiled


def _settled(
    plan: ApiPlan, stages: tuple[StagePlan, ...], memo: Memo
) -> tuple[ApiContext, StagesContext]:
    """What the routes depend on; the memo's own objects while they say the same."""
    ref = plan.document.ref
    api = ApiContext(ref, plan.kind, dict(plan.spec.functions))
    context = StagesContext(
        tuple(StageContext(s.name, s.variables, s.restrictions) for s in stages)
    )
    shelf = memo.shelf("contexts")
    known: tuple[ApiContext, StagesContext] | None = shelf.get(ref)
    if known is not None:
        api = known[0] if known[0] == api else api
        context = known[1] if known[1] == context else context
    pair = (api, context)
    shelf.keep(ref, pair)
    return pair


def _link(compiled: CompiledApi, memo: Memo) -> None:
    """Spreads the routes over shards and encodes what has changed."""
    if not compiled.stages:
        _encode_api(compiled, ())  # Nothing is served, so no shard is worth its bytes.
        return
    shared = [route for route in compiled.routes if route.shared is not None]
    differing = [route for route in compiled.routes if route.shared is None]
    everywhere = _shards(compiled, SHARED, shared, memo)
    stages: list[Stage] = []
    for stage in compiled.stages:
        own = _shards(compiled, stage.name, differing, memo)
        keys = (route.document.key for route in compiled.routes if route.document.key)
        stages.append(
            Stage(
                name=stage.name,
                shards=tuple(sorted(everywhere + own)),
                variables=stage.variables,
                access_log=stage.access_log,
                detailed_metrics=stage.metrics.keys(keys),
            )
        )
    _encode_api(compiled, tuple(stages))


def _encode_api(compiled: CompiledApi, stages: tuple[Stage, ...]) -> None:
    plan = compiled.plan
    spec = plan.spec
    unit = ApiUnit(
        uid=plan.document.object.uid,
        api_id=plan.api_id,
        kind=plan.kind,
        name=plan.document.ref.name,
        namespace=plan.document.ref.namespace,
        hosts=(plan.host,),
        disable_default_endpoint=spec.disable_execute_api_endpoint,
        stages=stages,
        # A broken API promises nothing to browsers either.
        cors=None if plan.broken else cors(spec.cors_configuration),
        broken=plan.broken,
    )
    compiled.units[plan.unit_id] = _encoded(unit)


def _shards(
    compiled: CompiledApi, stage: str, routes: list[CompiledRoute], memo: Memo
) -> list[str]:
    """Encodes what a stage serves (or all do) in as few buckets as hold it; their ids."""
    ref = compiled.plan.document.ref
    prefix = f"routes/{ref.namespace}/{ref.kind}/{ref.name}/{stage}"
    shelf = memo.shelf("shards")
    ids: list[str] = []
    buckets = _buckets(routes)
    width = len(str(len(buckets) - 1))
    for number, bucket in enumerate(buckets):
        if not bucket:
            continue
        unit_id = f"{prefix}/{number:0{width}d}"
        content = tuple([route.in_stage(stage) for route in bucket])
        known: tuple[tuple[Route, ...], Encoded] | None = shelf.get(unit_id)
        # Routes come from the memo, so comparing is mostly comparing identities.
        if known is None or known[0] != content:
            ordered = tuple(sorted(content, key=lambda route: route.key))
            known = (content, _encoded(RoutesUnit(api=compiled.plan.unit_id, routes=ordered)))
        shelf.keep(unit_id, known)
        compiled.units[unit_id] = known[1]
        ids.append(unit_id)
    return ids


def _buckets(routes: list[CompiledRoute]) -> list[list[CompiledRoute]]:
    """The smallest power of two of buckets with at most 500 routes each."""
    count = 1
    while count * MAX_ROUTES_PER_UNIT < len(routes):
        count *= 2
    while True:
        mask = count - 1
        buckets: list[list[CompiledRoute]] = [[] for _ in range(count)]
        for route in routes:
            buckets[route.bucket_hash & mask].append(route)
        if all(len(bucket) <= MAX_ROUTES_PER_UNIT for bucket in buckets):
            return buckets
        count *= 2


def _encoded(unit: ApiUnit | RoutesUnit) -> Encoded:
    data = codec.encode(unit)
    return Encoded(msgspec.Raw(data), codec.digest(data))


def route_units(compiled: Iterable[CompiledApi]) -> dict[str, Encoded]:
    """Units of all APIs together."""
    return {unit_id: unit for api in compiled for unit_id, unit in api.units.items()}
