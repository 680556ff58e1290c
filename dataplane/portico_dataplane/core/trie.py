"""The trie that routes stand in: nodes, the routes at them, and how paths are cut.

Used by `router.py`, which builds and searches it, and `explanation.py`, which walks it whole.
Promises: a node changes only in the hands of the builder that owns it, `Methods` and `Entry`
never, so that routers may share what an edit did not touch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

from portico_ir.model import ApiKind

T = TypeVar("T")

ANY: Final = "ANY"
ANY_METHODS: Final = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))
"""What `ANY` covers on a REST API (AWS §3.2.4)."""

NO_PARAMETERS: Final[dict[str, str]] = {}
"""Shared by every route without variables; nobody writes to it."""


NO_LITERALS: Final[dict[str, Any]] = {}
"""Shared by every node without literal children; replaced before the first is added."""


class Found(Generic[T]):
    """The route a request reaches."""

    __slots__ = ("parameters", "value")

    def __init__(self, value: T, parameters: dict[str, str]) -> None:
        self.value = value
        self.parameters = parameters
        """Variable name to raw, still percent-encoded value."""

    def __repr__(self) -> str:
        return f"Found({self.value!r}, {self.parameters!r})"


class Entry(Generic[T]):
    """A route at its place in the trie, with its own names for the variables there."""

    __slots__ = ("_index", "_only", "greedy", "static", "value", "variables")

    def __init__(
        self, value: T, variables: tuple[tuple[str, int], ...], greedy: str | None
    ) -> None:
        self.value = value
        self.variables = variables
        """Name and index of the segment of each plain variable."""
        self.greedy = greedy
        """Name of the greedy variable at the end, if there is one."""
        self.static: Found[T] | None = None
        """What is found, where it is always the same."""
        self._only: str | None = None
        self._index = 0
        if greedy is None and len(variables) < 2:
            if variables:
                # The usual case, one plain variable, without a loop.
                self._only, self._index = variables[0]
            else:
                self.static = Found(value, NO_PARAMETERS)

    def found(self, segments: list[str], depth: int) -> Found[T]:
        """This route with the values that its variables take from raw segments."""
        if self._only is not None:
            return Found(self.value, {self._only: segments[self._index]})
        if self.static is not None:
            return self.static
        parameters = {name: segments[index] for name, index in self.variables}
        if self.greedy is not None:
            parameters[self.greedy] = "/".join(segments[depth:])
        return Found(self.value, parameters)


class Methods(Generic[T]):
    """The routes of one path by method. Never changed once a node holds it."""

    __slots__ = ("any", "by_method")

    def __init__(self, by_method: dict[str, Entry[T]], any_: Entry[T] | None) -> None:
        self.by_method = by_method
        self.any = any_

    def entry(self, method: str) -> Entry[T] | None:
        """The route of a method as routes name it: `ANY` is one of them."""
        return self.any if method == ANY else self.by_method.get(method)

    def with_entry(self, method: str, entry: Entry[T] | None) -> Methods[T] | None:
        """A copy with one method set or, for None, removed; None when nothing remains."""
        if method == ANY:
            changed = Methods(self.by_method, entry)
        else:
            by_method = dict(self.by_method)
            if entry is None:
                by_method.pop(method, None)
            else:
                by_method[method] = entry
            changed = Methods(by_method, self.any)
        return changed if changed.by_method or changed.any is not None else None


class Pattern(NamedTuple):
    """A route's path taken apart."""

    segments: tuple[str | None, ...]
    """Literal text, or None for a plain variable; without the greedy end."""
    variables: tuple[tuple[str, int], ...]
    """Name and index of each plain variable."""
    greedy: str | None
    """Name of the greedy variable at the end."""


class Node(Generic[T]):
    """What may follow a prefix of segments."""

    __slots__ = ("ends", "greedy", "literals", "owner", "variable")

    def __init__(self, owner: object) -> None:
        self.owner = owner
        """The builder run that may change this node; every other copies it first."""
        self.literals: dict[str, Node[T]] = NO_LITERALS
        self.variable: Node[T] | None = None
        self.ends: Methods[T] | None = None
        """Routes whose path ends here."""
        self.greedy: Methods[T] | None = None
        """Routes that take one or more segments from here on."""

    def copy(self, owner: object) -> Node[T]:
        """A copy that the owner may change."""
        copy: Node[T] = Node(owner)
        if self.literals:
            copy.literals = dict(self.literals)
        copy.variable = self.variable
        copy.ends = self.ends
        copy.greedy = self.greedy
        return copy

    def put(self, methods: Methods[T] | None, pattern: Pattern) -> None:
        """Set the routes of a pattern that ends at this node."""
        if pattern.greedy is None:
            self.ends = methods
        else:
            self.greedy = methods

    def is_empty(self) -> bool:
        """Nothing can be reached through this node."""
        return not (self.literals or self.variable or self.ends or self.greedy)


def cut_rest(path: str) -> list[str]:
    """The raw segments that matching looks at: trailing slashes are ignored, leading ones
    collapse, inner ones stay (AWS §3.2.5)."""
    path = path.strip("/")
    return path.split("/") if path else []


def cut_http(path: str) -> list[str]:
    """The raw segments that matching looks at: every slash counts (AWS §4.2)."""
    return path[1:].split("/")


def cutter(kind: ApiKind) -> Callable[[str], list[str]]:
    """How paths of that kind of API are cut, of routes and requests alike."""
    return cut_rest if kind is ApiKind.REST else cut_http


def parse_pattern(kind: ApiKind, path: str) -> Pattern:
    """A route's path by the same cutting as requests. Literals are taken as they stand."""
    segments: list[str | None] = list(cutter(kind)(path))
    if "{" not in path:
        return Pattern(tuple(segments), (), None)
    variables: list[tuple[str, int]] = []
    greedy: str | None = None
    for index, segment in enumerate(segments):
        if not segment or segment[0] != "{" or segment[-1] != "}":
            continue
        if segment[-2] == "+" and index == len(segments) - 1:
            greedy = segment[1:-2]
        else:
            variables.append((segment[1:-1], index))
            segments[index] = None
    if greedy is not None:
        segments.pop()
    return Pattern(tuple(segments), tuple(variables), greedy)


def exact_path(pattern: Pattern) -> str:
    """The raw path that spells a literal route, or empty when none may be looked up as is.

    A request must be decoded and checked first when its path holds `%`, bytes beyond ASCII or
    dot segments; such literals are reached through the trie.
    """
    if pattern.variables or pattern.greedy is not None:
        return ""
    path = "/" + "/".join([segment or "" for segment in pattern.segments])
    return "" if "%" in path or "/." in path or not path.isascii() else path
