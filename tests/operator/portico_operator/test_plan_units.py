"""Plans, keys and the store, read back from a snapshot; what cannot be read is nothing."""

from __future__ import annotations

import msgspec

from portico_ir import codec
from portico_ir.access import ApiKey, Plan
from portico_ir.model import KeysUnit, Manifest, PlansUnit, Snapshot, StoreUnit
from portico_operator.plan_units import has_key, plans_of, store_of

GOLD = Plan(id="gold", name="d/gold")
FIRST = KeysUnit(keys={"a" * 64: ApiKey(id="k1", plans=("gold",))})
SECOND = KeysUnit(keys={"b" * 64: ApiKey(id="k2", plans=("silver",))})


def snapshot(**units: bytes) -> Snapshot:
    raw = {unit_id.replace("_", "/"): msgspec.Raw(data) for unit_id, data in units.items()}
    return Snapshot(manifest=Manifest(ir_version=1, units={}), units=raw)


def test_what_is_there() -> None:
    found = snapshot(
        plans=codec.encode(PlansUnit(plans=(GOLD,))),
        store=codec.encode(StoreUnit(name="c")),
        keys_0=codec.encode(FIRST),
        keys_1=codec.encode(SECOND),
    )
    assert plans_of(found) == (GOLD,)
    assert store_of(found).name == "c"
    assert has_key(found, "gold", "k1")
    assert not has_key(found, "gold", "k2")
    assert has_key(found, "silver", "k2")
    assert not has_key(found, "gold", "k")


def test_what_is_not() -> None:
    for found in (snapshot(), snapshot(plans=b"{", store=b"[]", keys_0=b'{"k1": 1')):
        assert plans_of(found) == ()
        assert store_of(found) == StoreUnit()
        assert not has_key(found, "gold", "k1")
