"""The compiled build: made once, of the same sources, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import native_build
from native_build import NO_COMPILER, Build, Failed, digest_of, lacking, make, native_file

HERE = Path(native_build.__file__)
TOY = """
from toy.names import name

def greeting(times: int) -> str:
    return f"hello {name()} " * times
"""


@pytest.fixture
def toy(tmp_path: Path) -> Build:
    package = tmp_path / "sources" / "toy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "names.py").write_text("def name() -> str:\n    return 'toy'\n")
    (package / "hot.py").write_text(TOY)
    return Build(tmp_path / "sources", ("toy",), ("toy.hot",), tmp_path / "build" / "compiled")


def imported(build: Build, module: str) -> str:
    """Where a process that is pointed at the build finds the module."""
    code = f"import {module} as found; print(found.__file__)"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(build.place)}
    return subprocess.check_output(command, env=environment, text=True).strip()


def test_without_a_compiler_it_says_so_and_nothing_is_wrong() -> None:
    environment = {**os.environ, "CC": "no-such-compiler -pthread"}
    done = subprocess.run(
        [sys.executable, str(HERE)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == NO_COMPILER
    assert done.stderr.startswith("skipped, not compiled: no C compiler: no-such-compiler is not")
    assert "Traceback" not in done.stderr


def test_wrong_usage() -> None:
    done = subprocess.run([sys.executable, str(HERE), "all"], capture_output=True, text=True)
    assert done.returncode == 2


def test_the_digest_is_of_every_source_and_of_the_list(toy: Build) -> None:
    before = digest_of(toy)
    assert digest_of(toy) == before
    assert digest_of(toy._replace(hot=())) != before
    (toy.sources / "toy" / "__pycache__").mkdir()
    (toy.sources / "toy" / "__pycache__" / "hot.pyc").write_text("made on the way")
    assert digest_of(toy) == before
    (toy.sources / "toy" / "names.py").write_text("def name() -> str:\n    return 'you'\n")
    assert digest_of(toy) != before


def test_made_once_whole_or_not_at_all(toy: Build) -> None:
    if why := lacking():
        pytest.skip(why)
    assert make(toy)
    assert imported(toy, "toy.hot") == str(native_file(toy.place, "toy.hot"))
    assert imported(toy, "toy.names").endswith("names.py")
    assert (toy.place / "toy" / "hot.py").read_text() == TOY, "tracebacks show it"
    assert not make(toy)

    (toy.sources / "toy" / "hot.py").write_text("def greeting() -> int:\n    return 'no'\n")
    with pytest.raises(Failed, match=r"hot\.py:2: error: Incompatible return value(.|\n)*toy\.hot"):
        make(toy)
    assert imported(toy, "toy.hot") == str(native_file(toy.place, "toy.hot"))
    assert [path.name for path in toy.place.parent.iterdir()] == [toy.place.name]
