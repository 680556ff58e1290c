"""ApiMappings: which API answers below which path of a domain (AWS §8.2).

Called by the pass of domain units. Promises: of two mappings with one key the elder has it; one
that the domain does not allow takes nothing; one that is allowed and leads nowhere keeps its key
and answers 500, or its requests would reach another API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import domains as manifests
from portico_compiler.passes.accept import referred
from portico_compiler.passes.apis import ApiPlan
from portico_compiler.passes.attachment import attached
from portico_compiler.passes.domains import DomainPlan, Labels, meaning
from portico_compiler.passes.stages import StagePlan
from portico_compiler.problems import ObjectRef, Problem, Reason, Severity
from portico_ir.domains import Mapping as DomainMapping

MOST_MAPPINGS = 200
"""Of one domain (AWS §11.2)."""
KEY_FIELD = "spec.apiMappingKey"


class Apis(NamedTuple):
    """What mappings and routing rules may lead to."""

    plans: dict[ObjectRef, ApiPlan]
    """Those that are served."""
    known: frozenset[ObjectRef]
    """Those that there are."""
    stages: Mapping[ObjectRef, tuple[StagePlan, ...]]
    """Stages of those that are served."""


class Goal(NamedTuple):
    """What a mapping or rule leads to."""

    api: str = ""
    """Unit id."""
    broken: str = ""
    """Not empty: it leads nowhere, and why."""


class Mapped(NamedTuple):
    """Mappings by domain."""

    by_domain: dict[ObjectRef, tuple[DomainMapping, ...]]
    """Sorted by key."""
    places: dict[ObjectRef, tuple[ObjectRef, str]]
    """ApiMapping that has its key to its domain and that key."""
    problems: tuple[Problem, ...]
    """Of ApiMappings."""


def goal(
    referrer: ObjectRef,
    api: ObjectRef,
    stage: str,
    domain: DomainPlan,
    apis: Apis,
    inventory: Inventory,
    problems: list[Problem],
    place: str = "spec",
) -> Goal:
    """The unit that an object leads to; `place`: where its apiRef and stage stand."""
    field = f"{place}.apiRef"
    if not attached(referrer, api, inventory, apis.plans, apis.known, problems, field):
        return Goal(broken=f"{api} cannot be reached")
    plan = apis.plans[api]
    if plan.class_name != domain.class_name:
        message = (
            f"{api} belongs to the PorticoClass {plan.class_name!r}, and {domain.document.ref} "
            f"to {domain.class_name!r}"
        )
        problems.append(Problem(referrer, field, Reason.REF_NOT_ACCEPTED, message))
        return Goal(broken=message)
    names = [known.name for known in apis.stages[api]]
    if stage not in names:
        message = f"{api} has no stage {stage!r}; there is {', '.join(names) or 'none'}"
        problems.append(Problem(referrer, f"{place}.stage", Reason.REF_NOT_FOUND, message))
        return Goal(broken=message)
    return Goal(plan.unit_id)


def api_mappings(
    inventory: Inventory,
    domains: dict[ObjectRef, DomainPlan],
    apis: Apis,
    namespaces: Mapping[str, Labels] | None,
) -> Mapped:
    """Every ApiMapping of the World, elders first."""
    problems: list[Problem] = []
    taken: dict[ObjectRef, dict[str, tuple[ObjectRef, DomainMapping]]] = {}
    families: dict[ObjectRef, tuple[bool, ObjectRef]] = {}
    """Domain to whether it is one of WebSocket APIs, and whose mapping made it so."""
    known = frozenset(d.ref for d in inventory.of_kind("DomainName"))
    for document in sorted(inventory.of_kind("ApiMapping"), key=lambda d: d.age):
        if not isinstance(document.content, manifests.ApiMapping):
            continue
        spec = document.content.spec
        ref = document.ref
        reference = spec.domain_ref
        domain = referred(ref, "DomainName", reference.namespace, reference.name)
        problem = _stands_outside(ref, domain, domains, known, namespaces)
        if problem is not None:
            problems.append(problem)
            continue
        if any(p.field == KEY_FIELD for p in document.problems):
            continue  # What could not be read of it must not become the empty key.
        own = taken.setdefault(domain, {})
        fault = _has_no_place(spec, own)
        if fault:
            problems.append(Problem(ref, KEY_FIELD, Reason.CONFLICTED, fault))
            continue
        streams = spec.api_ref.kind == "WebSocketApi"
        first = families.setdefault(domain, (streams, ref))
        if first[0] != streams:
            message = (
                f"{first[1]} is older and maps {'a WebSocket API' if first[0] else 'another kind'}"
                ": WebSocket APIs have a domain of their own (AWS §8.1)"
            )
            problems.append(Problem(ref, "spec.apiRef", Reason.CONFLICTED, message))
            continue
        found = _mapping(document, domains[domain], apis, inventory, problems)
        own[spec.api_mapping_key] = (ref, found)
    return Mapped(
        {d: tuple(own[key][1] for key in sorted(own)) for d, own in taken.items()},
        {ref: (d, key) for d, own in taken.items() for key, (ref, _) in own.items()},
        tuple(problems),
    )


def _stands_outside(
    ref: ObjectRef,
    domain: ObjectRef,
    domains: dict[ObjectRef, DomainPlan],
    known: frozenset[ObjectRef],
    namespaces: Mapping[str, Labels] | None,
) -> Problem | None:
    """Why a mapping has no part in the domain that it names."""
    field = "spec.domainRef"
    if domain not in known:
        return Problem(ref, field, Reason.REF_NOT_FOUND, f"there is no {domain}")
    plan = domains.get(domain)
    if plan is None:
        message = f"{domain} has no host; its own conditions say why"
        return Problem(ref, field, Reason.REF_NOT_ACCEPTED, message)
    if not _is_allowed(plan, ref.namespace, namespaces):
        message = f"spec.allowedMappings of {domain} lets in no mapping from {ref.namespace}"
        return Problem(ref, field, Reason.REF_NOT_PERMITTED, message)
    return None


def _is_allowed(plan: DomainPlan, namespace: str, namespaces: Mapping[str, Labels] | None) -> bool:
    if namespace == plan.document.ref.namespace:
        return True
    allowed = plan.spec.allowed_mappings or manifests.AllowedMappings()
    if allowed.namespaces == "Selector" and allowed.selector is not None:
        return meaning(namespace, namespaces)(allowed.selector)
    return allowed.namespaces == "All"


def _has_no_place(
    spec: manifests.ApiMappingSpec, own: dict[str, tuple[ObjectRef, DomainMapping]]
) -> str:
    """Why a key is not to be had."""
    holder = own.get(spec.api_mapping_key)
    if holder is not None:
        return f"{holder[0]} is older and already has the key {spec.api_mapping_key!r}"
    if len(own) >= MOST_MAPPINGS:
        return f"the domain already has {MOST_MAPPINGS} mappings, all of them older"
    return ""


def _mapping(
    document: Document,
    domain: DomainPlan,
    apis: Apis,
    inventory: Inventory,
    problems: list[Problem],
) -> DomainMapping:
    spec: manifests.ApiMappingSpec = document.content.spec
    ref = document.ref
    api = referred(ref, spec.api_ref.kind, spec.api_ref.namespace, spec.api_ref.name)
    broken = "" if document.valid else f"{ref} is not valid"
    for problem in _misfits(ref, spec, domain):
        problems.append(problem)
        broken = broken or problem.message
    reached = goal(ref, api, spec.stage, domain, apis, inventory, problems)
    if domain.spec.routing_mode == "ROUTING_RULE_ONLY":
        message = f"without effect: {domain.document.ref} goes by its routing rules alone"
        ignored = Reason.FIELDS_IGNORED
        problems.append(Problem(ref, KEY_FIELD, ignored, message, Severity.WARNING))
    return DomainMapping(
        key=spec.api_mapping_key,
        api=reached.api,
        stage=spec.stage,
        object=f"{ref.namespace}/{ref.name}",
        broken=broken or reached.broken,
    )


def _misfits(
    ref: ObjectRef, spec: manifests.ApiMappingSpec, domain: DomainPlan
) -> Iterator[Problem]:
    """AWS §8.2, §8.5: what goes with which security policy."""
    policy = domain.spec.security_policy
    name = domain.document.ref
    if policy not in (None, "TLS_1_2") and spec.api_ref.kind != "RestApi":
        message = (
            f"{name} has the securityPolicy {policy}, which is for REST APIs; "
            f"{spec.api_ref.kind} goes with TLS_1_2 (AWS §8.5)"
        )
        yield Problem(ref, "spec.apiRef", Reason.INVALID_COMBINATION, message)
    if policy == "TLS_1_0" and "/" in spec.api_mapping_key:
        message = f"a key of several segments needs TLS_1_2, and {name} has TLS_1_0 (AWS §8.2)"
        yield Problem(ref, KEY_FIELD, Reason.INVALID_COMBINATION, message)
