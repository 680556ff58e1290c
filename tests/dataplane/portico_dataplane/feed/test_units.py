"""Units are fetched once, a few at a time, and nobody is asked for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from portico_dataplane.feed.files import Address
from portico_dataplane.feed.link import Link, UnitError
from portico_dataplane.feed.units import TRIES, Fetched, Units
from portico_ir.model import IR_VERSION, Manifest

ALL = Fetched({}, False)


class Source:
    """Has every unit but those that are `away`."""

    def __init__(self, port: int = 1) -> None:
        self.address = Address("operator", "10.0.0.1", port)
        self.is_open = True
        self.asked: list[str] = []
        self.away: set[str] = set()
        self.why = UnitError("answered 404")
        self.open = 0
        self.most = 0

    async def fetch(self, known: str) -> bytes:
        self.asked.append(known)
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        if known in self.away:
            raise self.why
        return known.encode()


def links(*sources: Source) -> Sequence[Link]:
    return [cast(Link, source) for source in sources]


def manifest(*digests: str) -> Manifest:
    return Manifest(ir_version=IR_VERSION, units={f"api/{known}": known for known in digests})


async def test_what_is_here_is_not_asked_for() -> None:
    source, units = Source(), Units()
    units.put({"a": b"a"})
    assert await units.fetch(manifest("a", "b"), links(source)) == ALL
    assert source.asked == ["b"]
    assert await units.fetch(manifest("a", "b"), links(source)) == ALL
    assert source.asked == ["b"]
    assert units.encoded(manifest("a", "b")) == {"a": b"a", "b": b"b"}
    assert bytes(units.of(manifest("a"))["api/a"]) == b"a"


async def test_two_names_of_one_unit_are_one_unit() -> None:
    source, units = Source(), Units()
    twice = Manifest(ir_version=IR_VERSION, units={"api/x": "a", "api/y": "a"})
    assert await units.fetch(twice, links(source)) == ALL
    assert source.asked == ["a"]
    assert set(units.of(twice)) == {"api/x", "api/y"}
    source.away = {"b"}
    twice = Manifest(ir_version=IR_VERSION, units={"api/x": "b", "api/y": "b"})
    assert set((await units.fetch(twice, links(source))).missing) == {"api/x", "api/y"}


async def test_a_few_at_a_time() -> None:
    source, units = Source(), Units()
    many = manifest(*(f"{number:03}" for number in range(100)))
    assert await units.fetch(many, links(source)) == ALL
    assert len(source.asked) == 100
    assert 1 < source.most <= 8


async def test_what_could_be_had_is_kept_for_the_next_try() -> None:
    source, units = Source(), Units()
    source.away = {"b"}
    missing, is_final = await units.fetch(manifest("a", "b", "c"), links(source))
    assert missing == {"api/b": "not fetched, tried 1 times: answered 404 (10.0.0.1:1)"}
    assert not is_final
    source.away = set()
    source.asked.clear()
    assert await units.fetch(manifest("a", "b", "c"), links(source)) == ALL
    assert source.asked == ["b"]


async def test_nobody_is_asked_for_ever() -> None:
    source, units = Source(), Units()
    source.away = {"b"}
    finals = [
        (await units.fetch(manifest("a", "b"), links(source))).is_final for _ in range(TRIES + 3)
    ]
    assert finals == [False] * (TRIES - 1) + [True] * 4
    assert source.asked.count("b") == TRIES
    # A newer manifest that still names it: nobody is asked again for it.
    found = await units.fetch(manifest("b", "c"), links(source))
    assert (set(found.missing), found.is_final) == ({"api/b"}, True)
    assert source.asked.count("b") == TRIES
    assert f"tried {TRIES} times: answered 404 (10.0.0.1:1)" in found.missing["api/b"]
    # It may have been mended.
    units.try_again()
    source.away = set()
    assert await units.fetch(manifest("b", "c"), links(source)) == ALL


async def test_each_replica_has_its_tries_and_any_of_them_will_do() -> None:
    one, two, units = Source(1), Source(2), Units()
    one.away = two.away = {"b"}
    finals = [(await units.fetch(manifest("b"), links(one, two))).is_final for _ in range(TRIES)]
    assert finals == [False] * (TRIES - 1) + [True]
    assert (len(one.asked), len(two.asked)) == (TRIES, TRIES)
    # Another one has appeared.
    three = Source(3)
    assert await units.fetch(manifest("b"), links(one, two, three)) == ALL
    assert len(one.asked) == len(two.asked) == TRIES
    assert three.asked == ["b"]


async def test_the_first_source_is_asked_first_and_the_others_only_if_need_be() -> None:
    one, two, units = Source(1), Source(2), Units()
    one.away = {"b"}
    assert await units.fetch(manifest("a", "b"), links(one, two)) == ALL
    assert one.asked == ["a", "b"]
    assert two.asked == ["b"]


async def test_a_stream_that_ended_says_nothing_of_the_unit() -> None:
    source, units = Source(), Units()
    source.away, source.is_open = {"b"}, False
    for _ in range(TRIES + 3):
        found = await units.fetch(manifest("b"), links(source))
        assert (set(found.missing), found.is_final) == ({"api/b"}, False)
    assert (await units.fetch(manifest("b"), ())).missing["api/b"]
    source.is_open = True
    assert not (await units.fetch(manifest("b"), links(source))).is_final


async def test_an_operator_that_cannot_answer_now_is_asked_again() -> None:
    source, units = Source(), Units()
    source.away, source.why = {"b"}, UnitError("answered 503", is_passing=True)
    for _ in range(TRIES + 3):
        assert not (await units.fetch(manifest("b"), links(source))).is_final


async def test_what_is_no_longer_named_is_forgotten() -> None:
    source, units = Source(), Units()
    source.away = {"c"}
    await units.fetch(manifest("a", "b", "c"), links(source))
    units.retain({"b"})
    assert units._tried == {}
    await units.fetch(manifest("a", "b"), links(source))
    assert source.asked == ["a", "b", "c", "a"]
