"""Units by digest: what is here, and fetching what is not.

Kept by the feed. Promises: a unit is fetched once, however often manifests name it, and not at
all when the last good snapshot has it; several at a time, never more than a few; whoever has the
unit may give it, and nobody is asked for ever: a replica that has given something else `TRIES`
times is not asked again until `try_again`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from portico_dataplane.feed.files import Address
from portico_dataplane.feed.link import Link, UnitError
from portico_ir.model import Manifest

TRIES: Final = 3
_AT_A_TIME: Final = 8


class Fetched(NamedTuple):
    """What a fetch led to."""

    missing: Mapping[str, str]
    """Unit id to why it is not here; empty: all are."""
    is_final: bool
    """Asking again would be for nothing."""


class _Tried:
    __slots__ = ("by_address", "why")

    def __init__(self) -> None:
        self.by_address: dict[Address, int] = {}
        self.why = ""

    def may(self, source: Link) -> bool:
        return self.by_address.get(source.address, 0) < TRIES


class Units:
    """The bytes of units."""

    def __init__(self) -> None:
        self._have: dict[str, bytes] = {}
        self._tried: dict[str, _Tried] = {}
        """Digests that some replica did not give."""

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
        self._tried = {known: tried for known, tried in self._tried.items() if known in digests}

    def try_again(self) -> None:
        """Whoever was given up may have mended it."""
        self._tried.clear()

    async def fetch(self, manifest: Manifest, sources: Sequence[Link]) -> Fetched:
        """Get what is missing, once from each source that may have it, in this order."""
        wanted = {known: unit for unit, known in manifest.units.items() if known not in self._have}
        left = iter(list(wanted))
        await asyncio.gather(*(self._some(left, sources) for _ in range(_AT_A_TIME)))
        absent = [known for known in wanted if known not in self._have]
        missing = {
            unit: self._why(known)
            for unit, known in manifest.units.items()
            if known in wanted and known not in self._have
        }
        open_ = [source for source in sources if source.is_open]
        is_final = bool(open_) and not any(
            self._tried.setdefault(known, _Tried()).may(source)
            for known in absent
            for source in open_
        )
        return Fetched(missing, bool(missing) and is_final)

    async def _some(self, left: Iterator[str], sources: Sequence[Link]) -> None:
        for known in left:
            tried = self._tried.get(known) or _Tried()
            for source in sources:
                if tried.may(source) and await self._one(known, source, tried):
                    self._tried.pop(known, None)
                    break
                self._tried[known] = tried

    async def _one(self, known: str, source: Link, tried: _Tried) -> bool:
        try:
            self._have[known] = await source.fetch(known)
        except UnitError as error:
            tried.why = f"{error} ({source.address})"
            # What ended with its stream, or may be had in a moment, says nothing of the unit.
            if source.is_open and not error.is_passing:
                tried.by_address[source.address] = tried.by_address.get(source.address, 0) + 1
            return False
        return True

    def _why(self, known: str) -> str:
        tried = self._tried.get(known)
        if tried is None:
            return "not fetched: no operator to fetch it from"
        count = sum(tried.by_address.values())
        return f"not fetched, tried {count} times: {tried.why}"
