"""compile: a World in, a Snapshot and a Report out. The passes, in order, in one function.

Called by the command line, by tests, and later by the operator's reconciler. Promises: the same
World in any order gives the same bytes; nothing raises for what a user wrote; with a Memo an
edit costs what it touches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from portico_compiler.conditions import Report, RouteRow, Subject
from portico_compiler.inventory import API_KINDS, Document, Inventory
from portico_compiler.manifests.kinds import KINDS
from portico_compiler.memo import Memo
from portico_compiler.passes import table
from portico_compiler.passes.accept import accept
from portico_compiler.passes.apis import claim
from portico_compiler.passes.assemble import assemble
from portico_compiler.passes.conflicts import group
from portico_compiler.passes.consequences import consequences
from portico_compiler.passes.endpoints import endpoints
from portico_compiler.passes.gateway import ground
from portico_compiler.passes.shards import CompiledApi, compile_api
from portico_compiler.passes.stages import stages_of
from portico_compiler.problems import ObjectRef, Problem
from portico_compiler.world import World
from portico_ir.model import Snapshot

__all__ = ["Compiled", "Memo", "compile"]


class Compiled(NamedTuple):
    """What compiling yields."""

    snapshot: Snapshot
    """For data planes; its endpoints have sequence 0, whoever delivers counts."""
    report: Report
    """For people and status."""


def compile(world: World, memo: Memo | None = None) -> Compiled:  # noqa: A001
    """Everything that the World says, for data planes and for people."""
    memo = memo or Memo()
    settings = world.settings
    memo.open(settings)

    documents = accept(world.objects, memo)
    inventory = Inventory(documents, managed_slices_only=settings.mode == "cluster")
    base = ground(inventory, settings)
    claims = claim(inventory, base)
    known = frozenset(d.ref for kind in API_KINDS for d in inventory.of_kind(kind))
    stages = stages_of(inventory, claims.plans, known)
    groups = group(inventory, claims.plans, known)
    apis = [
        compile_api(plan, stages.plans[ref], groups.by_api[ref], inventory, settings, memo)
        for ref, plan in sorted(claims.plans.items())
    ]
    upstreams = frozenset().union(*(api.upstreams for api in apis))
    reachable = endpoints(sorted(upstreams, key=lambda u: u.id), inventory, settings, memo)
    snapshot = assemble(base.unit, apis, reachable, settings)

    memo.close()
    problems = [p for d in documents for p in d.problems]
    problems += (*base.problems, *claims.problems, *stages.problems, *groups.problems)
    problems += [p for api in apis for p in api.problems]
    return Compiled(snapshot, _report(documents, problems, apis, world))


def _report(
    documents: list[Document], problems: list[Problem], apis: list[CompiledApi], world: World
) -> Report:
    # The report is read later, if at all: a memo's documents may by then have newer objects.
    def subjects() -> Iterator[Subject]:
        for object_, document in zip(world.objects, documents, strict=True):
            yield Subject(
                object_.ref,
                object_.generation,
                object_.source,
                document.content is not None,
                KINDS[object_.ref.kind].ours,
            )

    addresses: Mapping[ObjectRef, tuple[str, ...]] = table.addresses(apis, world.settings)

    def rows() -> Iterator[RouteRow]:
        return table.rows(apis, world.settings)

    return Report(subjects, problems, lambda: consequences(apis), addresses, rows)
