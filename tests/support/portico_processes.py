"""Operators and data-plane pods as real processes, watched from outside.

Used by the fault tests of tests/cluster and by `make bench-scale`, from coroutines and from
threads alike: nothing here needs an event loop. A process ends with whoever started it, at the
latest by the kernel's hand; its log is a file of JSON lines, and what is no record is kept as
`noise`. Promises: every wait has a bound and says what it waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

PATIENCE_S = 60.0
"""A bound for a busy machine, not an expectation."""
_LOOK_S = 0.005
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
T = TypeVar("T")
Record = dict[str, Any]


class DidNotHappen(AssertionError):
    """What was waited for did not come true in time."""


def wait_until(look: Callable[[], T], what: str, patience: float = PATIENCE_S) -> T:
    """What `look` gives as soon as it is true.

    It rests as long as a look took: looks without a pause would take the CPU from what they wait
    for, on a machine where the API server, etcd and operators share two cores."""
    until = time.monotonic() + patience
    while True:
        began = time.monotonic()
        seen = look()
        if seen:
            return seen
        now = time.monotonic()
        if now > until:
            raise DidNotHappen(f"{what}: not within {patience:g} s; last seen: {seen!r}")
        time.sleep(max(_LOOK_S, now - began))


class Running:
    """One process and all below it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.file = folder / f"{name}.log"
        """What it writes; a process of the same name goes on in the same file."""
        self._offset = self.file.stat().st_size if self.file.exists() else 0
        self._rest = b""
        self.records: list[Record] = []
        """Log records so far; `read` looks for more."""
        self.noise: list[str] = []
        """Lines that are no records."""
        # The kernel ends it with the thread that starts it: that must not end first.
        if shutil.which("setpriv"):
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        self.started = time.monotonic()
        with self.file.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, **(environ or {})},
            )

    @property
    def pid(self) -> int:
        """Of its first process."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    # -- what it says

    def read(self) -> list[Record]:
        """Every record that there is by now."""
        with self.file.open("rb") as log:
            log.seek(self._offset)
            data = self._rest + log.read()
            self._offset = log.tell()
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            try:
                self.records.append(json.loads(line))
            except ValueError:
                self.noise.append(line.decode(errors="replace"))
        return self.records

    def logged(self, message: str) -> list[Record]:
        """Records with this message."""
        return [record for record in self.read() if record.get("message") == message]

    def saw(self, message: str, times: int = 1, patience: float = PATIENCE_S) -> Record:
        """The latest record with this message, once there are so many."""

        def look() -> list[Record]:
            found = self.logged(message)
            if len(found) < times and not self.alive:
                self.read()
                raise DidNotHappen(
                    f"{self.name} ended with {self.process.returncode} before {message!r}: "
                    f"{self.noise[-20:]} {self.records[-3:]}"
                )
            return found if len(found) >= times else []

        return wait_until(look, f"{self.name} to log {message!r}", patience)[-1]

    # -- what it costs

    def tree(self) -> list[int]:
        """Its process and all below it, while they live."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    stat = (entry / "stat").read_text().rpartition(")")[2].split()
                    children.setdefault(int(stat[1]), []).append(int(entry.name))
        found = [self.pid]
        for pid in found:
            found += children.get(pid, ())
        return found

    def cpu_seconds(self) -> float:
        """User and system time of the tree so far."""
        return sum(_cpu_seconds(pid) for pid in self.tree())

    def resident_bytes(self) -> int:
        """Resident memory of the largest process of the tree."""
        return max((_resident_bytes(pid) for pid in self.tree()), default=0)

    def peak_bytes(self) -> int:
        """The most that its first process ever had: what a limit is held against."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self.pid}/status").read_text()
            return int(status.partition("VmHWM:")[2].split()[0]) * 1024
        return 0

    # -- how it ends

    def signal(self, number: signal.Signals) -> None:
        """To its first process."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        if self.alive:
            self.process.kill()
        self.process.wait()

    def end(self, patience: float = 15.0) -> int:
        """SIGTERM, and SIGKILL when that takes too long; its exit code."""
        if self.alive:
            self.process.terminate()
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


