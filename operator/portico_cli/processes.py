"""The processes that `portico dev` starts for a developer: up before traffic, gone after it.

Called by `dev` with what `portico.dev.yaml` says. Promises: a process counts as started when
its port accepts; one that dies is reported with the last lines it said and started again,
ever more slowly; all of them end with dev, on Linux even when dev is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from portico_dataplane.tasks import spawn

LAST_LINES = 10
_LONGEST_LINE = 16 * 1024
_PATIENCE_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _STABLE_S = 0.5, 30.0, 10.0
_GRACE_S = 5.0
_LAST_WORDS_S = 0.5


class Command(NamedTuple):
    """What to run, and where it will listen."""

    name: str
    """The Service it stands for, `namespace/name`."""
    arguments: tuple[str, ...]
    cwd: Path
    env: tuple[tuple[str, str], ...]
    host: str
    port: int


class BackendProcess:
    """One command, kept running until `stop`."""

    def __init__(self, command: Command, say: Callable[[str], None]) -> None:
        self.command = command
        self.ready = asyncio.Event()
        """Set once the port has accepted, or the wait for it was given up."""
        self._say = say
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._process: asyncio.subprocess.Process | None = None
        self._task = spawn(self._keep_running(), name=f"backend {command.name}")

    async def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL for what does not listen."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._end()

    async def _keep_running(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            started = time.monotonic()
            try:
                code = await self._run_once()
            except OSError as error:
                self._lines.append(error.strerror or str(error))
                code = None
            if time.monotonic() - started > _STABLE_S:
                pause = _FIRST_PAUSE_S
            self._report(code, pause)
            self.ready.set()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _run_once(self) -> int:
        self._lines.clear()
        tether = Path(__file__).with_name("tether.py")
        process = self._process = await asyncio.create_subprocess_exec(
            # -I -S: only the standard library, and quickly; the command itself starts afresh.
            *(sys.executable, "-I", "-S", str(tether), str(os.getpid())),
            *resolved(self.command.arguments),
            cwd=self.command.cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **dict(self.command.env)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # A Ctrl-C in the terminal is for dev, which ends its backends after the last request.
            start_new_session=True,
            limit=_LONGEST_LINE,
        )
        output = spawn(self._read_output(process), name=f"output of {self.command.name}")
        waiting = spawn(self._await_port(), name=f"port of {self.command.name}")
        try:
            code = await process.wait()
            # A child of its own may keep the pipe open; its words are not waited for.
            await asyncio.wait([output], timeout=_LAST_WORDS_S)
        finally:
            for task in (output, waiting):
                task.cancel()
            await asyncio.gather(output, waiting, return_exceptions=True)
        return code

    async def _await_port(self) -> None:
        if await accepts(self.command.host, self.command.port, _PATIENCE_S):
            self.ready.set()
            return
        where = f"{self.command.host}:{self.command.port}"
        self._say(f"backend {self.command.name}: nothing listens on {where} yet")
        self.ready.set()

    async def _read_output(self, process: asyncio.subprocess.Process) -> None:
        stream = process.stdout
        while stream is not None:
            try:
                line = await stream.readline()
            except ValueError:  # longer than the limit: what was read is dropped
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self._lines.append(text)
            self._say(f"{self.command.name} | {text}")

    def _report(self, code: int | None, pause: float) -> None:
        how = "could not start" if code is None else f"ended with {exit_text(code)}"
        self._say(f"backend {self.command.name} {how}; starting it again in {pause:g} s")
        if self._lines:
            self._say("  its last lines:")
            for line in self._lines:
                self._say(f"    {line}")

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _GRACE_S)
        except TimeoutError:
            _signal_group(process.pid, signal.SIGKILL)
            await process.wait()


class Backends:
    """All processes of one dev, changed to what the file says now."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._running: dict[str, BackendProcess] = {}

    async def run(self, commands: Mapping[str, Command]) -> None:
        """Start, end and replace until exactly `commands` run; returns when they accept."""
        gone = [
            name for name, process in self._running.items() if commands.get(name) != process.command
        ]
        await asyncio.gather(*(self._running.pop(name).stop() for name in gone))
        started = []
        for name, command in commands.items():
            if name not in self._running:
                self._running[name] = BackendProcess(command, self._say)
                started.append(self._running[name])
        await asyncio.gather(*(process.ready.wait() for process in started))

    async def stop(self) -> None:
        """End them all."""
        await self.run({})


async def accepts(host: str, port: int, patience_s: float) -> bool:
    """Whether something accepts connections there, waiting for it for a while."""
    deadline = time.monotonic() + patience_s
    pause = 0.01
    while True:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 1.0)
        except (OSError, TimeoutError):
            if time.monotonic() + pause > deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.25)
        else:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return True


def resolved(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """`python` is the interpreter that runs dev, so that it finds the same libraries."""
    return (sys.executable if arguments[0] == "python" else arguments[0], *arguments[1:])


def exit_text(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
