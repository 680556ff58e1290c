"""Units of keys, plans and signers to Credentials.

Used by `build.py` for each manifest. Promises: what did not change costs nothing; a unit that is
refused leaves what it said before in force, and holds up no other; of 100,000 keys a worker holds
what it needs and not much else (`make bench-access`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from portico_dataplane.core.credentials import NONE, Credentials, KnownSigner
from portico_ir.access import ApiKey, Plan
from portico_ir.model import KeysUnit, Manifest, PlansUnit, SignersUnit, Unit

PLANS: Final = "plans"
KEYS: Final = "keys/"

SIGNERS: Final = "signers"

_DIGEST: Final = re.compile("[0-9a-f]{64}")


class PackedKeys:
    """A KeysUnit as a worker holds it: half as large, and shared with the Credentials."""

    __slots__ = ("digests", "fault", "keys")

    def __init__(self, unit: KeysUnit) -> None:
        good = all(map(_DIGEST.fullmatch, unit.keys))
        self.fault = "" if good else "a key is not named by a digest"
        """Why the unit is refused."""
        given = unit.keys if good else {}
        self.digests = tuple(map(bytes.fromhex, given))
        """SHA-256 of each value."""
        # Most keys have the plans of others, and many the customer.
        plans: dict[tuple[str, ...], tuple[str, ...]] = {}
        customers: dict[str, str] = {}
        self.keys = tuple(
            ApiKey(
                id=key.id,
                plans=plans.setdefault(key.plans, key.plans),
                customer=customers.setdefault(key.customer, key.customer),
            )
            for key in given.values()
        )
        """In the same order."""


Part = Unit | PackedKeys
"""A unit, as it is kept."""
_Access = PackedKeys | PlansUnit | SignersUnit


def packed(unit: Unit) -> Part:
    """What is kept of a unit that was just decoded."""
    return PackedKeys(unit) if isinstance(unit, KeysUnit) else unit


class AccessBuilder:
    """Builds one after another, remembering what the last one was made of."""

    def __init__(self, breathe: Callable[[], Awaitable[None]]) -> None:
        self._breathe = breathe
        self._units: dict[str, _Access] = {}
        self._current = NONE

    @property
    def units(self) -> frozenset[int]:
        """`id` of every unit in use."""
        return frozenset(map(id, self._units.values()))

    @property
    def current(self) -> Credentials:
        """The last ones built."""
        return self._current

    async def build(
        self, manifest: Manifest, units: Mapping[str, Part], refused: dict[str, str]
    ) -> Credentials:
        """Those of a manifest; `refused` tells which units are, and learns of more."""
        chosen: dict[str, _Access] = {}
        for unit_id in manifest.units:
            if unit_id not in (PLANS, SIGNERS) and not unit_id.startswith(KEYS):
                continue
            unit = units.get(unit_id)
            before = self._units.get(unit_id)
            if unit is not None and unit is not before and (why := _fault(unit_id, unit)):
                refused[unit_id] = why
            if unit_id in refused:
                unit = before
            if isinstance(unit, _Access):
                chosen[unit_id] = unit
        if chosen.keys() != self._units.keys() or any(
            self._units[unit_id] is not unit for unit_id, unit in chosen.items()
        ):
            self._units = chosen
            self._current = await self._assemble()
        return self._current

    async def _assemble(self) -> Credentials:
        keys: dict[bytes, ApiKey] = {}
        plans: tuple[Plan, ...] = ()
        signers: dict[str, KnownSigner] = {}
        for unit in self._units.values():
            if isinstance(unit, PlansUnit):
                plans = unit.plans
            elif isinstance(unit, SignersUnit):
                signers = {key: KnownSigner(signer) for key, signer in unit.signers.items()}
            else:
                keys.update(zip(unit.digests, unit.keys, strict=True))
            await self._breathe()
        return Credentials(keys, plans, signers)


def _fault(unit_id: str, unit: Part) -> str:
    if unit_id == PLANS:
        return "" if isinstance(unit, PlansUnit) else "not a unit of plans"
    if unit_id == SIGNERS:
        if not isinstance(unit, SignersUnit):
            return "not a unit of signers"
        derived = (key for signer in unit.signers.values() for key in signer.keys.values())
        # Without the key: this text is shown.
        good = all(_DIGEST.fullmatch(key.reveal()) for key in derived)
        return "" if good else "a signing key is not one"
    return unit.fault if isinstance(unit, PackedKeys) else "not a unit of keys"
