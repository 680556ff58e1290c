"""Refusals: a refused unit speaks of its whole API and of nobody else."""

from __future__ import annotations

import pytest

import worlds
from portico_compiler import ObjectRef
from portico_operator.refusals import LastChanges, api_of, owner_of, refused_objects

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
---
apiVersion: portico.dev/v1alpha1
kind: UsagePlan
metadata: {name: gold}
spec: {}
"""
SHOP = {("RestApi", "shop"), ("Stage", "prod"), ("Route", "a")}


DOMAIN = """
apiVersion: portico.dev/v1alpha1
kind: DomainName
metadata: {name: site, namespace: platform}
spec: {domainNames: [shop.example]}
---
apiVersion: portico.dev/v1alpha1
kind: DomainName
metadata: {name: other, namespace: platform}
spec: {domainNames: [other.example]}
---
apiVersion: portico.dev/v1alpha1
kind: ApiMapping
metadata: {name: shop}
spec: {domainRef: {name: site, namespace: platform}, apiRef: {name: shop}}
---
apiVersion: portico.dev/v1alpha1
kind: ApiMapping
metadata: {name: here, namespace: platform}
spec: {domainRef: {name: other}, apiRef: {name: shop, namespace: default}}
"""


def test_a_domain_s_unit_speaks_of_it_and_its_mappings() -> None:
    world, _ = worlds.world(f"{TEXT}---{DOMAIN}")
    found = refused_objects({"domain/platform/site"}, world.objects)
    assert set(found) == {
        ObjectRef("DomainName", "platform", "site"),
        ObjectRef("ApiMapping", "default", "shop"),
    }
    assert owner_of("domain/platform/site") == ObjectRef("DomainName", "platform", "site")


def ref(kind: str, name: str) -> ObjectRef:
    return ObjectRef(kind, "default", name)


def unit(kind: str) -> str:
    units = worlds.compiled(TEXT).snapshot.units
    return next(each for each in units if each.startswith(kind) and "/shop" in each)


def refused(*units: str) -> dict[tuple[str, str], tuple[str, ...]]:
    world, _ = worlds.world(TEXT)
    found = refused_objects(units, world.objects)
    return {(each.kind, each.name): named for each, named in found.items()}


@pytest.mark.parametrize("kind", ["api/", "routes/"])
def test_an_api_is_refused_whole(kind: str) -> None:
    found = refused(unit(kind))
    assert set(found) == SHOP
    assert set(found.values()) == {(unit(kind),)}


def test_several_units_of_one_api() -> None:
    found = refused(unit("api/"), unit("routes/"))
    assert set(found) == SHOP
    assert all(len(units) == 2 for units in found.values())


def test_units_of_no_single_object() -> None:
    assert set(refused("plans")) == {("UsagePlan", "gold")}
    assert set(refused("keys/3")) == {("UsagePlan", "gold")}
    assert refused("something/newer", "manifest") == {}


def test_nothing_refused() -> None:
    assert refused() == {}


def test_the_api_of_an_object() -> None:
    world, _ = worlds.world(TEXT)
    apis = {o.ref.name: api_of(o) for o in world.objects if o.ref.kind in ("Route", "Stage")}
    assert apis == {
        "a": ref("RestApi", "shop"),
        "b": ref("RestApi", "other"),
        "prod": ref("RestApi", "shop"),
    }
    assert all(api_of(o) is None for o in world.objects if o.ref.kind == "RestApi")


def test_the_owner_of_a_unit() -> None:
    assert owner_of("api/n/HttpApi/x") == ObjectRef("HttpApi", "n", "x")
    assert owner_of("routes/n/HttpApi/x/*/0") == ObjectRef("HttpApi", "n", "x")
    assert owner_of("gateway") is None


def test_the_last_publication_that_changed_an_api() -> None:
    x, y = ObjectRef("HttpApi", "n", "x"), ObjectRef("HttpApi", "n", "y")
    changes = LastChanges()
    assert changes.of(x) == 0
    changes.published({"api/n/HttpApi/x": "1", "routes/n/HttpApi/x/*/0": "1", "gateway": "1"}, 1)
    assert (changes.of(x), changes.of(y)) == (1, 0)
    changes.published({"api/n/HttpApi/x": "1", "routes/n/HttpApi/x/*/0": "2", "gateway": "2"}, 2)
    assert changes.of(x) == 2
    changes.published({"api/n/HttpApi/x": "1", "api/n/HttpApi/y": "1", "gateway": "2"}, 3)
    assert (changes.of(x), changes.of(y)) == (3, 3), "a shard that went is a change, too"
    changes.published({"api/n/HttpApi/x": "1", "api/n/HttpApi/y": "2", "gateway": "9"}, 4)
    assert (changes.of(x), changes.of(y)) == (3, 4)
    changes.published({"api/n/HttpApi/x": "1"}, 5)
    assert (changes.of(x), changes.of(y)) == (3, 0)
