"""The wiring of a process, as far as it goes without one; the rest is in tests/integration."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from fake_worker import COMMAND
from portico_dataplane.__main__ import _run, main
from portico_dataplane.settings import Settings
from portico_ir.codec import encode
from snapshots import snapshot_of


def settings(snapshot: Path) -> Settings:
    return Settings(
        host="127.0.0.1", port=0, admin_port=0, workers=1, snapshot=str(snapshot), drain_delay_s=0
    )


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    path = tmp_path / "snapshot.json"
    path.write_bytes(encode(snapshot_of({"gateway": b"{}"})))
    return path


async def test_a_file_that_cannot_be_served_is_one_line_and_1(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await _run(settings(tmp_path / "absent.json")) == 1

    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("portico_dataplane: ")
    assert line.endswith("absent.json: No such file or directory")


async def test_workers_that_never_start_are_given_up(
    snapshot: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with asyncio.timeout(60):
        assert await _run(settings(snapshot), (*COMMAND, "fail")) == 1

    said = capfd.readouterr().err
    assert "portico_dataplane: no worker starts: the engine is broken" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("mode", ["serve", "hang", "die"])
async def test_told_to_end_at_any_moment(snapshot: Path, mode: str) -> None:
    former = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    task = asyncio.create_task(_run(settings(snapshot), (*COMMAND, mode)))
    async with asyncio.timeout(60):
        while signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
            await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)
        code = await task
    signal.signal(signal.SIGTERM, former)

    assert code == 0


def test_wrong_usage_exits_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["portico_dataplane", "--workers", "none"])
    with pytest.raises(SystemExit) as exit_:
        main()

    assert exit_.value.code == 2
