"""Throttling of routes and stages: which settings become which buckets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from portico_compiler.features.throttling import Throttles, method_and_path, policies, throttles
from portico_compiler.manifests.routes import RouteSpec
from portico_compiler.manifests.stages import StageSpec
from portico_compiler.routekeys import RouteKey, parse
from portico_ir.access import Bucket
from portico_ir.policies import Throttle


def stage(**spec: Any) -> Throttles:
    whole = {"apiRef": {"name": "shop"}, "stageName": "prod", **spec}
    return throttles(msgspec.convert(whole, StageSpec))


def key(text: str, kind: Any = "RestApi") -> RouteKey:
    found = parse(text, kind)
    assert isinstance(found, RouteKey)
    return found


def route(stage_: Throttles | None = None, **spec: Any) -> list[Throttle]:
    whole = {"apiRef": {"name": "shop"}, "routeKey": "GET /a", **spec}
    return policies(msgspec.convert(whole, RouteSpec), key("GET /a"), stage_ or Throttles())


def test_nothing_is_limited_where_nothing_is_said() -> None:
    assert stage() == Throttles()
    assert stage(methodSettings={"*/*": {"metricsEnabled": True}}) == Throttles()
    assert route() == route(throttle={}) == []


def test_the_wildcard_is_the_stage_s_own_bucket() -> None:
    found = stage(methodSettings={"*/*": {"throttlingRateLimit": 0, "throttlingBurstLimit": 0}})
    assert found.default == Bucket(rate=0, burst=0)
    assert stage(defaultRouteSettings={"throttlingRateLimit": 2.5}).default == Bucket(
        rate=2.5, burst=3
    )
    assert found.of_routes == Throttles()


@pytest.mark.parametrize(
    ("setting", "text", "hit"),
    [
        ("~1pets/GET", "GET /pets", True),
        ("~1pets/GET", "GET /pets/", True),
        ("~1pets/GET", "POST /pets", False),
        ("~1pets/GET", "ANY /pets", False),
        ("~1pets/ANY", "ANY /pets", True),
        ("~1pets~1{id}/GET", "GET /pets/{id}", True),
        ("~1/GET", "GET /", True),
    ],
)
def test_a_method_s_setting_is_about_that_method(setting: str, text: str, hit: bool) -> None:
    found = stage(methodSettings={setting: {"throttlingBurstLimit": 7}})
    assert (found.of(key(text)) == Bucket(rate=7, burst=7)) is hit
    assert list(found.unused([key(text)])) == ([] if hit else [f"spec.methodSettings[{setting}]"])


def test_a_route_s_setting_is_about_that_key() -> None:
    found = stage(routeSettings={"$default": {"throttlingRateLimit": 7}})
    assert found.of(key("$default", "HttpApi")) == Bucket(rate=7, burst=7)
    assert found.of(key("GET /a", "HttpApi")) is None


def test_a_route_s_own_buckets() -> None:
    found = route(
        stage(routeSettings={"GET /a": {"throttlingRateLimit": 3, "throttlingBurstLimit": 4}}),
        throttle={"rateLimit": 1.5, "burstLimit": 2},
        extensions={"clientThrottle": {"burstLimit": 5}},
    )
    assert found == [
        Throttle(rate=1.5, burst=2),
        Throttle(rate=5, burst=5, per_client=True),
        Throttle(rate=3, burst=4, instead_of_stage=True),
    ]


def test_keys_of_method_settings() -> None:
    assert method_and_path("*/*") == ("*", "*")
    assert method_and_path("~1pets~1{id}/GET") == ("GET", "/pets/{id}")
