"""Snapshots that earlier versions wrote stay decodable, byte for byte as they were sent.

`v1.snapshot.json` uses every field of the contract as it was in version 0.1. A pod keeps its last
good snapshot and an operator may be one version ahead or behind (design.md §4): a test that fails
here means a fleet that stops at an upgrade. Add files, never change one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portico_ir import codec, invariants
from portico_ir.model import Snapshot, Unit

FILES = sorted(Path(__file__).parent.glob("*.snapshot.json"))


def structs(*roots: Any) -> set[type]:
    """Every struct that can stand in the contract."""
    found: set[type] = set()

    def walk(node: Any) -> None:
        if isinstance(node, msgspec.inspect.StructType) and node.cls not in found:
            found.add(node.cls)
            for field in node.fields:
                walk(field.type)
        elif isinstance(node, msgspec.inspect.UnionType):
            for option in node.types:
                walk(option)
        elif isinstance(node, msgspec.inspect.VarTupleType):
            walk(node.item_type)
        elif isinstance(node, msgspec.inspect.TupleType):
            for item in node.item_types:
                walk(item)
        elif isinstance(node, msgspec.inspect.DictType):
            walk(node.value_type)

    for root in roots:
        walk(msgspec.inspect.type_info(root))
    return found


def in_use(value: Any) -> set[type]:
    """Structs that a decoded value holds."""
    found: set[type] = set()
    if isinstance(value, msgspec.Struct):
        found.add(type(value))
        for name in value.__struct_fields__:
            found |= in_use(getattr(value, name))
    elif isinstance(value, tuple | list):
        for item in value:
            found |= in_use(item)
    elif isinstance(value, dict):
        for item in value.values():
            found |= in_use(item)
    return found


def units(path: Path) -> dict[str, Unit]:
    snapshot = codec.decode_snapshot(path.read_bytes())
    return {unit_id: codec.decode_unit(raw) for unit_id, raw in snapshot.units.items()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_decodes_and_may_be_built(path: Path) -> None:
    snapshot = codec.decode_snapshot(path.read_bytes())
    assert invariants.check(units(path)) == []
    assert set(snapshot.manifest.units) == set(snapshot.units)
    for unit_id, raw in snapshot.units.items():
        assert codec.digest(raw) == snapshot.manifest.units[unit_id]
    for found in snapshot.endpoints.upstreams.values():
        assert all(0 < endpoint.port <= 65535 for endpoint in found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_says_the_same_when_written_again(path: Path) -> None:
    """A new field's default means the behaviour of before, so it is not written."""
    for unit_id, unit in units(path).items():
        raw = codec.decode_snapshot(path.read_bytes()).units[unit_id]
        assert _without_empty(json.loads(codec.encode(unit))) == _without_empty(
            json.loads(bytes(raw))
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_it_does_not_know_is_refused(path: Path) -> None:
    """An unknown policy must not open a route."""
    for raw in codec.decode_snapshot(path.read_bytes()).units.values():
        document = json.loads(bytes(raw))
        with pytest.raises(codec.Undecodable):
            codec.decode_unit(json.dumps(document | {"unheard": 1}).encode())
        for route in document.get("routes", ()):
            route["policies"] = [{"policy": "unheard"}]
        if "routes" in document:
            with pytest.raises(codec.Undecodable):
                codec.decode_unit(json.dumps(document).encode())


def test_the_first_uses_every_shape_of_its_day() -> None:
    """Shapes that came later have a snapshot of their own."""
    covered: set[type] = set()
    for path in FILES:
        covered |= in_use(units(path)) | in_use(codec.decode_snapshot(path.read_bytes()))
    assert structs(Unit, Snapshot) <= covered


def _without_empty(value: Any) -> Any:
    """msgspec leaves out defaults by identity, so an equal value may or may not be written."""
    if isinstance(value, dict):
        return {k: _without_empty(v) for k, v in value.items() if v not in ("", [], {}, False, 0)}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value
