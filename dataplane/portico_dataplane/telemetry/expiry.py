"""When the certificates of domains end, for metrics: what nobody renewed shows before it fails.

Asked by the admin port's sources at each scrape, never by a worker that serves. Promises: a
certificate is read once, beside the loop; one that cannot be read is left out, for whoever serves
it says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from portico_ir import codec
from portico_ir.domains import DomainUnit
from portico_ir.model import Snapshot

_DOMAINS: Final = "domain/"


class Expiries:
    """Reads certificates as they come."""

    def __init__(self) -> None:
        self._known: dict[str, float | None] = {}
        """By digest of the unit; None: there is no certificate to read."""

    async def read(self, snapshot: Snapshot | None) -> dict[str, float]:
        """Domain (`namespace/name`) to Unix time, of what this snapshot has."""
        if snapshot is None:
            return {}
        digests = {
            unit_id: digest
            for unit_id, digest in snapshot.manifest.units.items()
            if unit_id.startswith(_DOMAINS)
        }
        new = {
            digest: bytes(snapshot.units[unit_id])
            for unit_id, digest in digests.items()
            if digest not in self._known and unit_id in snapshot.units
        }
        read = await asyncio.to_thread(_read, new) if new else {}
        known = {**self._known, **read}
        self._known = {digest: known.get(digest) for digest in digests.values()}
        return {
            unit_id.removeprefix(_DOMAINS): at
            for unit_id, digest in digests.items()
            if (at := known.get(digest)) is not None
        }


def _read(units: Mapping[str, bytes]) -> dict[str, float | None]:
    from cryptography import x509  # large, and most gateways have no domains

    found: dict[str, float | None] = {}
    for digest, raw in units.items():
        found[digest] = None
        try:
            unit = codec.decode_unit(raw)
            if isinstance(unit, DomainUnit) and unit.certificate is not None:
                leaf = x509.load_pem_x509_certificate(unit.certificate.chain.encode())
                found[digest] = leaf.not_valid_after_utc.timestamp()
        except (ValueError, codec.Undecodable):
            continue
    return found
