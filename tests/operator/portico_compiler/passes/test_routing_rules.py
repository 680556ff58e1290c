"""Routing rules: in the order of their priorities, none lost that leads nowhere (AWS §8.4)."""

from __future__ import annotations

from typing import Any

import worlds
from manifests import manifest
from portico_compiler import Compiled, Reason
from portico_ir.domains import DomainUnit, HeaderGlob, Rule


def rule(priority: int, api: str = "shop", **more: Any) -> dict[str, Any]:
    invoked = {"apiRef": {"name": api}, "stage": "$default", **more.pop("action", {})}
    return {"priority": priority, "actions": [{"invokeApi": invoked}], **more}


def compiled(*rules: dict[str, Any], mode: str = "ROUTING_RULE_ONLY") -> Compiled:
    spec = {"domainNames": ["a.example"], "routingMode": mode, "routingRules": list(rules)}
    raws = [manifest("RestApi", "shop"), manifest("DomainName", "d", spec)]
    return worlds.compiled("\n---\n".join(map(str, raws)))


def rules_of(result: Compiled) -> tuple[Rule, ...]:
    unit = worlds.units(result)["domain/default/d"]
    assert isinstance(unit, DomainUnit)
    return unit.rules


def test_priorities_are_the_order() -> None:
    found = rules_of(compiled(rule(30), rule(1_000_000), rule(2)))
    assert [each.priority for each in found] == [2, 30, 1_000_000]


def test_conditions_are_prepared() -> None:
    headers = {"matchHeaders": {"anyOf": [{"header": "X-A", "valueGlob": "a*"}]}}
    paths = {"matchBasePaths": {"anyOf": ["orders", "old/orders"]}}
    (found,) = rules_of(
        compiled(rule(1, conditions=[headers, paths], action={"stripBasePath": True}))
    )
    assert found == Rule(
        priority=1,
        headers=((HeaderGlob(name="x-a", value="a*"),),),
        base_paths=("orders", "old/orders"),
        api="api/default/RestApi/shop",
        stage="$default",
        strip=True,
    )


def test_what_leads_nowhere_keeps_its_place() -> None:
    result = compiled(rule(1, "gone"), rule(2, action={"stage": "gone"}), rule(3))
    assert [bool(each.broken) for each in rules_of(result)] == [True, True, False]
    assert [(p.field, p.reason) for p in result.report.problems] == [
        ("spec.routingRules[0].actions[0].invokeApi.apiRef", Reason.REF_NOT_FOUND),
        ("spec.routingRules[1].actions[0].invokeApi.stage", Reason.REF_NOT_FOUND),
    ]


def test_rules_that_no_mode_asks_are_said_to_be_idle() -> None:
    result = compiled(rule(1), mode="API_MAPPING_ONLY")
    assert [p.reason for p in result.report.problems] == [Reason.FIELDS_IGNORED]
    assert not result.report.errors
