"""The last good snapshot: whole or not at all, and for this user only."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from portico_dataplane.feed import lastgood
from portico_dataplane.feed.lastgood import Keeper, Kept, LastGood, as_served
from portico_ir.codec import digest
from portico_ir.model import IR_VERSION, Endpoint, EndpointSet, Manifest

ENDPOINTS = EndpointSet(sequence=3, upstreams={"a": (Endpoint(host="10.0.0.1", port=80),)})


def kept(*contents: bytes, version: int = IR_VERSION) -> Kept:
    units = {digest(content): content for content in contents}
    return Kept(
        manifest=Manifest(
            ir_version=version, units={f"api/{n}": known for n, known in enumerate(units)}
        ),
        units=units,
        endpoints=ENDPOINTS,
        marks={"Route": "7"},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "last-good"


def test_what_was_kept_comes_back(folder: Path) -> None:
    last_good = LastGood(str(folder))
    assert last_good.load() is None
    last_good.keep(kept(b"1", b"2"))
    assert LastGood(str(folder)).load() == kept(b"1", b"2")
    last_good.keep(kept(b"2", b"3"))
    assert last_good.load() == kept(b"2", b"3")
    assert sorted(os.listdir(folder / "units")) == sorted([digest(b"2"), digest(b"3")])


def test_nobody_else_can_read_it(folder: Path) -> None:
    before = os.umask(0)
    try:
        LastGood(str(folder)).keep(kept(b"1"))
    finally:
        os.umask(before)
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_one_edit_writes_one_unit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last_good = LastGood(str(folder))
    last_good.keep(kept(b"1", b"2"))
    written: list[str] = []
    write = lastgood._write

    def counted(path: Path, data: bytes) -> None:
        written.append(path.name)
        write(path, data)

    monkeypatch.setattr(lastgood, "_write", counted)
    last_good.keep(kept(b"1", b"3"))
    assert written == [digest(b"3"), "index.json"]


@pytest.mark.parametrize("damage", ["unit", "index", "gone", "version", "empty"])
def test_what_is_damaged_is_not_served(folder: Path, damage: str) -> None:
    last_good = LastGood(str(folder))
    last_good.keep(kept(b"1", version=99 if damage == "version" else IR_VERSION))
    unit, index = folder / "units" / digest(b"1"), folder / "index.json"
    match damage:
        case "unit":
            unit.write_bytes(b"2")
        case "gone":
            unit.unlink()
        case "index":
            index.write_bytes(index.read_bytes()[:-5])
        case "empty":
            index.write_bytes(b"")
        case _:
            assert damage == "version"
    assert last_good.load() is None


def test_a_crash_while_writing_leaves_the_one_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_good = LastGood(str(folder))
    last_good.keep(kept(b"1"))
    renames: list[str] = []
    replace = os.replace

    def crash(source: Path, target: Path) -> None:
        renames.append(target.name)
        if target.name == "index.json":
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="No space"):
        last_good.keep(kept(b"2"))
    assert last_good.load() == kept(b"1")
    monkeypatch.undo()
    last_good.keep(kept(b"2"))
    assert last_good.load() == kept(b"2")


async def test_a_volume_that_is_full_is_told_once_and_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    last_good = LastGood(str(folder))
    failures = 3
    keep = LastGood.keep
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def full(self: LastGood, what: Kept) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OSError(28, "No space left on device")
        keep(self, what)
        loop.call_soon_threadsafe(done.set)

    monkeypatch.setattr(LastGood, "keep", full)
    keeper = Keeper(last_good, lambda: kept(b"1"))
    keeper.changed = True
    task = asyncio.create_task(keeper.run(0.001))
    await asyncio.wait_for(done.wait(), 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert last_good.load() == kept(b"1")
    assert len([r for r in caplog.records if r.message == "last good snapshot not kept"]) == 1


def test_a_refused_api_stands_as_it_was_and_others_as_they_are() -> None:
    before = Manifest(
        ir_version=1,
        units={"gateway": "g1", "api/n/K/a": "a1", "routes/n/K/a/*/0": "r1", "api/n/K/b": "b1"},
    )
    after = Manifest(
        ir_version=1,
        units={"gateway": "g2", "api/n/K/a": "a2", "routes/n/K/a/*/1": "r2", "api/n/K/c": "c2"},
    )
    assert as_served(after, {}, before) is after
    assert as_served(after, {"routes/n/K/a/*/1": "why"}, before).units == {
        "gateway": "g2",
        "api/n/K/a": "a1",
        "routes/n/K/a/*/0": "r1",
        "api/n/K/c": "c2",
    }
    assert as_served(after, {"gateway": "why"}, before).units["gateway"] == "g1"
    assert "api/n/K/c" not in as_served(after, {"api/n/K/c": "why"}, before).units
    assert "gateway" not in as_served(after, {"gateway": "why"}, None).units
