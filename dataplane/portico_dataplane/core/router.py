"""Which route a request reaches: AWS §3.2 for REST APIs, §4.2 for HTTP APIs.

Built by `build.py` (route by route, so that it can yield between slices) and asked by
`http/exchange.py` once per request. Promises: a Router never changes; an edit starts from the
Router that serves and copies only what it touches; a lookup visits each node of the trie at
most once, so a path costs at most its own segments plus the nodes that match a prefix of it,
whatever a client sends; literal paths cost dict lookups alone.
"""

from __future__ import annotations

import enum
from typing import Generic, TypeVar

from portico_dataplane.core import paths
from portico_dataplane.core.explanation import Considered, explain
from portico_dataplane.core.trie import (
    ANY,
    ANY_METHODS,
    NO_LITERALS,
    NO_PARAMETERS,
    Entry,
    Found,
    Methods,
    Node,
    Pattern,
    cutter,
    exact_path,
    parse_pattern,
)
from portico_ir.model import ApiKind, DefaultMatch, Match

__all__ = ["Considered", "Found", "Miss", "Router", "RouterBuilder"]

T = TypeVar("T")


class Miss(enum.Enum):
    """Why no route was found."""

    NOT_FOUND = "not found"
    BAD_PATH = "bad path"


class Router(Generic[T]):
    """Routes of one stage, ready to be asked. Made by `RouterBuilder.build`."""

    __slots__ = (
        "_any_methods",
        "_count",
        "_cut",
        "_default",
        "_greedy_at_once",
        "_static",
        "_static_any",
        "kind",
        "root",
    )

    def __init__(
        self,
        kind: ApiKind,
        root: Node[T],
        static: dict[str, dict[str, Found[T]]],
        default: Found[T] | None,
        count: int,
    ) -> None:
        self.kind = kind
        self.root = root
        self._static = static
        """Method to exact raw path to route: only paths without variables and escapes."""
        self._static_any = static.get(ANY, {})
        self._default = default
        """The `$default` route."""
        self._count = count
        rest = kind is ApiKind.REST
        self._any_methods = ANY_METHODS if rest else None
        self._greedy_at_once = rest
        self._cut = cutter(kind)

    def __len__(self) -> int:
        return self._count

    def find(self, method: str, path: str) -> Found[T] | Miss:
        """The route for a method and a raw path (without stage and query)."""
        # An exact literal path is the most specific route there can be, in both kinds of API,
        # with the explicit method before ANY; so this answers before anything is cut.
        table = self._static.get(method)
        if table is not None:
            found = table.get(path)
            if found is not None:
                return found
        takes_any = self._any_methods is None or method in self._any_methods
        if takes_any:
            found = self._static_any.get(path)
            if found is not None:
                return found
        if path[:1] != "/":
            if path:
                return Miss.NOT_FOUND
            path = "/"
        raw = self._cut(path)
        if "%" in path or "/." in path or not path.isascii():
            decoded = paths.decode(raw)
            if isinstance(decoded, paths.BadPath):
                return Miss.BAD_PATH
            return self._walk(method, takes_any, raw, decoded)
        return self._walk(method, takes_any, raw, raw)

    def explain(self, method: str, path: str) -> list[Considered[T]]:
        """Every route of the stage and why it does or does not take the request, the nearest
        first. For people: it looks at all of them."""
        return explain(self.kind, self.root, self._default, method, path)

    def _walk(
        self, method: str, takes_any: bool, raw: list[str], decoded: list[str]
    ) -> Found[T] | Miss:
        """Depth first: literal, variable, greedy at each level (AWS §3.2.1, §4.2).

        The method takes part: a path without it is left again (AWS §3.2.2). A node has one
        path from the root, hence no node is visited twice. On an HTTP API a full match goes
        before every greedy one (AWS §4.2), so the first greedy match is kept until the rest
        of the trie has been tried.
        """
        node = self.root
        depth = 0
        end = len(decoded)
        kept: Found[T] | None = None
        # Where to return to when a branch fails: the node, its depth, and whether its
        # variable is still to be tried before its greedy end.
        untried: list[tuple[Node[T], int, bool]] = []
        literal = variable = True
        while True:
            if depth == end:
                methods = node.ends
            else:
                segment = decoded[depth]
                if literal and (child := node.literals.get(segment)) is not None:
                    if node.variable is not None or node.greedy is not None:
                        untried.append((node, depth, True))
                    node = child
                    depth += 1
                    continue
                # A variable takes one segment that is not empty.
                if variable and segment and (child := node.variable) is not None:
                    if node.greedy is not None:
                        untried.append((node, depth, False))
                    node = child
                    depth += 1
                    literal = True
                    continue
                # A greedy one needs something to take (AWS §3.2.6, §4.2).
                methods = node.greedy if segment or depth + 1 < end else None
            if methods is not None:
                entry = methods.by_method.get(method)
                if entry is None and takes_any:
                    entry = methods.any
                if entry is not None:
                    if depth == end or self._greedy_at_once:
                        return entry.found(raw, depth)
                    if kept is None:
                        kept = entry.found(raw, depth)
            if not untried:
                break
            node, depth, variable = untried.pop()
            literal = False
        if kept is not None:
            return kept
        return Miss.NOT_FOUND if self._default is None else self._default


