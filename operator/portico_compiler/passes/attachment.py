"""Whether an object may take part in the API that it names.

Asked by every pass that gathers members of APIs: routes, stages, authorizers, plans, deployments.
Promises: of an object that may not, one Problem says why.
"""

from __future__ import annotations

from portico_compiler.inventory import Inventory
from portico_compiler.manifests.kinds import GROUP
from portico_compiler.passes.apis import ApiPlan
from portico_compiler.problems import ObjectRef, Problem, Reason


def attached(
    referrer: ObjectRef,
    api: ObjectRef,
    inventory: Inventory,
    apis: dict[ObjectRef, ApiPlan],
    known_apis: frozenset[ObjectRef],
    problems: list[Problem],
    field: str = "spec.apiRef",
) -> bool:
    """Whether an object may take part in the API that it names; else why not."""
    if api not in known_apis:
        message = f"there is no {api}"
        problems.append(Problem(referrer, field, Reason.REF_NOT_FOUND, message))
        return False
    if not inventory.permits(referrer, GROUP, api):
        message = f"no ReferenceGrant in {api.namespace} allows a reference to {api}"
        problems.append(Problem(referrer, field, Reason.REF_NOT_PERMITTED, message))
        return False
    if api not in apis:
        message = f"{api} is not served; its own conditions say why"
        problems.append(Problem(referrer, field, Reason.REF_NOT_ACCEPTED, message))
        return False
    return True
