"""`make compiled`: the data plane in build/compiled/, its hot modules compiled with mypyc.

The same sources: copied, then compiled where they lie, so that the checkout stays interpreted
and `PYTHONPATH=build/compiled` chooses. Called by the Makefile and by the benchmark. Promises:
nothing is done when neither sources nor tools changed (a digest of both lies beside the result);
what lies there is always whole, because it is built beside and swapped; without a C compiler it
says so and exits with 3.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from modules import HOT, PACKAGES

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ROOT / "dataplane"
PLACE: Final = ROOT / "build" / "compiled"
DIGEST: Final = ".digest"
LIBRARY: Final = "portico_native"
NO_COMPILER: Final = 3
"""Exit code: nothing is wrong with the tree, this machine cannot compile."""
_TOOLS: Final = ("mypy", "setuptools")


class Failed(Exception):
    """The build went wrong; the message is for people."""


def lacking() -> str:
    """Why this machine cannot compile; empty when it can."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(command[0]) is None:
        return f"no C compiler: {command[0]} is not on the PATH (Debian: apt-get install gcc)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "no Python.h: the headers of this Python are missing (Debian: python3-dev)"
    return ""


def sources() -> list[Path]:
    """Every file that is laid into the result, in order."""
    return sorted(
        path
        for package in PACKAGES
        for path in (SOURCES / package).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    )


def digest() -> str:
    """Of all that the result depends on."""
    found = hashlib.sha256()
    about = [sys.version, platform.machine(), sysconfig.get_config_var("EXT_SUFFIX"), *HOT]
    about += [f"{name} {importlib.metadata.version(name)}" for name in _TOOLS]
    about += [os.environ.get(name, "") for name in ("CC", "CFLAGS", "LDFLAGS")]
    for text in about:
        found.update(f"{text}\0".encode())
    for path in [Path(__file__), *sources()]:
        found.update(f"{path.relative_to(ROOT)}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def is_current(place: Path, wanted: str) -> bool:
    """Whether what lies there was made from exactly this."""
    try:
        return (place / DIGEST).read_text() == wanted
    except OSError:
        return False


def build(place: Path = PLACE) -> bool:
    """Make `place` current; False when it was already. `Failed`: what lies there is as before."""
    wanted = digest()
    if is_current(place, wanted):
        return False
    beside = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        for path in sources():
            copy = beside / path.relative_to(SOURCES)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        compile_in(beside)
        (beside / DIGEST).write_text(wanted)
        shutil.rmtree(place, ignore_errors=True)
        beside.rename(place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return True


def compile_in(place: Path) -> None:
    """Compile the hot modules of a copy; the C code goes again."""
    command = [sys.executable, __file__, "--here"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        raise Failed(f"{said[-4000:]}\nthe hot modules do not compile")
    missing = [name for name in HOT if not native_file(place, name).exists()]
    if missing:
        raise Failed(f"{said[-4000:]}\nnot compiled: {', '.join(missing)}")
    shutil.rmtree(place / "build")
    shutil.rmtree(place / ".mypy_cache", ignore_errors=True)


def native_file(place: Path, module: str) -> Path:
    """Where the compiled module lies."""
    return place / (module.replace(".", "/") + str(sysconfig.get_config_var("EXT_SUFFIX")))


def compile_here() -> None:
    """Compile the hot modules of the current directory; run as a process of its own, because
    mypyc and setuptools print, exit and change the process they run in."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    class AllCores(build_ext):
        """setuptools compiles the files of one library one after another."""

        def build_extensions(self) -> None:
            compiler: Any = self.compiler
            one_by_one = compiler.compile

            def at_once(files: list[str], **options: Any) -> list[str]:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    done = pool.map(lambda file: one_by_one([file], **options), files)
                    return [name for names in done for name in names]

            compiler.compile = at_once
            super().build_extensions()

    # An empty configuration: the checkout's points at the checkout. Errors elsewhere are
    # `make check`'s business.
    options = ["--config-file=", "--follow-imports=silent"]
    files = [name.replace(".", "/") + ".py" for name in HOT]
    extensions = mypycify(
        [*options, *files], opt_level="3", debug_level="0", multi_file=True, group_name=LIBRARY
    )
    distribution = Distribution({"name": LIBRARY, "ext_modules": extensions})
    command = AllCores(distribution)
    command.inplace = True
    command.ensure_finalized()
    command.run()


def main(arguments: list[str]) -> int:
    if arguments == ["--here"]:
        compile_here()
        return 0
    if arguments:
        print("usage: native/build.py", file=sys.stderr)
        return 2
    why = lacking()
    if why:
        print(f"skipped, not compiled: {why}", file=sys.stderr)
        return NO_COMPILER
    try:
        new = build()
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    place = os.path.relpath(PLACE)
    print(f"{place}: {len(HOT)} modules compiled" if new else f"{place} is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
