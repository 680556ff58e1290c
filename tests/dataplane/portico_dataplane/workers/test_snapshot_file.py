"""A file is served whole or refused with a sentence about it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.workers.snapshot_file import SnapshotError, load, prepare, store_of
from portico_ir.codec import decode_endpoints, decode_manifest, digest, encode
from portico_ir.model import IR_VERSION, GatewayUnit, Manifest, Snapshot, StoreUnit
from snapshots import endpoints_of, snapshot_of

GATEWAY = encode(GatewayUnit())


def written(path: Path, snapshot: Snapshot) -> str:
    path.write_bytes(encode(snapshot))
    return str(path)


def test_a_whole_snapshot_is_read(tmp_path: Path) -> None:
    snapshot = snapshot_of({"gateway": GATEWAY})

    assert load(written(tmp_path / "s.json", snapshot)) == snapshot


def test_a_unit_that_this_version_cannot_decode_is_for_the_workers_to_refuse(
    tmp_path: Path,
) -> None:
    """One unknown policy must not keep all others from being served."""
    snapshot = snapshot_of({"gateway": GATEWAY, "api/x": b'{"unit":"of the future"}'})

    assert load(written(tmp_path / "s.json", snapshot)).manifest == snapshot.manifest


def test_a_missing_unit(tmp_path: Path) -> None:
    whole = snapshot_of({"gateway": GATEWAY, "api/x": b"{}"})
    part = msgspec.structs.replace(whole, units={"gateway": whole.units["gateway"]})

    with pytest.raises(SnapshotError, match=r"s\.json: unit api/x is missing"):
        load(written(tmp_path / "s.json", part))


def test_a_unit_that_was_changed_by_hand(tmp_path: Path) -> None:
    whole = snapshot_of({"gateway": GATEWAY})
    path = tmp_path / "s.json"
    path.write_bytes(encode(whole).replace(GATEWAY, b'{"unit":"gateway","egress_open":true}'))

    with pytest.raises(SnapshotError, match="unit gateway does not match its digest"):
        load(str(path))


def test_a_snapshot_of_a_newer_compiler(tmp_path: Path) -> None:
    newer = Snapshot(manifest=Manifest(ir_version=IR_VERSION + 1, units={}))

    with pytest.raises(SnapshotError, match="written by a newer compiler"):
        load(written(tmp_path / "s.json", newer))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"absent\.json: No such file"):
        load(str(tmp_path / "absent.json"))
    with pytest.raises(SnapshotError, match="Is a directory"):
        load(str(tmp_path))
    with pytest.raises(SnapshotError):
        load("nul\0")


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b'{"manifest":{}}',
        b'{"manifest":{"ir_version":"1","units":{}}}',
        b'{"manifest":{"ir_version":1,"units":{}},"unknown":1}',
        b'{"manifest":{"ir_version":1,"units":{}},"units":[]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_snapshot(tmp_path: Path, document: bytes) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(document)

    with pytest.raises(SnapshotError, match=r"s\.json: not a snapshot: "):
        load(str(path))


@given(
    st.integers(0, 10_000), st.integers(0, 255), st.sampled_from(["replace", "insert", "delete"])
)
def test_a_damaged_file_raises_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, how: str
) -> None:
    data = bytearray(encode(snapshot_of({"gateway": GATEWAY}, upstreams=("default/pets:80",))))
    place %= len(data)
    if how == "insert":
        data.insert(place, byte)
    elif how == "delete":
        del data[place]
    else:
        data[place] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(data)

    try:
        load(str(path))
    except SnapshotError:
        pass


def test_prepared_for_sending() -> None:
    snapshot = snapshot_of({"gateway": GATEWAY, "api/x": b"{}"}, upstreams=("default/pets:80",))
    prepared = prepare(snapshot, serial=3, sequence=9)

    assert prepared.serial == 3
    assert prepared.digest == digest(prepared.manifest)
    assert decode_manifest(prepared.manifest) == snapshot.manifest
    assert prepared.units == {digest(GATEWAY): GATEWAY, digest(b"{}"): b"{}"}
    assert decode_endpoints(prepared.endpoints) == endpoints_of("default/pets:80", sequence=9)


def test_units_that_were_sent_before_are_not_copied_again() -> None:
    first = prepare(snapshot_of({"gateway": GATEWAY, "api/x": b"{}"}), 1, 1)
    edited = snapshot_of({"gateway": GATEWAY, "api/x": b'{"a":1}'})
    second = prepare(edited, 2, 2, first.units)
    assert second.units == {digest(GATEWAY): GATEWAY, digest(b'{"a":1}'): b'{"a":1}'}
    assert second.units[digest(GATEWAY)] is first.units[digest(GATEWAY)]


def with_store(encoded: bytes | None) -> Snapshot:
    units = {} if encoded is None else {"store": msgspec.Raw(encoded)}
    manifest = Manifest(
        ir_version=IR_VERSION, units={name: digest(data) for name, data in units.items()}
    )
    return Snapshot(manifest=manifest, units=units)


def test_where_leases_are_settled() -> None:
    unit = StoreUnit(keep=False)
    assert store_of(with_store(encode(unit))) == unit
    assert store_of(with_store(None)) == StoreUnit()


@pytest.mark.parametrize("encoded", [b'{"unit":"store","x":1}', b'{"unit":"plans"}'])
def test_a_store_that_cannot_be_read(encoded: bytes) -> None:
    assert store_of(with_store(encoded)) is None
    snapshot = with_store(b"")
    assert store_of(Snapshot(manifest=snapshot.manifest)) is None
