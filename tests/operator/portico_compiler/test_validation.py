"""Every mistake of a document is reported with its path, and the rest is saved."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_compiler import validation
from portico_compiler.manifests import routes
from portico_compiler.manifests.kinds import KINDS
from portico_compiler.problems import Reason


def route(**spec: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "apiRef": {"name": "shop"},
        "routeKey": "GET /pets",
        "integration": {"url": "http://pets.example"},
    }
    return {"spec": base | spec}


def faults(kind: str, body: Any) -> dict[str, tuple[Reason, str]]:
    return {f.field: (f.reason, f.message) for f in validation.read(kind, body).faults}


def test_a_document_without_mistakes() -> None:
    reading = validation.read("Route", route())
    assert reading.faults == ()
    assert isinstance(reading.content, routes.Route)
    assert reading.content.spec.api_ref.name == "shop"


def test_every_mistake_at_once() -> None:
    body = route(
        authorizationTyp="NONE",
        apiKeyRequired="yes",
        throttle={"rateLimit": -1},
        integration={
            "service": {"name": "Pets", "port": "no_port", "scheme": "ftp"},
            "timeout": 29,
            "backends": [{"service": {"name": "a", "port": 1}, "weight": "x"}, {}],
            "responseParameters": {"99": {"a": 1}},
            "maxRequestBody": -1,
            "type": "HTTPPROXY",
        },
    )
    found = faults("Route", body)
    assert found == {
        "spec.authorizationTyp": (
            Reason.UNKNOWN_FIELD,
            "unknown field; did you mean 'authorizationType'?",
        ),
        "spec.apiKeyRequired": (Reason.INVALID_VALUE, "must be true or false, not 'yes'"),
        "spec.throttle.rateLimit": (Reason.INVALID_VALUE, "must be at least 0, not -1"),
        "spec.integration.service.name": (
            Reason.INVALID_VALUE,
            "must be the name of a namespace: lower-case letters, digits and '-', not 'Pets'",
        ),
        "spec.integration.service.port": (
            Reason.INVALID_VALUE,
            "must be a port number, or the name of a port of the Service, not 'no_port'",
        ),
        "spec.integration.service.scheme": (
            Reason.INVALID_VALUE,
            "must be one of http, https, not 'ftp'",
        ),
        "spec.integration.timeout": (Reason.INVALID_VALUE, "must be a text, not 29"),
        "spec.integration.backends[0].weight": (
            Reason.INVALID_VALUE,
            "must be a whole number, not 'x'",
        ),
        "spec.integration.backends[1].service": (Reason.MISSING_FIELD, "is required"),
        "spec.integration.responseParameters.99": (
            Reason.INVALID_VALUE,
            "the name must be a status code from 100 to 599, not '99'",
        ),
        "spec.integration.responseParameters.99.a": (
            Reason.INVALID_VALUE,
            "must be a text, not 1",
        ),
        "spec.integration.maxRequestBody": (Reason.INVALID_VALUE, "must be at least 0, not -1"),
        "spec.integration.type": (
            Reason.INVALID_VALUE,
            (
                "must be one of AWS, AWS_PROXY, HTTP, HTTP_PROXY, MOCK, not 'HTTPPROXY'; "
                "did you mean HTTP_PROXY?"
            ),
        ),
    }


def test_the_rest_of_a_document_is_saved() -> None:
    reading = validation.read("Route", route(nonsense=1, timeout="x", routeKey="GET /{a}/{a}"))
    assert reading.content.spec.route_key == "GET /{a}/{a}"
    assert [f.field for f in reading.faults] == ["spec.nonsense", "spec.timeout", "spec.routeKey"]


def test_a_part_that_lacks_something_is_left_out_with_its_parents() -> None:
    reading = validation.read("Stage", {"spec": {"apiRef": {}, "stageName": "prod"}})
    assert reading.content is None
    assert [f.field for f in reading.faults] == ["spec.apiRef.name"]


@pytest.mark.parametrize("body", [{}, {"spec": None}, {"spec": []}, {"spec": 7}, {"spec": {}}])
def test_nothing_to_save(body: Any) -> None:
    reading = validation.read("Route", body)
    assert reading.content is None
    assert reading.faults


def test_a_rule_about_a_mistaken_field_keeps_silent() -> None:
    found = faults("Route", route(integration={"service": {"name": "a"}}))
    assert list(found) == ["spec.integration.service.port"]


def test_a_null_field_is_an_absent_one() -> None:
    assert faults("Route", route(throttle=None, authorizerRef=None)) == {}
    assert faults("Route", route(integration=None)) == {
        "spec.integration": (Reason.MISSING_FIELD, "is required")
    }
    reading = validation.read("RestApi", {"spec": {"models": {"A": {"schema": {"const": None}}}}})
    assert reading.content.spec.models["A"].schema == {"const": None}


def test_a_text_that_ends_in_a_newline_fits_no_pattern() -> None:
    body = {"spec": {"apiRef": {"name": "a"}, "stageName": "p", "variables": {"a": "x\n"}}}
    assert list(faults("Stage", body)) == ["spec.variables.a"]


def test_alternatives_are_judged_by_their_type() -> None:
    assert list(faults("Route", route(integration={"function": {"nme": "f"}}))) == [
        "spec.integration.function.nme",
        "spec.integration.function.name",
    ]
    wrong = faults("Route", route(integration={"type": "AWS_PROXY", "function": 7}))
    assert wrong == {
        "spec.integration.function": (
            Reason.INVALID_VALUE,
            "must be a text or a mapping, not 7",
        )
    }


def test_kubernetes_kinds_may_hold_more() -> None:
    body = {"spec": {"ports": [{"port": 80, "nodePort": 30000}], "selector": {"a": "b"}}}
    assert faults("Service", body) == {}
    assert list(faults("Service", {"spec": {"ports": [{"port": 0}]}})) == ["spec.ports[0].port"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_schema(kind: str) -> None:
    schema = validation.schema_of(kind)
    assert kind in schema["$defs"]
    assert validation.read(kind, {"unheard": 1}).content is not None or KINDS[kind].ours


def test_schemas_are_loaded_with_the_first_mistake() -> None:
    """jsonschema-rs is large; a run without mistakes never sees it."""
    program = (
        "import sys, portico_compiler.validation as v;"
        "body = {'spec': {'apiRef': {'name': 'a'}, 'stageName': 'x'}};"
        "assert not v.read('Stage', body).faults;"
        "assert 'jsonschema_rs' not in sys.modules;"
        "assert v.read('Stage', {'spec': 1}).faults;"
        "assert 'jsonschema_rs' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("depth", [50, 200, 400, 600, 800, 950, 5000])
@pytest.mark.parametrize("kind", ["RestApi", "Service"])
def test_deep_documents(kind: str, depth: int) -> None:
    deep: Any = None
    for _ in range(depth):
        deep = {"a": deep}
    reading = validation.read(kind, {"spec": {"policy": {"x": deep}, "other": deep}})
    assert reading.faults or kind == "Service"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from(sorted(KINDS)), JSON, st.sampled_from(["spec", "endpoints", "data"]))
def test_never_raises(kind: str, value: Any, field: str) -> None:
    reading = validation.read(kind, {field: value})
    for fault in reading.faults:
        assert fault.message
