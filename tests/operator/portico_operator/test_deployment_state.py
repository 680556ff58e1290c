"""Deployment state: an API that no Stage serves says what its Stages serve instead."""

from __future__ import annotations

import worlds
from portico_compiler import ObjectRef
from portico_operator.deployment_state import not_deployed

TEXT = """
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {name: shop}
spec: {defaultStage: Never}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: a}
spec: {apiRef: {name: shop}, routeKey: GET /a, integration: {url: "http://x.example/"}}
"""
PINNED = """
---
apiVersion: portico.dev/v1alpha1
kind: Stage
metadata: {name: prod}
spec: {apiRef: {name: shop}, stageName: prod, deploymentRef: {name: v1}}
"""
API, ROUTE = ObjectRef("RestApi", "default", "shop"), ObjectRef("Route", "default", "a")


def test_nobody_serves_it() -> None:
    world, _ = worlds.world(TEXT)
    report = worlds.compiled(TEXT).report
    routes = [o for o in world.objects if o.ref.kind == "Route"]
    found = not_deployed([API], report.addresses, (), routes)
    assert set(found) == {API, ROUTE}
    assert "no Stage serves the current routes" in found[ROUTE]


def test_the_message_names_the_stages() -> None:
    world, _ = worlds.world(TEXT + PINNED)
    stages = [o for o in world.objects if o.ref.kind == "Stage"]
    found = not_deployed([API], {API: ()}, stages, ())
    assert "Stage prod serves ApiDeployment v1" in found[API]


def test_a_served_api_is_none() -> None:
    assert not_deployed([API], {API: ("http://x/",)}, (), ()) == {}
