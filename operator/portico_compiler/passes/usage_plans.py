"""Pass 5: UsagePlans, with the stages they open (AWS §7.2).

Called by `compiler.compile`. Promises: a plan that is not valid, or that limits in a way which is
not built, opens nothing, so that nobody gets through without the limit; a stage that cannot be
opened costs its plan no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from portico_compiler import routekeys
from portico_compiler.features.buckets import bucket
from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import access as manifests
from portico_compiler.passes.accept import referred
from portico_compiler.passes.apis import ApiPlan, identity
from portico_compiler.passes.attachment import attached
from portico_compiler.passes.extensions import extensions
from portico_compiler.passes.stages import StagePlan
from portico_compiler.problems import ObjectRef, Problem, Reason, field_path
from portico_ir.access import Bucket, Plan, PlanStage, Quota


class UsagePlans(NamedTuple):
    """Plans that open something, if only later, and what is wrong with all."""

    by_ref: dict[ObjectRef, Plan]
    """Every plan that may be used."""
    known: frozenset[ObjectRef]
    """Every plan there is."""
    problems: tuple[Problem, ...]
    """References that lead nowhere, route keys that are none."""


def usage_plans(
    inventory: Inventory,
    apis: dict[ObjectRef, ApiPlan],
    known_apis: frozenset[ObjectRef],
    stages: Mapping[ObjectRef, tuple[StagePlan, ...]],
) -> UsagePlans:
    """Every UsagePlan of the World."""
    problems: list[Problem] = []
    found: dict[ObjectRef, Plan] = {}
    documents = sorted(inventory.of_kind("UsagePlan"), key=lambda document: document.ref)
    for document in documents:
        if not isinstance(document.content, manifests.UsagePlan):
            continue
        opened = _opened(document, inventory, apis, known_apis, stages, problems)
        if document.valid and not document.restricted:
            more = extensions(document, inventory, problems)
            found[document.ref] = _plan(document, opened, more)
    return UsagePlans(found, frozenset(d.ref for d in documents), tuple(problems))


def _plan(
    document: Document, opened: tuple[PlanStage, ...], more: dict[str, tuple[tuple[int, int], ...]]
) -> Plan:
    spec: manifests.UsagePlanSpec = document.content.spec
    ref, quota = document.ref, spec.quota
    return Plan(
        id=identity("/".join((ref.namespace, ref.kind, ref.name))),
        name=f"{ref.namespace}/{ref.name}",
        stages=opened,
        throttle=bucket(spec.throttle),
        quota=Quota(limit=quota.limit, period=quota.period, offset=quota.offset) if quota else None,
        extensions=more,
    )


def _opened(
    document: Document,
    inventory: Inventory,
    apis: dict[ObjectRef, ApiPlan],
    known_apis: frozenset[ObjectRef],
    stages: Mapping[ObjectRef, tuple[StagePlan, ...]],
    problems: list[Problem],
) -> tuple[PlanStage, ...]:
    spec: manifests.UsagePlanSpec = document.content.spec
    found: dict[tuple[str, str], PlanStage] = {}
    for position, wanted in enumerate(spec.api_stages):
        field = field_path("spec", "apiStages", position)
        reference = wanted.api_ref
        api = referred(document.ref, reference.kind, reference.namespace, reference.name)
        place = f"{field}.apiRef"
        if not attached(document.ref, api, inventory, apis, known_apis, problems, place):
            continue
        names = [stage.name for stage in stages[api]]
        if wanted.stage not in names:
            message = f"{api} has no stage {wanted.stage!r}; there is {', '.join(names) or 'none'}"
            problems.append(Problem(document.ref, f"{field}.stage", Reason.REF_NOT_FOUND, message))
            continue
        uid = apis[api].document.object.uid
        if (uid, wanted.stage) in found:
            message = f"stage {wanted.stage!r} of {api} is opened twice; the first counts"
            problems.append(Problem(document.ref, field, Reason.INVALID_COMBINATION, message))
            continue
        throttles: dict[str, Bucket] = {}
        for key, throttle in wanted.throttle.items():
            parsed = routekeys.parse(key, reference.kind)
            limit = bucket(throttle)
            if isinstance(parsed, str):
                where = f"{field}.{field_path('throttle', key)}"
                problems.append(Problem(document.ref, where, Reason.INVALID_VALUE, parsed))
            elif limit is not None:
                throttles[parsed.text] = limit
        found[uid, wanted.stage] = PlanStage(api=uid, stage=wanted.stage, throttles=throttles)
    return tuple(found[stage] for stage in sorted(found))
