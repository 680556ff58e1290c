"""Counting is put together: plans are known as soon as data planes are told of them."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from portico_ir import codec
from portico_ir.access import Plan
from portico_ir.model import Manifest, PlansUnit, RedisStore, Snapshot, StoreUnit, Unit
from portico_ir.secrets import Redacted
from portico_operator.cluster.client import KubeClient
from portico_operator.cluster.lease import Lease
from portico_operator.counting import Counting
from portico_operator.redis_books import RedisBooks
from portico_operator.settings import OperatorSettings


class Nobody:
    """A Lease that somebody else holds."""

    term = 0
    holder = "another"

    def is_leader(self) -> bool:
        return False


def counting() -> Counting:
    client: Any = object()
    lease = cast("Lease", Nobody())
    return Counting(cast("KubeClient", client), OperatorSettings(), lease, lambda _: None)


def snapshot(**units: Unit) -> Snapshot:
    raw = {unit_id: codec.encode(unit) for unit_id, unit in units.items()}
    digests = {unit_id: codec.digest(data) for unit_id, data in raw.items()}
    return Snapshot(
        manifest=Manifest(ir_version=1, units=digests),
        units={unit_id: msgspec.Raw(data) for unit_id, data in raw.items()},
    )


async def test_plans_are_those_that_data_planes_are_told() -> None:
    made = counting()
    plans = PlansUnit(plans=(Plan(id="gold", name="d/gold"),))
    made.published({"one": snapshot(plans=plans), "two": snapshot()})
    found = made.keeper.plan("gold")
    assert found is not None
    assert found[0] == "one"
    made.published({"one": snapshot()})
    assert made.keeper.plan("gold") is None
    await made.close()


async def test_who_keeps_usage_is_asked_for_it() -> None:
    made = counting()
    store = StoreUnit(name="one", redis=RedisStore(url=Redacted("redis://127.0.0.1:1")))
    made.published({"one": snapshot(store=store), "two": snapshot()})
    assert isinstance(made._books("one"), RedisBooks)
    assert not isinstance(made._books("two"), RedisBooks)
    made.published({"one": snapshot()})
    assert not isinstance(made._books("one"), RedisBooks)
    await made.close()
