"""Pass 6: a Route becomes one route of the contract, or one per stage.

Called by the shards pass for the Routes that won their key; memoised by version of the Route and of
everything it looked up. Promises: whatever is wrong, the route exists and answers 500, so that
its requests reach no less specific neighbour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable

import msgspec

from portico_compiler.features import integrations, throttling
from portico_compiler.features.scope import ApiContext, Scope, Upstream
from portico_compiler.features.throttling import Throttles
from portico_compiler.features.unbuilt import Effect
from portico_compiler.inventory import Document, Inventory
from portico_compiler.memo import Memo
from portico_compiler.passes import authorizers
from portico_compiler.passes.apis import identity
from portico_compiler.passes.authorizers import Authorization
from portico_compiler.passes.upstream_tls import settle_tls
from portico_compiler.problems import Problem
from portico_compiler.routekeys import RouteKey
from portico_compiler.world import Settings
from portico_ir import codec
from portico_ir.access import Authorizer
from portico_ir.integrations import targets_of
from portico_ir.model import (
    ApiKind,
    Broken,
    DefaultMatch,
    HttpSegments,
    Integration,
    Match,
    RestSegments,
    Route,
    UpstreamTls,
)
from portico_ir.policies import FailClosed, PolicySpec, RequireKey, Signature

SHARED = "*"
"""Stands for all stages, in the ids of shards too."""


class StageContext(msgspec.Struct, frozen=True):
    """What routes depend on of one stage."""

    name: str
    """Stage name."""
    variables: dict[str, str]
    """Stage variables."""
    restrictions: tuple[str, ...]
    """Why its routes must fail closed."""
    throttles: Throttles = Throttles()
    """Without what all requests pass, which is no route's."""

    def singles_out(self, key: RouteKey) -> bool:
        """Whether the route is another one in this stage than elsewhere."""
        return bool(self.restrictions) or self.throttles.of(key) is not None


class StagesContext(msgspec.Struct, frozen=True):
    """What routes depend on of their API's stages; compares by value."""

    stages: tuple[StageContext, ...]
    """Sorted by name."""

    @property
    def restricting(self) -> bool:
        """Some route may be another one in some stage."""
        return any(stage.restrictions or stage.throttles.by_key for stage in self.stages)


class CompiledRoute:
    """What became of a Route."""

    __slots__ = (
        "api",
        "authorizers",
        "bucket_hash",
        "by_stage",
        "document",
        "encoded",
        "needs",
        "problems",
        "shared",
        "stages",
        "tls",
        "upstreams",
        "uses_stages",
    )

    def __init__(self, document: Document, api: ApiContext, stages: StagesContext) -> None:
        self.document = document
        self.api = api
        self.stages = stages
        self.shared: Route | None = None
        """The same in every stage; or"""
        self.by_stage: dict[str, Route] = {}
        """one for each."""
        self.encoded: dict[str, msgspec.Raw] = {}
        """Their bytes, once they were asked for; "*" where it is the same in all."""
        self.authorizers: dict[str, Authorizer] = {}
        """Stage name to what its Authorizer is there; "*" where it is the same in all."""
        self.tls: dict[str, UpstreamTls] = {}
        """What its targets name, in any stage."""
        self.problems: tuple[Problem, ...] = ()
        """What is wrong with it among others."""
        self.needs: dict[Hashable, Hashable] = {}
        """Lookups it depends on."""
        self.upstreams: frozenset[Upstream] = frozenset()
        """Services in use."""
        self.uses_stages = False
        """Depends on the stages, not only on there being some."""
        self.bucket_hash = 0
        """Stable; chooses the shard."""

    def holds(
        self, document: Document, api: ApiContext, stages: StagesContext, inventory: Inventory
    ) -> bool:
        """Whether compiling again would give the same."""
        if self.document is not document or self.api is not api:
            return False
        if self.stages is not stages and (self.uses_stages or stages.restricting):
            return False
        for key, token in self.needs.items():  # noqa: SIM110  # all() would cost a generator
            if inventory.token(key) != token:
                return False
        return True

    def in_stage(self, name: str) -> Route:
        """The route that a stage serves."""
        return self.shared or self.by_stage[name]

    def encoded_in_stage(self, name: str) -> msgspec.Raw:
        """Its bytes: a shard of 500 is encoded anew for an edit of one."""
        key = name if self.shared is None else SHARED
        known = self.encoded.get(key)
        if known is None:
            known = self.encoded[key] = msgspec.Raw(codec.encode(self.in_stage(name)))
        return known

    def authorizer_in_stage(self, name: str) -> Authorizer | None:
        """What the route's `Authorize` names in a stage."""
        return self.authorizers.get(SHARED) or self.authorizers.get(name)


