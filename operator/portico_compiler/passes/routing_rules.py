"""Routing rules of a domain: headers and base paths that choose a REST API (AWS §8.4).

Called by the pass of domain units. Promises: a rule that leads nowhere keeps its place and answers
500, or its requests would reach what stands behind it.
"""

from __future__ import annotations

from portico_compiler.inventory import Inventory
from portico_compiler.manifests import domains as manifests
from portico_compiler.passes.accept import referred
from portico_compiler.passes.api_mappings import Apis, Goal, goal
from portico_compiler.passes.domains import DomainPlan
from portico_compiler.problems import Problem, Reason, Severity, field_path
from portico_ir.domains import HeaderGlob, Rule

FIELD = "spec.routingRules"


def routing_rules(
    domain: DomainPlan, apis: Apis, inventory: Inventory, problems: list[Problem]
) -> tuple[Rule, ...]:
    """The rules of a domain by priority."""
    spec, ref = domain.spec, domain.document.ref
    if spec.routing_rules and spec.routing_mode in (None, "API_MAPPING_ONLY"):
        message = "without effect: spec.routingMode is API_MAPPING_ONLY"
        problems.append(Problem(ref, FIELD, Reason.FIELDS_IGNORED, message, Severity.WARNING))
    found: dict[int, Rule] = {}
    for position, rule in enumerate(spec.routing_rules):
        field = field_path("spec", "routingRules", position)
        stage, strip, reached = "", False, Goal(broken="it has no action")
        for number, action in enumerate(rule.actions[:1]):
            invoked = action.invoke_api
            stage, strip = invoked.stage, invoked.strip_base_path
            wanted = invoked.api_ref
            api = referred(ref, wanted.kind, wanted.namespace, wanted.name)
            place = f"{field}.actions[{number}].invokeApi"
            reached = goal(ref, api, stage, domain, apis, inventory, problems, place)
        found[rule.priority] = Rule(
            priority=rule.priority,
            headers=_headers(rule),
            base_paths=_base_paths(rule),
            api=reached.api,
            stage=stage,
            strip=strip,
            broken=reached.broken,
        )
    return tuple(found[priority] for priority in sorted(found))


def _headers(rule: manifests.RoutingRule) -> tuple[tuple[HeaderGlob, ...], ...]:
    return tuple(
        tuple(
            HeaderGlob(name=match.header.lower(), value=match.value_glob)
            for match in condition.match_headers.any_of
        )
        for condition in rule.conditions
        if condition.match_headers is not None
    )


def _base_paths(rule: manifests.RoutingRule) -> tuple[str, ...]:
    return tuple(
        path
        for condition in rule.conditions
        if condition.match_base_paths is not None
        for path in condition.match_base_paths.any_of
    )
