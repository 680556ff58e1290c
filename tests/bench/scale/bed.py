"""What `make bench-scale` runs on: a real API server, one operator, three pods, one backend.

Made once a run; every scenario gets it. All of them are real processes with real tokens and TLS,
ended by process id. Promises: `costs` says what a stretch took of whom, because on a machine that
others use CPU time is steadier than wall time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from control_plane import ControlPlane, free_port
from portico_fleet import Fleet
from portico_processes import OperatorProcess, PodProcess, Running, ask, wait_until
from scale.probe import Probe
from scale.world import SERVICE, World
from slice_backends import own_address

NAMESPACE = "default"
PODS = ("pod-0", "pod-1", "pod-2")
HERE = Path(__file__).parent
PATIENCE_S = 120.0
BACKLOG = "portico_status_backlog"


class Bed:
    """Everything that runs."""

    def __init__(self, folder: Path) -> None:
        self._stack = contextlib.ExitStack()
        self.folder = folder
        self.plane = ControlPlane()
        self.fleet: Fleet
        self.world: World
        self.operator: OperatorProcess
        self.second_port = free_port()
        """Where a second operator will be: pods know of it from the start, as of a name."""
        self._port = free_port()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _start(self) -> None:
        self._stack.enter_context(self.plane)
        self.plane.install_crds()
        self.fleet = self._stack.enter_context(Fleet(self.plane, NAMESPACE, self.folder))
        self.world = World(self.plane.api, NAMESPACE)
        backend = ServingBackend(self.folder)
        self._stack.callback(backend.kill)
        backend.listening()
        self.fleet.expose(SERVICE, [backend])
        self.start_operator()
        self.operator.ready()
        self.start_pods()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    # -- processes

    def start_operator(self) -> None:
        """The one that leads; on the same port when it is started again."""
        self.operator = self.fleet.operator("one", port=self._port)

    def start_pods(self) -> None:
        """All of them, without anything kept, until they are ready."""
        for name in PODS:
            self.start_pod(name)
        self.fleet.ready(*PODS)

    def start_pod(self, name: str) -> PodProcess:
        """One that has kept nothing."""
        second = f"127.0.0.1:{self.second_port}"
        return self.fleet.pod(name, operators=[self.operator.address, second])

    def forget(self, name: str) -> None:
        """A pod that has ended, and what it kept: its successor is a new pod."""
        self.fleet.pods.pop(name).kill()
        self.fleet.remove_pod(name)
        shutil.rmtree(self.folder / f"{name}.last-good", ignore_errors=True)

    def pods(self) -> list[PodProcess]:
        """Those of every scenario."""
        return [self.fleet.pods[name] for name in PODS]

    @contextlib.contextmanager
    def probe(self) -> Iterator[Probe]:
        """Asks them."""
        probe = Probe({pod.name: pod.port for pod in self.pods()})
        try:
            yield probe
        finally:
            probe.close()

    def settle(self) -> None:
        """Until every status is written and nobody has anything to do."""
        until = time.monotonic() + PATIENCE_S
        quiet = 0
        while quiet < 5 and time.monotonic() < until:
            before = self.operator.cpu_seconds()
            time.sleep(0.2)
            idle = self.operator.cpu_seconds() - before < 0.05
            quiet = quiet + 1 if idle and not self.operator.metric(BACKLOG) else 0

    def served(self, count: int = 20) -> None:
        """Until Routes all over the world answer on every pod."""
        with self.probe() as probe:
            questions = self.world.samples(count)
            wait_until(lambda: probe.all_serve(questions), "the world to be served", PATIENCE_S)

    # -- what it costs

    def costs(self) -> Costs:
        """From now on."""
        return Costs(self.operator, self.pods())


class Costs:
    """CPU time since it was made."""

    def __init__(self, operator: Running, pods: list[PodProcess]) -> None:
        self._operator = operator
        self._pods = pods
        self._began = self._now()
        self._machine = _stolen_and_all()
        self._since = time.monotonic()

    def _now(self) -> tuple[float, float]:
        pods = sum(pod.cpu_seconds() for pod in self._pods) / len(self._pods)
        return self._operator.cpu_seconds(), pods

    def each(self, edits: int) -> dict[str, float]:
        """Per edit, and what the machine was doing meanwhile."""
        operator, pods = (a - b for a, b in zip(self._now(), self._began, strict=True))
        stolen, busy = (a - b for a, b in zip(_stolen_and_all(), self._machine, strict=True))
        wall = max(1e-9, time.monotonic() - self._since)
        return {
            "operator_cpu_ms": operator * 1e3 / max(1, edits),
            "pod_cpu_ms": pods * 1e3 / max(1, edits),
            "machine_busy_%": 100 * busy / wall / (os.cpu_count() or 1),
            "stolen_%": 100 * stolen / wall / (os.cpu_count() or 1),
        }


def _stolen_and_all() -> tuple[float, float]:
    """Seconds that this machine did not get, and those that it worked, over all processors."""
    fields = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    ticks = os.sysconf("SC_CLK_TCK")
    user, nice, system, _, _, irq, soft, stolen = fields[:8]
    return stolen / ticks, (user + nice + system + irq + soft) / ticks


class ServingBackend(Running):
    """The backend, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.host, self.port = own_address(), free_port()
        super().__init__(
            "backend", [sys.executable, str(HERE / "backend.py"), self.host, str(self.port)], folder
        )

    def listening(self) -> None:
        """Once it answers."""
        wait_until(lambda: ask(f"http://{self.host}:{self.port}/")[0] == 200, "the backend")
