"""The table of kinds: design.md §3's thirteen, and what is read of Kubernetes' own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from portico_compiler.manifests.kinds import KINDS

OURS = {
    "PorticoClass",
    "RestApi",
    "HttpApi",
    "WebSocketApi",
    "Route",
    "Authorizer",
    "Stage",
    "ApiDeployment",
    "UsagePlan",
    "ApiKey",
    "IamUser",
    "DomainName",
    "ApiMapping",
}


def test_thirteen_kinds_are_ours() -> None:
    assert {name for name, kind in KINDS.items() if kind.ours} == OURS
    assert len(OURS) == 13


def test_only_the_class_has_no_namespace() -> None:
    assert {name for name, kind in KINDS.items() if not kind.namespaced} == {"PorticoClass"}


def test_names_of_apis_become_host_names() -> None:
    labelled = {name for name, kind in KINDS.items() if kind.label_name}
    assert labelled == {"RestApi", "HttpApi", "WebSocketApi"}


def nested(type_: Any) -> list[type[msgspec.Struct]]:
    """A struct and every struct below it."""
    found: list[type[msgspec.Struct]] = []

    def walk(node: msgspec.inspect.Type) -> None:
        if isinstance(node, msgspec.inspect.StructType):
            if node.cls in found:
                return
            found.append(node.cls)
            for field in node.fields:
                walk(field.type)
        elif isinstance(node, msgspec.inspect.UnionType):
            for option in node.types:
                walk(option)
        elif isinstance(node, msgspec.inspect.VarTupleType):
            walk(node.item_type)
        elif isinstance(node, msgspec.inspect.DictType):
            walk(node.value_type)

    walk(msgspec.inspect.type_info(type_))
    return found


@pytest.mark.parametrize("name", KINDS)
def test_unknown_fields_are_refused_in_our_kinds_only(name: str) -> None:
    kind = KINDS[name]
    for struct in nested(kind.shape):
        assert struct.__struct_config__.forbid_unknown_fields is kind.ours, struct
        assert struct.__struct_config__.frozen, struct
