"""Pass 7a: the routes of an API in one state, spread over units and encoded.

Called by the shards pass: for the current state, and for each deployment that Stages of the API
serve. Memoised on everything that goes in. Promises: no unit has more than 500 routes; routes that
are the same in every stage of the state are in shards that those stages share (`*`, or `*@v1`); an
edit of one route changes the bytes of one shard, and none of another state.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from portico_compiler.features.scope import ApiContext, Upstream
from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import apis
from portico_compiler.manifests.apis import RestApiSpec
from portico_compiler.memo import Memo
from portico_compiler.passes.authorizers import CompiledAuthorizer, compile_authorizers
from portico_compiler.passes.conflicts import contest
from portico_compiler.passes.routes import (
    SHARED,
    CompiledRoute,
    StageContext,
    StagesContext,
    compile_route,
)
from portico_compiler.passes.stages import StagePlan
from portico_compiler.problems import ObjectRef, Problem
from portico_compiler.world import Settings
from portico_ir import codec
from portico_ir.access import Authorizer
from portico_ir.integrations import targets_of
from portico_ir.model import (
    MAX_ROUTES_PER_UNIT,
    ApiKind,
    ApiUnit,
    Route,
    RoutesUnit,
    UpstreamTls,
)

_Content = tuple[tuple[Route, ...], dict[str, Authorizer]]
"""Routes of a shard and the authorizers that they name. TLS terms are named by what they say."""


class Encoded(NamedTuple):
    """A unit as sent."""

    data: msgspec.Raw
    """Its bytes."""
    digest: str
    """Their SHA-256."""


class State(NamedTuple):
    """An API in one state."""

    label: str
    """Empty: the current one; else that of the deployment."""
    api: ObjectRef
    """The API."""
    unit_id: str
    """Of the API's unit."""
    kind: ApiKind
    """What the API behaves like."""
    document: Document
    """The API as it is in this state."""
    spec: apis.RestApiSpec | apis.HttpApiSpec
    """What it says; the defaults where nothing could be read."""
    stages: tuple[StagePlan, ...]
    """Those that serve this state."""
    documents: tuple[Document, ...]
    """Routes."""
    guards: tuple[Document, ...]
    """Authorizers."""


class Variant:
    """What a state was compiled to."""

    def __init__(self, state: State) -> None:
        self.state = state
        """What went in, for the memo."""
        self.ages: tuple[Hashable, ...] = ()
        """Ages of the documents, when they decided something."""
        self.routes: list[CompiledRoute] = []
        """Routes that won their key."""
        self.shards: dict[str, tuple[str, ...]] = {}
        """Stage name to the units it serves."""
        self.units: dict[str, Encoded] = {}
        """Unit id to unit."""
        self.problems: list[Problem] = []
        """Of the Routes, among others."""
        self.upstreams: frozenset[Upstream] = frozenset()
        """Services in use."""
        self.needs: dict[Hashable, Hashable] = {}
        """Lookups that the routes depend on."""
        self.context = api_context(state)
        """What the routes know of their API."""

    @cached_property
    def by_ref(self) -> dict[ObjectRef, CompiledRoute]:
        """Routes, for the compile after this one."""
        return {route.document.ref: route for route in self.routes}

    def holds(self, state: State, inventory: Inventory) -> bool:
        """Whether compiling again would give the same."""
        return (
            self.state == state
            and (not self.ages or self.ages == tuple(d.age for d in state.documents))
            and all(inventory.token(key) == token for key, token in self.needs.items())
        )


def compile_variant(state: State, inventory: Inventory, settings: Settings, memo: Memo) -> Variant:
    """The routes of a state, from the memo when nothing has changed."""
    shelf = memo.shelf("variants")
    key = (state.api, state.label)
    known: Variant | None = shelf.get(key)
    if known is not None and known.holds(state, inventory):
        # Shelves forget what a compile does not keep.
        units = memo.shelf("shards")
        for unit_id in known.units:
            kept = units.get(unit_id)
            if kept is not None:
                units.keep(unit_id, kept)
        memo.shelf("contexts").keep(key, memo.shelf("contexts").get(key))
    else:
        known = _compile(state, known.by_ref if known else {}, inventory, settings, memo)
    shelf.keep(key, known)
    return known


def _compile(
    state: State,
    before: Mapping[ObjectRef, CompiledRoute],
    inventory: Inventory,
    settings: Settings,
    memo: Memo,
) -> Variant:
    variant = Variant(state)
    result = contest(state.documents)
    variant.problems = result.problems
    if result.problems:
        variant.ages = tuple(d.age for d in state.documents)
    api, context = _settled(variant, memo)
    upstreams: set[Upstream] = set()
    variables = {stage.name: stage.variables for stage in context.stages}
    compiled = compile_authorizers(state.guards, api, variables, inventory, settings)
    for authorizer in compiled.values():
        variant.problems += authorizer.problems
        variant.needs.update(authorizer.needs)
    authorizers = _as_named(compiled, state.label)
    for document in result.winners:
        known = before.get(document.ref)
        route = compile_route(document, api, context, inventory, settings, memo, authorizers, known)
        variant.routes.append(route)
        if route.problems:
            variant.problems += route.problems
        if route.needs:
            variant.needs.update(route.needs)
            upstreams |= route.upstreams
    variant.upstreams = frozenset(upstreams)
    _link(variant, memo)
    return variant


