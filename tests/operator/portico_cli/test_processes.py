"""Backends are up before traffic, come back when they die, and are gone at the end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from portico_cli.processes import Backends, Command, accepts, exit_text, resolved

PATIENCE_S = 30.0

SERVER = """
import os, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening as", os.getpid(), os.environ.get("COLOUR"), os.getcwd())
while True:
    server.accept()[0].close()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def command(name: str, folder: Path, code: str, port: int, *more: str) -> Command:
    words = ("python", "-c", code, str(port), *more)
    return Command(name, words, folder, (("COLOUR", "red"),), "127.0.0.1", port)


class Said:
    """Collects lines and lets tests wait for one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._changed.set()

    async def until(self, what: Callable[[str], bool], *, after: int = 0) -> str:
        async def wait() -> str:
            while True:
                for line in self.lines[after:]:
                    if what(line):
                        return line
                self._changed.clear()
                await self._changed.wait()

        return await asyncio.wait_for(wait(), PATIENCE_S)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie has ended: only its parent has not looked yet.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_it_accepts_before_run_returns_and_is_gone_after_stop(tmp_path: Path) -> None:
    said, port = Said(), free_port()
    backends = Backends(said)
    await backends.run({"default/a": command("default/a", tmp_path, SERVER, port)})
    assert await accepts("127.0.0.1", port, 0)
    line = await said.until(lambda line: "listening as" in line)
    assert line.startswith("default/a | ")
    assert line.endswith(f"red {tmp_path}")
    pid = int(line.split()[4])
    await backends.stop()
    assert not alive(pid)


async def test_one_that_dies_is_reported_with_its_last_words_and_started_again(
    tmp_path: Path,
) -> None:
    said, port = Said(), free_port()
    backends = Backends(said)
    await backends.run({"default/a": command("default/a", tmp_path, SERVER, port)})
    line = await said.until(lambda line: "listening as" in line)
    os.kill(int(line.split()[4]), signal.SIGKILL)
    await said.until(lambda line: "ended with SIGKILL; starting it again" in line)
    await said.until(lambda line: line.startswith("    listening as"))
    seen = len(said.lines)
    await said.until(lambda line: "| listening as" in line, after=seen)
    await backends.stop()


async def test_one_that_cannot_start_does_not_hold_dev_up(tmp_path: Path) -> None:
    said = Said()
    backends = Backends(said)
    missing = Command("default/a", ("no-such-program",), tmp_path, (), "127.0.0.1", 1)
    fails = command("default/b", tmp_path, "raise SystemExit('bad configuration')", 1)
    await asyncio.wait_for(backends.run({"default/a": missing, "default/b": fails}), PATIENCE_S)
    await said.until(lambda line: "default/a ended with exit code 127" in line)
    await said.until(lambda line: line == "    bad configuration")
    await backends.stop()


async def test_only_what_changed_is_started_again(tmp_path: Path) -> None:
    said = Said()
    one = command("default/a", tmp_path, SERVER, free_port())
    two = command("default/b", tmp_path, SERVER, free_port())
    backends = Backends(said)
    await backends.run({"default/a": one, "default/b": two})
    await said.until(lambda line: line.startswith("default/a | listening"))
    await said.until(lambda line: line.startswith("default/b | listening"))
    first = {line.split(" | ")[0]: int(line.split()[4]) for line in said.lines}
    await backends.run({"default/a": one})
    assert alive(first["default/a"])
    assert not alive(first["default/b"])
    changed = one._replace(env=(("COLOUR", "blue"),))
    await backends.run({"default/a": changed})
    await said.until(lambda line: "blue" in line)
    assert not alive(first["default/a"])
    await backends.stop()


async def test_one_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portico_cli.processes._GRACE_S", 0.2)
    said, port = Said(), free_port()
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER
    backends = Backends(said)
    await backends.run({"default/a": command("default/a", tmp_path, stubborn, port)})
    pid = int((await said.until(lambda line: "listening as" in line)).split()[4])
    await backends.stop()
    assert not alive(pid)


async def test_long_lines_and_bytes_do_no_harm(tmp_path: Path) -> None:
    said, port = Said(), free_port()
    noisy = (
        "import sys; sys.stdout.buffer.write(b'x' * 100_000 + b'\\n\\xff\\n'); sys.stdout.flush()\n"
        + SERVER
    )
    backends = Backends(said)
    await backends.run({"default/a": command("default/a", tmp_path, noisy, port)})
    await said.until(lambda line: "listening as" in line)
    assert max(map(len, said.lines)) < 100_000
    await backends.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_backends_end_when_dev_is_killed(tmp_path: Path) -> None:
    port = free_port()
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import asyncio, pathlib, sys\n"
        "from portico_cli.processes import Backends, Command\n"
        "async def main():\n"
        "    words = ('python', '-c', sys.argv[1], sys.argv[2])\n"
        "    at = ('127.0.0.1', int(sys.argv[2]))\n"
        "    say = lambda line: print(line, flush=True)\n"
        "    await Backends(say).run({'a/b': Command('a/b', words, pathlib.Path('.'), (), *at)})\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n",
        SERVER,
        str(port),
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    line = (await asyncio.wait_for(parent.stdout.readline(), PATIENCE_S)).decode()
    pid = int(line.split()[4])
    parent.kill()
    await parent.wait()
    deadline = time.monotonic() + PATIENCE_S
    while alive(pid) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    assert not alive(pid)


async def test_waiting_for_a_port_gives_up() -> None:
    assert not await accepts("127.0.0.1", free_port(), 0.05)


def test_words() -> None:
    assert resolved(("python", "-m", "x")) == (sys.executable, "-m", "x")
    assert resolved(("node", "python")) == ("node", "python")
    assert exit_text(3) == "exit code 3"
    assert exit_text(-15) == "SIGTERM"
    assert exit_text(-200) == "signal 200"
