"""What a real node needs and only a network can give: programs, a base image, wheels.

`python -m node_supplies` prepares all of it under ~/.cache/portico, once, before tests/e2e/run
enters namespaces that have no network, and prints the key of what it has prepared; there
`supplies(key)` says where each thing lies, whatever has become of the sources. Promises: what is
in the cache is whole, and named after a digest of all that decides what is in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import helm
from control_plane import Missing, programs
from dockerfile import Context

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "portico" / "e2e"
PROGRAMS: Final = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "coredns",
    "pause",
)
SUITES: Final = {(3, 11): "bookworm", (3, 13): "trixie"}
"""Debian with the Python that the wheels are for."""
SOURCES: Final = (
    "Dockerfile",
    ".dockerignore",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "requirements",
    "dataplane",
    "operator",
    "native",
)
"""What the two images are built from."""
EXAMPLE: Final = "examples/petstore"
KEPT_S: Final = 3600
"""What nobody has used for so long goes: another run may be at work with what is younger."""


@dataclass(frozen=True, slots=True)
class Supplies:
    """Where everything lies."""

    key: str
    """Digest of what the images are built from."""
    programs: Path
    """Folder with every one of PROGRAMS."""
    base: Path
    """Root file system of the base image, as a tar file."""
    images: Path
    """Our images as `docker save` writes them; absent until they are built."""
    context: Path
    """What they are built from, wheels included; there only while they are absent."""


def supplies(key: str = "") -> Supplies:
    """Where everything lies, or will, for the sources as they are or as `key` has them."""
    folder = programs(PROGRAMS)
    base = CACHE / f"base-{_suite()}.tar"
    # The Makefile says which wheels there are.
    key = key or _digest([*_files(), ROOT / "Makefile"], str(folder), str(base))
    return Supplies(key, folder, base, CACHE / f"images-{key}.tar", CACHE / f"context-{key}")


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else makes anything in the cache: two runs that start at once make it once."""
    with open(CACHE / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare() -> str:
    """Fetch and build whatever is absent; the key of what is there then."""
    programs(PROGRAMS, building=_say)
    helm.binary()
    CACHE.mkdir(parents=True, exist_ok=True)
    with alone():
        for _ in range(5):
            wanted = supplies()
            _prepare(wanted)
            if supplies() == wanted:
                return wanted.key
            shutil.rmtree(wanted.context, ignore_errors=True)
    raise Missing("sources change while images are made of them: start again when they rest")


def _prepare(wanted: Supplies) -> None:
    _clear()
    if not wanted.base.exists():
        _say(f"making the base image from Debian {_suite()}, once")
        _make_base(wanted.base)
    if wanted.images.exists():
        os.utime(wanted.images)
    elif wanted.context.exists():
        os.utime(wanted.context)
    else:
        _say("collecting wheels for the images")
        _make_context(wanted.context)


def _clear() -> None:
    """What a killed run left half done, and what earlier states of the sources were built to."""
    for made in (*CACHE.glob(".*-*"), *CACHE.glob("images-*"), *CACHE.glob("context-*")):
        if made.lstat().st_mtime < time.time() - KEPT_S:
            shutil.rmtree(made) if made.is_dir() else made.unlink()


def _suite() -> str:
    version = sys.version_info[:2]
    if version not in SUITES:
        known = " or ".join(f"{major}.{minor}" for major, minor in SUITES)
        raise Missing(f"the images are built on Debian's Python {known}: .venv has another")
    return SUITES[version]


def _make_base(target: Path) -> None:
    """debootstrap, in namespaces of its own so that a killed run leaves no mount."""
    with tempfile.TemporaryDirectory(prefix=".base-", dir=CACHE) as place:
        root = Path(place) / "root"
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "debootstrap"]
        command += ["--variant=minbase", "--include=python3,python3-venv,ca-certificates"]
        _run([*command, _suite(), str(root)])
        for bulk in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
            shutil.rmtree(root / bulk, ignore_errors=True)
        packed = Path(place) / "base.tar"
        _run(["tar", "-C", str(root), "--one-file-system", "-cf", str(packed), "."])
        packed.rename(target)


def _make_context(target: Path) -> None:
    beside = Path(tempfile.mkdtemp(prefix=".context-", dir=CACHE))
    try:
        for path in _files():
            copy = beside / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        _run(["make", "--no-print-directory", "-C", str(ROOT), "wheels", f"WHEELS={beside}/wheels"])
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _files() -> list[Path]:
    return sorted({*_in_context(), *_below(ROOT / EXAMPLE)})


def _in_context() -> Iterator[Path]:
    """As .dockerignore has it; the project's wheel is made from the same files."""
    context = Context(ROOT)
    for name in SOURCES:
        for path in _below(ROOT / name):
            inside = str(path.relative_to(ROOT))
            if name in (".dockerignore", "Dockerfile") or context.includes(inside):
                yield path


def _below(path: Path) -> Iterable[Path]:
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    return [one for one in found if one.is_file() and "__pycache__" not in one.parts]


def _digest(files: Iterable[Path], *more: str) -> str:
    digest = hashlib.sha256("\0".join((*more, platform.machine())).encode())
    for path in files:
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"{' '.join(command)}:\n{(done.stdout + done.stderr).strip()[-3000:]}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        print(prepare())
    except (Missing, helm.HelmMissing) as why:
        sys.exit(f"make e2e: {why}")
