"""Units are fetched once, a few at a time."""

from __future__ import annotations

import asyncio
from typing import cast

from portico_dataplane.feed.link import Link, UnitError
from portico_dataplane.feed.units import Units
from portico_ir.model import IR_VERSION, Manifest


class Source:
    """Has every unit but those that are `away`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away: set[str] = set()
        self.open = 0
        self.most = 0

    async def fetch(self, known: str) -> bytes:
        self.asked.append(known)
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        if known in self.away:
            raise UnitError("answered 404")
        return known.encode()


def manifest(*digests: str) -> Manifest:
    return Manifest(ir_version=IR_VERSION, units={f"api/{known}": known for known in digests})


async def test_what_is_here_is_not_asked_for() -> None:
    source, units = Source(), Units()
    units.put({"a": b"a"})
    assert await units.fetch(manifest("a", "b"), cast(Link, source)) == ""
    assert source.asked == ["b"]
    assert await units.fetch(manifest("a", "b"), cast(Link, source)) == ""
    assert source.asked == ["b"]
    assert units.encoded(manifest("a", "b")) == {"a": b"a", "b": b"b"}
    assert bytes(units.of(manifest("a"))["api/a"]) == b"a"


async def test_two_names_of_one_unit_are_one_unit() -> None:
    source, units = Source(), Units()
    twice = Manifest(ir_version=IR_VERSION, units={"api/x": "a", "api/y": "a"})
    assert await units.fetch(twice, cast(Link, source)) == ""
    assert source.asked == ["a"]
    assert set(units.of(twice)) == {"api/x", "api/y"}


async def test_a_few_at_a_time() -> None:
    source, units = Source(), Units()
    many = manifest(*(f"{number:03}" for number in range(100)))
    assert await units.fetch(many, cast(Link, source)) == ""
    assert len(source.asked) == 100
    assert 1 < source.most <= 8


async def test_what_could_be_had_is_kept_for_the_next_try() -> None:
    source, units = Source(), Units()
    source.away = {"b"}
    assert await units.fetch(manifest("a", "b", "c"), cast(Link, source)) == "api/b: answered 404"
    source.away = set()
    source.asked.clear()
    assert await units.fetch(manifest("a", "b", "c"), cast(Link, source)) == ""
    assert source.asked == ["b"]


async def test_what_is_no_longer_named_is_forgotten() -> None:
    source, units = Source(), Units()
    await units.fetch(manifest("a", "b"), cast(Link, source))
    units.retain({"b"})
    await units.fetch(manifest("a", "b"), cast(Link, source))
    assert source.asked == ["a", "b", "a"]
