"""A Route that answers 500 through no fault of its own says so, once, and not as a problem."""

from __future__ import annotations

from typing import Any

import worlds
from manifests import manifest, route
from portico_compiler import Compiled, compile  # noqa: A004

THROTTLED = {
    "apiVersion": "portico.dev/v1alpha1",
    "kind": "PorticoClass",
    "metadata": {"name": "slow"},
    "spec": {"default": True, "accountThrottle": {"rateLimit": 1}, "x": 1},
}
PROD = {"apiRef": {"name": "shop"}, "stageName": "prod"}


def compiled(*raws: dict[str, Any]) -> Compiled:
    world, problems = worlds.of_raws(list(raws))
    assert not problems
    return compile(world)


def test_a_class_that_throttles_and_is_broken() -> None:
    api = manifest("RestApi", "shop")
    result = compiled(THROTTLED, api, route("a", "GET /a"), manifest("Stage", "prod", PROD))
    for kind, name in (("Route", "a"), ("Stage", "prod")):
        status, reason, message = worlds.condition(result, kind, name, "ResolvedRefs")
        assert (status, reason) == ("False", "RefNotAccepted")
        assert "RestApi default/shop" in message
        assert "spec.accountThrottle" in message
    assert [p.object.kind for p in result.report.problems] == ["PorticoClass"]


def test_a_mistake_of_the_api() -> None:
    result = compiled(manifest("RestApi", "shop", {"x": 1}), route("a", "GET /a"))
    assert worlds.condition(result, "Route", "a", "ResolvedRefs")[:2] == ("False", "RefNotAccepted")
    assert worlds.condition(result, "Route", "a", "Accepted")[0] == "True"


def test_an_unbuilt_field_of_a_stage() -> None:
    settings = PROD | {"clientCertificateRef": {"name": "c"}}
    result = compiled(
        manifest("RestApi", "shop"),
        route("a", "GET /a"),
        manifest("Stage", "prod", settings),
    )
    status, reason, message = worlds.condition(result, "Route", "a", "Accepted")
    assert (status, reason) == ("False", "NotImplemented")
    assert "in stage prod" in message
    assert "Stage default/prod" in message
    assert [p.object.kind for p in result.report.problems] == ["Stage"]


def test_a_route_s_own_fault_comes_first() -> None:
    api = manifest("RestApi", "shop")
    unbuilt = {"validateRequestBody": True}
    result = compiled(THROTTLED, api, route("a", "GET /a", requestValidator=unbuilt))
    message = worlds.condition(result, "Route", "a", "Accepted")[2]
    assert message.startswith("spec.requestValidator")
