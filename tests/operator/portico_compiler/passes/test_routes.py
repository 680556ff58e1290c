"""A Route becomes one route, or one per stage; whatever is wrong, it exists."""

from __future__ import annotations

from typing import Any

import pytest

import worlds
from manifests import manifest, route
from portico_compiler import Compiled, compile  # noqa: A004
from portico_compiler.passes.apis import identity
from portico_ir.model import (
    Broken,
    DefaultMatch,
    HttpProxy,
    HttpSegments,
    RestSegments,
    UrlTarget,
)
from portico_ir.policies import FailClosed


def compiled(*raws: dict[str, Any]) -> Compiled:
    world, problems = worlds.of_raws(list(raws))
    assert not problems
    return compile(world)


def one(raw: dict[str, Any], kind: str = "RestApi") -> Any:
    (found,) = worlds.routes(compiled(manifest(kind, "shop"), raw)).values()
    return found


def test_a_rest_route() -> None:
    found = one(route("a", "GET /a/{id}", operationName="get"))
    assert found.key == "GET /a/{id}"
    assert found.match == RestSegments(method="GET", path="/a/{id}")
    assert found.object == "default/a"
    assert found.operation_name == "get"
    assert found.resource_id == identity("RestApi/default/shop/a/{id}")
    assert found.policies == ()


def test_resources_of_one_path_have_one_id() -> None:
    result = compiled(manifest("RestApi", "shop"), route("a", "GET /x"), route("b", "PUT /x"))
    ids = {found.resource_id for found in worlds.routes(result).values()}
    assert len(ids) == 1


def test_http_routes() -> None:
    found = one(route("a", "ANY /a/", kind="HttpApi"), "HttpApi")
    assert found.match == HttpSegments(method="ANY", path="/a/")
    assert found.resource_id == ""
    assert isinstance(one(route("a", "$default", kind="HttpApi"), "HttpApi").match, DefaultMatch)


@pytest.mark.parametrize(
    "spec",
    [
        {"integration": {"url": "http://x", "tmeout": "1s"}},
        {"integration": {"url": "nonsense"}},
        {"integration": {}},
        {"integration": None},
        {"integration": 7},
        {"apiKeyRequird": True},
        {"throttle": "fast"},
    ],
)
def test_a_broken_route_keeps_its_place(spec: dict[str, Any]) -> None:
    found = one(route("a", "GET /a", **spec))
    assert isinstance(found.integration, Broken)
    assert found.integration.reason
    assert found.key == "GET /a"


def test_what_restricts_and_is_not_built_is_a_policy() -> None:
    found = one(
        route(
            "a",
            "GET /a",
            requestValidator={"validateRequestBody": True, "validateRequestParameters": True},
        )
    )
    (policy,) = found.policies
    assert isinstance(policy, FailClosed)
    assert policy.reason == (
        "spec.requestValidator.validateRequestBody is not built yet; "
        "spec.requestValidator.validateRequestParameters is not built yet"
    )
    assert isinstance(found.integration, HttpProxy)


STAGES = [
    manifest("Stage", name, {"apiRef": {"name": "shop"}, "stageName": name, "variables": variables})
    for name, variables in (("one", {"v": "1"}), ("two", {"v": "2"}), ("none", {}))
]


def test_one_per_stage_where_stage_variables_are_used() -> None:
    by_variable = route("a", "GET /a", integration={"url": "http://x/${stageVariables.v}"})
    result = compiled(manifest("RestApi", "shop"), by_variable, route("b", "GET /b"), *STAGES)
    urls = {}
    for stage in ("one", "two", "none"):
        served = worlds.routes(result, stage)
        assert isinstance(served["GET /b"].integration, HttpProxy)
        integration = served["GET /a"].integration
        if isinstance(integration, HttpProxy):
            (target,) = integration.targets
            assert isinstance(target, UrlTarget)
            urls[stage] = target.url
    assert urls == {"one": "http://x/1", "two": "http://x/2"}
    assert isinstance(worlds.routes(result, "none")["GET /a"].integration, Broken)
    ids = worlds.units(result)
    assert sorted(i for i in ids if i.startswith("routes/")) == [
        "routes/default/RestApi/shop/*/0",
        "routes/default/RestApi/shop/none/0",
        "routes/default/RestApi/shop/one/0",
        "routes/default/RestApi/shop/two/0",
    ]


def test_a_problem_that_all_stages_share_is_told_once() -> None:
    both = route("a", "GET /a", integration={"url": "ftp://x/${stageVariables.v}"})
    result = compiled(manifest("RestApi", "shop"), both, *STAGES[:2])
    assert len(result.report.problems) == 2  # the URLs differ
    wrong = {"type": "AWS_PROXY", "function": "${stageVariables.v}", "httpMethod": "GET"}
    result = compiled(manifest("RestApi", "shop"), route("a", "GET /a", integration=wrong), *STAGES)
    assert len(result.report.problems) == 1


def test_without_a_stage_a_route_is_still_judged() -> None:
    api = manifest("RestApi", "shop", {"defaultStage": "Never"})
    fine = route("a", "GET /a", integration={"url": "http://${stageVariables.v}/"})
    wrong = route("b", "GET /b", integration={"url": "ftp://${stageVariables.v}/"})
    result = compiled(api, fine, wrong)
    assert [p.object.name for p in result.report.problems] == ["b"]
    assert worlds.routes(result) == {}
