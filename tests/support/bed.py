"""What the e2e tests stand on, whichever it is: a real node of ours, or kind.

A `Bed` has our images, runs kubectl and helm against its cluster, and commands on its node.
Called by tests/e2e; `RealNode` and `KindCluster` are the two there are. `run` is how both start
programs: a refusal is an AssertionError with the program's own words.
"""

from __future__ import annotations

import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

import helm

ROOT: Final = Path(__file__).resolve().parents[2]
RECORD: Final = ROOT / "build" / "e2e"
"""What a run leaves to read: logs, and every kind's status at each step."""
PATIENCE_S: Final = 300.0
"""A bound for a busy machine, not an expectation."""
IMAGES: Final = ("portico-operator", "portico-dataplane", "portico-petstore")
VERSION: Final = next(
    line.split()[1]
    for line in (helm.CHART / "Chart.yaml").read_text().splitlines()
    if line.startswith("appVersion:")
)
T = TypeVar("T")


class Bed(ABC):
    """A cluster that is ready, with our images on its one node."""

    name: str
    """Which of them, for reports."""

    @abstractmethod
    def __enter__(self) -> Self:
        """Start, and wait until the node is ready."""

    @abstractmethod
    def __exit__(self, *_: object) -> None:
        """End what was started."""

    @abstractmethod
    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """What kubectl says, as an administrator."""

    @abstractmethod
    def kubectl_command(self, *arguments: str) -> list[str]:
        """The same as a command line, for what goes on while a test does."""

    @abstractmethod
    def helm(self, *arguments: str) -> str:
        """What helm prints."""

    @abstractmethod
    def on_node(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A program on the node: in its network, beside its containers."""

    @abstractmethod
    def outside(self, *command: str) -> str:
        """What a program prints that runs outside the cluster, from where its node is reached."""


def run(
    command: Sequence[str],
    *,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 600.0,
) -> subprocess.CompletedProcess[str]:
    """One program, to its end."""
    done = subprocess.run(
        command,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=timeout,
        env={key: value for key, value in os.environ.items() if key != "KUBECONFIG"},
    )
    if check and done.returncode:
        said = f"{done.stdout[-2000:]}{done.stderr[-4000:]}".strip()
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}: {said}")
    return done


def eventually(look: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
    """What `look` gives as soon as it is true; for what nobody can be asked to announce."""
    until = time.monotonic() + patience_s
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < until, f"{what}: not within {patience_s:.0f} s; last: {seen!r}"
        time.sleep(0.25)  # each look is a process


def keep_evidence(bed: Bed) -> None:
    """What a reader wants to see of a run that failed, in build/e2e."""
    RECORD.mkdir(parents=True, exist_ok=True)
    for name, command in {
        "pods.txt": "get pods --all-namespaces -o wide",
        "pods-described.txt": "describe pods --all-namespaces",
        "events.txt": "get events --all-namespaces --sort-by=.lastTimestamp",
    }.items():
        (RECORD / name).write_text(bed.kubectl(*command.split(), check=False).stdout)
    found = 'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\\n"}{end}'
    listed = bed.kubectl("get", "pods", "--all-namespaces", "-o", found, check=False).stdout
    for line in listed.splitlines():
        namespace, name = line.split()
        for suffix, flags in (("", ()), (".previous", ("--previous",))):
            said = bed.kubectl("logs", name, f"--namespace={namespace}", *flags, check=False)
            if said.returncode == 0:
                (RECORD / f"{namespace}.{name}{suffix}.log").write_text(said.stdout)
