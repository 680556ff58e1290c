"""Uses: what shards name, counted; what nobody names any more is told once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.uses import Uses
from portico_ir.model import HttpProxy, RestSegments, Route, RoutesUnit, Target, UrlTarget


def target(number: int) -> UrlTarget:
    return UrlTarget(url=f"http://backend-{number}.example/")


def shard(*numbers: int) -> RoutesUnit:
    routes = [
        Route(
            key=f"GET /{place}",
            match=RestSegments(method="GET", path=f"/{place}"),
            integration=HttpProxy(targets=(target(number),)),
        )
        for place, number in enumerate(numbers)
    ]
    return RoutesUnit(api="api/n/RestApi/a", routes=tuple(routes))


async def nothing() -> None:
    """Nobody waits."""


def put(uses: Uses, units: Iterable[RoutesUnit]) -> set[Target]:
    return asyncio.run(uses.place(units, nothing))


def test_an_edit_touches_its_shard_alone() -> None:
    uses = Uses()
    kept, old, new = shard(1, 2), shard(2, 3), shard(2, 4)
    put(uses, [kept, old])
    breaths = []

    async def breathe() -> None:
        breaths.append(len(uses.targets))

    asyncio.run(uses.place([kept, new], breathe))
    assert breaths == [4, 3], "one shard came, and one went"


def test_what_another_shard_names_is_not_gone() -> None:
    uses = Uses()
    kept, old = shard(1, 2), shard(2, 3)
    put(uses, [kept, old])
    assert put(uses, [kept]) == {target(3)}
    assert uses.targets == {target(1), target(2)}


def test_equal_shards_that_are_two_objects_count_twice() -> None:
    uses = Uses()
    put(uses, [shard(1)])
    assert put(uses, [shard(1)]) == set()
    assert uses.targets == {target(1)}


@given(st.lists(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=4), max_size=5))
def test_it_is_always_what_the_shards_in_place_name(worlds: list[list[list[int]]]) -> None:
    uses = Uses()
    before: set[Target] = set()
    for world in worlds:
        gone = put(uses, [shard(*numbers) for numbers in world])
        now: set[Target] = {target(n) for numbers in world for n in numbers}
        assert uses.targets == now
        assert gone == before - now
        before = now
