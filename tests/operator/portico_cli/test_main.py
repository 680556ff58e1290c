"""The command line: wrong usage is 2 with one line, a bug is no traceback, Ctrl-C is quiet."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from portico_cli import main as command_line
from portico_cli import release, validate
from portico_cli.main import main

API = "apiVersion: portico.dev/v1alpha1\nkind: RestApi\nmetadata: {name: a}\n"


@pytest.fixture(autouse=True)
def quiet_logging() -> Iterator[None]:
    """`main` configures logging for a process of its own; here it must not stay."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:], root.level, logging.raiseExceptions = before


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    file = tmp_path / "api.yaml"
    file.write_text(API)
    return str(file)


def usage(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("serve",),
        ("validate",),
        ("validate", "-f"),
        ("validate", "-f", "x", "--outptu", "json"),
        ("validate", "-f", "x", "--output", "yaml"),
        ("compile", "-f", "x"),
        ("dev", "-f", "x", "--port", "65536"),
        ("dev", "-f", "x", "--port", "-1"),
        ("dev", "-f", "x", "--port", "http"),
        ("dev", "-f", "x", "--port", "\N{ARABIC-INDIC DIGIT ONE}"),
        ("dev", "-f", "x", "--workers", "0"),
        ("dev", "-f", "x", "--workers", "1e3"),
        ("dev", "-f", "x", "--max-in-flight", "0"),
        ("dev", "-f", "x", "--head-timeout", "never"),
        ("dev", "-f", "x", "--base-domain", "a b"),
        ("dev", "-f", "x", "--base-domain", ".com"),
        ("dev", "-f", "-"),
        ("dev", "-f", ".", "--port", "8080", "--admin-port", "8080"),
        ("dev", "-f", ".", "--backends", "no-such-file"),
        ("validate", "-f", "no-such-file"),
        ("explain", "-f", "."),
        ("explain", "GET", "-f", "."),
        ("explain", "GE T", "/", "-f", "."),
        ("explain", "GET", "/", "-f", ".", "-H", "no colon"),
        ("explain", "GET", "/", "-f", ".", "-H", "a: b\r\nc: d"),
        ("explain", "GET", "/", "-f", ".", "-H", "bad name: x"),
    ],
)
def test_wrong_usage_is_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert usage(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: portico" in captured.err
    assert "Traceback" not in captured.err


def test_help_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert usage("--help") == 0
    for command in ("dev", "compile", "validate", "explain", "version"):
        assert command in capsys.readouterr().out or usage(command, "--help") == 0


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"portico {release.version()}\n"


def test_paths_may_be_listed_or_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        (tmp_path / f"{name}.yaml").write_text(API.replace("name: a", f"name: {name}"))
    files = [str(tmp_path / f"{name}.yaml") for name in "abc"]
    assert main(["validate", "-f", files[0], files[1], "-f", files[2]]) == 0
    assert capsys.readouterr().out == "3 objects, no problems\n"


def test_a_bug_is_no_traceback(
    manifest: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object, **named: object) -> int:
        raise ZeroDivisionError("what only developers see")

    monkeypatch.delenv("PORTICO_DEBUG", raising=False)
    monkeypatch.setattr(validate, "run", broken)
    assert main(["validate", "-f", manifest]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("internal error, please report (")
    assert "what only developers see" not in captured.err
    monkeypatch.setenv("PORTICO_DEBUG", "1")
    assert main(["validate", "-f", manifest]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_failed_task_is_no_traceback_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PORTICO_DEBUG", raising=False)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(command_line._Message())
    logger = logging.getLogger("portico_cli.test")
    logger.addHandler(handler)
    try:
        try:
            raise RuntimeError("inside")
        except RuntimeError:
            logger.exception("task files failed")
    finally:
        logger.removeHandler(handler)
    assert stream.getvalue().startswith("error: task files failed: internal error, please report")
    assert "inside" not in stream.getvalue()


def test_ctrl_c_is_quiet(
    manifest: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **named: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(validate, "run", interrupted)
    assert main(["validate", "-f", manifest]) == 130
    assert capsys.readouterr().err == ""


def portico(*words: str, stdin: int | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "portico_cli", *words],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_reader_that_leaves_is_no_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("---\n".join(["kind: Nope\n"] * 5000))
    process = portico("validate", "-f", str(tmp_path))
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert errors == b""


def test_closed_streams_are_no_error_of_ours(manifest: str) -> None:
    command = f"{sys.executable} -m portico_cli validate -f {manifest} >&- 2>&-"
    assert subprocess.run(command, shell=True, check=False, timeout=60).returncode == 0


def test_standard_input_and_strange_names(tmp_path: Path) -> None:
    strange = os.fsencode(tmp_path) + b"/\xff.yaml"
    with open(strange, "w") as file:
        file.write("kind: Nope\n")
    process = portico("validate", "-f", "-", os.fsdecode(strange), stdin=subprocess.PIPE)
    out, errors = process.communicate(API.encode() + b"---\nkind: [\n", timeout=60)
    assert process.returncode == 1
    lines = out.decode().splitlines()
    assert lines[0].startswith(f"{tmp_path}/\\udcff.yaml:1: error: Nope: kind: UnknownKind")
    assert lines[1].startswith("stdin:6: error: MalformedDocument")
    assert (len(lines), errors) == (3, b"")


def test_ctrl_c_in_a_terminal_ends_a_command_that_waits() -> None:
    process = portico("validate", "-f", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    # It reads until the end of input, which does not come. Python must be up to take the signal.
    process.stdin.write(b"a: 1\n")
    process.stdin.flush()
    until_it_reads(process.pid)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    assert b"Traceback" not in errors


def until_it_reads(pid: int) -> None:
    """Wait until the process blocks in reading its standard input (Linux: its wait channel)."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            syscall = Path(f"/proc/{pid}/syscall").read_text().split()[:2]
        except OSError:
            pytest.skip("this system does not tell what a process waits for")
        if syscall == ["0", "0x0"]:
            return
        time.sleep(0.01)