class RouterBuilder(Generic[T]):
    """Collects routes, then makes a Router. May go on after `build`; routers stay as made."""

    def __init__(self, kind: ApiKind) -> None:
        self._kind = kind
        self._owner = object()
        self._root: Node[T] = Node(self._owner)
        self._static: dict[str, dict[str, Found[T]]] = {}
        self._own_tables: set[str] = set()
        self._default: Found[T] | None = None
        self._count = 0

    @classmethod
    def from_router(cls, router: Router[T]) -> RouterBuilder[T]:
        """A builder that starts with a router's routes and copies what it changes."""
        builder = cls(router.kind)
        builder._root = router.root
        builder._static = dict(router._static)
        builder._default = router._default
        builder._count = len(router)
        return builder

    def add(self, match: Match, value: T) -> None:
        """Add a route; one with the same method and path (names erased) is replaced."""
        if isinstance(match, DefaultMatch):
            self._count += self._default is None
            self._default = Found(value, NO_PARAMETERS)
            return
        method = match.method
        pattern = parse_pattern(self._kind, match.path)
        entry = Entry(value, pattern.variables, pattern.greedy)
        node = self._descend(pattern.segments)[-1]
        methods = node.ends if pattern.greedy is None else node.greedy
        if methods is None:
            self._count += 1
            changed: Methods[T] | None
            changed = Methods({}, entry) if method == ANY else Methods({method: entry}, None)
        else:
            self._count += methods.entry(method) is None
            changed = methods.with_entry(method, entry)
        node.put(changed, pattern)
        if entry.static is not None:
            path = exact_path(pattern)
            if path:
                self._table(method)[path] = entry.static

    def remove(self, match: Match) -> bool:
        """Remove the route of that method and path; False when there was none."""
        if isinstance(match, DefaultMatch):
            present = self._default is not None
            self._default = None
            self._count -= present
            return present
        pattern = parse_pattern(self._kind, match.path)
        if not self._holds(match.method, pattern):
            return False
        self._count -= 1
        trail = self._descend(pattern.segments)
        node = trail.pop()
        methods = node.ends if pattern.greedy is None else node.greedy
        if methods is not None:
            node.put(methods.with_entry(match.method, None), pattern)
        for segment in reversed(pattern.segments):
            if not node.is_empty():
                break
            node = trail.pop()
            if segment is None:
                node.variable = None
            else:
                del node.literals[segment]
        path = exact_path(pattern)
        if path:
            self._table(match.method).pop(path, None)
        return True

    def build(self) -> Router[T]:
        """A router of what has been added so far."""
        self._owner = object()
        self._own_tables.clear()
        return Router(self._kind, self._root, dict(self._static), self._default, self._count)

    def _descend(self, segments: tuple[str | None, ...]) -> list[Node[T]]:
        """The nodes from the root to the end of a pattern, all owned, made where missing."""
        owner = self._owner
        node = self._root
        if node.owner is not owner:
            node = self._root = node.copy(owner)
        trail = [node]
        for segment in segments:
            known = node.variable if segment is None else node.literals.get(segment)
            if known is None or known.owner is not owner:
                known = Node(owner) if known is None else known.copy(owner)
                if segment is None:
                    node.variable = known
                elif node.literals is NO_LITERALS:
                    node.literals = {segment: known}
                else:
                    node.literals[segment] = known
            node = known
            trail.append(node)
        return trail

    def _holds(self, method: str, pattern: Pattern) -> bool:
        node: Node[T] | None = self._root
        for segment in pattern.segments:
            if node is None:
                return False
            node = node.variable if segment is None else node.literals.get(segment)
        if node is None:
            return False
        methods = node.ends if pattern.greedy is None else node.greedy
        return methods is not None and methods.entry(method) is not None

    def _table(self, method: str) -> dict[str, Found[T]]:
        """The exact paths of a method, owned by this builder."""
        if method not in self._own_tables:
            self._own_tables.add(method)
            self._static[method] = dict(self._static.get(method, {}))
        return self._static[method]
