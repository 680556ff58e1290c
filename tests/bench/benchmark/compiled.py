"""The compiled build as the benchmark uses it: made when it can be, named when it cannot.

Called by `run.py` for the system `portico-compiled` and by `micro.py`. The build is
`native/native_build.py`'s; here is only how a process is told to take it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

ROOT = Path(__file__).resolve().parents[3]
PLACE = ROOT / "build" / "compiled"
NO_COMPILER = 3
"""Exit code of `native/native_build.py` where nothing can be compiled."""


def environment() -> dict[str, str]:
    """What makes Python take the compiled modules before the checkout's."""
    found = dict(os.environ)
    before = found.get("PYTHONPATH")
    found["PYTHONPATH"] = f"{PLACE}{os.pathsep}{before}" if before else str(PLACE)
    return found


def chosen() -> list[str]:
    """The same, as the beginning of a command."""
    return ["env", f"PYTHONPATH={environment()['PYTHONPATH']}"]


def prepare(console: Console) -> str:
    """Make the build current; why there is none, or nothing. A build that breaks ends the run."""
    console.print("compiling the hot modules, when they changed (a minute)")
    command = [sys.executable, str(ROOT / "native" / "native_build.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == NO_COMPILER:
        return done.stderr.strip()
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    return ""
