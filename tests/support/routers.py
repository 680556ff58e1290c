"""Routers from route keys, for tests of routing and of what explains it."""

from __future__ import annotations

from collections.abc import Iterable

from portico_dataplane.core.router import Router, RouterBuilder
from portico_ir.model import ApiKind, DefaultMatch, HttpSegments, Match, RestSegments


def match_of(kind: ApiKind, key: str) -> Match:
    """The match of `GET /pets/{id}` or `$default`."""
    if key == "$default":
        return DefaultMatch()
    method, _, path = key.partition(" ")
    if kind is ApiKind.REST:
        return RestSegments(method=method, path=path)
    return HttpSegments(method=method, path=path)


def router_of(kind: ApiKind, keys: Iterable[str]) -> Router[str]:
    """A router whose values are the keys themselves."""
    builder: RouterBuilder[str] = RouterBuilder(kind)
    for key in keys:
        builder.add(match_of(kind, key), key)
    return builder.build()
