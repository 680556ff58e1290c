"""Units of domains to Domains.

Used by `build.py` for each manifest. Promises: what did not change costs nothing; a domain that is
refused keeps what it said before, for the hosts that nobody else has by now, and holds up no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from portico_dataplane.access_build import Part
from portico_dataplane.core.domains import NO_DOMAINS, Domain, Domains
from portico_ir import invariants
from portico_ir.domains import DomainUnit
from portico_ir.model import Manifest

DOMAIN: Final = "domain/"
_AT_ONCE: Final = 16
"""Domains between two looks at the time."""


class _Built(NamedTuple):
    unit: DomainUnit
    domain: Domain


class DomainBuilder:
    """Builds one after another, remembering what the last one was made of."""

    def __init__(self, breathe: Callable[[], Awaitable[None]]) -> None:
        self._breathe = breathe
        self._built: dict[str, _Built] = {}
        self.current = NO_DOMAINS
        """The last ones built."""

    @property
    def units(self) -> frozenset[int]:
        """`id` of every unit in use."""
        return frozenset(id(built.unit) for built in self._built.values())

    async def build(
        self, manifest: Manifest, units: Mapping[str, Part], refused: dict[str, str]
    ) -> Domains:
        """Those of a manifest; `refused` tells which units are, and learns of more."""
        owners: dict[str, str] = {}
        found: dict[str, _Built] = {}
        for unit_id in sorted(manifest.units):
            if not unit_id.startswith(DOMAIN):
                continue
            before = self._built.get(unit_id)
            built = self._take(unit_id, units.get(unit_id), before, owners, refused) or before
            if built is not None:
                found[unit_id] = built
                if not len(found) % _AT_ONCE:
                    await self._breathe()
        if found != self._built:
            self._built = found
            self.current = Domains(
                # Of a version that was kept only what nobody else claims.
                (built.domain, [h for h in built.unit.hosts if owners.setdefault(h, name) == name])
                for name, built in found.items()
            )
        return self.current

    def _take(
        self,
        unit_id: str,
        unit: Part | None,
        before: _Built | None,
        owners: dict[str, str],
        refused: dict[str, str],
    ) -> _Built | None:
        """The domain that a unit says; None where it is refused."""
        if unit is None or unit_id in refused:
            return None
        if not isinstance(unit, DomainUnit):
            refused[unit_id] = "not a unit of a domain"
            return None
        for violation in invariants.check_domain(unit_id, unit, owners):
            refused[unit_id] = violation.message
            return None
        return before if before is not None and before.unit is unit else _Built(unit, Domain(unit))
