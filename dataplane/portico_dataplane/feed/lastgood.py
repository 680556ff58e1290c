"""The last good snapshot, on a directory that survives a container's restart.

Written by the feed after a configuration serves, read once at start. Promises: readable by this
user only (it holds secrets); what is read back is whole, or nothing at all; a crash at any point
leaves the one before. Units are files named by their digest, so that one edit writes one unit.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import msgspec

from portico_ir.codec import Undecodable, decode_endpoints, decode_manifest, digest, encode
from portico_ir.model import IR_VERSION, EndpointSet, Manifest
from portico_ir.stream import Marks

_log = logging.getLogger(__name__)

_INDEX: Final = "index.json"
_UNITS: Final = "units"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration as it served."""

    manifest: Manifest
    """As offered, except that a refused unit stands there in the version that was kept."""
    units: dict[str, bytes]
    """Digest to bytes, of all that the manifest lists."""
    endpoints: EndpointSet
    marks: Marks
    """How new it was by the time of writing."""


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    manifest: msgspec.Raw
    endpoints: msgspec.Raw
    marks: Marks


def as_served(manifest: Manifest, refused: Collection[str], before: Manifest | None) -> Manifest:
    """The manifest with the units of refused APIs as they stood before: an API is refused whole
    (its unit and its shards), and a restarted worker has no earlier version of its own."""
    if not refused:
        return manifest
    owners = {_owner(unit) for unit in refused}
    units = {unit: known for unit, known in manifest.units.items() if _owner(unit) not in owners}
    if before is not None:
        units |= {u: known for u, known in before.units.items() if _owner(u) in owners}
    return msgspec.structs.replace(manifest, units=units)


def _owner(unit: str) -> str:
    """`<namespace>/<Kind>/<name>` of an API's units; others stand for themselves."""
    parts = unit.split("/")
    return "/".join(parts[1:4]) if len(parts) >= 4 else unit


class LastGood:
    """The directory."""

    def __init__(self, directory: str) -> None:
        self._root = Path(directory)

    def load(self) -> Kept | None:
        """What was kept; None, with a line in the log, when it cannot be served."""
        try:
            index = msgspec.json.decode((self._root / _INDEX).read_bytes(), type=_Index)
            manifest = decode_manifest(bytes(index.manifest))
            if manifest.ir_version != IR_VERSION:
                raise Undecodable(f"irVersion {manifest.ir_version} is not {IR_VERSION}")
            units = {known: self._unit(known) for known in set(manifest.units.values())}
            return Kept(
                manifest=manifest,
                units=units,
                endpoints=decode_endpoints(bytes(index.endpoints)),
                marks=index.marks,
            )
        except FileNotFoundError as error:
            if error.filename != str(self._root / _INDEX):
                _log.warning("last good snapshot not used", extra={"reason": str(error)})
        except (OSError, ValueError) as error:  # msgspec's and ours are ValueErrors
            _log.warning("last good snapshot not used", extra={"reason": str(error)})
        return None

    def _unit(self, known: str) -> bytes:
        encoded = (self._root / _UNITS / known).read_bytes()
        if digest(encoded) != known:
            raise Undecodable(f"unit {known} is damaged")
        return encoded

    def keep(self, kept: Kept) -> None:
        """Write it; OSError when the directory does not take it."""
        units = self._root / _UNITS
        units.mkdir(mode=0o700, parents=True, exist_ok=True)
        present = set(os.listdir(units))
        for known, encoded in kept.units.items():
            if known not in present:
                _write(units / known, encoded)
        _sync(units)
        index = _Index(
            manifest=msgspec.Raw(encode(kept.manifest)),
            endpoints=msgspec.Raw(encode(kept.endpoints)),
            marks=kept.marks,
        )
        _write(self._root / _INDEX, msgspec.json.encode(index))
        _sync(self._root)
        for name in present - kept.units.keys():
            (units / name).unlink(missing_ok=True)


class Keeper:
    """Keeps what serves, soon after it changed but not at every change."""

    def __init__(self, directory: LastGood | None, current: Callable[[], Kept | None]) -> None:
        self.changed = False
        """What is on disk is no longer what serves."""
        self._directory = directory
        self._current = current

    async def load(self) -> Kept | None:
        """What a process before this one kept."""
        return None if self._directory is None else await asyncio.to_thread(self._directory.load)

    async def run(self, pause_s: float) -> None:
        """Until cancelled; a full or read-only volume is told once, and tried again."""
        told = ""
        while self._directory is not None:
            await asyncio.sleep(pause_s)
            kept = self._current() if self.changed else None
            if kept is None:
                continue
            self.changed = False
            try:
                await asyncio.to_thread(self._directory.keep, kept)
                told = ""
            except OSError as error:
                self.changed = True
                if str(error) != told:
                    told = str(error)
                    _log.error("last good snapshot not kept", extra={"reason": told})


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, also when power is lost."""
    beside = path.with_name(f".{path.name}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
