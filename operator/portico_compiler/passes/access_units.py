"""Pass 9: plans and keys become units, for the data planes whose APIs they open.

Called by `compiler.compile` for each data plane; memoised. Promises: a data plane gets no key that
opens nothing there; no unit has more than `MOST_KEYS` keys; an edit of one key changes one unit.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec

from portico_compiler.memo import Memo
from portico_compiler.passes.api_keys import ApiKeys
from portico_compiler.passes.shards import Encoded
from portico_compiler.passes.usage_plans import UsagePlans
from portico_ir import codec
from portico_ir.access import ApiKey, Plan
from portico_ir.model import KeysUnit, PlansUnit

MOST_KEYS = 2000
"""Keys of one unit: about 100 KB."""
PLANS = "plans"


class _Known(NamedTuple):
    plans: tuple[Plan, ...]
    keys: ApiKeys
    units: dict[str, Encoded]


def access_units(
    plans: UsagePlans, keys: ApiKeys, apis: Collection[str], data_plane: str, memo: Memo
) -> dict[str, Encoded]:
    """Unit id to unit; `apis`: uids of those that the data plane serves."""
    shelf = memo.shelf("access")
    own = tuple(sorted(_opening(plans, apis), key=lambda plan: plan.id))
    known: _Known | None = shelf.get(data_plane)
    if known is None or known.plans != own or known.keys is not keys:
        known = _Known(own, keys, _units(own, keys, known.units if known is not None else {}))
    shelf.keep(data_plane, known)
    return known.units


def _opening(plans: UsagePlans, apis: Collection[str]) -> list[Plan]:
    found: list[Plan] = []
    for plan in plans.by_ref.values():
        stages = tuple(stage for stage in plan.stages if stage.api in apis)
        if stages:
            same = len(stages) == len(plan.stages)
            found.append(plan if same else msgspec.structs.replace(plan, stages=stages))
    return found


def _units(
    plans: tuple[Plan, ...], keys: ApiKeys, before: dict[str, Encoded]
) -> dict[str, Encoded]:
    if not plans:
        return {}
    ids = {plan.id for plan in plans}
    opening: dict[str, ApiKey] = {}
    for digest, key in keys.keys.items():
        own = tuple(plan for plan in key.plans if plan in ids)
        if own:
            same = len(own) == len(key.plans)
            opening[digest] = key if same else msgspec.structs.replace(key, plans=own)
    units = {PLANS: _encoded(PlansUnit(plans=plans))}
    buckets = _buckets(opening)
    width = len(f"{len(buckets) - 1:x}")
    for number, bucket in enumerate(buckets):
        if bucket:
            units[f"keys/{number:0{width}x}"] = _encoded(KeysUnit(keys=bucket))
    # Equal bytes are the same object: what is sent is compared by identity further on.
    return {
        unit_id: before[unit_id]
        if unit_id in before and before[unit_id].digest == unit.digest
        else unit
        for unit_id, unit in units.items()
    }


def _buckets(keys: dict[str, ApiKey]) -> list[dict[str, ApiKey]]:
    """The smallest power of two of buckets that hold at most MOST_KEYS each."""
    count = 1
    while count * MOST_KEYS < len(keys):
        count *= 2
    while True:
        mask = count - 1
        buckets: list[dict[str, ApiKey]] = [{} for _ in range(count)]
        for digest, key in keys.items():
            buckets[int(digest[:8], 16) & mask][digest] = key
        if all(len(bucket) <= MOST_KEYS for bucket in buckets):
            return buckets
        count *= 2


def _encoded(unit: PlansUnit | KeysUnit) -> Encoded:
    data = codec.encode(unit)
    return Encoded(msgspec.Raw(data), codec.digest(data))
