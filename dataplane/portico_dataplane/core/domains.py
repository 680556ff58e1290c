"""Domains of one's own: whose a host is, and which API a path or header chooses (AWS §8).

Made by `domain_build.py`; asked by `arrival.py` for requests whose host is no default endpoint, and
by the listener for the name in a handshake, so that both mean the same domain. Promises: a host as
written comes before wildcards, the longest wildcard before others; keys are compared segment by
segment, the longest wins, and no API's routes are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from portico_dataplane.core import paths
from portico_dataplane.core.context import header_text
from portico_dataplane.core.messages import Headers
from portico_ir.domains import DomainUnit, HeaderGlob, Rule
from portico_ir.domains import Mapping as DomainMapping

_WILDCARD = "*."
_Segments = tuple[str, ...]


class Choice(NamedTuple):
    """Where a request on a domain goes."""

    api: str
    """Unit id."""
    stage: str
    """Name of the stage."""
    path: str
    """Raw path to route: without the base path, where that is taken off."""
    base_path: str = ""
    """What of the path was matched; `$context.customDomain.basePathMatched`."""
    rule: str = ""
    """Priority of the rule that matched; empty: a mapping did."""
    broken: str = ""
    """Not empty: it answers 500, and why."""


class _PreparedRule(NamedTuple):
    rule: Rule
    headers: tuple[tuple[tuple[bytes, Callable[[str], bool]], ...], ...]
    base_paths: tuple[_Segments, ...]
    """The longest first."""


class Domain:
    """One DomainName, ready to be asked."""

    __slots__ = ("_depth", "_mappings", "_rules", "_sizes", "asks_headers", "strict", "unit")

    def __init__(self, unit: DomainUnit) -> None:
        self.unit = unit
        self.strict = unit.policy.required or unit.mutual is not None
        """Refused where its own handshake did not happen."""
        by_rules = unit.routing != "mappings"
        by_keys = unit.routing != "rules"
        self._mappings: dict[_Segments, DomainMapping] = {
            _segments(mapping.key): mapping for mapping in unit.mappings if by_keys
        }
        self._rules = tuple(_prepared(rule) for rule in unit.rules if by_rules)
        self.asks_headers = any(rule.headers for rule in self._rules)
        """Where a request goes depends on its headers."""
        self._sizes = sorted({len(key) for key in self._mappings}, reverse=True)
        keys = [*self._mappings, *(path for rule in self._rules for path in rule.base_paths)]
        self._depth = max((len(key) for key in keys), default=0)
        """Segments that matter."""

    def choose(self, path: str, headers: Headers) -> Choice | None:
        """Where a request with this raw path goes; None: nowhere."""
        # AWS §3.2.5 for REST; of an HTTP API nobody knows, and a key has no empty segment.
        raw = path.lstrip("/").split("/", self._depth)
        segments = tuple(raw[: self._depth])
        if "%" in path:
            segments = tuple([_decoded(segment) for segment in segments])
        for prepared in self._rules:
            rule = prepared.rule
            if prepared.headers and not _heads_match(prepared.headers, headers):
                continue
            size = _longest(prepared.base_paths, segments)
            if size is not None:
                base, rest = "/".join(segments[:size]), _rest(path, raw, size)
                path = rest if rule.strip else path
                return Choice(rule.api, rule.stage, path, base, str(rule.priority), rule.broken)
        for size in self._sizes:
            found = self._mappings.get(segments[:size])
            if found is not None:
                rest = _rest(path, raw, size)
                return Choice(found.api, found.stage, rest, found.key, "", found.broken)
        return None


class Domains:
    """Every domain by its hosts."""

    __slots__ = ("_exact", "_wild", "all")

    def __init__(self, domains: Iterable[tuple[Domain, Iterable[str]]] = ()) -> None:
        exact: dict[str, Domain] = {}
        wild: dict[str, Domain] = {}
        found: list[Domain] = []
        for domain, hosts in domains:
            found.append(domain)
            for host in hosts:
                place = wild if host.startswith(_WILDCARD) else exact
                place.setdefault(host.removeprefix(_WILDCARD), domain)
        self._exact, self._wild = exact, wild
        self.all = tuple(found)
        """In the order of unit ids."""

    def find(self, host: str) -> Domain | None:
        """Whose this lower-case host is."""
        found = self._exact.get(host)
        if found is not None or not self._wild:
            return found
        rest = host.partition(".")[2]
        while rest:
            found = self._wild.get(rest)
            if found is not None:
                return found
            rest = rest.partition(".")[2]
        return None


NO_DOMAINS = Domains()


def _segments(key: str) -> _Segments:
    return tuple(key.split("/")) if key else ()


def _decoded(raw: str) -> str:
    """Once, as the router does; what the router refuses is no key."""
    if "%" not in raw:
        return raw
    text = paths.decode_segment(raw)
    return "" if isinstance(text, paths.BadPath) else text


def _rest(path: str, raw: list[str], size: int) -> str:
    return path if size == 0 else "/" + "/".join(raw[size:])


def _longest(base_paths: tuple[_Segments, ...], segments: _Segments) -> int | None:
    """How many segments the longest base path takes; None: none begins the path."""
    if not base_paths:
        return 0
    sizes = (len(base) for base in base_paths if segments[: len(base)] == base)
    return next(sizes, None)


def _prepared(rule: Rule) -> _PreparedRule:
    headers = tuple(tuple(map(_glob, group)) for group in rule.headers)
    base_paths = sorted(map(_segments, rule.base_paths), key=len, reverse=True)
    return _PreparedRule(rule, headers, tuple(base_paths))


def _glob(glob: HeaderGlob) -> tuple[bytes, Callable[[str], bool]]:
    return glob.name.encode("latin-1", "replace"), _test(glob.value)


def _test(text: str) -> Callable[[str], bool]:
    """`*` means something at either end only (AWS §8.4)."""
    if text == "*":
        return _anything
    inner = text.removeprefix("*").removesuffix("*")
    if text.startswith("*") and text.endswith("*"):
        return lambda value: inner in value
    if text.startswith("*"):
        return lambda value: value.endswith(inner)
    if text.endswith("*"):
        return lambda value: value.startswith(inner)
    return text.__eq__


def _anything(_: str) -> bool:
    return True


def _heads_match(
    groups: tuple[tuple[tuple[bytes, Callable[[str], bool]], ...], ...], headers: Headers
) -> bool:
    """Whether of each group one header looks as it must."""
    given: dict[bytes, list[str]] = {}
    for name, value in headers:
        given.setdefault(name.lower(), []).append(header_text(value))
    return all(
        any(test(value) for name, test in group for value in given.get(name, ()))
        for group in groups
    )
