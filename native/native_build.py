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
from typing import Any, Final, NamedTuple

from hot_modules import HOT, PACKAGES

ROOT: Final = Path(__file__).resolve().parent.parent
SUFFIX: Final = str(sysconfig.get_config_var("EXT_SUFFIX"))
DIGEST: Final = ".digest"
LIBRARY: Final = "portico_native"
NO_COMPILER: Final = 3
"""Exit code: nothing is wrong with the tree, this machine cannot compile."""
HERE: Final = "--here"
"""Asks for the step that runs as a process of its own."""


class Failed(Exception):
    """The build went wrong; the message is for people."""


class Build(NamedTuple):
    """What is made of what."""

    sources: Path
    packages: tuple[str, ...]
    hot: tuple[str, ...]
    place: Path


CHECKOUT: Final = Build(ROOT / "dataplane", PACKAGES, HOT, ROOT / "build" / "compiled")


def lacking() -> str:
    """Why this machine cannot compile; empty when it can."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(command[0]) is None:
        return f"no C compiler: {command[0]} is not on the PATH (Debian: apt-get install gcc)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "no Python.h: the headers of this Python are missing (Debian: python3-dev)"
    return ""


def files_of(build: Build) -> list[Path]:
    """Every file that is laid into the result, relative to the sources, in order."""
    return sorted(
        path.relative_to(build.sources)
        for package in build.packages
        for path in (build.sources / package).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    )


def digest_of(build: Build) -> str:
    """Of all that the result depends on."""
    found = hashlib.sha256(Path(__file__).read_bytes())
    about = [sys.version, platform.machine(), SUFFIX, *build.hot]
    about += [f"{name} {importlib.metadata.version(name)}" for name in ("mypy", "setuptools")]
    about += [os.environ.get(name, "") for name in ("CC", "CFLAGS", "LDFLAGS")]
    for text in about:
        found.update(f"{text}\0".encode())
    for path in files_of(build):
        found.update(f"{path}\0".encode())
        found.update(hashlib.sha256((build.sources / path).read_bytes()).digest())
    return found.hexdigest()


def make(build: Build) -> bool:
    """Make the result current; False: it was. `Failed`: what lies there is as before."""
    wanted = digest_of(build)
    place = build.place
    try:
        if (place / DIGEST).read_text() == wanted:
            return False
    except OSError:
        pass  # there is none
    beside = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        for path in files_of(build):
            copy = beside / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(build.sources / path, copy)
        compile_in(beside, build.hot)
        (beside / DIGEST).write_text(wanted)
        shutil.rmtree(place, ignore_errors=True)
        beside.rename(place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return True


def compile_in(place: Path, hot: tuple[str, ...]) -> None:
    """Compile the hot modules of a copy; what was made on the way goes again."""
    command = [sys.executable, __file__, HERE, *hot]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    missing = [name for name in hot if not native_file(place, name).exists()]
    if done.returncode or missing:
        said = (done.stdout + done.stderr).strip()
        raise Failed(f"{said[-4000:]}\nnot compiled: {', '.join(missing)}")
    shutil.rmtree(place / "build")
    shutil.rmtree(place / ".mypy_cache", ignore_errors=True)


def native_file(place: Path, module: str) -> Path:
    """Where the compiled module lies."""
    return place / (module.replace(".", "/") + SUFFIX)


def compile_here(hot: list[str]) -> None:
    """Compile modules of the current directory; a process of its own, because mypyc and
    setuptools print, exit and change the process they run in."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    # An empty configuration: the checkout's points at the checkout. Errors elsewhere are
    # `make check`'s business.
    options = ["--config-file=", "--follow-imports=silent"]
    files = [name.replace(".", "/") + ".py" for name in hot]
    extensions = mypycify(
        [*options, *files], opt_level="3", debug_level="0", multi_file=True, group_name=LIBRARY
    )
    command: Any = build_ext(Distribution({"name": LIBRARY, "ext_modules": extensions}))
    command.inplace = True
    command.ensure_finalized()
    build_extensions = command.build_extensions

    def on_all_cores() -> None:
        """setuptools compiles the files of one library one after another."""
        one_by_one = command.compiler.compile

        def at_once(files: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                done = pool.map(lambda file: one_by_one([file], **options), files)
                return [name for names in done for name in names]

        command.compiler.compile = at_once
        build_extensions()

    command.build_extensions = on_all_cores
    command.run()


def main(arguments: list[str]) -> int:
    if arguments[:1] == [HERE]:
        compile_here(arguments[1:])
        return 0
    if arguments:
        print("usage: native/native_build.py", file=sys.stderr)
        return 2
    why = lacking()
    if why:
        print(f"skipped, not compiled: {why}", file=sys.stderr)
        return NO_COMPILER
    try:
        new = make(CHECKOUT)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    place = os.path.relpath(CHECKOUT.place)
    print(f"{place}: {len(HOT)} modules compiled" if new else f"{place} is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
