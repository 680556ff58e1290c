"""Units by digest: what is here, and fetching what is not.

Kept by the feed. Promises: a unit is fetched once, however often manifests name it, and not at
all when the last good snapshot has it; several at a time, never more than a few.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from typing import Final

import msgspec

from portico_dataplane.feed.link import Link, UnitError
from portico_ir.model import Manifest

_AT_A_TIME: Final = 8


class Units:
    """The bytes of units."""

    def __init__(self) -> None:
        self._have: dict[str, bytes] = {}

    def put(self, units: Mapping[str, bytes]) -> None:
        """These are here already."""
        self._have.update(units)

    def of(self, manifest: Manifest) -> dict[str, msgspec.Raw]:
        """What a manifest lists, by unit id; all of it must be here."""
        return {unit: msgspec.Raw(self._have[known]) for unit, known in manifest.units.items()}

    def encoded(self, manifest: Manifest) -> dict[str, bytes]:
        """The same by digest."""
        return {known: self._have[known] for known in manifest.units.values()}

    def retain(self, digests: Collection[str]) -> None:
        """Forget all others."""
        self._have = {known: data for known, data in self._have.items() if known in digests}

    async def fetch(self, manifest: Manifest, link: Link) -> str:
        """Get what is missing; why something still is, or empty."""
        missing = {known: unit for unit, known in manifest.units.items() if known not in self._have}
        if not missing:
            return ""
        left = iter(missing.items())
        failures = await asyncio.gather(*(self._some(left, link) for _ in range(_AT_A_TIME)))
        return next(filter(None, failures), "")

    async def _some(self, left: Iterator[tuple[str, str]], link: Link) -> str:
        for known, unit in left:
            try:
                self._have[known] = await link.fetch(known)
            except UnitError as error:
                return f"{unit}: {error}"
        return ""
