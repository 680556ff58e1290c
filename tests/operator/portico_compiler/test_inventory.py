"""What is found by reference, and what may be."""

from __future__ import annotations

from typing import Any

import worlds
from portico_compiler import ObjectRef
from portico_compiler.inventory import Inventory
from portico_compiler.memo import Memo
from portico_compiler.passes.accept import accept

GRANT = """
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: g, namespace: stores}
spec:
  from: [{group: portico.dev, kind: Route, namespace: team}]
  to: [{group: "", kind: Service, name: pets}, {group: portico.dev, kind: RestApi}]
"""
SLICES = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: managed
  labels:
    kubernetes.io/service-name: pets
    endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: by-hand, labels: {kubernetes.io/service-name: pets}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: of-nobody}
"""


def inventory(text: str, **options: Any) -> Inventory:
    world, problems = worlds.world(text)
    assert not problems
    managed = bool(options.get("managed", False))
    return Inventory(accept(world.objects, Memo()), managed_slices_only=managed)


def permits(found: Inventory, kind: str, namespace: str, group: str, target: ObjectRef) -> bool:
    return found.permits(ObjectRef(kind, namespace, "x"), group, target)


def test_a_reference_stays_in_its_namespace() -> None:
    found = inventory(GRANT)
    pets = ObjectRef("Service", "stores", "pets")
    assert permits(found, "Route", "stores", "", pets)
    assert permits(found, "Route", "team", "", pets)
    assert not permits(found, "Stage", "team", "", pets)
    assert not permits(found, "Route", "other", "", pets)
    assert not permits(found, "Route", "team", "", pets._replace(name="cats"))
    assert not permits(found, "Route", "team", "", pets._replace(namespace="elsewhere"))
    assert not permits(found, "Route", "team", "portico.dev", pets)
    api = ObjectRef("RestApi", "stores", "any")
    assert permits(found, "Route", "team", "portico.dev", api)
    assert not permits(found, "Route", "team", "portico.dev", api._replace(kind="HttpApi"))


def test_slices_count_when_the_controller_made_them() -> None:
    by_files = inventory(SLICES).slices("default", "pets")
    assert [d.ref.name for d in by_files] == ["by-hand", "managed"]
    in_cluster = inventory(SLICES, managed=True).slices("default", "pets")
    assert [d.ref.name for d in in_cluster] == ["managed"]
    assert inventory(SLICES).slices("other", "pets") == ()


def test_tokens_tell_versions_apart() -> None:
    memo = Memo()
    service = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: %s}]}}"
    key = ("Service", "default", "a")
    tokens = []
    for port in ("80", "80", "81"):
        world, _ = worlds.world(service % port)
        tokens.append(Inventory(accept(world.objects, memo), False).token(key))
        memo.close()
    assert tokens[0] is tokens[1]
    assert tokens[1] is not tokens[2]
    assert inventory(GRANT).token(key) is None
    assert inventory(GRANT).token(("grants", "stores")) != ()
    assert inventory(GRANT).token(("grants", "team")) == ()
