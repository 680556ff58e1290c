"""A change is noticed, whatever kind it is; waiting is for the change, not for a clock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from portico_cli.watch import Watch

PATIENCE_S = 30.0


async def notices(watch: Watch) -> None:
    await asyncio.wait_for(watch.changed(), PATIENCE_S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text("a: 1")
    return tmp_path


def replaced(folder: Path) -> None:
    (folder / "tmp").write_text("a: 2")
    os.replace(folder / "tmp", folder / "a.yaml")


def same_size_and_time(folder: Path) -> None:
    """As an editor that restores times: only the inode tells."""
    times = os.stat(folder / "a.yaml")
    (folder / "tmp").write_text("a: 3")
    os.utime(folder / "tmp", ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(folder / "tmp", folder / "a.yaml")


def added_below(folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d/x.yaml").write_text("")


def edit(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": edit("a.yaml", "a: 22"),
    "replaced": replaced,
    "replaced, same size and time": same_size_and_time,
    "removed": lambda folder: (folder / "a.yaml").unlink(),
    "added": edit("b.yaml", "b: 1"),
    "renamed": lambda folder: (folder / "a.yaml").rename(folder / "c.yaml"),
    "added below": added_below,
    "backends": edit("portico.dev.yaml", "services: {}"),
    "a loop": lambda folder: (folder / "loop").symlink_to("."),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_changes_are_noticed(folder: Path, name: str) -> None:
    watch = Watch([str(folder)])
    watch.mark()
    CHANGES[name](folder)
    await notices(watch)


async def test_a_change_while_waiting_is_noticed_once(folder: Path) -> None:
    watch = Watch([str(folder)])
    watch.mark()
    waiting = asyncio.ensure_future(watch.changed())
    await asyncio.sleep(0)
    (folder / "a.yaml").write_text("a: 22")
    await asyncio.wait_for(waiting, PATIENCE_S)
    again = asyncio.ensure_future(watch.changed())
    done, _ = await asyncio.wait([again], timeout=0.5)
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
    assert not done


async def test_what_is_no_manifest_is_not_watched(folder: Path) -> None:
    watch = Watch([str(folder)])
    watch.mark()
    (folder / "notes.txt").write_text("x")
    waiting = asyncio.ensure_future(watch.changed())
    done, _ = await asyncio.wait([waiting], timeout=0.5)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not done


async def test_a_backends_file_elsewhere_is_watched(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.txt"
    watch = Watch([str(folder)], [str(elsewhere)])
    watch.mark()
    elsewhere.write_text("services: {}")
    await notices(watch)
