"""Units hold at most 500 routes, and an edit changes one of them."""

from __future__ import annotations

from typing import Any

import pytest

import worlds
from manifests import manifest, route
from portico_compiler import Compiled, Memo, compile  # noqa: A004
from portico_compiler.passes import routes as routes_pass
from portico_ir import invariants
from portico_ir.model import MAX_ROUTES_PER_UNIT, RoutesUnit


def compiled(raws: list[dict[str, Any]], memo: Memo | None = None) -> Compiled:
    world, problems = worlds.of_raws(raws)
    assert not problems
    return compile(world, memo)


def of(count: int) -> list[dict[str, Any]]:
    return [manifest("RestApi", "shop"), *(route(f"r{n}", f"GET /r{n}") for n in range(count))]


def digests(result: Compiled) -> dict[str, str]:
    return dict(result.snapshot.manifest.units)


@pytest.mark.parametrize("count", [0, 1, 500, 501, 3000])
def test_sizes(count: int) -> None:
    result = compiled(of(count))
    units = worlds.units(result)
    shards = [unit for unit in units.values() if isinstance(unit, RoutesUnit)]
    assert sum(len(unit.routes) for unit in shards) == count
    assert all(1 <= len(unit.routes) <= MAX_ROUTES_PER_UNIT for unit in shards)
    assert invariants.check(units) == []
    (stage,) = worlds.api(result).stages
    assert list(stage.shards) == sorted(stage.shards)
    assert set(stage.shards) == {unit_id for unit_id in units if unit_id.startswith("routes/")}
    for unit in shards:
        assert [r.key for r in unit.routes] == sorted(r.key for r in unit.routes)


def test_a_bucket_does_not_depend_on_the_others() -> None:
    few, many = compiled(of(600)), compiled(of(700))
    assert set(digests(few)) == set(digests(many))
    place = {
        found.key: unit_id
        for unit_id, unit in worlds.units(few).items()
        if isinstance(unit, RoutesUnit)
        for found in unit.routes
    }
    for unit_id, unit in worlds.units(many).items():
        for found in unit.routes if isinstance(unit, RoutesUnit) else ():
            assert place.get(found.key, unit_id) == unit_id


def test_an_edit_changes_one_shard() -> None:
    raws = of(1200)
    memo = Memo()
    before = digests(compiled(raws, memo))
    raws[700]["spec"]["operationName"] = "edited"
    after = compiled(raws, memo)
    changed = {k for k, v in digests(after).items() if before.get(k) != v}
    assert len(changed) == 1
    assert digests(after) == digests(compiled(raws))


def test_an_edit_compiles_one_route(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = routes_pass._compile

    def counting(document: Any, *others: Any) -> Any:
        seen.append(document.ref.name)
        return real(document, *others)

    monkeypatch.setattr(routes_pass, "_compile", counting)
    raws = of(20)
    memo = Memo()

    def recompiled() -> list[str]:
        seen.clear()
        compiled(raws, memo)
        return sorted(seen)

    assert len(recompiled()) == 20
    assert recompiled() == []
    raws[3]["spec"]["operationName"] = "edited"
    assert recompiled() == ["r2"]
    raws[0]["spec"] = {"corsConfiguration": {"allowOrigins": ["*"]}}
    assert recompiled() == []
    raws.append(route("late", "GET /late"))
    assert recompiled() == ["late"]
    raws.append(manifest("Stage", "prod", {"apiRef": {"name": "shop"}, "stageName": "prod"}))
    assert recompiled() == []
    raws[-1]["spec"]["tracingEnabled"] = True
    assert recompiled() == []
    raws[-1]["spec"]["canarySettings"] = {"percentTraffic": 1}
    assert len(recompiled()) == 21
    del raws[-1]["spec"]["canarySettings"]
    assert len(recompiled()) == 21
    raws[0]["spec"]["functions"] = {"f": {"url": "http://f"}}
    assert len(recompiled()) == 21


def test_what_a_route_looked_up_compiles_it_again() -> None:
    raws = [
        manifest("RestApi", "shop"),
        route("a", "GET /a", integration={"service": {"name": "pets", "port": 80}}),
    ]
    memo = Memo()
    assert [p.reason for p in compiled(raws, memo).report.problems] == ["ServiceNotFound"]
    raws.append(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "pets"},
            "spec": {"ports": [{"port": 81}]},
        }
    )
    assert [p.reason for p in compiled(raws, memo).report.problems] == ["PortNotFound"]
    raws[-1]["spec"] = {"ports": [{"port": 80}]}
    assert compiled(raws, memo).report.problems == ()
    raws.pop()
    assert [p.reason for p in compiled(raws, memo).report.problems] == ["ServiceNotFound"]


def test_age_decides_anew_although_no_version_changed() -> None:
    one, other = route("a", "GET /x"), route("b", "GET /x")
    memo = Memo()
    first = compiled([manifest("RestApi", "shop"), one, other], memo)
    assert worlds.routes(first)["GET /x"].object == "default/a"
    second = compiled([manifest("RestApi", "shop"), other, one], memo)
    assert worlds.routes(second)["GET /x"].object == "default/b"


def test_a_stage_s_own_routes_are_sharded_too() -> None:
    raws = of(0)
    raws += [
        route(f"r{n}", f"GET /r{n}", integration={"url": "http://x/${stageVariables.v}"})
        for n in range(600)
    ]
    for name in ("one", "two"):
        spec = {"apiRef": {"name": "shop"}, "stageName": name, "variables": {"v": name}}
        raws.append(manifest("Stage", name, spec))
    result = compiled(raws)
    for stage in worlds.api(result).stages:
        assert all(f"/{stage.name}/" in shard for shard in stage.shards)
        assert len(stage.shards) == 2
    assert invariants.check(worlds.units(result)) == []


def test_a_broken_api_with_a_stage_that_has_nothing_to_serve_is_shown() -> None:
    """Its routes differ by stage, and that stage is in none of its states."""
    result = worlds.compiled(
        """
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {name: shop}
spec: {unheard: true}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: a}
spec:
  apiRef: {name: shop}
  routeKey: GET /a
  integration: {url: "http://${stageVariables.host}/"}
---
apiVersion: portico.dev/v1alpha1
kind: Stage
metadata: {name: prod}
spec:
  apiRef: {name: shop}
  stageName: prod
  deploymentRef: {name: gone}
  variables: {host: pets.example}
"""
    )
    rows = [row for row in result.report.routes if row.stage == "prod"]
    assert rows
    assert not any(row.accepted for row in rows)
