"""StatusWriter: bounded, fenced by the Lease, never raising."""

from __future__ import annotations

from typing import Any

import pytest

from fake_kube import FakeKube, error, item
from portico_compiler import ObjectRef
from portico_operator.cluster.resources import OURS
from portico_operator.cluster.status_writer import Outcome, StatusWriter, write_all

ROUTE = ObjectRef("Route", "n", "r")
PATH = OURS["Route"].path("n", "r", "status")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def writer(kube: FakeKube, leads: bool = True, clock: Clock | None = None) -> StatusWriter:
    return StatusWriter(kube, lambda: leads, rate=10.0, burst=5.0, clock=clock or Clock())


async def test_a_status_names_the_object_by_uid() -> None:
    kube = FakeKube()
    kube.answers["PATCH", PATH] = item("r", 7, status={"observedGeneration": 3})
    outcome = await writer(kube).write(ROUTE, "uid", {"observedGeneration": 3})
    assert outcome.written is not None
    assert outcome.written.version == 7
    (_, _, params, body) = kube.asked[0]
    assert params == {
        "fieldManager": "portico-operator",
        "force": "true",
        "fieldValidation": "Strict",
    }
    assert body["metadata"] == {"name": "r", "uid": "uid", "namespace": "n"}
    assert body["kind"] == "Route"


async def test_nothing_is_sent_without_the_lease() -> None:
    kube = FakeKube()
    assert await writer(kube, leads=False).write(ROUTE, "u", {}) == Outcome(None, retry=False)
    assert not kube.asked


@pytest.mark.parametrize(
    ("status", "retry"),
    [(404, False), (409, False), (422, False), (403, False), (500, True), (0, True)],
)
async def test_failures(status: int, retry: bool) -> None:
    kube = FakeKube()
    kube.answers["PATCH", PATH] = error(status)
    assert await writer(kube).write(ROUTE, "u", {}) == Outcome(None, retry)


async def test_the_rate_is_bounded_with_a_burst() -> None:
    kube, clock = FakeKube(), Clock()
    kube.answers["PATCH", PATH] = item("r", 7)
    one = writer(kube, clock=clock)
    assert one.room() == 5
    for _ in range(5):
        await one.write(ROUTE, "u", {})
    assert one.room() == 0
    clock.now = 0.35
    assert one.room() == 3
    clock.now = 100.0
    assert one.room() == 5


async def test_all_are_written_and_told_of() -> None:
    kube = FakeKube()
    done: list[tuple[ObjectRef, Outcome]] = []
    writes: list[tuple[ObjectRef, str, dict[str, Any]]] = [
        (ObjectRef("Route", "n", f"r{number}"), "u", {}) for number in range(40)
    ]
    await write_all(writer(kube), writes, lambda ref, outcome: done.append((ref, outcome)))
    assert {ref for ref, _ in done} == {ref for ref, _, _ in writes}
