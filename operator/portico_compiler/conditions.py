"""Report: what compiling found, as people and status writers want it.

Made by `compiler.compile`; read by the command line (tables, exit code) and later by the
operator's status writer. Promises: conditions follow from problems and from what they mean for
other objects, so nothing is False without a Problem that says why; everything expensive is
worked out when first asked for, because an operator compiles more often than it writes status.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

from portico_compiler.edits import other
from portico_compiler.inventory import Document
from portico_compiler.manifests.kinds import KINDS
from portico_compiler.passes.belonging import DECIDING, class_names
from portico_compiler.passes.gateway import Ground
from portico_compiler.problems import (
    ConditionType,
    ObjectRef,
    Problem,
    Reason,
    Severity,
    is_shown_when_true,
)
from portico_compiler.world import Object

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
    understood: bool
    """False: it could not be decoded, so its references are unknown."""


class Worked(NamedTuple):
    """What a Report worked out about every object, to be brought up to date by a later one."""

    objects: Sequence[Object]
    """Of the World that it was of."""
    places: dict[ObjectRef, int]
    """Where in it each object stands."""
    troubled: frozenset[ObjectRef]
    """Objects with a problem."""
    conditions: dict[ObjectRef, tuple[Condition, ...]]
    """Sorted by object."""
    classes: dict[ObjectRef, str]
    """Object to class."""


class Report:
    """What compiling found."""

    def __init__(
        self,
        objects: Sequence[Object],
        documents: Sequence[Document],
        problems: Iterable[Problem],
        consequences: Callable[[], Iterable[Problem]],
        addresses: Mapping[ObjectRef, tuple[str, ...]],
        rows: Callable[[], Iterable[RouteRow]],
        ground: Ground,
        provisional: Callable[[], Mapping[ObjectRef, str]] = dict,
    ) -> None:
        # It is read later, if at all: a memo's documents may by then have newer objects.
        self._objects = objects
        self._documents = documents
        self._found = problems
        self._consequences = consequences
        self.addresses = addresses
        """URLs of every API and Stage that serves."""
        self._rows = rows
        self._ground = ground
        self._provisional = provisional
        self._before: Worked | None = None
        self.touched: frozenset[ObjectRef] | None = None
        """Of a report that follows another: objects of which it may say something else, once
        `conditions` were asked for. None: of any object."""

    def follow(self, before: Report) -> None:
        """Work out what is other than in a report whose conditions were asked for, and no more.
        Only worth it before this one's are."""
        self._before = before._worked

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem, warnings included, in the order of files, then objects."""
        sources = {object_.ref: object_.source for object_ in self._objects}
        placed = (
            problem._replace(source=problem.source or sources.get(problem.object))
            for problem in self._found
        )
        return tuple(sorted(placed, key=_reading_order))

    @cached_property
    def errors(self) -> tuple[Problem, ...]:
        """Problems that make something not work: what an exit code depends on."""
        return tuple(p for p in self.problems if p.severity is Severity.ERROR)

    @property
    def conditions(self) -> Mapping[ObjectRef, tuple[Condition, ...]]:
        """Conditions of every object of our kinds, sorted by object."""
        return self._worked.conditions

    @property
    def classes(self) -> Mapping[ObjectRef, str]:
        """The PorticoClass that each object of our kinds belongs to; "" where there is none."""
        return self._worked.classes

    @cached_property
    def provisional(self) -> Mapping[ObjectRef, str]:
        """API to the URL of its implicit `$default`, where a Stage that is programmed ends it."""
        return self._provisional()

    @cached_property
    def routes(self) -> tuple[RouteRow, ...]:
        """The route table, sorted by API, stage and key."""
        return tuple(sorted(self._rows()))

    @cached_property
    def _worked(self) -> Worked:
        by_object: dict[ObjectRef, list[Problem]] = {}
        for problem in (*self._found, *self._consequences()):
            by_object.setdefault(problem.object, []).append(problem)
        before, self._before = self._before, None
        edited = None if before is None else _edited(before.objects, self._objects)
        if before is None or edited is None:
            return self._anew(by_object)
        return self._renewed(before, edited, by_object)

    def _anew(self, by_object: Mapping[ObjectRef, list[Problem]]) -> Worked:
        good: dict[tuple[int, bool], tuple[Condition, ...]] = {}
        """Of objects without a problem there are thousands, and few kinds."""
        found: dict[ObjectRef, tuple[Condition, ...]] = {}
        for object_, document in zip(self._objects, self._documents, strict=True):
            ref = object_.ref
            if not KINDS[ref.kind].ours:
                continue
            subject = _subject(object_, document)
            problems = by_object.get(ref)
            if problems is None:
                kind = (subject.generation, subject.understood)
                known = good.get(kind)
                if known is None:
                    known = good[kind] = conditions(subject, [])
                found[ref] = known
            else:
                found[ref] = conditions(subject, problems)
        return Worked(
            objects=self._objects,
            places={object_.ref: place for place, object_ in enumerate(self._objects)},
            troubled=frozenset(by_object),
            conditions={ref: found[ref] for ref in sorted(found)},
            classes=class_names(self._documents, self._ground),
        )

    def _renewed(
        self,
        before: Worked,
        edited: Collection[int],
        by_object: Mapping[ObjectRef, list[Problem]],
    ) -> Worked:
        refs = {place: self._objects[place].ref for place in edited}
        places = before.places
        if len(places) < len(self._objects):
            places = {**places, **{ref: place for place, ref in refs.items()}}
        touched = {*refs.values(), *before.troubled, *by_object}
        said = before.conditions.copy()
        for ref in touched:
            place = places.get(ref)
            if place is not None and KINDS[ref.kind].ours:
                subject = _subject(self._objects[place], self._documents[place])
                said[ref] = conditions(subject, by_object.get(ref, []))
        if len(said) > len(before.conditions):
            said = {ref: said[ref] for ref in sorted(said)}
        if any(ref.kind in DECIDING for ref in refs.values()):
            classes = class_names(self._documents, self._ground)
        else:
            own = [self._documents[place] for place in edited]
            news = class_names(own, self._ground, before.classes)
            classes = {**before.classes, **news}
            self.touched = frozenset(touched)
        return Worked(self._objects, places, frozenset(by_object), said, classes)


def _edited(before: Sequence[Object], now: Sequence[Object]) -> list[int] | None:
    """Places of what is other or new; None: something went, or moved."""
    if len(now) < len(before):
        return None
    places = other(before, now)
    if any(before[place].ref != now[place].ref for place in places):
        return None
    return [*places, *range(len(before), len(now))]


def _subject(object_: Object, document: Document) -> Subject:
    return Subject(object_.ref, object_.generation, document.content is not None)


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
