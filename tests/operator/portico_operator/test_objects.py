"""ClusterObject: what is kept of what an API server sends."""

from __future__ import annotations

import pytest

from portico_compiler import ObjectRef
from portico_ir.secrets import Redacted
from portico_operator import establishment
from portico_operator.objects import ClusterObject, Unreadable, read, version_of

RAW = {
    "apiVersion": "portico.dev/v1alpha1",
    "kind": "Route",
    "metadata": {
        "name": "r",
        "namespace": "n",
        "uid": "u",
        "resourceVersion": "17",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
    },
    "spec": {"routeKey": "GET /"},
    "status": {"b": 1, "a": 2},
}


def test_an_object_of_ours() -> None:
    found = read("Route", RAW)
    assert found.ref == ("Route", "n", "r")
    assert found.version == 17
    assert found.object.body == {"spec": {"routeKey": "GET /"}}
    assert found.object.generation == 3
    assert found.object.uid == "u"
    assert found.object.created == "2026-01-01T00:00:00Z"
    assert found.status == b'{"a":2,"b":1}'


def test_the_content_version_is_the_generation() -> None:
    newer = {**RAW, "metadata": {**RAW["metadata"], "resourceVersion": "18"}}  # type: ignore[dict-item]
    assert (
        read("Route", RAW).object.resource_version == read("Route", newer).object.resource_version
    )


def test_core_kinds_have_no_content_version_of_their_own() -> None:
    assert read("Service", {**RAW, "kind": "Service"}).object.resource_version == "17"
    assert read("Service", {**RAW, "kind": "Service"}).status == b""


def test_a_stage_says_whether_it_was_programmed_for_its_api() -> None:
    api = ObjectRef("RestApi", "n", "shop")
    told = {"type": "Established", "status": "True", "message": establishment.message(api)}
    status = {"conditions": [{"type": "Programmed", "status": "False"}, told]}
    raw = {**RAW, "spec": {"apiRef": {"name": "shop"}}}
    assert not read("Stage", raw).object.established
    assert read("Stage", raw | {"status": status}).object.established
    moved = raw | {"status": status, "spec": {"apiRef": {"name": "other"}}}
    assert not read("Stage", moved).object.established
    assert not read("Route", raw | {"status": status}).object.established


def test_of_a_namespace_only_the_labels_count() -> None:
    """It stands in itself, and its status and finalizers come and go unnoticed."""

    def namespace(version: str, **labels: str) -> ClusterObject:
        metadata = {"name": "shop", "uid": "u", "resourceVersion": version, "labels": labels}
        raw = {"metadata": metadata, "spec": {"finalizers": [version]}, "status": {"phase": "x"}}
        return read("Namespace", raw)

    found = namespace("5", team="a")
    assert found.ref == ("Namespace", "shop", "shop")
    assert (found.version, found.object.body, found.status) == (5, {}, b"")
    assert namespace("6", team="a").object.resource_version == found.object.resource_version
    assert namespace("6", team="b").object.resource_version != found.object.resource_version
    assert namespace("6").object.resource_version != found.object.resource_version


def test_secrets_are_redacted() -> None:
    raw = {"metadata": RAW["metadata"], "type": "Opaque", "data": {"k": "c2VjcmV0"}}
    found = read("Secret", raw)
    assert found.object.body == {"type": "Opaque", "data": {"k": Redacted("c2VjcmV0")}}
    assert "c2VjcmV0" not in repr(found)


def test_secrets_that_nothing_names_lose_their_contents() -> None:
    raw = {"metadata": RAW["metadata"], "type": "Opaque", "data": {"k": "c2VjcmV0"}}
    assert read("Secret", raw, lambda *_: False).object.body == {"type": "Opaque"}


@pytest.mark.parametrize("raw", [{}, {"metadata": None}, {"metadata": {"name": 3}}])
def test_what_is_no_object(raw: dict[str, object]) -> None:
    with pytest.raises(Unreadable):
        read("Route", raw)


@pytest.mark.parametrize(("text", "number"), [("12", 12), ("", 0), (None, 0), ("x", 0), (7, 0)])
def test_versions(text: object, number: int) -> None:
    assert version_of(text) == number
