"""Plans, keys and the store of a class, read back from what its data plane is told.

Called by `counting`, and by the desk of `portico dev`. Promises: what nobody asks for is not
decoded; nothing is raised: a unit that cannot be read is our own compiler's fault, and nothing to
stop for.
"""

from __future__ import annotations

from portico_ir.access import Plan
from portico_ir.codec import Undecodable, decode_unit
from portico_ir.model import KeysUnit, PlansUnit, Snapshot, StoreUnit, Unit


def plans_of(snapshot: Snapshot) -> tuple[Plan, ...]:
    """Every plan."""
    unit = _unit(snapshot, "plans")
    return unit.plans if isinstance(unit, PlansUnit) else ()


def store_of(snapshot: Snapshot) -> StoreUnit:
    """Where leases are settled."""
    unit = _unit(snapshot, "store")
    return unit if isinstance(unit, StoreUnit) else StoreUnit()


def has_key(snapshot: Snapshot, plan: str, key: str) -> bool:
    """Whether a key of this id is in the plan; takes a while where there are 100,000."""
    wanted = key.encode()
    for unit_id, raw in snapshot.units.items():
        if not unit_id.startswith("keys/") or wanted not in bytes(raw):
            continue
        unit = _unit(snapshot, unit_id)
        if isinstance(unit, KeysUnit):
            found = (each for each in unit.keys.values() if each.id == key)
            if any(plan in each.plans for each in found):
                return True
    return False


def _unit(snapshot: Snapshot, unit_id: str) -> Unit | None:
    encoded = snapshot.units.get(unit_id)
    try:
        return decode_unit(encoded) if encoded is not None else None
    except Undecodable:
        return None
