"""Throttling of routes and stages: what of it becomes policies, and what a stage's own bucket.

Used by the passes of stages and routes. The keys of `methodSettings` and `routeSettings` are AWS's
(§3.15, §4.8): `*/*` and `defaultRouteSettings` are one bucket for all requests of the stage; what
is said of one method or route stands in its place, as the specific overrides the wildcard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from portico_compiler.features.buckets import bucket, bucket_of
from portico_compiler.manifests.routes import RouteSpec
from portico_compiler.manifests.stages import MethodSettings, RouteSettings, StageSpec
from portico_compiler.problems import field_path
from portico_compiler.routekeys import RouteKey
from portico_ir.access import Bucket
from portico_ir.policies import Throttle


class Own(msgspec.Struct, frozen=True):
    """A stage's bucket for one of its routes."""

    bucket: Bucket
    """How much."""
    field: str
    """Where the Stage says so."""


class Throttles(msgspec.Struct, frozen=True):
    """What a stage says; compares by value."""

    default: Bucket | None = None
    """For all requests of routes that have none of their own."""
    by_key: dict[str, Own] = {}
    """Route key (as settings name it) to its own."""

    @property
    def of_routes(self) -> Throttles:
        """Without the default, which is no route's."""
        return Throttles(None, self.by_key)

    def of(self, key: RouteKey) -> Bucket | None:
        """The bucket of one route's own."""
        if not self.by_key:
            return None
        found = self.by_key.get(key.text) or self.by_key.get(_plain(key))
        return found.bucket if found is not None else None

    def unused(self, keys: Iterable[RouteKey]) -> Iterator[str]:
        """Fields that are about no route there is."""
        named: set[str] = set()
        for key in keys:
            named |= {key.text, _plain(key)}
        for key_text, own in self.by_key.items():
            if key_text not in named:
                yield own.field


def throttles(spec: StageSpec) -> Throttles:
    """What a Stage says."""
    default = _bucket(spec.default_route_settings)
    by_key: dict[str, Own] = {}
    for key, settings in spec.route_settings.items():
        own = _bucket(settings)
        if own is not None:
            by_key[key] = Own(own, field_path("spec", "routeSettings", key))
    for key, settings_of in spec.method_settings.items():
        own = _bucket(settings_of)
        if own is None:
            continue
        method, path = method_and_path(key)
        if path == "*":
            default = own
        else:
            by_key[f"{method} {path}"] = Own(own, field_path("spec", "methodSettings", key))
    return Throttles(default, by_key)


def policies(spec: RouteSpec, key: RouteKey, stage: Throttles) -> list[Throttle]:
    """What a request of the route passes in a stage, besides the stage's default."""
    found: list[Throttle] = []
    own = bucket(spec.throttle)
    if own is not None:
        found.append(Throttle(rate=own.rate, burst=own.burst))
    client = bucket(spec.extensions.client_throttle) if spec.extensions is not None else None
    if client is not None:
        found.append(Throttle(rate=client.rate, burst=client.burst, per_client=True))
    staged = stage.of(key)
    if staged is not None:
        found.append(Throttle(rate=staged.rate, burst=staged.burst, instead_of_stage=True))
    return found


def method_and_path(key: str) -> tuple[str, str]:
    """AWS §3.15: `*/*`, or `~1pets~1{petId}/GET`."""
    place, _, method = key.rpartition("/")
    path = place.replace("~1", "/")
    if path == "*":
        return method, "*"
    return method, "/" + path.strip("/")


def _bucket(settings: MethodSettings | RouteSettings | None) -> Bucket | None:
    if settings is None:
        return None
    return bucket_of(settings.throttling_rate_limit, settings.throttling_burst_limit)


def _plain(key: RouteKey) -> str:
    return f"{key.method} {key.path.rstrip('/') or '/'}"
