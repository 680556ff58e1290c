"""Units as pods fetch them: by digest, encoded and compressed once.

Filled by the stream server with each publication, one shelf per class: what a class may not see
cannot be fetched with its token. Promises: a unit that a newer publication dropped can still be
fetched for a moment, because a pod may be half-way through the one before; memory is bounded.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

_KEPT_S: Final = 10.0
_MOST_KEPT: Final = 64
_ON_THE_LOOP: Final = 32 * 1024
"""Smaller units are compressed where they stand; a thread would take longer."""
_LEVEL: Final = 4


class _Unit:
    __slots__ = ("encoded", "gzipped", "lock")

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded
        self.gzipped = b""
        self.lock = asyncio.Lock()


class Shelf:
    """The units of one class."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._units: dict[str, _Unit] = {}
        self._dropped: OrderedDict[str, tuple[float, _Unit]] = OrderedDict()

    def replace(self, units: Mapping[str, bytes | msgspec.Raw]) -> None:
        """The units of the current manifest, by digest."""
        now = self._clock()
        before, self._units = self._units, {}
        for digest, encoded in units.items():
            kept = before.pop(digest, None)
            if kept is None and digest in self._dropped:
                kept = self._dropped.pop(digest)[1]
            self._units[digest] = kept or _Unit(bytes(encoded))
        for digest, unit in before.items():
            self._dropped[digest] = (now, unit)
        while self._dropped:
            since, _ = next(iter(self._dropped.values()))
            if len(self._dropped) <= _MOST_KEPT and now - since < _KEPT_S:
                break
            self._dropped.popitem(last=False)

    def encoded(self, digest: str) -> bytes | None:
        """The bytes that have this digest."""
        unit = self._find(digest)
        return None if unit is None else unit.encoded

    async def gzipped(self, digest: str) -> bytes | None:
        """The same, compressed."""
        unit = self._find(digest)
        if unit is None:
            return None
        async with unit.lock:
            if not unit.gzipped:
                if len(unit.encoded) <= _ON_THE_LOOP:
                    unit.gzipped = _gzip(unit.encoded)
                else:
                    unit.gzipped = await asyncio.to_thread(_gzip, unit.encoded)
        return unit.gzipped

    def _find(self, digest: str) -> _Unit | None:
        unit = self._units.get(digest)
        if unit is None and digest in self._dropped:
            unit = self._dropped[digest][1]
        return unit


def _gzip(data: bytes) -> bytes:
    return zlib.compress(data, _LEVEL, wbits=31)
