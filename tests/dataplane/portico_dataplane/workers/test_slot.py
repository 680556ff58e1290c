"""One slot against real processes that speak the channel, well and badly."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from fake_worker import COMMAND
from portico_dataplane.settings import Settings
from portico_dataplane.tasks import spawn
from portico_dataplane.telemetry.readings import Readings
from portico_dataplane.workers.slot import Slot
from portico_dataplane.workers.snapshot_file import Wanted, prepare
from portico_ir.leases import Ask, Grant, Tokens
from snapshots import snapshot_of


class Owner:
    """Keeps what the slot tells."""

    def __init__(self) -> None:
        self.want: Wanted | None = None
        self.said: list[str] = []
        self.readings: list[Readings] = []
        self.asks: list[Ask] = []
        self.happened = asyncio.Event()

    def wanted(self) -> Wanted | None:
        return self.want

    def changed(self, slot: Slot) -> None:
        self.happened.set()

    def read(self, slot: Slot, readings: Readings) -> None:
        self.readings.append(readings)
        self.happened.set()

    def lines(self, text: bytes, lines: int) -> None:
        self.said += text.decode().splitlines()
        self.happened.set()

    def asked(self, slot: Slot, asks: list[Ask]) -> None:
        self.asks += asks
        self.happened.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not reached():
                self.happened.clear()
                await self.happened.wait()

    def told(self, word: str) -> list[str]:
        """What workers were told that begins so, without their process ids."""
        words = [line.partition(" ")[2] for line in self.said]
        return [text for text in words if text.startswith(word)]


Start = Callable[[str], Slot]


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
async def start(owner: Owner) -> AsyncIterator[Start]:
    """Starts a slot in a mode; ends it afterwards."""
    running: list[tuple[Slot, asyncio.Task[None], socket.socket]] = []

    def started(mode: str) -> Slot:
        listening = socket.socket()
        slot = Slot(0, Settings(), [listening], owner, (*COMMAND, mode))
        running.append((slot, spawn(slot.run(), name="slot"), listening))
        return slot

    yield started
    for slot, task, listening in running:
        slot.kill()
        await task
        listening.close()


def want(serial: int, *units: str) -> Wanted:
    return prepare(snapshot_of({unit: unit.encode() for unit in units}), serial, serial)


async def test_a_worker_gets_what_it_needs(start: Start, owner: Owner) -> None:
    owner.want = want(1, "a", "b")
    slot = start("serve")
    await owner.until(lambda: slot.acknowledged == 1)

    assert owner.told("") == ["begin 0 1 sockets", "units a b", "apply 1"]
    assert slot.serves
    assert slot.digest == owner.want.digest


async def test_only_units_it_lacks_are_sent(start: Start, owner: Owner) -> None:
    owner.want = want(1, "a", "b")
    slot = start("serve")
    await owner.until(lambda: slot.acknowledged == 1)
    owner.want = want(2, "b", "c")
    slot.offer()
    await owner.until(lambda: slot.acknowledged == 2)
    owner.want = want(3, "a", "b")  # `a` was forgotten with the manifest that listed it
    slot.offer()
    await owner.until(lambda: slot.acknowledged == 3)
    slot.offer()  # it has this one

    assert owner.told("units") == ["units a b", "units c", "units a"]
    assert len(owner.told("apply")) == 3


async def test_what_changes_meanwhile_is_sent_once_and_last(start: Start, owner: Owner) -> None:
    owner.want = want(1, "a")
    slot = start("serve")
    await owner.until(lambda: slot.pid is not None)
    for serial in range(2, 20):
        owner.want = want(serial, "a", f"only in {serial}")
        slot.offer()
    await owner.until(lambda: slot.acknowledged == 19)

    assert len(owner.told("apply")) <= 3


async def test_a_killed_worker_is_replaced_and_served_anew(start: Start, owner: Owner) -> None:
    owner.want = want(1, "a")
    slot = start("serve")
    await owner.until(lambda: slot.serves)
    first = slot.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await owner.until(lambda: slot.serves and slot.pid != first)

    assert slot.deaths == 1
    assert owner.told("units") == ["units a", "units a"]


async def test_why_a_worker_ended_is_known(start: Start, owner: Owner) -> None:
    slot = start("die")
    await owner.until(lambda: slot.deaths >= 3)
    assert slot.failure == "exited with 3"
    assert not slot.ever_served


async def test_a_worker_may_say_why_it_ends(start: Start, owner: Owner) -> None:
    slot = start("fail")
    await owner.until(lambda: slot.failure != "")

    assert slot.failure == "the engine is broken"


async def test_a_worker_that_talks_nonsense_is_replaced(start: Start, owner: Owner) -> None:
    owner.want = want(1, "a")
    slot = start("garbage")
    await owner.until(lambda: slot.deaths >= 1)

    assert "is longer than" in slot.failure


async def test_a_command_that_does_not_exist(owner: Owner) -> None:
    slot = Slot(0, Settings(), [], owner, ("/nonexistent/portico-worker",))
    task = spawn(slot.run(), name="slot")
    await owner.until(lambda: slot.failure != "")
    slot.kill()
    await task

    assert slot.failure == "cannot start: No such file or directory"


async def test_tokens_are_asked_for_and_granted(start: Start, owner: Owner) -> None:
    slot = start("ask")
    await owner.until(lambda: bool(owner.asks))
    assert owner.asks == [Ask("bucket", Tokens(1, 2), want=1.0)]
    slot.grant([Grant("bucket", 1.0)], 2)
    await owner.until(lambda: owner.told("grants") == ["grants bucket"])


async def test_readings_are_pulled(start: Start, owner: Owner) -> None:
    slot = start("serve")
    await slot.pull()  # nobody to ask yet
    await owner.until(lambda: bool(owner.told("begin")))
    assert slot.pull() is slot.pull()
    await slot.pull()
    await slot.pull()

    assert [reading.gauges["requests_in_flight"] for reading in owner.readings] == [1, 1]


async def test_a_pull_does_not_outlive_the_worker(start: Start, owner: Owner) -> None:
    slot = start("hang")
    await owner.until(lambda: slot.pid is not None)
    pull = slot.pull()
    slot.kill(replace=True)
    async with asyncio.timeout(30):
        await pull


async def test_draining_hears_the_last_words(start: Start, owner: Owner) -> None:
    owner.want = want(1, "a")
    slot = start("serve")
    await owner.until(lambda: slot.serves)
    slot.announce()
    slot.drain(2.5)
    await owner.until(lambda: slot.pid is None)

    assert owner.told("")[-2:] == ["announce", "drain 2.5"]
    assert len(owner.readings) == 1
    assert slot.deaths == 0


async def test_large_units_travel_in_several_frames(start: Start, owner: Owner) -> None:
    owner.want = want(1, *(str(n) * 3_000_000 for n in range(3)))
    slot = start("serve")
    await owner.until(lambda: slot.acknowledged == 1)

    assert len(owner.told("units")) == 3


async def test_whether_cluster_ips_may_stand_in_is_told_to_replacements_too(
    start: Start, owner: Owner
) -> None:
    slot = start("serve")
    await owner.until(lambda: bool(owner.told("begin")))
    slot.set_fallback(allowed=True)
    await owner.until(lambda: owner.told("fallback") == ["fallback True"])
    assert slot.pid is not None
    os.kill(slot.pid, signal.SIGKILL)
    await owner.until(lambda: owner.told("fallback") == ["fallback True"] * 2)
    slot.set_fallback(allowed=False)
    await owner.until(lambda: owner.told("fallback")[2:] == ["fallback False"])


async def test_answers_are_forgotten_where_they_are_kept(start: Start, owner: Owner) -> None:
    slot = start("serve")
    await owner.until(lambda: bool(owner.told("begin")))
    slot.flush("default/auth")
    await owner.until(lambda: owner.told("flush") == ["flush default/auth"])
