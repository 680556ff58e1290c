"""`portico dev` as its users start it: a process, watched by the lines it prints.

Ports are left to the system and read from the output, so that tests run beside each other;
tests wait for lines and for answers, never for time.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 60.0

_SERVING = re.compile(r"serving http://localhost:(\d+), admin on port (\d+)")
_REQUEST = re.compile(r"\d ?ms\b")
"""In a line about a request: how long it took."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class DevProcess:
    """One `portico dev`; use as `async with`."""

    def __init__(self, *paths: Path | str, options: tuple[str, ...] = ()) -> None:
        self._paths = [str(path) for path in paths]
        self._options = options
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.lines: list[str] = []

    async def __aenter__(self) -> DevProcess:
        command = [sys.executable, "-m", "portico_cli", "dev", "-f", *self._paths]
        if "--port" not in self._options:
            command += ["--port", "0"]
        command += ["--admin-port", "0", *self._options]
        environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
        environ.pop("PORTICO_DEBUG", None)
        self._process = await asyncio.create_subprocess_exec(
            *command, stdout=PIPE, stderr=STDOUT, env=environ
        )
        self._reader = asyncio.get_running_loop().create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        if self._reader is not None:
            await self._reader

    @property
    def process(self) -> Process:
        """The process itself."""
        assert self._process is not None
        return self._process

    async def ports(self) -> tuple[int, int]:
        """Traffic and admin port, once it serves."""
        found = _SERVING.search(await self.line(lambda line: bool(_SERVING.search(line))))
        assert found is not None
        # The curl line, the last of what is said at the start, says that all of it is there.
        await self.line(lambda line: line.startswith("watching for changes"))
        return int(found[1]), int(found[2])

    async def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{(await self.ports())[0]}"

    async def line(self, wanted: Callable[[str], bool], *, after: int = 0) -> str:
        """The first such line, waiting for it."""

        async def wait() -> str:
            while True:
                for line in self.lines[after:]:
                    if wanted(line):
                        return line
                self._changed.clear()
                await self._changed.wait()

        try:
            return await asyncio.wait_for(wait(), PATIENCE_S)
        except TimeoutError:
            raise AssertionError("no such line in:\n" + "\n".join(self.lines)) from None

    async def edited(self, file: Path, text: str | None) -> list[str]:
        """Write (or remove) a file, wait until dev has taken it, and what it said about it."""
        before = len(self.lines)
        if text is None:
            file.unlink()
        else:
            # As editors do: a file beside it, then in its place, so that no half is ever read.
            beside = file.with_name(f".{file.name}.new")
            beside.write_text(text)
            beside.replace(file)

        def taken(line: str) -> bool:
            return line.startswith("reloaded: ") or line.endswith("waiting for the files to change")

        await self.line(taken, after=before)
        return [line for line in self.lines[before:] if not _REQUEST.search(line)]

    async def ended(self, name: signal.Signals = signal.SIGINT) -> int:
        """Tell it to end, and its exit code."""
        self.process.send_signal(name)
        return await asyncio.wait_for(self.process.wait(), PATIENCE_S)

    async def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while line := await stream.readline():
            self.lines.append(line.decode().rstrip("\n"))
            self._changed.set()
