"""StatusWriter: many in flight, fenced by the Lease, every write answered for, never raising."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fake_kube import FakeKube, error, item, until
from portico_compiler import ObjectRef
from portico_operator.cluster.client import ApiError
from portico_operator.cluster.resources import OURS
from portico_operator.cluster.status_writer import Outcome, StatusWriter
from portico_operator.write_flow import WriteFlow

ROUTE = ObjectRef("Route", "n", "r")
PATH = OURS["Route"].path("n", "r", "status")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bed:
    """A writer, and what became of its writes."""

    def __init__(self, *, leads: bool = True, width: int = 8) -> None:
        self.kube, self.clock, self.time_left = FakeKube(), Clock(), 12.0 if leads else 0.0
        self.done: list[tuple[ObjectRef, Outcome]] = []
        flow = WriteFlow(0.0, rate=10.0, burst=100.0, width=width)
        for _ in range(width):
            flow.answered(0.0)
        self.writer = StatusWriter(self.kube, lambda: self.time_left, flow=flow, clock=self.clock)

    def begin(self, ref: ObjectRef = ROUTE, status: dict[str, Any] | None = None) -> None:
        self.writer.begin(
            ref, "uid", status or {}, lambda r, outcome: self.done.append((r, outcome))
        )

    async def write(self, status: dict[str, Any] | None = None) -> Outcome:
        before = len(self.done)
        self.begin(status=status)
        await until(lambda: len(self.done) > before)
        return self.done[-1][1]


async def test_a_status_names_the_object_by_uid() -> None:
    bed = Bed()
    bed.kube.answers["PATCH", PATH] = item("r", 7, status={"observedGeneration": 3})
    outcome = await bed.write({"observedGeneration": 3})
    assert outcome.written is not None
    assert (outcome.written.version, outcome.again) == (7, None)
    (_, _, params, body) = bed.kube.asked[0]
    assert params == {
        "fieldManager": "portico-operator",
        "force": "true",
        "fieldValidation": "Strict",
    }
    assert body["metadata"] == {"name": "r", "uid": "uid", "namespace": "n"}
    assert (body["kind"], body["apiVersion"]) == ("Route", "portico.dev/v1alpha1")
    assert body["status"] == {"observedGeneration": 3}


async def test_nothing_is_sent_without_the_lease() -> None:
    bed = Bed(leads=False)
    assert await bed.write() == Outcome(None, None)
    assert not bed.kube.asked


@pytest.mark.parametrize(("left", "takes"), [(12.0, 10.0), (4.0, 3.5), (0.6, 0.1), (0.5, None)])
async def test_a_write_does_not_outlive_our_leading(left: float, takes: float | None) -> None:
    bed = Bed()
    bed.time_left = left
    seen: list[float] = []

    class Timed(FakeKube):
        async def request(self, *given: Any, **more: Any) -> bytes:
            seen.append(round(more["timeout"], 6))
            return await super().request(*given, **more)

    bed.writer._client = kube = Timed()
    kube.answers["PATCH", PATH] = item("r", 7)
    outcome = await bed.write()
    assert seen == ([] if takes is None else [takes])
    assert (outcome.written is None) == (takes is None)


@pytest.mark.parametrize(
    ("status", "again"),
    [(404, 1.0), (409, 0.2), (500, 1.0), (400, 10.0), (401, 10.0), (403, 10.0), (422, 10.0)],
)
async def test_what_is_said_of_an_object_holds_up_no_other(status: int, again: float) -> None:
    bed = Bed()
    bed.kube.answers["PATCH", PATH] = error(status)
    assert await bed.write() == Outcome(None, again)
    assert bed.writer.room() == 8


@pytest.mark.parametrize("status", [0, 429, 502, 503, 504])
async def test_a_server_that_is_busy_or_away_holds_up_all_and_costs_no_object_its_turn(
    status: int,
) -> None:
    bed = Bed()
    bed.kube.answers["PATCH", PATH] = error(status)
    assert await bed.write() == Outcome(None, 0.0)
    assert bed.writer.room() == 0
    assert bed.writer.next_time() > 0
    bed.clock.now = bed.writer.next_time()
    assert bed.writer.room() == 4


@pytest.mark.parametrize("status", [429, 503])
async def test_the_server_says_how_long_to_wait(status: int) -> None:
    bed = Bed()
    bed.kube.answers["PATCH", PATH] = ApiError(status, "", "later", retry_after=3.0)
    assert await bed.write() == Outcome(None, 0.0)
    assert bed.writer.next_time() == 3.0


async def test_a_webhook_may_say_how_long_to_wait_for_one_object() -> None:
    bed = Bed()
    bed.kube.answers["PATCH", PATH] = ApiError(500, "", "webhook", retry_after=3.0)
    assert await bed.write() == Outcome(None, 3.0)
    assert bed.writer.room() == 8


async def test_an_answer_that_is_no_object_is_no_success() -> None:
    bed = Bed()
    bed.kube.answers["PATCH", PATH] = {"kind": "Status"}
    assert await bed.write() == Outcome(None, 0.0)


async def test_many_are_under_way_and_each_is_told_of() -> None:
    bed = Bed(width=6)
    waiting = asyncio.Event()
    most = 0

    class Slow(FakeKube):
        async def request(self, *given: Any, **more: Any) -> bytes:
            nonlocal most
            most = max(most, 6 - bed.writer.room())
            await waiting.wait()
            return await super().request(*given, **more)

    bed.writer._client = kube = Slow()
    refs = [ObjectRef("Route", "n", f"r{number}") for number in range(40)]
    for ref in refs:
        kube.answers["PATCH", OURS["Route"].path("n", ref.name, "status")] = item(ref.name, 7)
    left = list(refs)
    while left:
        for _ in range(min(bed.writer.room(), len(left))):
            bed.begin(left.pop())
        await asyncio.sleep(0)
        waiting.set()
        await until(lambda: bed.writer.room() > 0)
    await until(lambda: len(bed.done) == 40)
    assert most == 6
    assert sorted(ref for ref, _ in bed.done) == sorted(refs)
    assert all(outcome.written for _, outcome in bed.done)


async def test_a_write_that_breaks_in_an_unknown_way_is_answered_for() -> None:
    class Broken(FakeKube):
        async def request(self, *given: Any, **more: Any) -> bytes:
            raise failures.pop()

    failures: list[BaseException] = [RuntimeError("a library's own"), asyncio.CancelledError()]
    bed = Bed()
    bed.writer._client = Broken()
    room = bed.writer.room()
    bed.begin()
    bed.begin()
    await until(lambda: len(bed.done) == 2)
    assert [outcome for _, outcome in bed.done] == 2 * [Outcome(None, 10.0)]
    assert bed.writer.room() == room


async def test_closing_cuts_what_is_under_way() -> None:
    bed = Bed()

    class Hanging(FakeKube):
        async def request(self, *given: Any, **more: Any) -> bytes:
            await asyncio.Event().wait()
            raise AssertionError

    bed.writer._client = Hanging()
    bed.begin()
    await asyncio.sleep(0)
    await bed.writer.close()
    assert bed.done == []
    assert bed.writer.room() == 8


async def test_a_log_line_says_it_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    bed = Bed()
    bed.kube.answers["PATCH", PATH] = error(403)
    for _ in range(5):
        await bed.write()
    assert len(caplog.records) == 1
    assert "Route" in caplog.text
    bed.clock.now = 60.0
    await bed.write()
    assert len(caplog.records) == 2
