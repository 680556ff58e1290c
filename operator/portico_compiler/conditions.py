"""Report: what compiling found, as people and status writers want it.

Made by `compiler.compile`; read by the command line (tables, exit code) and later by the
operator's status writer. Promises: conditions follow from problems and from what they mean for
other objects, so nothing is False without a Problem that says why; everything expensive is
worked out when first asked for, because an operator compiles more often than it writes status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Literal, NamedTuple

from portico_compiler.problems import (
    ConditionType,
    ObjectRef,
    Problem,
    Reason,
    Severity,
    Source,
    is_shown_when_true,
)

SHOWN_PROBLEMS = 10
"""A condition's message names this many problems and counts the rest."""


class Condition(NamedTuple):
    """One entry of `status.conditions`, without its transition time."""

    type: ConditionType
    """Accepted, ResolvedRefs, Implemented or CertificateValid; whoever delivers adds Programmed."""
    status: Literal["True", "False", "Unknown"]
    """As Kubernetes writes it."""
    reason: str
    """Camel case, machine-readable."""
    message: str
    """For people."""
    observed_generation: int
    """metadata.generation that this speaks of."""


class RouteRow(NamedTuple):
    """One line of the route table: a Route in a stage."""

    api: ObjectRef
    """The API."""
    stage: str
    """Stage name; `$default` has no prefix."""
    key: str
    """routeKey as written."""
    url: str
    """Where it answers, variables in braces."""
    target: str
    """What it calls, in a few words."""
    accepted: bool
    """False: it answers 500."""
    route: ObjectRef
    """The Route object."""
    message: str = ""
    """Why it answers 500."""


class Subject(NamedTuple):
    """An object that gets conditions."""

    ref: ObjectRef
    """Who."""
    generation: int
    """Which generation was compiled."""
    source: Source | None
    """Where it was read."""
    understood: bool
    """False: it could not be decoded, so its references are unknown."""
    ours: bool
    """Of our group: gets conditions."""


class Report:
    """What compiling found."""

    def __init__(
        self,
        subjects: Callable[[], Iterable[Subject]],
        problems: Iterable[Problem],
        consequences: Callable[[], Iterable[Problem]],
        addresses: Mapping[ObjectRef, tuple[str, ...]],
        rows: Callable[[], Iterable[RouteRow]],
        classes: Callable[[], Mapping[ObjectRef, str]] = dict,
        provisional: Callable[[], Mapping[ObjectRef, str]] = dict,
    ) -> None:
        self._subjects = subjects
        self._found = problems
        self._consequences = consequences
        self.addresses = addresses
        """URLs of every API and Stage that serves."""
        self._rows = rows
        self._classes = classes
        self._provisional = provisional

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem, warnings included, in the order of files, then objects."""
        sources = {subject.ref: subject.source for subject in self._subjects()}
        placed = (
            problem._replace(source=problem.source or sources.get(problem.object))
            for problem in self._found
        )
        return tuple(sorted(placed, key=_reading_order))

    @cached_property
    def errors(self) -> tuple[Problem, ...]:
        """Problems that make something not work: what an exit code depends on."""
        return tuple(p for p in self.problems if p.severity is Severity.ERROR)

    @cached_property
    def conditions(self) -> Mapping[ObjectRef, tuple[Condition, ...]]:
        """Conditions of every object of our kinds, sorted by object."""
        by_object: dict[ObjectRef, list[Problem]] = {}
        for problem in (*self._found, *self._consequences()):
            by_object.setdefault(problem.object, []).append(problem)
        good: dict[tuple[int, bool], tuple[Condition, ...]] = {}
        """Of objects without a problem there are thousands, and few kinds."""
        found: dict[ObjectRef, tuple[Condition, ...]] = {}
        for subject in self._subjects():
            if not subject.ours:
                continue
            problems = by_object.get(subject.ref)
            if problems is None:
                kind = (subject.generation, subject.understood)
                known = good.get(kind)
                if known is None:
                    known = good[kind] = conditions(subject, [])
                found[subject.ref] = known
            else:
                found[subject.ref] = conditions(subject, problems)
        return {ref: found[ref] for ref in sorted(found)}

    @cached_property
    def classes(self) -> Mapping[ObjectRef, str]:
        """The PorticoClass that each object of our kinds belongs to; "" where there is none."""
        return self._classes()

    @cached_property
    def provisional(self) -> Mapping[ObjectRef, str]:
        """API to the URL of its implicit `$default`, where a Stage that is programmed ends it."""
        return self._provisional()

    @cached_property
    def routes(self) -> tuple[RouteRow, ...]:
        """The route table, sorted by API, stage and key."""
        return tuple(sorted(self._rows()))


def conditions(subject: Subject, problems: list[Problem]) -> tuple[Condition, ...]:
    """The conditions that follow from an object's problems."""
    found: list[Condition] = []
    for kind in ConditionType:
        mine = [problem for problem in problems if problem.reason.condition is kind]
        # What a user can mend comes before what only a later version brings.
        mine.sort(key=lambda problem: problem.reason is Reason.NOT_IMPLEMENTED)
        if mine:
            status: Literal["False"] = "False"
            reason, message = str(mine[0].reason), _message(mine)
            found.append(Condition(kind, status, reason, message, subject.generation))
        elif kind is ConditionType.RESOLVED_REFS and not subject.understood:
            message = "the object could not be read, so its references are unknown"
            found.append(Condition(kind, "Unknown", "NotAccepted", message, subject.generation))
        elif is_shown_when_true(kind):
            found.append(Condition(kind, "True", str(kind), "", subject.generation))
    return tuple(found)


def _message(problems: list[Problem]) -> str:
    shown = [f"{p.field}: {p.message}" if p.field else p.message for p in problems]
    rest = len(shown) - SHOWN_PROBLEMS
    text = "; ".join(shown[:SHOWN_PROBLEMS])
    return f"{text}; and {rest} more" if rest > 0 else text


def _reading_order(problem: Problem) -> tuple[str, int, int, ObjectRef, str, str]:
    source = problem.source
    if source is None:
        return ("", 0, 0, problem.object, problem.field, problem.message)
    place = (source.file, source.index, source.line or 0)
    return (*place, problem.object, problem.field, problem.message)
