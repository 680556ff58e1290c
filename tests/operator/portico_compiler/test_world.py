"""Documents become objects, or problems; nothing else."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

import worlds
from portico_compiler import ObjectRef, Reason, SourceDocument, World
from portico_compiler.world import uid_of


def raw(kind: str = "RestApi", name: Any = "shop", **more: Any) -> dict[str, Any]:
    version = "v1" if kind in ("Secret", "Service", "List") else "portico.dev/v1alpha1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


def test_an_object_with_everything() -> None:
    document = raw(spec={"description": "x"}, status={"conditions": []})
    document["metadata"] |= {"namespace": "team", "labels": {"a": "b", "c": 1}, "generation": 7}
    world, problems = World.from_documents([SourceDocument(document, "a.yaml", 2, 40)])
    assert not problems
    (found,) = world.objects
    assert found.ref == ObjectRef("RestApi", "team", "shop")
    assert found.body == {"spec": {"description": "x"}}
    assert found.labels == {"a": "b"}
    assert found.generation == 7
    assert str(found.source) == "a.yaml:40"
    assert found.uid == uid_of(found.ref)


def test_the_namespace_is_default_and_classes_have_none() -> None:
    world, _ = worlds.of_raws([raw(), raw("PorticoClass", "public")])
    assert [o.ref.namespace for o in world.objects] == ["default", ""]


def test_age_is_the_order_of_documents() -> None:
    world, _ = worlds.of_raws([raw(name=f"a{n}") for n in range(12)])
    assert sorted(world.objects, key=lambda o: o.created) == list(world.objects)


def test_the_version_changes_with_the_content_only() -> None:
    one, _ = worlds.of_raws([raw(spec={"version": "1"})])
    same, _ = worlds.of_raws([raw(name="other"), raw(spec={"version": "1"})])
    other, _ = worlds.of_raws([raw(spec={"version": "2"})])
    assert one.objects[0].resource_version == same.objects[1].resource_version
    assert one.objects[0].uid == same.objects[1].uid
    assert one.objects[0].resource_version != other.objects[0].resource_version


def test_yaml_keys_become_texts_as_kubectl_makes_them() -> None:
    document = raw(spec={"gatewayResponses": {200: {"a": datetime.date(2024, 1, 2)}}})
    world, problems = worlds.of_raws([document])
    assert not problems
    assert world.objects[0].body["spec"] == {"gatewayResponses": {"200": {"a": "2024-01-02"}}}


def test_lists_are_opened_one_level_deep() -> None:
    inner = raw("List", items=[])
    world, problems = worlds.of_raws([raw("List", items=[raw(), inner, raw(name="b")])])
    assert [o.ref.name for o in world.objects] == ["shop", "b"]
    assert [(p.field, p.reason) for p in problems] == [("items[1].kind", Reason.UNKNOWN_KIND)]


def test_the_first_of_two_stays() -> None:
    world, problems = worlds.of_raws([raw(spec={"version": "1"}), raw(spec={"version": "2"})])
    assert world.objects[0].body["spec"] == {"version": "1"}
    assert [p.reason for p in problems] == [Reason.DUPLICATE_OBJECT]
    assert "case.yaml[0]" in problems[0].message


def test_contents_of_secrets_do_not_show() -> None:
    world, _ = worlds.of_raws([raw("Secret", data={"a": "aHVudGVy"}, stringData={"b": "hunter2"})])
    assert "hunter2" not in repr(world)
    assert "aHVudGVy" not in repr(world)


CYCLE: dict[str, Any] = raw()
CYCLE["spec"] = CYCLE


@pytest.mark.parametrize(
    ("document", "reason", "field"),
    [
        ("text", Reason.MALFORMED_DOCUMENT, ""),
        ([], Reason.MALFORMED_DOCUMENT, ""),
        ({}, Reason.MALFORMED_DOCUMENT, "kind"),
        ({"kind": ["a"]}, Reason.MALFORMED_DOCUMENT, "kind"),
        (CYCLE, Reason.MALFORMED_DOCUMENT, ""),
        (raw(spec={(1, 2): 3}), Reason.MALFORMED_DOCUMENT, ""),
        (raw(spec={"a": 10**5000}), Reason.MALFORMED_DOCUMENT, ""),
        (raw(spec={"a": "\ud800"}), Reason.MALFORMED_DOCUMENT, ""),
        (raw(spec={"a": object()}), Reason.MALFORMED_DOCUMENT, ""),
        ({"kind": "Pod", "apiVersion": "v1"}, Reason.UNKNOWN_KIND, "kind"),
        ({"kind": "RestApi", "apiVersion": "v1"}, Reason.UNKNOWN_KIND, "apiVersion"),
        ({"kind": "RestApi"}, Reason.UNKNOWN_KIND, "apiVersion"),
        (raw(name=None), Reason.MALFORMED_DOCUMENT, "metadata.name"),
        (raw(name=7), Reason.MALFORMED_DOCUMENT, "metadata.name"),
        (raw(name="A"), Reason.INVALID_NAME, "metadata.name"),
        (raw(name="a.b"), Reason.INVALID_NAME, "metadata.name"),
        (raw(name="a" * 64), Reason.INVALID_NAME, "metadata.name"),
        (raw(name="a\n"), Reason.INVALID_NAME, "metadata.name"),
        (raw("Route", name="a..b"), Reason.INVALID_NAME, "metadata.name"),
        (raw("Route", name="a" * 254), Reason.INVALID_NAME, "metadata.name"),
        (raw("List"), Reason.MISSING_FIELD, "items"),
    ],
)
def test_what_is_no_object(document: Any, reason: Reason, field: str) -> None:
    world, problems = worlds.of_raws([document, None])
    assert not world.objects
    assert [(p.reason, p.field) for p in problems] == [(reason, field)]
    assert problems[0].source is not None


def test_a_route_may_have_dots_in_its_name() -> None:
    world, problems = worlds.of_raws([raw("Route", "pets.v2")])
    assert not problems
    assert world.objects
