"""Why each route of a stage does or does not take a request, in words.

Called through `Router.explain` by the command line. Promises: the route said to match is the
one `Router.find` gives; every route of the stage is there once. It compares the request with
each route on its own, so it costs as much as there are routes: for people, not for requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from portico_dataplane.core import paths
from portico_dataplane.core.trie import (
    ANY,
    ANY_METHODS,
    Entry,
    Found,
    Methods,
    Node,
    cutter,
)
from portico_ir.model import ApiKind

T = TypeVar("T")


class Considered(NamedTuple, Generic[T]):
    """One route in the light of one request."""

    value: T
    matched: bool
    """This is where the request goes."""
    why: str
    """`matched`, or what stands against it."""


class Candidate(NamedTuple, Generic[T]):
    """A route as it stands in the trie."""

    method: str
    segments: tuple[str | None, ...]
    entry: Entry[T]

    def label(self) -> str:
        """The route key with this route's own variable names."""
        names = {index: name for name, index in self.entry.variables}
        parts = [
            f"{{{names.get(index, '')}}}" if segment is None else segment
            for index, segment in enumerate(self.segments)
        ]
        if self.entry.greedy is not None:
            parts.append(f"{{{self.entry.greedy}+}}")
        return f"{self.method} /{'/'.join(parts)}"


def explain(
    kind: ApiKind, root: Node[T], default: Found[T] | None, method: str, path: str
) -> list[Considered[T]]:
    """Every route, the one that matches first, then those that came nearest."""
    segments = _request(kind, path)
    if isinstance(segments, paths.BadPath):
        why = f"the path is refused: {segments.reason}"
        return [Considered(each.entry.value, False, why) for each in _candidates(root)] + (
            [Considered(default.value, False, why)] if default is not None else []
        )
    matching: list[Candidate[T]] = []
    others: list[tuple[int, Considered[T]]] = []
    for candidate in _candidates(root):
        reached, fault = _path_fault(candidate, segments)
        if not fault:
            fault = _method_fault(kind, candidate.method, method)
            # A route that only lacks the method comes before any whose path differs.
            reached += 1
        if fault:
            others.append((-reached, Considered(candidate.entry.value, False, fault)))
        else:
            matching.append(candidate)
    if kind is not ApiKind.REST:
        # Full matches first, greedy ones after (AWS §4.2); within both the trie's order.
        matching.sort(key=lambda candidate: candidate.entry.greedy is not None)
    result = [
        Considered(candidate.entry.value, False, f"less specific than {matching[0].label()}")
        for candidate in matching
    ]
    if matching:
        result[0] = Considered(matching[0].entry.value, True, "matched")
    if default is not None:
        why = f"less specific than {matching[0].label()}" if matching else "matched"
        result.append(Considered(default.value, not matching, why))
    others.sort(key=lambda pair: pair[0])
    return result + [considered for _, considered in others]


def _request(kind: ApiKind, path: str) -> list[str] | paths.BadPath:
    if path and path[0] != "/":
        return paths.BadPath("it does not start with '/'")
    return paths.decode(cutter(kind)(path or "/"))


def _candidates(root: Node[T]) -> Iterator[Candidate[T]]:
    """Every route in the order of the trie: literal, variable, greedy at each level, and the
    explicit methods of a path before its `ANY`."""
    stack: list[tuple[Node[T] | Methods[T], tuple[str | None, ...]]] = [(root, ())]
    while stack:
        node, segments = stack.pop()
        if isinstance(node, Methods):
            for method, entry in node.by_method.items():
                yield Candidate(method, segments, entry)
            if node.any is not None:
                yield Candidate(ANY, segments, node.any)
            continue
        if node.greedy is not None:
            stack.append((node.greedy, segments))
        if node.variable is not None:
            stack.append((node.variable, (*segments, None)))
        for literal in sorted(node.literals, reverse=True):
            stack.append((node.literals[literal], (*segments, literal)))
        if node.ends is not None:
            stack.append((node.ends, segments))


def _path_fault(candidate: Candidate[T], segments: list[str]) -> tuple[int, str]:
    """How many segments agree, and what is wrong with the next; empty when all is well."""
    wanted = candidate.segments
    for index, literal in enumerate(wanted):
        if index == len(segments):
            return index, f"too few segments: {len(segments)} where {len(wanted)} are needed"
        segment = segments[index]
        if literal is None and not segment:
            return index, f"segment {index + 1}: a variable takes no empty segment"
        if literal is not None and literal != segment:
            return index, f"segment {index + 1}: literal {literal!r} ≠ {segment!r}"
    rest = segments[len(wanted) :]
    if candidate.entry.greedy is None:
        if rest:
            fault = f"too many segments: {len(segments)} where {len(wanted)} are taken"
            return len(wanted), fault
    elif not any(rest) and len(rest) < 2:
        return len(wanted), f"nothing is left for {{{candidate.entry.greedy}+}}"
    return len(wanted), ""


def _method_fault(kind: ApiKind, declared: str, method: str) -> str:
    if declared == ANY:
        # ANY on a REST API is seven methods (AWS §3.2.4).
        if kind is ApiKind.REST and method not in ANY_METHODS:
            return f"method {method} is not one of those that ANY takes"
        return ""
    return "" if declared == method else f"method {declared} ≠ {method}"
