"""Small snapshots for tests of what carries them."""

from __future__ import annotations

import msgspec

from portico_ir.codec import digest
from portico_ir.model import IR_VERSION, Endpoint, EndpointSet, Manifest, Snapshot


def snapshot_of(units: dict[str, bytes], *, upstreams: tuple[str, ...] = ()) -> Snapshot:
    """A whole snapshot of these units, whatever their bytes are."""
    return Snapshot(
        manifest=Manifest(
            ir_version=IR_VERSION, units={unit: digest(data) for unit, data in units.items()}
        ),
        units={unit: msgspec.Raw(data) for unit, data in units.items()},
        endpoints=endpoints_of(*upstreams),
    )


def endpoints_of(*upstreams: str, sequence: int = 0) -> EndpointSet:
    """One address for each upstream."""
    return EndpointSet(
        sequence=sequence,
        upstreams={name: (Endpoint(host="127.0.0.1", port=1),) for name in upstreams},
    )
