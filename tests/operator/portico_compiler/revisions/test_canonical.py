"""One form for what means the same, and another for what does not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import manifest, route
from portico_compiler import ObjectRef
from portico_compiler.inventory import Document
from portico_compiler.passes.accept import decode
from portico_compiler.revisions import canonical
from portico_compiler.world import Object


def document(raw: dict[str, Any]) -> Document:
    metadata = raw["metadata"]
    ref = ObjectRef(raw["kind"], metadata["namespace"], metadata["name"])
    made = decode(Object(ref=ref, body={"spec": raw["spec"]}, resource_version="", uid=""))
    assert made.valid, made.problems
    return made


def form(namespace: str = "default", home: str = "default", **spec: Any) -> Any:
    raw = route("r", "GET /r", **spec)
    raw["metadata"]["namespace"] = namespace
    return json.loads(canonical.member(document(raw), home))


def test_whose_member_it_is_is_said_elsewhere() -> None:
    assert form() == {
        "name": "r",
        "spec": {"integration": {"url": "http://backend.example/"}, "routeKey": "GET /r"},
    }


SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"authorizationType": "NONE", "apiKeyRequired": False, "authorizationScopes": []}),
    ({}, {"requestParameters": {}, "throttle": None}),
    (
        {"integration": {"url": "http://x/"}},
        {"integration": {"url": "http://x/", "type": "HTTP_PROXY", "backends": []}},
    ),
    ({"throttle": {"rateLimit": 100}}, {"throttle": {"rateLimit": 100.0}}),
    (
        {"integration": {"service": {"name": "a", "port": 80}}},
        {"integration": {"service": {"name": "a", "namespace": "default", "port": 80}}},
    ),
    (
        {"integration": {"backends": [{"service": {"name": "a", "port": 80}}]}},
        {"integration": {"backends": [{"service": {"name": "a", "port": 80}, "weight": 1}]}},
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_means_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert form(**one) == form(**other)


OTHER: list[dict[str, Any]] = [
    {"throttle": {"rateLimit": 100.5}},
    {"throttle": {"rateLimit": 0}},
    {"requestValidator": {}},
    {"operationName": "x"},
    {"integration": {"service": {"name": "a", "namespace": "other", "port": 80}}},
    {"integration": {"service": {"name": "a", "port": "80"}}},
]


@pytest.mark.parametrize("spec", OTHER)
def test_what_means_something_else(spec: dict[str, Any]) -> None:
    assert form(**spec) != form()


def test_a_member_of_another_namespace_says_whose_its_references_are() -> None:
    spec = {"integration": {"service": {"name": "a", "port": 80}}}
    away = form("team", "default", **spec)
    assert away["namespace"] == "team"
    assert away["spec"]["integration"]["service"]["namespace"] == "team"
    home = {"integration": {"service": {"name": "a", "namespace": "default", "port": 80}}}
    assert "namespace" not in form("team", "default", **home)["spec"]["integration"]["service"]


def test_free_form_keeps_what_it_says() -> None:
    schema = {"z": None, "a": [1.0, 2.5, -0.0, True], "n": 2**70, "m": 10**400, "t": "1.0"}
    raw = manifest("RestApi", "shop", {"models": {"Pet": {"schema": schema}}})
    said = canonical.api(document(raw))
    assert said.startswith(b'{"kind":"RestApi","name":"shop","spec":{"models"')
    assert b'"a":[1,2.5,0,true]' in said
    assert b'"z":null' in said
    assert float(json.loads(said)["spec"]["models"]["Pet"]["schema"]["n"]) == float(2**70)


def test_it_is_worked_out_once() -> None:
    made = document(route("r", "GET /r"))
    assert canonical.member(made, "default") is canonical.member(made, "default")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(JSON)
def test_going_through_json_changes_nothing(value: Any) -> None:
    """As an API server gives it back: what was canonical stays as it is."""
    raw = manifest("RestApi", "shop", {"models": {"Pet": {"schema": {"x": value}}}})
    once = canonical.api(document(raw))
    again = json.loads(once)
    metadata = {"name": again["name"], "namespace": "default"}
    assert canonical.api(document({**again, "metadata": metadata})) == once
    assert msgspec.json.format(once, indent=-1) == once
