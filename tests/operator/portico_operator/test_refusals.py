"""Refusals: a refused unit speaks of its API, its Stages and the Routes inside."""

from __future__ import annotations

import worlds
from portico_compiler import ObjectRef
from portico_operator.refusals import api_of, refused_objects

TEXT = """
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {name: shop}
spec: {}
---
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {name: other}
spec: {}
---
apiVersion: portico.dev/v1alpha1
kind: Stage
metadata: {name: prod}
spec: {apiRef: {name: shop}, stageName: prod}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: a}
spec: {apiRef: {name: shop}, routeKey: GET /a, integration: {url: "http://x.example/"}}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: b}
spec: {apiRef: {name: other}, routeKey: GET /b, integration: {url: "http://x.example/"}}
"""
WHY = ("pod", "reason")


def ref(kind: str, name: str) -> ObjectRef:
    return ObjectRef(kind, "default", name)


def refused(unit_kind: str) -> set[ObjectRef]:
    world, _ = worlds.world(TEXT)
    snapshot = worlds.compiled(TEXT).snapshot
    (unit,) = (u for u in snapshot.units if u.startswith(unit_kind) and "/shop" in u)
    attached = [o for o in world.objects if o.ref.kind in ("Route", "Stage")]
    found = refused_objects({unit: WHY}, snapshot, attached)
    assert all(refusals == (WHY,) for refusals in found.values())
    return set(found)


def test_a_shard_speaks_of_its_routes() -> None:
    assert refused("routes/") == {ref("RestApi", "shop"), ref("Stage", "prod"), ref("Route", "a")}


def test_an_api_speaks_of_all_it_has() -> None:
    assert refused("api/") == {ref("RestApi", "shop"), ref("Stage", "prod"), ref("Route", "a")}


def test_nothing_refused() -> None:
    assert refused_objects({}, worlds.compiled(TEXT).snapshot, ()) == {}


def test_the_api_of_an_object() -> None:
    world, _ = worlds.world(TEXT)
    apis = {o.ref.name: api_of(o) for o in world.objects if o.ref.kind in ("Route", "Stage")}
    assert apis == {
        "a": ref("RestApi", "shop"),
        "b": ref("RestApi", "other"),
        "prod": ref("RestApi", "shop"),
    }
    assert all(api_of(o) is None for o in world.objects if o.ref.kind == "RestApi")