class OperatorProcess(Running):
    """One replica of the control plane."""

    @classmethod
    def start(
        cls,
        name: str,
        folder: Path,
        kubeconfig: Path,
        port: int,
        *options: str,
        environ: Mapping[str, str] | None = None,
    ) -> OperatorProcess:
        """Started, not yet ready; its stream is at 127.0.0.1 and `port`."""
        command = (
            *(sys.executable, "-m", "portico_operator"),
            *("--kubeconfig", str(kubeconfig), "--identity", name, "--host", "127.0.0.1"),
            # A certificate for the address at which pods know it.
            *("--stream-service", "127.0.0.1", "--stream-port", str(port), "--admin-port", "0"),
            *("--usage-port", "0"),
            *options,
        )
        made = cls(name, command, folder, environ)
        made.address = f"127.0.0.1:{port}"
        return made

    address: str

    @property
    def admin(self) -> str:
        """URL of the admin port."""
        return f"http://127.0.0.1:{self.saw('started')['adminPort']}"

    def ready(self, patience: float = PATIENCE_S) -> OperatorProcess:
        """Once pods can have a configuration from it."""
        wait_until(lambda: ask(f"{self.admin}/readyz")[0] == 200, f"{self.name} ready", patience)
        return self

    def metric(self, name: str, **labels: str) -> float:
        """Sum over the samples with these labels."""
        return metric(ask(f"{self.admin}/metrics")[1], name, **labels)

    def testimony(self) -> str:
        """What it logged last and counts now, for whoever reads of a test that failed."""
        said = [json.dumps(record) for record in self.read()[-40:]] + self.noise[-20:]
        counts = ""
        if self.alive and self.logged("started"):
            counts = ask(f"{self.admin}/livez")[1] + ask(f"{self.admin}/metrics")[1]
        own = [line for line in counts.splitlines() if not line.startswith("#")]
        short = [line for line in own if "_bucket{" not in line and "_created" not in line]
        return "\n".join([f"--- operator {self.name}", *said, *short])


class PodProcess(Running):
    """One pod of the data plane: a supervisor and its worker."""

    @classmethod
    def start(
        cls,
        name: str,
        folder: Path,
        operators: Sequence[str],
        token: Path,
        authority: Path,
        *options: str,
        environ: Mapping[str, str] | None = None,
    ) -> PodProcess:
        """Started, not yet ready."""
        command = (
            *(sys.executable, "-m", "portico_dataplane", "--host", "127.0.0.1", "--port", "0"),
            *("--admin-port", "0", "--drain-delay", "0", "--workers", "1"),
            *(part for address in operators for part in ("--operator", address)),
            *("--token-file", str(token), "--ca-file", str(authority)),
            *("--last-good", str(folder / f"{name}.last-good"), *options),
        )
        return cls(name, command, folder, environ)

    @property
    def port(self) -> int:
        """Traffic port."""
        return int(self.saw("listening")["traffic"][0].rpartition(":")[2])

    @property
    def admin(self) -> str:
        """URL of the admin port."""
        return f"http://{self.saw('listening')['admin'][0]}"

    @property
    def is_ready(self) -> bool:
        """As kubelet's probe sees it."""
        return ask(f"{self.admin}/readyz")[0] == 200

    def get(self, host: str, path: str, timeout: float = 10.0) -> tuple[int, str]:
        """Status and body of a request on a connection of its own."""
        return ask(f"http://127.0.0.1:{self.port}{path}", host, timeout)


def ask(
    url: str, host: str = "", timeout: float = 10.0, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Status and body; (0, why) when there is no answer."""
    sent = {**({"Host": host} if host else {}), **(headers or {})}
    request = urllib.request.Request(url, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode(errors="replace")
    except OSError as why:
        return 0, str(why)


def metric(text: str, name: str, **labels: str) -> float:
    """Sum over the samples of an exposition that have these labels."""
    total = 0.0
    for line in text.splitlines():
        if not line.startswith(name) or line[len(name)] not in "{ ":
            continue
        said, _, value = line.rpartition(" ")
        if all(f'{key}="{wanted}"' in said for key, wanted in labels.items()):
            total += float(value)
    return total


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process, its threads and the children that it has reaped."""
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in stat[11:15]) / _TICKS
    return 0.0


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0
