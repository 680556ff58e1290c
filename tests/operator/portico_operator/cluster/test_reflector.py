"""Reflector: list, watch, and what it does when the server forgets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from fake_kube import FakeKube, error, item, listing, until
from portico_operator.cluster.client import ApiError
from portico_operator.cluster.reflector import Reflector
from portico_operator.cluster.resources import CORE
from portico_operator.tasks import end, spawn

PATH = CORE["Service"].path("n")


class Notes:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def has(self, count: int) -> bool:
        return len(self.seen) == count

    def read(self, raw: Mapping[str, Any]) -> Any:
        return raw["metadata"]["name"]

    def listed(self, items: list[Any], version: int) -> None:
        self.seen.append((items, version))

    def event(self, type_: str, raw: Mapping[str, Any]) -> None:
        self.seen.append((type_, raw["metadata"].get("name", "")))

    def absent(self, why: ApiError) -> None:
        self.seen.append(why.status)


@contextlib.asynccontextmanager
async def reflecting(kube: FakeKube) -> AsyncIterator[Notes]:
    notes = Notes()
    reflector = Reflector(kube, CORE["Service"], "n", notes, absent_every=0.001)
    task = spawn(reflector.run(), name="reflector")
    try:
        yield notes
    finally:
        await end((task,))


def watched_from(kube: FakeKube) -> list[str]:
    return [asked[2]["resourceVersion"] for asked in kube.asked if asked[0] == "WATCH"]


def event(type_: str, name: str, version: int) -> dict[str, Any]:
    return {"type": type_, "object": item(name, version)}


async def test_a_watch_goes_on_where_it_was() -> None:
    kube = FakeKube()
    kube.answers["GET", PATH] = listing(item("a", 5), version=10)
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "17"}}}
    kube.streams = [[event("ADDED", "b", 12)], [bookmark], [event("DELETED", "b", 18)]]
    async with reflecting(kube) as notes:
        await until(lambda: len(watched_from(kube)) == 4)
        assert notes.seen == [(["a"], 10), ("ADDED", "b"), ("BOOKMARK", ""), ("DELETED", "b")]
        assert watched_from(kube) == ["10", "12", "17", "18"]


async def test_a_version_that_is_forgotten_is_listed_again() -> None:
    gone = {"type": "ERROR", "object": {"code": 410}}
    for stream in ([gone], [error(410)]):
        kube = FakeKube()
        kube.answers["GET", PATH] = [listing(version=10), listing(item("a", 20), version=30)]
        kube.streams = [stream]
        async with reflecting(kube) as notes:
            await until(partial(notes.has, 2))
            assert notes.seen == [([], 10), (["a"], 30)]


async def test_a_cut_connection_costs_no_list() -> None:
    kube = FakeKube()
    kube.answers["GET", PATH] = listing(version=10)
    kube.streams = [[event("ADDED", "a", 11), error(0)], [event("ADDED", "b", 12)]]
    async with reflecting(kube) as notes:
        await until(lambda: len(notes.seen) == 3)
        assert notes.seen == [([], 10), ("ADDED", "a"), ("ADDED", "b")]
        assert watched_from(kube)[1] == "10"


async def test_a_kind_that_may_not_be_read_is_asked_for_again() -> None:
    kube = FakeKube()
    kube.answers["GET", PATH] = [error(403), error(404), listing(version=10)]
    async with reflecting(kube) as notes:
        await until(lambda: len(notes.seen) == 3)
        assert notes.seen == [403, 404, ([], 10)]
