"""Extensions of quotas: lines of an annotation, each for a key and a period (AWS §7.4)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from access_worlds import Raw, compiled, key, plan, plans, secret, shop
from portico_compiler.passes.extensions import ANNOTATION, key_id
from portico_compiler.problems import ObjectRef
from portico_ir.periods import day_from
from portico_ir.usage import declared

QUOTA = {"limit": 100, "period": "MONTH"}
NOVEMBER = day_from(dt.date(2026, 11, 1))
ACME = key_id(ObjectRef("ApiKey", "default", "acme"), None)


def of(text: str, quota: Any = QUOTA, **spec: Any) -> Any:
    extended = plan("gold", "$default", **({"quota": quota} if quota else {}), **spec)
    extended["metadata"]["annotations"] = {ANNOTATION: text, "kubectl.kubernetes.io/x": "y"}
    many: Raw = key("many", "gold", entry=None)
    return compiled(
        *shop(),
        extended,
        key("acme", "gold"),
        key("alone"),
        many,
        *(secret(name, key="x" * 20 + name) for name in ("acme", "alone")),
        secret("many", one="o" * 20, two="t" * 20),
    )


def said(result: Any) -> list[str]:
    return [f"{p.reason}: {p.message}" for p in result.report.errors if p.object.name == "gold"]


def test_a_line_is_a_key_a_period_and_a_number() -> None:
    result = of("acme 2026-11-17 +500\n\n  many[one]  2026-12-01 -3  \n default/acme 2026-12-24 7")
    assert said(result) == []
    gold = plans(result)["default/gold"]
    december = day_from(dt.date(2026, 12, 1))
    one = key_id(ObjectRef("ApiKey", "default", "many"), "one")
    assert gold.extensions == {ACME: ((NOVEMBER, 500), (december, 7)), one: ((december, -3),)}
    assert declared(gold, ACME, NOVEMBER) == 500
    assert declared(gold, ACME, NOVEMBER - 30) == 0
    assert declared(gold, "nobody", NOVEMBER) == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("acme 2026-11-01", "InvalidValue: 'acme 2026-11-01' is not KEY DATE +REQUESTS"),
        ("acme 2026-13-01 +5", "InvalidValue: 'acme 2026-13-01 +5' is not KEY"),
        ("acme yesterday +5", "InvalidValue"),
        ("acme 2026-11-01 +5.5", "InvalidValue"),
        ("acme 2026-11-01 +1000000000000000", "InvalidValue"),
        ("ACME 2026-11-01 +5", "InvalidValue"),
        ("nobody 2026-11-01 +5", "RefNotFound: 'nobody 2026-11-01 +5': there is no ApiKey"),
        ("elsewhere/acme 2026-11-01 +5", "RefNotFound"),
        ("alone 2026-11-01 +5", "RefNotFound: 'alone 2026-11-01 +5': ApiKey default/alone is not"),
        ("many 2026-11-01 +5", "InvalidValue: 'many 2026-11-01 +5': every entry"),
        ("acme[key] 2026-11-01 +5", "InvalidValue: 'acme[key] 2026-11-01 +5': it is one key"),
        ("acme 2026-11-30 +9", "Conflicted"),
    ],
)
def test_a_line_that_cannot_be_used_costs_no_other(line: str, reason: str) -> None:
    result = of(f"acme 2026-11-01 +500\n{line}")
    (problem,) = said(result)
    assert problem.startswith(reason)
    # The plan works on, and so does the other line.
    assert plans(result)["default/gold"].extensions == {ACME: ((NOVEMBER, 500),)}


def test_without_a_quota_nothing_can_be_extended() -> None:
    result = of("acme 2026-11-01 +500", quota=None)
    assert said(result) == ["InvalidCombination: there is no spec.quota to be extended"]
    assert plans(result)["default/gold"].extensions == {}


def test_no_annotation_is_today_s_bytes() -> None:
    """A data plane one version behind refuses what it does not know: only who extends needs it."""
    units = of("").snapshot.units
    assert b"extensions" not in b"".join(bytes(raw) for raw in units.values())
