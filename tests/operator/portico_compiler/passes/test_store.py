"""The store of a class: its unit, its password, and classes that share nothing."""

from __future__ import annotations

from typing import Any

import pytest

import worlds
from manifests import manifest
from portico_compiler import Compiled, ObjectRef, compile  # noqa: A004
from portico_ir.codec import decode_unit
from portico_ir.model import StoreUnit

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "redis", "namespace": "infra"},
    "stringData": {"password": "hush", "main": "psst", "echoed": "x\n"},
}


def compiled(store: dict[str, Any] | None, *, today: str = "20261123") -> Compiled:
    spec: dict[str, Any] = {"default": True} | ({"store": store} if store is not None else {})
    of_class = {
        "apiVersion": "portico.dev/v1alpha1",
        "kind": "PorticoClass",
        "metadata": {"name": "shop"},
        "spec": spec,
    }
    world, problems = worlds.of_raws([of_class, SECRET, manifest("RestApi", "a")], today=today)
    assert not problems
    return compile(world)


def unit(result: Compiled) -> StoreUnit:
    found = decode_unit(result.snapshot.units["store"])
    assert isinstance(found, StoreUnit)
    return found


def redis(**reference: str) -> dict[str, Any]:
    return {
        "redis": {
            "url": "redis://r",
            "secretRef": {"name": "redis", "namespace": "infra", **reference},
        }
    }


def test_a_class_that_says_nothing_needs_no_unit() -> None:
    assert "store" not in compiled(None).snapshot.units


def test_a_fail_mode_alone() -> None:
    found = unit(compiled({"failureMode": "Refuse"}))
    assert (found.name, found.keep, found.redis) == ("shop", False, None)
    assert unit(compiled({})).keep


@pytest.mark.parametrize(("entry", "password"), [({}, "hush"), ({"key": "main"}, "psst")])
def test_a_redis_with_its_password(entry: dict[str, str], password: str) -> None:
    found = unit(compiled(redis(**entry))).redis
    assert found is not None
    assert found.url.reveal() == "redis://r"
    assert found.password is not None
    assert found.password.reveal() == password


def test_files_without_secrets_have_no_password() -> None:
    found = unit(compiled(redis(), today="")).redis
    assert found is not None
    assert found.password is None


@pytest.mark.parametrize(
    ("entry", "condition", "why"),
    [
        ({"name": "gone"}, "ResolvedRefs", "there is no Secret infra/gone"),
        ({"key": "other"}, "Accepted", "has no entry other"),
        ({"key": "echoed"}, "Accepted", "ends in a line break"),
    ],
)
def test_a_password_that_cannot_be_had(entry: dict[str, str], condition: str, why: str) -> None:
    result = compiled(redis(**entry))
    (told,) = (
        each
        for each in result.report.conditions[ObjectRef("PorticoClass", "", "shop")]
        if each.type == condition
    )
    assert told.status == "False"
    assert why in told.message
    assert "hush" not in told.message
    found = unit(result).redis
    assert found is not None
    assert found.password is None
