"""Addresses and the route table say what the units say."""

from __future__ import annotations

from typing import Any

import pytest

import worlds
from manifests import manifest, route, service
from portico_compiler import Compiled, ObjectRef, compile  # noqa: A004
from portico_compiler.passes.table import summary
from portico_ir.model import (
    Broken,
    HttpProxy,
    Integration,
    LambdaProxy,
    Mock,
    ServiceTarget,
    UrlTarget,
)


def compiled(*raws: dict[str, Any], **settings: Any) -> Compiled:
    world, problems = worlds.of_raws(list(raws), **settings)
    assert not problems
    return compile(world)


STAGE = manifest("Stage", "prod", {"apiRef": {"name": "shop"}, "stageName": "prod"})


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        ({}, "http://shop.default.localhost"),
        ({"port": 8080}, "http://shop.default.localhost:8080"),
        ({"port": 80}, "http://shop.default.localhost"),
        ({"scheme": "https", "port": 443}, "https://shop.default.localhost"),
        ({"base_domain": "x.example"}, "http://shop.default.x.example"),
    ],
)
def test_addresses(settings: dict[str, Any], base: str) -> None:
    plain = compiled(manifest("RestApi", "shop"), **settings).report
    assert plain.addresses == {ObjectRef("RestApi", "default", "shop"): (f"{base}/",)}
    staged = compiled(manifest("RestApi", "shop"), STAGE, **settings).report
    assert staged.addresses == {
        ObjectRef("RestApi", "default", "shop"): (f"{base}/prod/",),
        ObjectRef("Stage", "default", "prod"): (f"{base}/prod/",),
    }


def test_rows() -> None:
    raws = [
        manifest("HttpApi", "shop"),
        route("pets", "GET /pets/{id}", kind="HttpApi"),
        route("rest", "$default", kind="HttpApi", requestValidator={"validateRequestBody": True}),
        route(
            "gone", "GET /gone", kind="HttpApi", integration={"service": {"name": "x", "port": 1}}
        ),
    ]
    rows = compiled(*raws).report.routes
    base = "http://shop.default.localhost"
    assert [(r.key, r.url, r.accepted) for r in rows] == [
        ("$default", f"{base}/", False),
        ("GET /gone", f"{base}/gone", False),
        ("GET /pets/{id}", f"{base}/pets/{{id}}", True),
    ]
    assert rows[0].message == "spec.requestValidator.validateRequestBody is not built yet"
    assert "there is no Service default/x" in rows[1].message
    assert rows[2].route == ObjectRef("Route", "default", "pets")
    assert rows[2].api == ObjectRef("HttpApi", "default", "shop")


def test_every_row_of_a_broken_api_says_so() -> None:
    rows = compiled(manifest("RestApi", "shop", {"policy": {"a": 1}}), route("a", "GET /")).report
    assert [row.message for row in rows.routes] == ["RestApi default/shop is not valid"]


def test_a_route_stands_in_every_stage() -> None:
    other = manifest("Stage", "test", {"apiRef": {"name": "shop"}, "stageName": "test"})
    rows = compiled(manifest("RestApi", "shop"), route("a", "GET /a"), STAGE, other).report.routes
    assert [row.stage for row in rows] == ["prod", "test"]


SERVICE = ServiceTarget(upstream="default/a:80", host="a", path="/v1/{id}", weight=3)


@pytest.mark.parametrize(
    ("integration", "text"),
    [
        (HttpProxy(targets=(UrlTarget(url="http://x"),)), "http://x"),
        (
            HttpProxy(targets=(SERVICE, UrlTarget(url="http://x"))),
            "service default/a:80/v1/{id} (weight 3), http://x",
        ),
        (LambdaProxy(target=UrlTarget(url="http://x"), function="f"), "function f at http://x"),
        (Mock(), "mock"),
        (Broken(reason="r"), "broken"),
    ],
)
def test_summaries(integration: Integration, text: str) -> None:
    assert summary(integration) == text


def test_services_by_reference() -> None:
    integration = {"service": {"name": "pets", "port": "p80", "path": "/v1"}}
    result = compiled(
        manifest("RestApi", "shop"),
        service("pets", 80),
        route("a", "GET /a", integration=integration),
    )
    assert [row.target for row in result.report.routes] == ["service default/pets:80/v1"]
