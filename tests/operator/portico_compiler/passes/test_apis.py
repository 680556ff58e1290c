"""Identities, hosts and who wins them (design.md §3, Identities)."""

from __future__ import annotations

import re
from typing import Any

import pytest

import worlds
from portico_compiler import ObjectRef
from portico_compiler.inventory import Inventory
from portico_compiler.memo import Memo
from portico_compiler.passes.accept import accept
from portico_compiler.passes.apis import Claims, claim, host_of, identity
from portico_compiler.passes.gateway import ground
from portico_compiler.problems import Reason
from portico_ir.model import ApiKind


def api(kind: str, name: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    version = "portico.dev/v1alpha1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def claims(*raws: dict[str, Any], **settings: Any) -> Claims:
    world, problems = worlds.of_raws(list(raws), **settings)
    assert not problems
    inventory = Inventory(accept(world.objects, Memo()), False)
    return claim(inventory, ground(inventory, world.settings))


def test_identities() -> None:
    (plan,) = claims(api("RestApi", "shop", "team")).plans.values()
    assert plan.unit_id == "api/team/RestApi/shop"
    assert plan.host == "shop.team.localhost"
    assert plan.kind is ApiKind.REST
    assert re.fullmatch("[a-z0-9]{10}", plan.api_id)
    assert plan.api_id == identity("team/RestApi/shop")


def test_identities_are_fixed_for_ever() -> None:
    """They are in users' ARNs and policies: changing the function breaks them."""
    assert identity("default/RestApi/petstore") == "yfbb24wzin"
    assert len({identity(str(n)) for n in range(10_000)}) == 10_000


def test_the_eldest_wins_a_host_whatever_its_kind() -> None:
    found = claims(api("HttpApi", "shop"), api("RestApi", "shop"), api("WebSocketApi", "shop"))
    assert list(found.plans) == [ObjectRef("HttpApi", "default", "shop")]
    assert [(p.object.kind, p.reason) for p in found.problems] == [
        ("RestApi", Reason.HOST_CONFLICT),
        ("WebSocketApi", Reason.HOST_CONFLICT),
    ]


def test_templates_may_make_one_host_of_two_names() -> None:
    template = "{api}-{namespace}.{baseDomain}"
    found = claims(
        api("RestApi", "a-b", "c"), api("RestApi", "a", "b-c"), address_template=template
    )
    assert [plan.host for plan in found.plans.values()] == ["a-b-c.localhost"]
    assert [p.object.name for p in found.problems] == ["a"]


def test_a_websocket_api_keeps_its_host_and_serves_nothing() -> None:
    found = claims(api("WebSocketApi", "chat"), api("RestApi", "chat"))
    assert found.plans == {}
    assert [p.reason for p in found.problems] == [Reason.HOST_CONFLICT]


def test_labels_have_at_most_63_characters() -> None:
    template = "{api}-{namespace}.{baseDomain}"
    found = claims(api("RestApi", "a" * 40, "b" * 40), address_template=template)
    assert found.plans == {}
    assert [p.reason for p in found.problems] == [Reason.INVALID_ADDRESS]


@pytest.mark.parametrize(
    ("spec", "says", "reason"),
    [
        ({}, "", Reason.REF_NOT_ACCEPTED),
        ({"policy": {"a": 1}}, "not valid", Reason.REF_NOT_ACCEPTED),
        ({"nonsense": 1}, "not valid", Reason.REF_NOT_ACCEPTED),
        ({"models": {}}, "", Reason.REF_NOT_ACCEPTED),
    ],
)
def test_what_breaks_an_api(spec: dict[str, Any], says: str, reason: Reason) -> None:
    (plan,) = claims(api("RestApi", "shop", **spec)).plans.values()
    assert (says in plan.broken) if says else (plan.broken == "")
    assert plan.broken_reason is reason
    assert plan.host == "shop.default.localhost"


def test_nothing_at_all_can_be_read() -> None:
    raw = api("RestApi", "shop")
    raw["spec"] = 7
    (plan,) = claims(raw).plans.values()
    assert plan.broken
    assert not plan.spec.functions


def a_class(name: str, **spec: Any) -> dict[str, Any]:
    version = "portico.dev/v1alpha1"
    metadata = {"name": name}
    return {"apiVersion": version, "kind": "PorticoClass", "metadata": metadata, "spec": spec}


def test_an_api_stands_on_its_own_class() -> None:
    found = claims(
        a_class("public", default=True, baseDomain="apis.example"),
        a_class("edge", addressTemplate="{api}-{namespace}.edge.{baseDomain}"),
        api("RestApi", "shop"),
        api("RestApi", "named", className="public"),
        api("HttpApi", "inner", className="edge"),
        mode="cluster",
    )
    assert found.problems == ()
    assert {plan.host: plan.class_name for plan in found.plans.values()} == {
        "shop.default.apis.example": "public",
        "named.default.apis.example": "public",
        "inner-default.edge.localhost": "edge",
    }


@pytest.mark.parametrize("kind", ["RestApi", "HttpApi", "WebSocketApi"])
def test_an_api_without_its_class_is_served_by_nobody(kind: str) -> None:
    """It also takes nobody's host, because only a class says which it would be."""
    for spec, classes in (
        ({"className": "publik"}, [a_class("public", default=True)]),
        ({"className": "public"}, []),
        ({}, [a_class("public")]),
        ({}, []),
    ):
        found = claims(api(kind, "shop", **spec), *classes, mode="cluster")
        assert found.plans == {}
        (problem,) = found.problems
        assert (problem.reason, problem.field) == (Reason.REF_NOT_FOUND, "spec.className")


def test_files_without_a_class_take_any_name_of_one() -> None:
    found = claims(api("RestApi", "shop", className="public"))
    assert found.problems == ()
    assert [plan.class_name for plan in found.plans.values()] == [""]


def test_hosts_are_lower_case() -> None:
    world, _ = worlds.world("", base_domain="DEV.example")
    base = ground(Inventory([], False), world.settings).settings
    assert host_of(ObjectRef("RestApi", "team", "shop"), base) == "shop.team.dev.example"
