"""A worker with its real engine, told what to do over a real channel."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
import pytest
import uvloop

from gateway_process import HOST, shop
from portico_dataplane.settings import Settings
from portico_dataplane.tasks import spawn
from portico_dataplane.workers.channel import (
    Announce,
    Applied,
    Apply,
    Begin,
    Channel,
    Drain,
    Endpoints,
    Order,
    Pull,
    Pulled,
    Report,
    Serving,
    Started,
    Units,
    reports,
)
from portico_dataplane.workers.snapshot_file import Wanted, prepare
from portico_dataplane.workers.sockets import listen
from portico_dataplane.workers.worker import Worker
from portico_ir.codec import decode_snapshot, encode
from portico_ir.model import EndpointSet


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A worker configures its process's log."""
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising


class Employer:
    """The supervisor's side of one worker in this process."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.closed = False
        self.happened = asyncio.Event()
        self.worker = Worker()
        self.channel: Channel[Report]
        self.task: asyncio.Task[None]

    async def open(self, settings: Settings | None = None, *already: Order) -> Employer:
        """`already` are orders that wait in the channel when the worker begins to read."""
        ours, theirs = socket.socketpair()
        self.channel = reports(self._take, self._lost)
        await self.channel.open(ours)
        ((listening,),) = listen("127.0.0.1", 0, 1, 16)
        self.port = listening.getsockname()[1]
        self.channel.send(Begin(settings or Settings(), 0, [listening.detach()]))
        for order in already:
            self.channel.send(order)
        self.task = spawn(self.worker.run(theirs), name="worker")
        return self

    def _take(self, report: Report) -> None:
        self.reports.append(report)
        self.happened.set()

    def _lost(self, error: Exception | None) -> None:
        self.closed = True
        self.happened.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not reached():
                self.happened.clear()
                await self.happened.wait()

    async def next(self, kind: type[Report]) -> Report:
        """The next report of this kind; it is taken from the list."""
        await self.until(lambda: any(isinstance(report, kind) for report in self.reports))
        found = next(report for report in self.reports if isinstance(report, kind))
        self.reports.remove(found)
        return found

    def offer(self, wanted: Wanted) -> None:
        self.channel.send(Units(wanted.units))
        self.channel.send(Apply(wanted.serial, wanted.manifest, wanted.endpoints))

    async def get(self, path: str) -> int:
        """Status of a request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return int(answer.split()[1])


@pytest.fixture
async def employer() -> AsyncIterator[Employer]:
    made = await Employer().open()
    yield made
    made.channel.send(Drain(0))
    async with asyncio.timeout(30):
        await asyncio.wait([made.task])


def wanted(serial: int, *paths: str, refused: str = "") -> Wanted:
    # Nothing listens on port 1: a route that exists answers 503, one that does not 404.
    document = shop("http://127.0.0.1:1", *paths, refused=refused)
    return prepare(decode_snapshot(document), serial, serial)


async def test_it_listens_only_once_its_first_snapshot_serves(employer: Employer) -> None:
    assert isinstance(await employer.next(Started), Started)
    early = asyncio.create_task(employer.get("/pets"))
    await asyncio.sleep(0)
    first = wanted(1, "/pets")
    employer.offer(first)
    applied = await employer.next(Applied)

    assert applied == Applied(1, first.digest, {})
    assert isinstance(await employer.next(Serving), Serving)
    assert await early == 503  # waited in the queue, then met a route


async def test_each_snapshot_is_acknowledged_and_serves(employer: Employer) -> None:
    for serial, path in enumerate(("/one", "/two", "/three"), 1):
        employer.offer(wanted(serial, path))
        applied = await employer.next(Applied)
        assert isinstance(applied, Applied)
        assert applied.serial == serial
        assert await employer.get(path) == 503
        assert await employer.get("/absent") == 404
    assert sum(isinstance(report, Serving) for report in employer.reports) == 1


async def test_units_are_sent_once_and_remembered(employer: Employer) -> None:
    first, second = wanted(1, "/one"), wanted(2, "/two")
    employer.offer(first)
    await employer.next(Applied)
    lacking = {d: unit for d, unit in second.units.items() if d not in first.units}
    assert len(lacking) == 1
    employer.channel.send(Units(lacking))
    employer.channel.send(Apply(2, second.manifest, second.endpoints))

    assert await employer.next(Applied) == Applied(2, second.digest, {})


