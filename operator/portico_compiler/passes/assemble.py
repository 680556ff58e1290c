"""Pass 9: units become a snapshot with its manifest.

Called by `compiler.compile`. Promises: digests are of the bytes as they will be sent.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from portico_compiler.passes.shards import CompiledApi, Encoded, route_units
from portico_compiler.world import Settings
from portico_ir import codec
from portico_ir.model import IR_VERSION, EndpointSet, GatewayUnit, Manifest, Snapshot

GATEWAY = "gateway"


def assemble(
    gateway: GatewayUnit,
    apis: list[CompiledApi],
    others: Mapping[str, Encoded],
    endpoints: EndpointSet,
    settings: Settings,
) -> Snapshot:
    """The snapshot of a data plane that serves these APIs, with the addresses that they need.

    `others`: its units of keys, plans and domains.
    """
    if settings.sole_api_fallback and len(apis) == 1:
        gateway = msgspec.structs.replace(gateway, sole_api=apis[0].plan.unit_id)
    data = codec.encode(gateway)
    units = {**route_units(apis), **others}
    digests = {unit_id: unit.digest for unit_id, unit in units.items()}
    digests[GATEWAY] = codec.digest(data)
    encoded = {unit_id: unit.data for unit_id, unit in units.items()}
    encoded[GATEWAY] = msgspec.Raw(data)
    manifest = Manifest(
        ir_version=IR_VERSION,
        units=digests,
        build=settings.build,
        marks=dict(settings.marks),
    )
    wanted = {upstream.id for api in apis for upstream in api.upstreams}
    if len(wanted) < len(endpoints.upstreams):
        own = {known: found for known, found in endpoints.upstreams.items() if known in wanted}
        endpoints = msgspec.structs.replace(endpoints, upstreams=own)
    return Snapshot(manifest=manifest, units=encoded, endpoints=endpoints)