def compile_route(
    document: Document,
    api: ApiContext,
    stages: StagesContext,
    inventory: Inventory,
    settings: Settings,
    memo: Memo,
    guards: authorizers.Compiled,
    known: CompiledRoute | None = None,
) -> CompiledRoute:
    """The Route; `known`, what it was compiled to before, when nothing it depends on has changed.

    The contexts must be the memo's own (`settled`): they are compared by identity.
    """
    if known is None or not known.holds(document, api, stages, inventory):
        known = _compile(document, api, stages, inventory, settings, guards, memo)
    return known


def standing_problems(
    compiled: CompiledRoute,
    inventory: Inventory,
    settings: Settings,
    guards: authorizers.Compiled,
) -> tuple[Problem, ...]:
    """What is wrong with a Route whatever its stages say; `guards` compiled without any."""
    if not compiled.uses_stages:
        return compiled.problems
    document, api, nowhere = compiled.document, compiled.api, StagesContext(())
    return _compile(document, api, nowhere, inventory, settings, guards, Memo()).problems


def _compile(
    document: Document,
    api: ApiContext,
    stages: StagesContext,
    inventory: Inventory,
    settings: Settings,
    guards: authorizers.Compiled,
    memo: Memo,
) -> CompiledRoute:
    compiled = CompiledRoute(document, api, stages)
    key = document.key
    assert key is not None  # Only Routes with a key take part in conflicts.
    compiled.bucket_hash = int.from_bytes(hashlib.sha256(key.text.encode()).digest()[:4])
    # Without any stage the route is compiled for its problems.
    every = stages.stages or (StageContext("", {}, ()),)
    problems: dict[Problem, None] = {}
    upstreams: set[Upstream] = set()
    for stage in every:
        variables = stage.variables if stages.stages else None
        scope = Scope(document.ref, key, api, inventory, settings, stage.name, variables)
        runs = _integration(document, scope, inventory, memo)
        compiled.tls |= {t.tls: scope.tls for t in targets_of(runs) if t.tls}
        guard = authorizers.NOBODY
        if document.valid:
            guard = authorizers.authorization(document.content.spec, scope, guards)
        route = _route(document, key, api, stage, runs, guard)
        compiled.needs.update(scope.needs)
        upstreams |= scope.upstreams
        problems.update(dict.fromkeys(scope.problems))
        compiled.by_stage[stage.name] = route
        if not (scope.uses_variables or any(s.singles_out(key) for s in stages.stages)):
            compiled.shared = route
            compiled.by_stage = {}
            if guard.authorizer is not None:
                compiled.authorizers = {SHARED: guard.authorizer}
            break
        if guard.authorizer is not None:
            compiled.authorizers[stage.name] = guard.authorizer
        compiled.uses_stages = True
    compiled.upstreams = frozenset(upstreams)
    compiled.problems = tuple(problems)
    return compiled


def _integration(document: Document, scope: Scope, inventory: Inventory, memo: Memo) -> Integration:
    wanted = document.content.spec.integration
    if not document.valid or wanted is None:
        faults = "; ".join(f"{p.field}: {p.message}" for p in document.problems[:3])
        return Broken(reason=faults or "no integration")
    broken = settle_tls(wanted, scope, inventory, memo)
    return broken or integrations.integration(wanted, scope)


def _route(
    document: Document,
    key: RouteKey,
    api: ApiContext,
    stage: StageContext,
    runs: Integration,
    guard: Authorization,
) -> Route:
    reasons = [
        f"{field.field} is not built yet"
        for field in document.unbuilt
        if field.effect is Effect.RESTRICTS and document.valid
    ]
    reasons += stage.restrictions
    if guard.broken:
        reasons.append(guard.broken)
    policies: list[PolicySpec] = [FailClosed(reason="; ".join(reasons))] if reasons else []
    if guard.policy is not None:
        policies.append(guard.policy)
    if document.content.spec.authorization_type == "AWS_IAM":
        policies.append(Signature())
    if document.content.spec.api_key_required:
        policies.append(RequireKey(source=api.key_source))
    policies += throttling.policies(document.content.spec, key, stage.throttles)
    rest = api.kind is ApiKind.REST
    return Route(
        key=key.text,
        match=_match(key, api.kind),
        integration=runs,
        object=f"{document.ref.namespace}/{document.ref.name}",
        resource_id=identity(f"{'/'.join(api.ref)}{key.path}") if rest else "",
        operation_name=document.content.spec.operation_name or "",
        policies=tuple(policies),
    )


def _match(key: RouteKey, kind: ApiKind) -> Match:
    if not key.method:
        return DefaultMatch()
    if kind is ApiKind.REST:
        return RestSegments(method=key.method, path=key.path)
    return HttpSegments(method=key.method, path=key.path)
