"""What the faults of APIs, Stages and UsagePlans mean for Routes: they answer 500 as well.

Called when conditions are read. A Route's status says so (design.md §3), but the list of problems
does not: one unbuilt field of a Stage is one problem, not one for each of its routes.
"""

from __future__ import annotations

from collections.abc import Iterator

from portico_compiler.passes.shards import CompiledApi
from portico_compiler.problems import Problem, Reason


def consequences(apis: list[CompiledApi]) -> Iterator[Problem]:
    """For each Route that fails closed through no fault of its own, why."""
    for api in apis:
        if api.plan.broken:
            yield from _of_api(api)
        else:
            yield from _of_stages(api)


def _of_api(api: CompiledApi) -> Iterator[Problem]:
    document = api.plan.document
    reason = api.plan.broken_reason
    message = f"answers 500 with all of {document.ref}: {api.plan.broken}"
    for route in api.routes:
        yield Problem(route.document.ref, "", reason, message)
    # What a deployment holds is served all the same, unless it is the class that is broken.
    for stage in api.stages if api.broken else api.live_stages:
        if stage.ref is not None:
            yield Problem(stage.ref, "", reason, message)


def _of_stages(api: CompiledApi) -> Iterator[Problem]:
    for stage in api.live_stages:
        for route in api.routes if stage.restrictions else ():
            message = f"answers 500 in stage {stage.name}: {'; '.join(stage.restrictions)}"
            yield Problem(route.document.ref, "", Reason.NOT_IMPLEMENTED, message)
