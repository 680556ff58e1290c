"""A compiled snapshot from a file, checked before any worker sees it.

Called by the supervisor at start and on SIGHUP. Promises: a `SnapshotError` names the file
and what is wrong with it, and nothing else is raised; what is returned is whole: every unit of its
manifest is there and has the bytes its digest says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from portico_ir.codec import Undecodable, decode_snapshot, decode_unit, digest, encode
from portico_ir.model import IR_VERSION, Snapshot, StoreUnit

EMPTY: Final[Mapping[str, bytes]] = MappingProxyType({})


class SnapshotError(Exception):
    """The file cannot be served; the message is for the person who named it."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration as it goes to workers: encoded once, whoever asks."""

    serial: int
    """Counts up; tells acknowledgements apart."""
    digest: str
    """SHA-256 of the manifest's bytes."""
    manifest: bytes
    units: dict[str, bytes]
    """Digest to bytes of every unit the manifest lists."""
    endpoints: bytes


def load(path: str) -> Snapshot:
    """The snapshot in a file."""
    try:
        document = Path(path).read_bytes()
    except OSError as error:
        raise SnapshotError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise SnapshotError(f"{path!r}: {error}") from error
    try:
        snapshot = decode_snapshot(document)
    except Undecodable as error:
        raise SnapshotError(f"{path}: not a snapshot: {error}") from error
    fault = _fault(snapshot)
    if fault:
        raise SnapshotError(f"{path}: {fault}")
    return snapshot


def prepare(
    snapshot: Snapshot, serial: int, sequence: int, before: Mapping[str, bytes] = EMPTY
) -> Wanted:
    """The snapshot ready to be sent, its endpoints numbered `sequence`; units that are among
    those `before` are not copied again."""
    manifest = encode(snapshot.manifest)
    endpoints = msgspec.structs.replace(snapshot.endpoints, sequence=sequence)
    return Wanted(
        serial=serial,
        digest=digest(manifest),
        manifest=manifest,
        units={
            known: before.get(known) or bytes(snapshot.units[unit])
            for unit, known in snapshot.manifest.units.items()
        },
        endpoints=encode(endpoints),
    )


def store_of(snapshot: Snapshot) -> StoreUnit | None:
    """Where leases are settled; None: it cannot be read, and what was said before holds."""
    encoded = snapshot.units.get("store")
    if "store" not in snapshot.manifest.units:
        return StoreUnit()
    try:
        unit = decode_unit(encoded) if encoded is not None else None
    except Undecodable:
        return None  # the workers refuse it, and say so
    return unit if isinstance(unit, StoreUnit) else None


def _fault(snapshot: Snapshot) -> str:
    version = snapshot.manifest.ir_version
    if version > IR_VERSION:
        return f"written by a newer compiler (irVersion {version}; this reads {IR_VERSION})"
    for unit, expected in snapshot.manifest.units.items():
        encoded = snapshot.units.get(unit)
        if encoded is None:
            return f"unit {unit} is missing"
        if digest(encoded) != expected:
            return f"unit {unit} does not match its digest"
    return ""
