"""Manifests of keys and plans, for the tests of the passes that compile them."""

from __future__ import annotations

from typing import Any

import worlds
from portico_compiler import Compiled, Memo, compile  # noqa: A004
from portico_ir.access import ApiKey, Plan
from portico_ir.model import KeysUnit, PlansUnit

Raw = dict[str, Any]


def manifest(kind: str, name: str, spec: Raw, namespace: str = "default") -> Raw:
    """One object of ours."""
    metadata = {"name": name, "namespace": namespace}
    version = "portico.dev/v1alpha1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def secret(name: str, namespace: str = "default", **entries: str) -> Raw:
    """A Secret with texts."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": entries}


def shop(**spec: Any) -> list[Raw]:
    """A REST API with one route that requires a key."""
    route = {
        "apiRef": {"name": "shop"},
        "routeKey": "GET /pets",
        "apiKeyRequired": True,
        "integration": {"url": "http://x"},
    }
    return [manifest("RestApi", "shop", spec), manifest("Route", "pets", route)]


def plan(
    name: str, *stages: str, api: str = "shop", namespace: str = "default", **spec: Any
) -> Raw:
    """A UsagePlan that opens stages of an API."""
    opened = [{"apiRef": {"name": api}, "stage": stage} for stage in stages]
    return manifest("UsagePlan", name, {"apiStages": opened} | spec, namespace)


def key(name: str, *plans: str, entry: str | None = "key", **spec: Any) -> Raw:
    """An ApiKey whose value is in the Secret of the same name."""
    reference = {"name": name} | ({"key": entry} if entry else {})
    refs = [{"name": each} for each in plans]
    return manifest("ApiKey", name, {"secretRef": reference, "usagePlanRefs": refs} | spec)


def compiled(*raws: Raw, memo: Memo | None = None, **settings: Any) -> Compiled:
    """Everything together; all of it must be objects."""
    world, problems = worlds.of_raws(list(raws), **settings)
    assert not problems
    return compile(world, memo)


def keys(result: Compiled) -> dict[str, ApiKey]:
    """Digest to key."""
    found: dict[str, ApiKey] = {}
    for unit in worlds.units(result).values():
        if isinstance(unit, KeysUnit):
            found |= unit.keys
    return found


def plans(result: Compiled) -> dict[str, Plan]:
    """Name to plan."""
    found = worlds.units(result).get("plans")
    return {p.name: p for p in found.plans} if isinstance(found, PlansUnit) else {}


def problems(result: Compiled) -> list[str]:
    """`name field reason` of each."""
    return [f"{p.object.name} {p.field} {p.reason}" for p in result.report.errors]
