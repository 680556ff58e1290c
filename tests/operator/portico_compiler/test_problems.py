"""Problems read as kubectl users read them, and each reason belongs to one condition."""

from __future__ import annotations

import pytest

from portico_compiler.problems import (
    ConditionType,
    ObjectRef,
    Problem,
    Reason,
    Severity,
    Source,
    field_path,
)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (("spec", "integration", "timeout"), "spec.integration.timeout"),
        (("items", 3, "spec"), "items[3].spec"),
        (("spec", "responses", r"4\d{2}"), r"spec.responses[4\d{2}]"),
        (("spec", "methodSettings", "~1pets/GET", "x"), "spec.methodSettings[~1pets/GET].x"),
        (("spec", "variables", "a_b"), "spec.variables.a_b"),
        ((), ""),
        (("spec", ""), "spec[]"),
    ],
)
def test_field_path(steps: tuple[str | int, ...], expected: str) -> None:
    assert field_path(*steps) == expected


def test_a_problem_reads_as_one_line() -> None:
    problem = Problem(
        ObjectRef("Route", "default", "pets"),
        "spec.routeKey",
        Reason.INVALID_VALUE,
        "is wrong",
        source=Source("a.yaml", 1, 7),
    )
    assert str(problem) == "a.yaml:7: Route default/pets: spec.routeKey: InvalidValue: is wrong"
    assert problem.severity is Severity.ERROR


def test_a_problem_without_field_or_place() -> None:
    problem = Problem(ObjectRef("", "", ""), "", Reason.MALFORMED_DOCUMENT, "no mapping")
    assert str(problem) == "document: MalformedDocument: no mapping"
    assert str(Source("a.yaml", 2)) == "a.yaml[2]"
    assert str(ObjectRef("PorticoClass", "", "public")) == "PorticoClass public"


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_turns_one_condition(reason: Reason) -> None:
    assert reason.condition in ConditionType
    assert reason.value[0].isupper()
    assert reason.value.isalpha()


def test_references_and_ignored_fields_have_conditions_of_their_own() -> None:
    assert Reason.FUNCTION_UNRESOLVED.condition is ConditionType.RESOLVED_REFS
    assert Reason.FIELDS_IGNORED.condition is ConditionType.IMPLEMENTED
    assert Reason.NOT_IMPLEMENTED.condition is ConditionType.ACCEPTED
