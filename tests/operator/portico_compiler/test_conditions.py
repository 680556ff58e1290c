"""Conditions follow from problems, and from nothing else."""

from __future__ import annotations

from typing import Any

from portico_compiler.conditions import Report, Subject, conditions
from portico_compiler.problems import ObjectRef, Problem, Reason, Severity, Source

REF = ObjectRef("Route", "default", "a")


def subject(**more: Any) -> Subject:
    fields: dict[str, Any] = {"generation": 3, "source": None, "understood": True, "ours": True}
    return Subject(ref=REF, **(fields | more))


def problem(reason: Reason, field: str = "spec.x", message: str = "is wrong") -> Problem:
    return Problem(REF, field, reason, message)


def test_nothing_wrong() -> None:
    found = conditions(subject(), [])
    assert [(c.type, c.status, c.reason) for c in found] == [
        ("Accepted", "True", "Accepted"),
        ("ResolvedRefs", "True", "ResolvedRefs"),
    ]
    assert {c.observed_generation for c in found} == {3}


def test_each_problem_turns_its_condition() -> None:
    given = [
        problem(Reason.INVALID_VALUE),
        problem(Reason.CONFLICTED, "", "is younger"),
        problem(Reason.SERVICE_NOT_FOUND, "spec.y", "is gone"),
        problem(Reason.FIELDS_IGNORED, "", "without effect: spec.z"),
    ]
    found = {c.type: (c.status, c.reason, c.message) for c in conditions(subject(), given)}
    assert found == {
        "Accepted": ("False", "InvalidValue", "spec.x: is wrong; is younger"),
        "ResolvedRefs": ("False", "ServiceNotFound", "spec.y: is gone"),
        "Implemented": ("False", "FieldsIgnored", "without effect: spec.z"),
    }


def test_what_can_be_mended_comes_before_what_is_not_built() -> None:
    given = [
        problem(Reason.NOT_IMPLEMENTED, "", "not built yet"),
        problem(Reason.HOST_NOT_ALLOWED, "spec.y", "is another team's"),
    ]
    accepted = conditions(subject(), given)[0]
    assert accepted.reason == "HostNotAllowed"
    assert accepted.message == "spec.y: is another team's; not built yet"


def test_references_of_what_could_not_be_read_are_unknown() -> None:
    found = conditions(subject(understood=False), [problem(Reason.MISSING_FIELD)])
    assert [(c.type, c.status) for c in found] == [
        ("Accepted", "False"),
        ("ResolvedRefs", "Unknown"),
    ]


def test_long_lists_are_counted() -> None:
    many = [problem(Reason.INVALID_VALUE, f"spec.f{n}") for n in range(25)]
    message = conditions(subject(), many)[0].message
    assert message.endswith("; and 15 more")
    assert message.count("is wrong") == 10


def report(*problems: Problem, **more: Any) -> Report:
    return Report(lambda: [subject(**more)], problems, lambda: (), {}, lambda: ())


def test_problems_stand_in_the_order_of_files() -> None:
    elsewhere = Problem(
        ObjectRef("", "", ""), "", Reason.MALFORMED_DOCUMENT, "m", source=Source("b.yaml")
    )
    found = report(
        elsewhere,
        problem(Reason.INVALID_VALUE, "spec.b"),
        problem(Reason.INVALID_VALUE, "spec.a"),
        source=Source("a.yaml", 1, 3),
    )
    assert [(str(p.source), p.field) for p in found.problems] == [
        ("a.yaml:3", "spec.a"),
        ("a.yaml:3", "spec.b"),
        ("b.yaml[0]", ""),
    ]


def test_warnings_are_no_errors() -> None:
    warning = problem(Reason.FIELDS_IGNORED)._replace(severity=Severity.WARNING)
    found = report(warning)
    assert found.problems
    assert not found.errors


def test_only_our_kinds_have_conditions() -> None:
    assert report(ours=False).conditions == {}
    assert list(report().conditions) == [REF]
