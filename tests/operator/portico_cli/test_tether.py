"""The tether becomes the command, and says so when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import portico_cli

TETHER = Path(next(iter(portico_cli.__path__))) / "tether.py"


def tethered(parent: int, *command: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-I", "-S", str(TETHER), str(parent), *command]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def test_it_becomes_the_command() -> None:
    done = tethered(os.getpid(), sys.executable, "-c", "print('here'); raise SystemExit(7)")
    assert (done.returncode, done.stdout) == (7, "here\n")


def test_a_command_that_is_not_there() -> None:
    done = tethered(os.getpid(), "no-such-program")
    assert done.returncode == 127
    assert done.stderr == "no-such-program: No such file or directory\n"


def test_a_parent_that_is_gone_already() -> None:
    if sys.platform == "linux":
        assert tethered(1, sys.executable, "-c", "print('here')").stdout == ""
