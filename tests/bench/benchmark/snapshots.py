"""Snapshots the benchmark feeds to the data plane, written against the contract directly.

No compiler in between: what is measured here is the data plane. `one_edit` changes one route,
as an edit of one Route object would, and leaves every other unit's bytes alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from portico_ir import codec
from portico_ir.access import Bucket
from portico_ir.model import (
    IR_VERSION,
    MAX_ROUTES_PER_UNIT,
    AccessLog,
    ApiKind,
    ApiUnit,
    Endpoint,
    EndpointSet,
    GatewayUnit,
    HttpProxy,
    Manifest,
    RestSegments,
    Route,
    RoutesUnit,
    ServiceTarget,
    Snapshot,
    Stage,
    Unit,
    UrlTarget,
)

PLAIN_HOST = "plain.default.bench.internal"
GATEWAY = "gateway"


def snapshot(units: dict[str, Unit], endpoints: EndpointSet | None = None) -> Snapshot:
    """A whole document from its units."""
    encoded = {unit_id: codec.encode(unit) for unit_id, unit in units.items()}
    manifest = Manifest(
        ir_version=IR_VERSION,
        build="bench",
        units={unit_id: codec.digest(raw) for unit_id, raw in encoded.items()},
    )
    return Snapshot(
        manifest=manifest,
        units={unit_id: msgspec.Raw(raw) for unit_id, raw in encoded.items()},
        endpoints=endpoints or EndpointSet(),
    )


def plain(upstream_port: int, names: Iterable[str]) -> Snapshot:
    """One REST API that passes `GET /<name>` on to the upstream's `/<name>`."""
    routes = [
        Route(
            key=f"GET /{name}",
            match=RestSegments(method="GET", path=f"/{name}"),
            integration=HttpProxy(
                targets=(UrlTarget(url=f"http://127.0.0.1:{upstream_port}/{name}"),)
            ),
            object=f"default/{name}",
            resource_id=_identity(name, 6),
        )
        for name in names
    ]
    units: dict[str, Unit] = {GATEWAY: GatewayUnit(egress_open=True)}
    units |= api("plain", routes, hosts=(PLAIN_HOST,))
    return snapshot(units)


def pair(rest: list[Route], rest_host: str, http: list[Route], http_host: str) -> Snapshot:
    """A REST API and an HTTP API with these routes."""
    units: dict[str, Unit] = {GATEWAY: GatewayUnit(egress_open=True)}
    units |= api("rest", rest, hosts=(rest_host,))
    units |= api("http", http, hosts=(http_host,), kind=ApiKind.HTTP)
    return snapshot(units)


def many_apis(upstream_port: int, apis: int = 100, routes: int = 100) -> Snapshot:
    """`apis` APIs of `routes` routes each."""
    units: dict[str, Unit] = {GATEWAY: GatewayUnit(egress_open=True)}
    for number in range(apis):
        name = f"api-{number:03}"
        units |= api(name, [_scale_route(name, index) for index in range(routes)])
    return snapshot(units, _endpoints(upstream_port))


def one_api(upstream_port: int, routes: int = 10_000) -> Snapshot:
    """One API, cut into shards as the compiler would."""
    units: dict[str, Unit] = {GATEWAY: GatewayUnit(egress_open=True)}
    units |= api("api-000", [_scale_route("api-000", index) for index in range(routes)])
    return snapshot(units, _endpoints(upstream_port))


def one_edit(before: Snapshot, upstream_port: int) -> Snapshot:
    """The same with another answer from the first route of `edited_unit`."""
    unit_id = edited_unit(before)
    unit = codec.decode_unit(before.units[unit_id])
    assert isinstance(unit, RoutesUnit)
    edited = msgspec.structs.replace(
        unit.routes[0],
        integration=HttpProxy(targets=(UrlTarget(url=f"http://127.0.0.1:{upstream_port}/10k"),)),
    )
    raw = codec.encode(msgspec.structs.replace(unit, routes=(edited, *unit.routes[1:])))
    manifest = msgspec.structs.replace(
        before.manifest, units={**before.manifest.units, unit_id: codec.digest(raw)}
    )
    return Snapshot(
        manifest=manifest,
        units={**before.units, unit_id: msgspec.Raw(raw)},
        endpoints=before.endpoints,
    )


def edited_unit(snapshot: Snapshot) -> str:
    """The unit that `one_edit` changes: the first routes of `scale_host()`."""
    return min(unit_id for unit_id in snapshot.units if unit_id.startswith("routes/"))


def scale_host(name: str = "api-000") -> str:
    """Host of one of the APIs of `many_apis` and `one_api`."""
    return f"{name}.default.bench.internal"


def _endpoints(upstream_port: int) -> EndpointSet:
    address = (Endpoint(host="127.0.0.1", port=upstream_port),)
    return EndpointSet(
        sequence=1, upstreams={f"default/backend-{number:02}:80": address for number in range(50)}
    )


def _scale_route(api: str, index: int) -> Route:
    path = f"/teams/t{index // 100}/things{index % 100}/{{thingId}}"
    backend = f"backend-{index % 50:02}"
    return Route(
        key=f"GET {path}",
        match=RestSegments(method="GET", path=path),
        integration=HttpProxy(
            targets=(
                ServiceTarget(
                    upstream=f"default/{backend}:80",
                    host=f"{backend}.default.svc.cluster.local:80",
                    path="/small?thing={thingId}",
                ),
            )
        ),
        object=f"default/{api}-{index}",
        resource_id=_identity(api + path, 6),
    )


def api(
    name: str,
    routes: list[Route],
    hosts: tuple[str, ...] = (),
    kind: ApiKind = ApiKind.REST,
    throttle: Bucket | None = None,
    access_log: AccessLog | None = None,
) -> dict[str, Unit]:
    """The units of an API with one stage, cut into shards as the compiler would."""
    folder = "HttpApi" if kind is ApiKind.HTTP else "RestApi"
    api_id = f"api/default/{folder}/{name}"
    wanted = max(1, -(-len(routes) // (MAX_ROUTES_PER_UNIT * 4 // 5)))
    buckets: list[list[Route]] = [[] for _ in range(wanted)]
    for route in routes:
        digest = hashlib.sha256(route.key.encode()).digest()
        buckets[int.from_bytes(digest[:4], "big") % wanted].append(route)
    units: dict[str, Unit] = {
        f"routes/default/{folder}/{name}/*/{number:04}": RoutesUnit(
            api=api_id, routes=tuple(sorted(bucket, key=lambda route: route.key))
        )
        for number, bucket in enumerate(buckets)
    }
    units[api_id] = ApiUnit(
        uid=f"uid-{name}",
        api_id=_identity(name, 10),
        kind=kind,
        name=name,
        namespace="default",
        hosts=hosts or (scale_host(name),),
        stages=(
            Stage(
                name="$default",
                shards=tuple(sorted(units)),
                throttle=throttle,
                access_log=access_log,
            ),
        ),
    )
    return units


def _identity(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
