"""States of one API side by side: each with its own shards, authorizers and functions."""

from __future__ import annotations

from typing import Any

import pytest

import worlds
from deployments import compiled, deployment, revision, shop, stage, targets
from manifests import manifest, route
from portico_compiler import Memo
from portico_ir import codec, invariants
from portico_ir.access import JwtAuthorizer
from portico_ir.model import MAX_ROUTES_PER_UNIT, RoutesUnit

POOL = "arn:aws:cognito-idp:eu-west-1:000000000000:userpool/"


def authorizer(pool: str) -> dict[str, Any]:
    spec = {
        "apiRef": {"name": "shop"},
        "authorizerType": "COGNITO_USER_POOLS",
        "providerARNs": [f"{POOL}{pool}"],
    }
    return manifest("Authorizer", "who", spec)


GUARDED: dict[str, Any] = {
    "authorizationType": "COGNITO_USER_POOLS",
    "authorizerRef": {"name": "who"},
}


def test_a_state_has_its_own_authorizers() -> None:
    held = [*shop(route("a", "GET /a", **GUARDED)), authorizer("old")]
    now = [*held[:-1], authorizer("new")]
    result = compiled(
        [*now, *revision(held, "v1"), deployment("v1", "v1"), stage("p", "v1"), stage("t")]
    )
    found = {}
    for unit_id, unit in worlds.units(result).items():
        if isinstance(unit, RoutesUnit):
            found[unit_id.split("/")[4]] = unit.authorizers
    assert set(found) == {"*", "*@v1"}
    for place, name, pool in (("*", "default/who", "new"), ("*@v1", "default/who@v1", "old")):
        (made,) = found[place].values()
        # State is kept under the name: the two must not share any.
        assert isinstance(made, JwtAuthorizer)
        assert (made.name, made.issuers[0].rpartition("/")[2]) == (name, pool)
    assert invariants.check(worlds.units(result)) == []
    assert [str(p) for p in result.report.problems] == []
    # Without the live Authorizer, too: what is held is whole.
    alone = compiled([*shop(), *revision(held, "v1"), deployment("v1", "v1"), stage("p", "v1")])
    assert [str(p) for p in alone.report.problems] == []


def test_a_state_has_its_own_functions() -> None:
    called: dict[str, Any] = {
        "integration": {"type": "AWS_PROXY", "function": "f", "httpMethod": "POST"}
    }
    held = shop(route("a", "GET /a", **called), functions={"f": {"url": "http://old.example"}})
    now = [
        manifest("RestApi", "shop", {"functions": {"f": {"url": "http://new.example"}}}),
        held[1],
    ]
    result = compiled(
        [*now, *revision(held, "v1"), deployment("v1", "v1"), stage("p", "v1"), stage("t")]
    )
    assert targets(result, "p") == {"GET /a": "function f at http://old.example"}
    assert targets(result, "t") == {"GET /a": "function f at http://new.example"}


@pytest.mark.parametrize("count", [1, 501, 1200])
def test_shards_of_every_state_are_bounded(count: int) -> None:
    held = shop(*(route(f"r{n}", f"GET /r{n}") for n in range(count)))
    raws = [*held, *revision(held, "v1"), deployment("v1", "v1"), stage("p", "v1"), stage("t")]
    result = compiled(raws)
    units = [u for u in worlds.units(result).values() if isinstance(u, RoutesUnit)]
    assert sum(len(u.routes) for u in units) == 2 * count
    assert max(len(u.routes) for u in units) <= MAX_ROUTES_PER_UNIT
    assert invariants.check(worlds.units(result)) == []


def test_an_edit_of_the_current_state_changes_no_unit_of_another() -> None:
    held = shop(*(route(f"r{n}", f"GET /r{n}") for n in range(600)))
    raws = [*held, *revision(held, "v1"), deployment("v1", "v1"), stage("p", "v1"), stage("t")]
    memo = Memo()
    before = dict(compiled(raws, memo).snapshot.manifest.units)
    raws[7]["spec"]["operationName"] = "edited"
    after = compiled(raws, memo)
    changed = {k for k, v in after.snapshot.manifest.units.items() if before.get(k) != v}
    assert len(changed) == 1
    assert "@v1" not in changed.pop()
    assert codec.encode(after.snapshot) == codec.encode(compiled(raws).snapshot)


def test_a_stage_that_moves_back_and_forth_gives_the_same_bytes() -> None:
    one, two = shop(route("a", "GET /a")), shop(route("b", "GET /b"))
    raws = [*two, *revision(one, "v1"), *revision(two, "v2")]
    raws += [deployment("v1", "v1"), deployment("v2", "v2"), stage("p", "v1")]
    memo = Memo()
    seen = []
    for name in ("v1", "v2", "v1"):
        raws[-1] = stage("p", name)
        seen.append(codec.encode(compiled(raws, memo).snapshot))
    assert seen[0] == seen[2] != seen[1]
