"""Conditions follow from problems, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portico_compiler.conditions import Report, Subject, conditions
from portico_compiler.inventory import Inventory
from portico_compiler.passes.accept import decode as accepted
from portico_compiler.passes.gateway import ground
from portico_compiler.problems import ObjectRef, Problem, Reason, Severity, Source
from portico_compiler.world import Object, Settings

REF = ObjectRef("Route", "default", "a")


def subject(**more: Any) -> Subject:
    fields: dict[str, Any] = {"generation": 3, "understood": True}
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


def objects(*refs: ObjectRef, source: Source | None = None) -> list[Object]:
    return [
        Object(ref=ref, body={}, resource_version="1", uid="u", generation=3, source=source)
        for ref in refs
    ]


def report(*problems: Problem, of: Sequence[Object] | None = None) -> Report:
    given = objects(REF) if of is None else of
    documents = [accepted(object_) for object_ in given]
    base = ground(Inventory(documents, False), Settings())
    return Report(given, documents, problems, lambda: (), {}, lambda: (), base)


def test_problems_stand_in_the_order_of_files() -> None:
    elsewhere = Problem(
        ObjectRef("", "", ""), "", Reason.MALFORMED_DOCUMENT, "m", source=Source("b.yaml")
    )
    found = report(
        elsewhere,
        problem(Reason.INVALID_VALUE, "spec.b"),
        problem(Reason.INVALID_VALUE, "spec.a"),
        of=objects(REF, source=Source("a.yaml", 1, 3)),
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
    service = ObjectRef("Service", "default", "s")
    assert list(report(of=objects(REF, service)).conditions) == [REF]


# --- a report that follows another --------------------------------------------------------------


def refs(*names: str) -> list[ObjectRef]:
    return [ObjectRef("Route", "default", name) for name in names]


def of(ref: ObjectRef, message: str) -> Problem:
    return Problem(ref, "", Reason.INVALID_VALUE, message)


def test_a_report_that_follows_another_says_the_same_as_one_that_does_not() -> None:
    a, b, c, d = refs("a", "b", "c", "d")
    before = objects(d, b, a)
    first = report(of(b, "was wrong"), of=before)
    assert first.touched is None
    later = [before[0], before[1], *objects(a), *objects(c)]
    given = (of(d, "is wrong"), of(c, "is new"))
    second, alone = report(*given, of=later), report(*given, of=later)
    assert first.conditions
    second.follow(first)
    assert list(second.conditions.items()) == list(alone.conditions.items())
    assert second.classes == alone.classes
    # `b` is mended, `d` broken, `a` edited, `c` new.
    assert second.touched == {a, b, c, d}
    third = report(*given, of=[*later[:3], *objects(c)])
    third.follow(second)
    assert third.conditions == second.conditions
    assert third.touched == {c, d}


def test_where_objects_went_or_moved_all_of_it_is_worked_out() -> None:
    a, b = refs("a", "b")
    given = objects(a, b)
    first = report(of=given)
    for later in (given[1:], [given[1], given[0]]):
        again = report(of(b, "is wrong"), of=later)
        again.follow(first)
        assert again.conditions == report(of(b, "is wrong"), of=later).conditions
        assert again.touched is None


def test_an_edited_api_may_move_others_to_another_class() -> None:
    api = ObjectRef("RestApi", "default", "shop")
    first = report(of=objects(api, REF))
    assert first.classes
    again = report(of=objects(api, REF))
    again.follow(first)
    assert again.classes == first.classes
    assert again.touched is None
