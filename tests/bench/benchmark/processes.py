"""Processes under measurement: started on their core, stopped in between, ended for certain.

Used by `run.py` for the upstream and every proxy. A system that is not being measured is held
by SIGSTOP, so that it cannot take cycles from the one that is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmark import cpu

START_SECONDS = 30.0
END_SECONDS = 5.0


class StartFailed(Exception):
    """A system did not come up; the message holds the end of its log."""


class Cores:
    """Who runs where: proxies on one core, load and upstream together on another."""

    def __init__(self) -> None:
        available = sorted(os.sched_getaffinity(0))
        self.proxy = available[0]
        self.load = available[-1] if len(available) == 1 else available[1]
        self.shared = self.proxy == self.load
        """Only one core: numbers are then of little worth, and the report says so."""


def pinned(core: int, command: list[str]) -> list[str]:
    """The command held to one core, and ended by the kernel when the benchmark dies."""
    return ["taskset", "-c", str(core), "setpriv", "--pdeathsig", "KILL", *command]


def free_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """One system's processes."""

    def __init__(self, name: str, command: list[str], core: int, directory: Path) -> None:
        self.name = name
        self._log = directory / "output.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                pinned(core, command), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_listening(self, port: int) -> None:
        """Returns when the port accepts; `StartFailed` when it does not in time."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        tail = self._log.read_text(errors="replace")[-2000:]
        raise StartFailed(f"{self.name} does not listen on port {port}:\n{tail}")

    def tell(self, number: signal.Signals) -> None:
        """To the system's first process."""
        self._process.send_signal(number)

    def hold(self) -> None:
        """Take no more CPU until `resume`."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def end(self) -> None:
        """Terminate, then kill what is left of the tree."""
        members = list(cpu.tree(self.pid))
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in members:
            if pid != self.pid and pid in cpu.tree(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in cpu.tree(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@contextlib.contextmanager
def resumed(system: Running | None) -> Iterator[None]:
    """The one system that runs meanwhile; None when only the upstream is asked."""
    if system is None:
        yield
        return
    system.resume()
    try:
        yield
    finally:
        system.hold()