async def test_a_refused_unit_is_named(employer: Employer) -> None:
    employer.offer(wanted(1, "/pets", refused="api/odd"))
    applied = await employer.next(Applied)

    assert isinstance(applied, Applied)
    assert list(applied.refused) == ["api/odd"]
    assert await employer.get("/pets") == 503


async def test_what_cannot_be_applied_costs_nothing_that_serves(employer: Employer) -> None:
    """A unit that was never sent: a bug of the supervisor's, say."""
    employer.offer(wanted(1, "/one"))
    await employer.next(Applied)
    second = wanted(2, "/two")
    employer.channel.send(Apply(2, second.manifest, second.endpoints))
    applied = await employer.next(Applied)

    assert isinstance(applied, Applied)
    assert applied.digest == ""
    assert list(applied.refused) == ["*"]
    assert await employer.get("/one") == 503


async def test_readings(employer: Employer) -> None:
    employer.channel.send(Pull(1))
    early = await employer.next(Pulled)
    employer.offer(wanted(1, "/pets"))
    await employer.next(Applied)
    await employer.get("/pets")
    employer.channel.send(Pull(2))
    pulled = await employer.next(Pulled)

    assert isinstance(early, Pulled)
    assert isinstance(pulled, Pulled)
    assert early.serial == 1
    assert pulled.readings.series["default", "shop", "http", "$default", ""][5] == 1
    assert pulled.readings.gauges["requests_in_flight"] == 0
    assert pulled.readings.process.resident_bytes > 0


def test_a_pull_that_waits_when_it_starts_is_answered() -> None:
    """Unanswered it would count as hanging, and be killed. On uvloop, as workers run: there what
    waits in the channel is taken before the channel is said to be open."""

    async def started() -> Pulled:
        employer = await Employer().open(None, Pull(7))
        try:
            pulled = await employer.next(Pulled)
        finally:
            employer.channel.send(Drain(0))
            await asyncio.wait([employer.task], timeout=30)
        assert isinstance(pulled, Pulled)
        return pulled

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(started()).serial == 7


async def test_endpoints_that_overtake_the_first_snapshot_are_not_lost(
    employer: Employer,
) -> None:
    first = wanted(1, "/pets")
    employer.offer(first)
    employer.channel.send(Endpoints(encode(EndpointSet(sequence=9))))
    await employer.next(Applied)
    await employer.until(lambda: employer.worker._endpoints is None)

    gateway = employer.worker._gateway
    assert gateway is not None
    assert not gateway.set_endpoints(EndpointSet(sequence=8))


async def test_told_to_drain_it_says_its_last_word_and_ends(employer: Employer) -> None:
    employer.offer(wanted(1, "/pets"))
    await employer.next(Applied)
    await employer.get("/pets")
    employer.channel.send(Announce())
    employer.channel.send(Drain(0))
    async with asyncio.timeout(30):
        await employer.task
    await employer.until(lambda: employer.closed)

    last = employer.reports[-1]
    assert isinstance(last, Pulled)
    assert last.serial == 0
    assert last.readings.series["default", "shop", "http", "$default", ""][5] == 1
    assert employer.worker.drained


async def test_an_orphan_ends() -> None:
    employer = await Employer().open()
    await employer.next(Started)
    employer.channel.close()
    async with asyncio.timeout(30):
        await employer.task

    assert not employer.worker.drained


def test_it_does_not_outlive_a_parent_that_is_gone() -> None:
    """The parent it is told of is not its parent: it must have died meanwhile."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ended = subprocess.run(
            [sys.executable, "-m", "portico_dataplane.workers.worker", str(theirs.fileno()), "1"],
            pass_fds=(theirs.fileno(),),
            capture_output=True,
            timeout=60,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr == b""


def test_settings_cross_the_channel_whole() -> None:
    settings = Settings(port=1, access_log="dev", head_timeout_s=0.5)
    begin = Begin(settings, 0, [3])

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(begin), type=Begin) == begin
