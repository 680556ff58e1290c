"""The supervisor over real processes that speak the channel without an engine."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from fake_worker import COMMAND, LABELS
from portico_dataplane.settings import Settings
from portico_dataplane.telemetry.line_writer import LineWriter
from portico_dataplane.telemetry.readings import Scrape
from portico_dataplane.workers.sockets import listen
from portico_dataplane.workers.supervisor import Supervisor
from portico_ir.codec import digest, encode
from snapshots import endpoints_of, snapshot_of

Start = Callable[..., Awaitable[Supervisor]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
async def start(log: Path) -> AsyncIterator[Start]:
    """Starts supervisors; ends them afterwards."""
    running: list[tuple[Supervisor, LineWriter, int]] = []

    async def started(mode: str, workers: int = 2) -> Supervisor:
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        writer = LineWriter(fd)
        settings = Settings(workers=workers, drain_seconds=0.1)
        slots = listen("127.0.0.1", 0, workers, 16)
        supervisor = Supervisor(settings, slots, writer, (*COMMAND, mode))
        running.append((supervisor, writer, fd))
        supervisor.start()
        return supervisor

    yield started
    for supervisor, writer, fd in running:
        await supervisor.close()
        writer.close(10)
        os.close(fd)


async def scraped(supervisor: Supervisor, enough: Callable[[Scrape], bool]) -> Scrape:
    """The first scrape that shows enough; each scrape waits for the workers by itself."""
    async with asyncio.timeout(30):
        while not enough(scrape := await supervisor.scrape()):
            pass
    return scrape


async def replaced(supervisor: Supervisor, pid: int | None) -> None:
    async with asyncio.timeout(30):
        while supervisor.unready() or any(w.pid == pid for w in supervisor.config().workers):
            await asyncio.sleep(0)


async def test_a_configuration_reaches_every_worker(start: Start) -> None:
    supervisor = await start("serve", workers=3)
    assert supervisor.unready() == "0 of 3 workers serve"
    snapshot = snapshot_of({"gateway": b"{}", "api/x": b"[]"})
    applied = await supervisor.apply(snapshot)

    assert applied.digest == digest(encode(snapshot.manifest))
    assert applied.acknowledged == 3
    assert applied.refused == {}
    assert {worker.digest for worker in supervisor.config().workers} == {applied.digest}


async def test_ready_only_when_every_worker_serves(start: Start) -> None:
    supervisor = await start("serve")
    await supervisor.apply(snapshot_of({"gateway": b"{}"}))
    async with asyncio.timeout(30):
        while supervisor.unready():
            await asyncio.sleep(0)

    pid = supervisor.config().workers[1].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        while supervisor.unready() != "1 of 2 workers serve":
            await asyncio.sleep(0)
        while supervisor.unready():
            await asyncio.sleep(0)
    assert supervisor.config().workers[1].restarts == 1


async def test_refusals_are_handed_on(start: Start) -> None:
    supervisor = await start("refuse")
    applied = await supervisor.apply(snapshot_of({"gateway": b"{}", "api/x": b"[]"}))

    assert applied.refused == {"api/x": "why"}
    scrape = await supervisor.scrape()
    assert scrape.config.refused_units == 1


async def test_metrics_are_the_sum_and_survive_a_worker(start: Start) -> None:
    """A fake worker counts one request at each asking."""
    supervisor = await start("serve")
    await supervisor.apply(snapshot_of({"gateway": b"{}"}))
    before = await scraped(supervisor, lambda s: s.series.get(LABELS, [0] * 9)[2] >= 4)
    assert before.gauges["requests_in_flight"] == 2
    assert before.counters["log_lines_dropped"] == 2

    pid = supervisor.config().workers[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await replaced(supervisor, pid)
    after = await scraped(supervisor, lambda s: "worker-0" in s.processes)

    assert after.series[LABELS][2] >= before.series[LABELS][2]
    assert after.counters["log_lines_dropped"] == 3
    assert after.counters["worker_restarts"] == 1
    assert after.processes["worker-0"].cpu_seconds == 2.0


async def test_what_is_served_is_dated(start: Start) -> None:
    supervisor = await start("serve")
    assert (await supervisor.scrape()).config.loaded_at == 0
    snapshot = snapshot_of({"gateway": b"{}"})
    await supervisor.apply(snapshot)
    first = (await supervisor.scrape()).config.loaded_at
    pid = supervisor.config().workers[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await replaced(supervisor, pid)

    scrape = await supervisor.scrape()
    assert scrape.config.loaded_at == first > 0  # a replacement is no new configuration
    assert scrape.config.digests == (digest(encode(snapshot.manifest)),)


async def test_a_worker_that_hangs_does_not_hold_up_a_scrape(start: Start) -> None:
    supervisor = await start("hang")
    await supervisor.apply(snapshot_of({"gateway": b"{}"}))

    assert (await supervisor.scrape()).gauges["workers"] == 2


async def test_endpoints_travel_alone_and_only_forward(start: Start, log: Path) -> None:
    supervisor = await start("serve", workers=1)
    supervisor.set_endpoints(endpoints_of("before/anything:80"))
    await supervisor.apply(snapshot_of({"gateway": b"{}"}, upstreams=("default/pets:80",)))
    supervisor.set_endpoints(endpoints_of("default/cats:80", sequence=5))
    supervisor.set_endpoints(endpoints_of("default/dogs:80", sequence=4))  # older: ignored
    supervisor.set_endpoints(endpoints_of("default/owls:80", sequence=6))
    await supervisor.apply(snapshot_of({"gateway": b"[]"}))
    await supervisor.drain(0)

    snapshot = supervisor.config().snapshot
    assert snapshot is not None
    assert snapshot.manifest.units == {"gateway": digest(b"[]")}
    told = [line.split(" ", 1)[1] for line in await lines(log, until="drain")]
    relevant = [line for line in told if line.startswith(("apply", "endpoints"))]
    assert relevant == ["apply 1", "endpoints 2", "endpoints 3", "apply 4"]


async def test_draining_is_in_order(start: Start, log: Path) -> None:
    supervisor = await start("serve", workers=1)
    await supervisor.apply(snapshot_of({"gateway": b"{}"}))
    await supervisor.drain(0)

    assert supervisor.unready() == "draining"
    told = [line.split(" ", 1)[1] for line in await lines(log, until="drain")]
    assert told[-2:] == ["announce", "drain 0.1"]
    assert supervisor.config().workers[0].restarts == 0


async def test_a_worker_that_stays_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portico_dataplane.workers.supervisor._GRACE_S", 0.0)
    supervisor = await start("stay")
    await supervisor.apply(snapshot_of({"gateway": b"{}"}))
    async with asyncio.timeout(30):
        await supervisor.drain(0)

    assert [worker.pid for worker in supervisor.config().workers] == [None, None]


async def test_the_port_is_free_when_it_has_ended(start: Start) -> None:
    supervisor = await start("serve")
    (port,) = {sock.getsockname()[1] for slot in supervisor._sockets for sock in slot}
    await supervisor.apply(snapshot_of({"gateway": b"{}"}))
    await supervisor.drain(0)

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))


async def test_no_worker_ever_starts(start: Start) -> None:
    supervisor = await start("die")
    async with asyncio.timeout(60):
        reason = await supervisor.hopeless

    assert reason == "exited with 3"


async def test_a_hanging_worker_is_replaced(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portico_dataplane.workers.supervisor._BEAT_S", 0.05)
    supervisor = await start("hang", workers=1)
    await supervisor.apply(snapshot_of({"gateway": b"{}"}))
    async with asyncio.timeout(60):
        while supervisor.config().workers[0].restarts == 0:
            await asyncio.sleep(0)


async def lines(log: Path, *, until: str) -> list[str]:
    """Lines of the log once one says `until`; the writer is a thread."""
    async with asyncio.timeout(30):
        while until not in (text := log.read_text()):
            await asyncio.sleep(0)
    return text.splitlines()
