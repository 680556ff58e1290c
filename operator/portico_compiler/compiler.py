"""compile: a World in, a Snapshot and a Report out. The passes, in order, in one function.

Called by the command line, by tests, and later by the operator's reconciler. Promises: the same
World in any order gives the same bytes; nothing raises for what a user wrote; with a Memo an
edit costs what it touches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from portico_compiler.conditions import Report, RouteRow
from portico_compiler.edits import edits
from portico_compiler.inventory import API_KINDS, Document, Inventory
from portico_compiler.memo import Memo
from portico_compiler.passes import table
from portico_compiler.passes.accept import accept
from portico_compiler.passes.api_mappings import Apis
from portico_compiler.passes.apis import claim
from portico_compiler.passes.assemble import assemble
from portico_compiler.passes.authorizers import attach
from portico_compiler.passes.captures import Ground as Captured
from portico_compiler.passes.conflicts import group
from portico_compiler.passes.consequences import consequences
from portico_compiler.passes.credentials import Credentials
from portico_compiler.passes.deployed import DeploymentReport
from portico_compiler.passes.deployments import Deployments
from portico_compiler.passes.domain_units import DomainUnits
from portico_compiler.passes.domains import claim_domains
from portico_compiler.passes.endpoints import endpoints
from portico_compiler.passes.gateway import Ground, ground
from portico_compiler.passes.generation import WantedSecret
from portico_compiler.passes.shards import CompiledApi, compile_api
from portico_compiler.passes.stages import stages_of
from portico_compiler.problems import ObjectRef, Problem
from portico_compiler.world import Settings, World
from portico_ir.model import Snapshot

__all__ = ["Compiled", "Memo", "compile"]


class Compiled(NamedTuple):
    """What compiling yields."""

    snapshots: Mapping[str, Snapshot]
    """By class, for its data plane; without `Settings.classes` there is one, named "".
    Endpoints have sequence 0, whoever delivers counts."""
    report: Report
    """For people and status."""
    deployments: DeploymentReport
    """For status, and for the leader, who takes them."""
    wanted: tuple[WantedSecret, ...] = ()
    """Secrets of API keys, for the leader, who makes them."""

    @property
    def snapshot(self) -> Snapshot:
        """The only one, where one data plane serves all."""
        (only,) = self.snapshots.values()
        return only


def compile(world: World, memo: Memo | None = None) -> Compiled:  # noqa: A001
    """Everything that the World says, for data planes and for people."""
    memo = memo or Memo()
    settings = world.settings
    memo.open(settings)

    documents = accept(world.objects, memo)
    inventory = _inventory(documents, settings, memo)
    base = ground(inventory, settings)
    claims = claim(inventory, base)
    claimed = claim_domains(inventory, base, world.namespaces)
    known = frozenset(d.ref for kind in API_KINDS for d in inventory.of_kind(kind))
    deployments = Deployments(inventory, claims.plans, known, memo)
    stages = stages_of(inventory, claims.plans, known, deployments)
    groups = group(inventory, claims.plans, known, memo)
    guards = attach(inventory, claims.plans, known)
    apis = [
        compile_api(
            plan,
            stages.plans[ref],
            groups.by_api[ref],
            guards.by_api[ref],
            deployments.frozen(ref),
            inventory,
            settings,
            memo,
        )
        for ref, plan in sorted(claims.plans.items())
        if not settings.classes or plan.class_name in settings.classes
    ]
    credentials = Credentials(inventory, claims.plans, known, stages.plans, base, settings, memo)
    goals = Apis(claims.plans, known, stages.plans)
    domains = DomainUnits(claimed, goals, inventory, world.namespaces, settings, memo)
    upstreams = frozenset().union(*(api.upstreams for api in apis))
    reachable = endpoints(sorted(upstreams, key=lambda u: u.id), inventory, settings, memo)

    def snapshot(name: str, own: list[CompiledApi]) -> Snapshot:
        on = base.for_data_plane(name)
        units = credentials.units(name, [api.plan for api in own], on)
        return assemble(on.unit, own, {**units, **domains.units(name)}, reachable, settings)

    snapshots = {name: snapshot(name, own) for name, own in _by_data_plane(apis, settings).items()}

    problems = [problem for document in inventory.troubled for problem in document.problems]
    problems += (
        *base.problems,
        *claims.problems,
        *domains.problems,
        *stages.problems,
        *groups.problems,
    )
    problems += (*guards.problems, *credentials.problems)
    problems += [p for api in apis for p in api.problems]
    under = Captured(inventory, groups, problems, settings)
    deployed = DeploymentReport(deployments, apis, under, memo)
    problems += deployed.problems
    memo.close()
    report = _report(documents, problems, apis, domains, world, base)
    return Compiled(snapshots, report, deployed, credentials.wanted)


def _inventory(documents: list[Document], settings: Settings, memo: Memo) -> Inventory:
    """That of the last compile, brought up to date, where only a few documents are other."""
    shelf = memo.shelf("inventory")
    before: tuple[list[Document], Inventory] | None = shelf.get("all")
    found = None if before is None else edits(before[0], documents)
    if before is None or found is None:
        made = Inventory(documents, settings.mode == "cluster", settings.today)
    else:
        made = before[1].renewed(found.replaced, found.added, settings.today)
    shelf.keep("all", (documents, made))
    return made


def _by_data_plane(apis: list[CompiledApi], settings: Settings) -> dict[str, list[CompiledApi]]:
    """What each data plane serves; one with nothing to serve is told so too."""
    if not settings.classes:
        return {"": apis}
    return {
        name: [api for api in apis if api.plan.class_name == name]
        for name in sorted(settings.classes)
    }


def _report(
    documents: list[Document],
    problems: list[Problem],
    apis: list[CompiledApi],
    domains: DomainUnits,
    world: World,
    base: Ground,
) -> Report:
    addresses: Mapping[ObjectRef, tuple[str, ...]] = {
        **table.addresses(apis, world.settings),
        **domains.addresses(),
    }

    def rows() -> Iterator[RouteRow]:
        return table.rows(apis, world.settings)

    provisional = partial(table.provisional, apis, world.settings)
    return Report(
        world.objects,
        documents,
        problems,
        lambda: consequences(apis),
        addresses,
        rows,
        base,
        provisional,
    )
