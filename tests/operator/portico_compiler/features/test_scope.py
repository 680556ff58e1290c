"""A scope notes what was looked up and turns faults into Problems."""

from __future__ import annotations

import scopes
from portico_compiler.features.scope import PLACEHOLDER, Upstream
from portico_compiler.problems import ObjectRef, Problem, Reason

SERVICE = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}"


def test_lookups_are_noted() -> None:
    scope = scopes.scope(SERVICE)
    assert scope.service("default", "a") is not None
    assert scope.service("default", "b") is None
    assert not scope.permits(scopes.ROUTE, ObjectRef("Service", "other", "c"))
    assert scope.permits(scopes.ROUTE, ObjectRef("Service", "default", "a"))
    assert set(scope.needs) == {
        ("Service", "default", "a"),
        ("Service", "default", "b"),
        ("grants", "other"),
    }
    assert scope.needs["Service", "default", "a"] is not None
    assert scope.needs["Service", "default", "b"] is None


def test_a_fault_is_a_problem_of_the_route() -> None:
    scope = scopes.scope()
    broken = scope.broken("spec.integration.url", Reason.INVALID_ADDRESS, "is none")
    assert broken.reason == "spec.integration.url: is none"
    expected = Problem(scopes.ROUTE, "spec.integration.url", Reason.INVALID_ADDRESS, "is none")
    assert scope.problems == [expected]


def test_variables() -> None:
    assert not scopes.scope(variables={"a": "1"}).uses_variables
    scope = scopes.scope(variables={"a": "1"})
    assert (scope.variable("a"), scope.variable("b")) == ("1", None)
    assert scope.uses_variables
    assert scopes.scope(variables=None).variable("b") == PLACEHOLDER


def test_the_id_of_an_upstream() -> None:
    assert Upstream("default", "pets", 80).id == "default/pets:80"
    assert Upstream("default", "pets", "http").id == "default/pets:http"
