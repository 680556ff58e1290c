"""Units on the shelf."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from portico_operator.delivery import units
from portico_operator.delivery.units import Shelf


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_unit_is_compressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    compress = units._gzip

    def counted(data: bytes) -> bytes:
        made.append(len(data))
        return compress(data)

    monkeypatch.setattr(units, "_gzip", counted)
    shelf = Shelf(Clock())
    large = b"x" * 200_000
    shelf.replace({"a": large, "b": b"small"})
    answers = await asyncio.gather(*(shelf.gzipped("a") for _ in range(20)), shelf.gzipped("b"))
    assert all(gzip.decompress(answer or b"") == large for answer in answers[:-1])
    assert sorted(made) == [5, 200_000]
    shelf.replace({"a": large})
    await shelf.gzipped("a")
    assert len(made) == 2


async def test_what_was_dropped_is_there_for_a_moment() -> None:
    clock = Clock()
    shelf = Shelf(clock)
    shelf.replace({"a": b"1"})
    shelf.replace({"b": b"2"})
    assert shelf.encoded("a") == b"1"
    clock.now = 11
    shelf.replace({"c": b"3"})
    assert shelf.encoded("a") is None
    assert await shelf.gzipped("a") is None
    assert shelf.encoded("b") == b"2"
    shelf.replace({"b": b"2"})
    clock.now = 100
    shelf.replace({"b": b"2"})
    assert shelf.encoded("b") == b"2"


def test_memory_is_bounded() -> None:
    shelf = Shelf(Clock())
    for number in range(1_000):
        shelf.replace({str(number): b"x"})
    assert len(shelf._dropped) <= 64
