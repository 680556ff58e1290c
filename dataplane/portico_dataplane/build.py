"""Units to Runtime: everything a request needs, prepared beside the one that serves.

Called by the gateway for each manifest. Works in slices of a few milliseconds, rebuilds only
what changed (a shard's changed routes), and refuses by API: one whose units are broken keeps
its previous version and all that version refers to, and holds up no other. Never raises for
what a snapshot holds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import msgspec

from portico_dataplane.access_build import AccessBuilder, Part, packed
from portico_dataplane.class_build import ClassBuilder
from portico_dataplane.core.context import compile_format
from portico_dataplane.core.credentials import Credentials
from portico_dataplane.core.judgement import Policy
from portico_dataplane.core.router import Router, RouterBuilder
from portico_dataplane.core.templates import BadTemplate
from portico_dataplane.core.verdicts import BufferedIntegration
from portico_dataplane.domain_build import DomainBuilder
from portico_dataplane.http.targets import Targets
from portico_dataplane.integrations.function import FunctionIntegration
from portico_dataplane.integrations.http import HttpForward, PreparedTarget
from portico_dataplane.integrations.mock import MockIntegration
from portico_dataplane.late_imports import load_for
from portico_dataplane.policies.cors import CorsPolicy
from portico_dataplane.policies.registry import (
    Outside,
    Scope,
    authorizes,
    prepare,
    routes_differ,
)
from portico_dataplane.runtime import ApiRuntime, RouteRuntime, Runtime, StageRuntime
from portico_dataplane.telemetry.ports import Meters
from portico_dataplane.uses import Uses
from portico_ir import codec, invariants
from portico_ir.access import Authorizer
from portico_ir.model import (
    IR_VERSION,
    ApiUnit,
    Broken,
    HttpProxy,
    LambdaProxy,
    Manifest,
    Mock,
    Route,
    RoutesUnit,
    Snapshot,
    Stage,
    StoreUnit,
    Unit,
    UpstreamTls,
)

SLICE_S: Final = 0.004
"""How long a build works before it lets requests run."""


class Applied(NamedTuple):
    """What a data plane acknowledges."""

    digest: str
    """Of the manifest."""
    refused: dict[str, str]
    """Unit id to reason."""


class Built(NamedTuple):
    """What a build yields: to be put in place in one step."""

    runtime: Runtime
    """Serves."""
    credentials: Credentials
    """Whom it serves."""
    applied: Applied
    """What to say about it."""


class _StageBuild(NamedTuple):
    stage: Stage
    shards: dict[str, str]
    """Unit id to digest."""
    runtime: StageRuntime


class _ApiBuild(NamedTuple):
    digest: str
    unit: ApiUnit
    stages: dict[str, _StageBuild]
    runtime: ApiRuntime
    routes: dict[str, RoutesUnit]
    """Shard id to the unit this version is made of."""


class Refusal(Exception):
    """Inside the builder only: this unit cannot be built, and why."""

    def __init__(self, unit: str, reason: str) -> None:
        super().__init__(reason)
        self.unit = unit
        self.reason = reason


class Builder:
    """Builds one Runtime after another, remembering what the last one was made of."""

    def __init__(
        self, meters: Meters, targets: Targets, outside: Outside, *, logs: bool = True
    ) -> None:
        self._logs = logs
        self._outside = outside
        self._meters = meters
        self._targets = targets
        self._decoded: dict[str, Part] = {}
        """By digest: what the current manifest is made of."""
        self._apis: dict[str, _ApiBuild] = {}
        self._owners: dict[str, str] = {}
        """Host to the API that has it in the current manifest."""
        self._uses = Uses()
        self._class = ClassBuilder(outside.counters.leases)
        self._access = AccessBuilder(self._breathe)
        self._domains = DomainBuilder(self._breathe)
        self._pause_at = 0.0

    @property
    def store(self) -> StoreUnit:
        """Where leases are settled."""
        return self._class.store

    @property
    def authorizers(self) -> frozenset[Authorizer]:
        """Of every API that the last build put in place."""
        return self._uses.authorizers

    async def build(self, snapshot: Snapshot) -> Built:
        """What `snapshot.manifest` makes; units it lacks are those of the one before."""
        manifest = snapshot.manifest
        digest = codec.digest(codec.encode(manifest))
        refused: dict[str, str] = {}
        self._pause_at = time.monotonic() + SLICE_S
        if manifest.ir_version != IR_VERSION:
            refused["manifest"] = f"irVersion {manifest.ir_version} is not {IR_VERSION}"
            return self._built(digest, self._apis, refused)
        units = await self._decode(manifest, snapshot.units, refused)
        self._class.take(manifest, units, refused)
        await self._access.build(manifest, units, refused)
        await self._domains.build(manifest, units, refused)
        apis: dict[str, _ApiBuild] = {}
        self._owners = {}
        for unit_id in sorted(manifest.units):
            if not unit_id.startswith("api/"):
                continue
            before = self._apis.get(unit_id)
            try:
                built: _ApiBuild | None = await self._build_api(unit_id, manifest, units, refused)
                assert built is not None
                for violation in invariants.check_hosts(unit_id, built.unit, self._owners):
                    raise Refusal(violation.unit, violation.message)
            except Refusal as refusal:
                refused[refusal.unit] = refusal.reason
                built = before
            if built is not None:
                apis[unit_id] = built
        await self._forget(manifest, units, apis, refused)
        self._apis = apis
        return self._built(digest, apis, refused)

    def _built(self, digest: str, apis: dict[str, _ApiBuild], refused: dict[str, str]) -> Built:
        runtime = self._assemble(digest, apis)
        return Built(runtime, self._access.current, Applied(digest, refused))

    async def _decode(
        self, manifest: Manifest, sent: Mapping[str, msgspec.Raw], refused: dict[str, str]
    ) -> dict[str, Part]:
        units: dict[str, Part] = {}
        for unit_id, wanted in manifest.units.items():
            unit = self._decoded.get(wanted)
            if unit is None:
                raw = sent.get(unit_id)
                if raw is None:
                    refused[unit_id] = "the unit was not sent"
                    continue
                if codec.digest(raw) != wanted:
                    refused[unit_id] = "its bytes are not those the manifest names"
                    continue
                try:
                    unit = self._decoded[wanted] = packed(codec.decode_unit(raw))
                except codec.Undecodable as error:
                    refused[unit_id] = f"not readable: {error}"
                    continue
                await self._breathe()
            units[unit_id] = unit
        return units

    async def _build_api(
        self,
        unit_id: str,
        manifest: Manifest,
        units: dict[str, Part],
        refused: dict[str, str],
    ) -> _ApiBuild:
        if unit_id in refused:
            raise Refusal(unit_id, refused[unit_id])
        unit = units[unit_id]
        if not isinstance(unit, ApiUnit):
            raise Refusal(unit_id, "not an API unit")
        shard_ids = {shard for stage in unit.stages for shard in stage.shards}
        for shard in sorted(shard_ids):
            if shard in refused:
                raise Refusal(shard, refused[shard])
        digest = manifest.units[unit_id]
        before = self._apis.get(unit_id)
        mine = {shard: part for shard in shard_ids if isinstance(part := units.get(shard), Unit)}
        if self._class.afresh:
            before = None
        if (
            before is not None
            and before.digest == digest
            and all(before.routes.get(shard) is mine.get(shard) for shard in shard_ids)
        ):
            return before
        for violation in invariants.check_api(unit_id, unit, mine):
            raise Refusal(violation.unit, violation.message)
        routes: dict[str, RoutesUnit] = {}
        known = before.routes if before is not None and before.unit.kind is unit.kind else {}
        for shard, routes_unit in mine.items():
            assert isinstance(routes_unit, RoutesUnit)  # check_api saw to it
            routes[shard] = routes_unit
            if (old := known.get(shard)) is not routes_unit:
                for violation in invariants.check_routes(shard, routes_unit, unit, old):
                    raise Refusal(violation.unit, violation.message)
                await load_for(routes_unit)
                await self._breathe()
        stages: dict[str, _StageBuild] = {}
        for stage in unit.stages:
            stages[stage.name] = await self._build_stage(unit, stage, manifest, routes, before)
        cors = CorsPolicy(unit.cors) if unit.cors is not None else None
        meter = self._meters.meter(unit.namespace, unit.name, unit.kind, "", "")
        last = self._apis.get(unit_id)
        share = last.runtime.share if last is not None else None
        runtimes = {name: build.runtime for name, build in stages.items()}
        runtime = ApiRuntime(unit, runtimes, cors, meter, share)
        return _ApiBuild(digest, unit, stages, runtime, routes)

    async def _build_stage(
        self,
        api: ApiUnit,
        stage: Stage,
        manifest: Manifest,
        routes: dict[str, RoutesUnit],
        api_before: _ApiBuild | None,
    ) -> _StageBuild:
        shards = {shard: manifest.units[shard] for shard in stage.shards}
        before = api_before.stages.get(stage.name) if api_before is not None else None
        if (
            api_before is None
            or api_before.unit.kind is not api.kind
            or api_before.unit.api_id != api.api_id
            or (before is not None and routes_differ(before.stage, stage))
        ):
            before = None
        builder: RouterBuilder[RouteRuntime]
        old: dict[str, Route] = {}
        if before is not None and api_before is not None:
            if before.shards == shards:
                router = before.runtime.router
                return _StageBuild(stage, shards, self._stage_runtime(api, stage, router))
            builder = RouterBuilder.from_router(before.runtime.router)
            for shard, shard_digest in before.shards.items():
                if shards.get(shard) != shard_digest:
                    old.update((r.key, r) for r in api_before.routes[shard].routes)
        else:
            builder = RouterBuilder(api.kind)
        known = before.shards if before is not None else {}
        new: list[tuple[Route, RoutesUnit]] = []
        for shard, shard_digest in shards.items():
            if known.get(shard) != shard_digest:
                unit = routes[shard]
                last = api_before.routes.get(shard) if api_before is not None else None
                same_authorizers = last is None or last.authorizers == unit.authorizers
                for route in unit.routes:
                    earlier = old.pop(route.key, None)
                    if earlier is not None:
                        if earlier == route and (same_authorizers or not authorizes(route)):
                            continue
                        builder.remove(earlier.match)
                    new.append((route, unit))
        for gone in old.values():
            builder.remove(gone.match)
        policy = Policy(stage.policy) if stage.policy is not None else None
        for count, (route, unit) in enumerate(new):
            scope = Scope(api, stage, route, unit.authorizers, policy)
            builder.add(route.match, self._route(scope, unit.tls))
            if not count % 16:
                await self._breathe()
        return _StageBuild(stage, shards, self._stage_runtime(api, stage, builder.build()))

    def _stage_runtime(
        self, api: ApiUnit, stage: Stage, router: Router[RouteRuntime]
    ) -> StageRuntime:
        meter = self._meters.meter(api.namespace, api.name, api.kind, stage.name, "")
        wanted = stage.access_log if self._logs else None
        log = compile_format(wanted.format) if wanted is not None else None
        cors = stage.deployed.cors if stage.deployed is not None else api.cors
        own = CorsPolicy(cors) if cors is not None else None
        return StageRuntime(stage, router, meter, log, own)

    def _route(self, scope: Scope, terms: Mapping[str, UpstreamTls]) -> RouteRuntime:
        """A route ready to run; what cannot be prepared fails closed, alone."""
        api, stage, route = scope.api, scope.stage, scope.route
        meter = None
        if stage.detailed_metrics and (
            "*" in stage.detailed_metrics or route.key in stage.detailed_metrics
        ):
            meter = self._meters.meter(api.namespace, api.name, api.kind, stage.name, route.key)
        chain, broken = prepare(scope, self._outside)
        forward: HttpForward | None = None
        buffered: BufferedIntegration | None = None
        target: PreparedTarget | None = None
        integration = route.integration
        try:
            if isinstance(integration, HttpProxy):
                prepared = tuple(self._targets.prepared(t, terms) for t in integration.targets)
                forward = HttpForward(
                    integration, api.kind, api.api_id, prepared, self._targets.by_address
                )
            elif isinstance(integration, LambdaProxy):
                target = self._targets.prepared(integration.target, terms)
                buffered = FunctionIntegration(integration)
            elif isinstance(integration, Mock):
                buffered = MockIntegration(integration)
            elif isinstance(integration, Broken):
                broken = broken or integration.reason or "broken"
        except (BadTemplate, ValueError) as error:
            broken = broken or str(error) or "not preparable"
        return RouteRuntime(route, forward, buffered, broken, meter, target, chain)

    async def _forget(
        self,
        manifest: Manifest,
        units: dict[str, Part],
        apis: dict[str, _ApiBuild],
        refused: Collection[str],
    ) -> None:
        """Drop what neither this manifest nor a kept previous version needs."""
        digests = set(manifest.units.values())
        for built in apis.values():
            digests.add(built.digest)
            for stage in built.stages.values():
                digests.update(stage.shards.values())
        kept = self._access.units | self._domains.units
        self._decoded = {
            digest: unit
            for digest, unit in self._decoded.items()
            if digest in digests or unit is self._class.gateway or id(unit) in kept
        }
        routes = (unit for built in apis.values() for unit in built.routes.values())
        unused = await self._uses.place(routes, self._breathe)
        if refused:  # What is refused may have prepared what nobody counts.
            self._targets.retain(self._uses.targets)
        else:
            self._targets.release(unused)

    def _assemble(self, digest: str, apis: dict[str, _ApiBuild]) -> Runtime:
        hosts = {host: apis[owner].runtime for host, owner in self._owners.items()}
        for unit_id in sorted(apis):  # a version that was kept has what nobody else claims
            for host in apis[unit_id].unit.hosts:
                hosts.setdefault(host, apis[unit_id].runtime)
        sole = apis.get(self._class.gateway.sole_api)
        return Runtime(
            digest,
            self._class.gateway,
            hosts,
            {built.unit.api_id: built.runtime for built in apis.values()},
            sole.runtime if sole is not None else None,
            self._domains.current,
            {unit_id: built.runtime for unit_id, built in apis.items()},
        )

    async def _breathe(self) -> None:
        if time.monotonic() >= self._pause_at:
            await asyncio.sleep(0)
            self._pause_at = time.monotonic() + SLICE_S
