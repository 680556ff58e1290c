"""What is served of the current state: nothing, all of it, or all but what was edited."""

from __future__ import annotations

from typing import Any

import pytest

from deployments import SHOP, compiled, deployment, revision, shop, stage, target
from manifests import manifest, route
from portico_compiler import Compiled, ObjectRef
from portico_compiler.passes.deployed import Serving

A, B = ObjectRef("Route", "default", "a"), ObjectRef("Route", "default", "b")
HELD = shop(route("a", "GET /a"), route("b", "GET /b"))
PINNED = [*revision(HELD, "v1"), deployment("v1", "v1"), stage("prod", "v1")]


def idle(result: Compiled) -> dict[ObjectRef, str]:
    return result.deployments.not_deployed()


def test_what_a_live_stage_serves_is_deployed() -> None:
    assert idle(compiled(HELD)) == {}
    assert idle(compiled([*HELD, stage("test")])) == {}
    assert idle(compiled([*HELD, *PINNED, stage("test")])) == {}


def test_without_any_stage_nothing_is() -> None:
    found = idle(compiled(shop(route("a", "GET /a"), defaultStage="Never")))
    assert set(found) == {SHOP, A}
    assert found[A] == "no Stage serves the current routes, and there is no implicit $default"


def test_a_deployment_serves_what_is_still_the_same() -> None:
    assert idle(compiled([*HELD, *PINNED])) == {}
    edited = [HELD[0], HELD[1], route("b", "GET /b", **target(2))]
    found = idle(compiled([*edited, *PINNED]))
    assert set(found) == {SHOP, B}
    assert found[B] == "no Stage serves the current routes: Stage prod serves ApiDeployment v1"
    # Another stage has the newer state: then it is served.
    newer = [*revision(edited, "v2"), deployment("v2", "v2"), stage("test", "v2")]
    assert idle(compiled([*edited, *PINNED, *newer])) == {}


@pytest.mark.parametrize(
    "spec", [{"description": "other"}, {"functions": {"f": {"url": "http://f"}}}]
)
def test_an_edit_of_the_api_alone_is_the_api_s(spec: dict[str, Any]) -> None:
    edited = [manifest("RestApi", "shop", spec), *HELD[1:]]
    assert set(idle(compiled([*edited, *PINNED]))) == {SHOP}


def test_a_route_that_is_new_gone_or_broken() -> None:
    assert set(idle(compiled([*HELD, route("c", "GET /c"), *PINNED]))) == {
        SHOP,
        ObjectRef("Route", "default", "c"),
    }
    assert set(idle(compiled([*HELD[:-1], *PINNED]))) == {SHOP}
    broken = [*HELD[:-1], route("b", "GET /b", typo=1)]
    assert set(idle(compiled([*broken, *PINNED]))) == {SHOP, B}


def test_the_message_names_every_stage_up_to_a_bound() -> None:
    many = [stage(f"s{n}", "v1" if n else "gone") for n in range(8)]
    found = idle(compiled([*HELD, route("c", "GET /c"), *PINNED[:-1], *many]))
    assert "Stage s1 serves ApiDeployment v1; " in found[SHOP]
    assert found[SHOP].endswith("; and 3 more")
    assert found[ObjectRef("Stage", "default", "s0")].startswith("there is no ApiDeployment")


def test_a_stage_that_fails_closed_leaves_the_default_one() -> None:
    found = idle(compiled([*HELD, stage("prod", "gone")]))
    assert set(found) == {ObjectRef("Stage", "default", "prod")}
    lonely = idle(compiled([*shop(defaultStage="Never"), stage("prod", "gone")]))
    assert lonely[SHOP] == "no Stage serves the current routes: Stage prod answers 500"


def test_what_stages_serve() -> None:
    result = compiled([*HELD, *PINNED, stage("test"), stage("lost", "gone")])
    (digest,) = {taken.head.digest for taken in result.deployments.taken.values()}
    assert result.deployments.serving == {
        ObjectRef("Stage", "default", "prod"): Serving("v1", "v1", digest),
        ObjectRef("Stage", "default", "test"): Serving(),
    }