def _as_named(
    compiled: dict[ObjectRef, CompiledAuthorizer], label: str
) -> dict[ObjectRef, CompiledAuthorizer]:
    """By the names that Routes know them by."""
    if not label:
        return compiled
    suffix = f"@{label}"
    return {
        ref._replace(name=ref.name.removesuffix(suffix)): authorizer
        for ref, authorizer in compiled.items()
    }


def api_context(state: State) -> ApiContext:
    """What the routes of a state know of their API."""
    spec = state.spec
    return ApiContext(
        state.api,
        state.kind,
        dict(spec.functions),
        spec.api_key_source if isinstance(spec, RestApiSpec) else "HEADER",
    )


def _settled(variant: Variant, memo: Memo) -> tuple[ApiContext, StagesContext]:
    """What the routes depend on; the memo's own objects while they say the same."""
    state = variant.state
    key = (state.api, state.label)
    api = variant.context
    context = StagesContext(
        tuple(
            StageContext(s.name, s.variables, s.restrictions, s.throttles.of_routes)
            for s in state.stages
        )
    )
    shelf = memo.shelf("contexts")
    known: tuple[ApiContext, StagesContext] | None = shelf.get(key)
    if known is not None:
        api = known[0] if known[0] == api else api
        context = known[1] if known[1] == context else context
    pair = (api, context)
    shelf.keep(key, pair)
    return pair


def _link(variant: Variant, memo: Memo) -> None:
    """Spreads the routes over shards and encodes what has changed."""
    state = variant.state
    if not state.stages:
        return  # Nothing is served, so no shard is worth its bytes.
    shared = [route for route in variant.routes if route.shared is not None]
    differing = [route for route in variant.routes if route.shared is None]
    everywhere = _shards(variant, SHARED, shared, memo)
    for stage in state.stages:
        own = _shards(variant, stage.name, differing, memo)
        variant.shards[stage.name] = tuple(sorted(everywhere + own))


def _shards(variant: Variant, stage: str, routes: list[CompiledRoute], memo: Memo) -> list[str]:
    """Encodes what a stage serves (or all do) in as few buckets as hold it; their ids."""
    state = variant.state
    ref = state.api
    place = f"{stage}@{state.label}" if stage == SHARED and state.label else stage
    prefix = f"routes/{ref.namespace}/{ref.kind}/{ref.name}/{place}"
    shelf = memo.shelf("shards")
    ids: list[str] = []
    buckets = _buckets(routes)
    width = len(str(len(buckets) - 1))
    for number, bucket in enumerate(buckets):
        if not bucket:
            continue
        unit_id = f"{prefix}/{number:0{width}d}"
        guards = {
            guard.name: guard
            for route in bucket
            if route.authorizers and (guard := route.authorizer_in_stage(stage)) is not None
        }
        content = (tuple([route.in_stage(stage) for route in bucket]), guards)
        known: tuple[_Content, Encoded] | None = shelf.get(unit_id)
        # Routes come from the memo, so comparing is mostly comparing identities.
        if known is None or known[0] != content:
            bucket.sort(key=lambda route: route.in_stage(stage).key)
            # Most of them have been encoded before; as Raw they are taken as they are.
            pieces: Any = tuple([route.encoded_in_stage(stage) for route in bucket])
            unit = RoutesUnit(
                api=state.unit_id,
                routes=pieces,
                authorizers=dict(sorted(guards.items())),
                tls=_terms(bucket, content[0]),
            )
            known = (content, encoded(unit))
        shelf.keep(unit_id, known)
        variant.units[unit_id] = known[1]
        ids.append(unit_id)
    return ids


def _terms(bucket: list[CompiledRoute], routes: Iterable[Route]) -> dict[str, UpstreamTls]:
    """What the targets of a shard's routes name; most of them name nothing."""
    known: dict[str, UpstreamTls] = {}
    for compiled in bucket:
        known |= compiled.tls
    if not known:
        return known
    named = {target.tls for route in routes for target in targets_of(route.integration)}
    return {key: known[key] for key in sorted(known.keys() & named)}


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


def encoded(unit: ApiUnit | RoutesUnit) -> Encoded:
    """A unit as sent."""
    data = codec.encode(unit)
    return Encoded(msgspec.Raw(data), codec.digest(data))
