"""Counting is put together: plans are known as soon as data planes are told of them."""

from __future__ import annotations

import time
from typing import Any, cast

import msgspec
import pytest

from portico_ir import codec
from portico_ir.access import ApiKey, Plan, Quota
from portico_ir.model import KeysUnit, Manifest, PlansUnit, RedisStore, Snapshot, StoreUnit, Unit
from portico_ir.periods import day_of
from portico_ir.secrets import Redacted
from portico_operator.cluster.client import ApiError, KubeClient
from portico_operator.cluster.lease import Lease
from portico_operator.counting import Counting
from portico_operator.redis_books import RedisBooks
from portico_operator.settings import OperatorSettings
from portico_operator.usage_server import Unreachable


class Held:
    """A Lease that somebody else holds, or we."""

    term = 0
    holder = "another"

    def __init__(self, leads: bool) -> None:
        self.leads = leads

    def is_leader(self) -> bool:
        return self.leads


class Away:
    """An API server that cannot be reached."""

    async def request(self, *_: Any, **__: Any) -> bytes:
        raise ApiError(0, "Unreachable", "no route")


def counting(leads: bool = False) -> Counting:
    lease = cast("Lease", Held(leads))
    return Counting(cast("KubeClient", Away()), OperatorSettings(), lease, lambda _: None)


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


async def test_who_does_not_lead_or_keep_says_so() -> None:
    assert counting().elsewhere() == "usage is kept by another"
    made = counting(leads=True)
    assert made.elsewhere() == "usage is kept by another"
    made.keeper.begin(1, [], 0.0)
    assert made.elsewhere() == ""


GOLD = Plan(id="gold", name="d/gold", quota=Quota(limit=10, period="DAY"))


async def test_keys_are_those_of_the_plan() -> None:
    made = counting()
    keys = KeysUnit(keys={"a" * 64: ApiKey(id="k1", plans=("gold",)), "b" * 64: ApiKey(id="k2")})
    made.published({"one": snapshot(plans=PlansUnit(plans=(GOLD,)), **{"keys/0": keys})})
    kept = made.find("gold")
    assert kept is not None
    assert [await made.holds(kept, key) for key in ("k1", "k2", "k3")] == [True, False, False]
    assert made.find("silver") is None
    await made.close()


async def test_an_extension_counts_at_once_and_is_saved_before_it_is_told() -> None:
    made = counting(leads=True)
    made.published({"one": snapshot(plans=PlansUnit(plans=(GOLD,)))})
    made.keeper.begin(1, [], 0.0)
    kept = made.find("gold")
    assert kept is not None
    with pytest.raises(Unreachable, match="not saved yet"):
        await kept.books.extend("one", kept.plan, "k1", 25)
    assert await kept.books.extras("one", kept.plan, {"k1"}) == {"k1": 15}


async def test_what_plans_declare_is_known_to_the_one_who_keeps() -> None:
    made = counting(leads=True)
    today = day_of(time.time() * 1000)
    more = msgspec.structs.replace(GOLD, extensions={"k1": ((today, 5),)})
    made.published({"one": snapshot(plans=PlansUnit(plans=(more,)))})
    made.keeper.begin(1, [], 0.0)  # a new term, and new ledgers
    kept = made.find("gold")
    assert kept is not None
    assert await kept.books.extras("one", kept.plan, {"k1"}) == {"k1": 5}
    made.published({"one": snapshot(plans=PlansUnit(plans=(GOLD,)))})
    kept = made.find("gold")
    assert kept is not None
    assert await kept.books.extras("one", kept.plan, {"k1"}) == {}
