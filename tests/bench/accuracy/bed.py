"""What `make bench-accuracy` runs on: an API server, one operator, three data planes, a Redis.

Made once a run. All of them are real processes; the data planes have two workers each and get what
they serve from the operator, which is one of the two stores. `use` says who counts from now on.
Promises: everything ends with the bed, by process id.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from accuracy.measures import Answers
from control_plane import ControlPlane, free_port
from manifests import manifest, route
from portico_compiler.passes.apis import identity
from portico_fleet import CLASS, Fleet
from portico_processes import OperatorProcess, PodProcess, ask, wait_until
from real_redis import RealRedis
from scale.bed import ServingBackend

NAMESPACE = "default"
PODS = ("pod-0", "pod-1", "pod-2")
WORKERS = 2
HOST = f"shop.{NAMESPACE}.localhost"
BACKEND = {"service": {"name": "pets", "port": 80}}
CONNECTIONS = 12
"""To each pod; the kernel spreads them over its workers."""
Store = Literal["operator", "redis"]
HERE = Path(__file__).parent


class Bed:
    """Everything that runs."""

    def __init__(self, folder: Path) -> None:
        self._stack = contextlib.ExitStack()
        self.folder = folder
        self.plane = ControlPlane()
        self.redis = RealRedis(keeps=True)
        self.fleet: Fleet
        self.operator: OperatorProcess
        self._backend: ServingBackend
        self.store: Store = "operator"
        self._port = free_port()
        self._plans = 0
        self._seed = 0

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        self._stack.enter_context(self.redis)
        self._stack.enter_context(self.plane)
        self.plane.install_crds()
        self.fleet = self._stack.enter_context(Fleet(self.plane, NAMESPACE, self.folder))
        backend = ServingBackend(self.folder)
        self._stack.callback(backend.kill)
        backend.listening()
        self.fleet.expose("pets", [backend])
        self.start_operator()
        self.fleet.apply(
            manifest("RestApi", "shop"),
            route("bucket", "GET /bucket", integration=BACKEND, throttle=bucket(500, 100)),
            route("keyed", "GET /keyed", integration=BACKEND, apiKeyRequired=True),
            route("all", "GET /all", integration=BACKEND, apiKeyRequired=True, throttle=PLENTY),
        )
        for name in PODS:
            self.start_pod(name)
        self.fleet.ready(*PODS)
        self.fleet.answers("shop", "/keyed", 403)

    # -- processes

    def start_operator(self) -> None:
        """The one that leads; on the same port when it is started again."""
        self.operator = self.fleet.operator("one", "--lease-seconds=5", port=self._port)
        self.operator.ready()

    def start_pod(self, name: str, *, clock_s: float = 0.0) -> PodProcess:
        """A pod whose clock is off by so much."""
        environ = {}
        if clock_s:
            environ = {"PYTHONPATH": str(HERE / "clock"), "CLOCK_OFF_S": str(clock_s)}
        return self.fleet.pod(name, "--workers", str(WORKERS), environ=environ)

    def replace_pod(self, name: str, *, clock_s: float = 0.0) -> None:
        """Its process ends, and another one takes its place."""
        self.fleet.pods[name].kill()
        self.start_pod(name, clock_s=clock_s)
        self.fleet.ready(*PODS)

    # -- the store

    def use(self, store: Store, *, failure: Literal["Keep", "Refuse"] = "Keep") -> None:
        """Who counts from now on, and what happens while nobody does."""
        self.store = store
        spec: dict[str, Any] = {"failureMode": failure}
        if store == "redis":
            spec["redis"] = {"url": self.redis.url}
        document = manifest("PorticoClass", CLASS, {"default": True, "store": spec})
        self.plane.api.apply({**document, "metadata": {"name": CLASS}})
        self.served(lambda: None)

    def kill_store(self, *, lost: bool = False) -> None:
        """As a machine that fails; `lost`: a Redis also loses what it has written. The operator
        comes back with what it had saved, which it does every minute."""
        if self.store == "redis":
            self.redis.kill()
            if lost:
                self.redis.forget()
        else:
            self.operator.kill()

    def restart_store(self) -> None:
        """Until it answers again."""
        if self.store == "redis":
            self.redis.start()
        else:
            self.fleet.operators.remove(self.operator)
            self.start_operator()
            self.fleet.leader()

    # -- objects

    def plan(self, limit: int, **spec: Any) -> str:
        """A plan with this quota; the key of one customer who has used nothing."""
        self._plans += 1
        name = f"plan-{self._plans}"
        self.set_plan(name, limit, **spec)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        self.fleet.apply({**secret, "stringData": {"value": key_of(name)}})
        spec = {"secretRef": {"name": name}, "usagePlanRefs": [{"name": name}]}
        self.fleet.apply(manifest("ApiKey", name, spec))
        self.fleet.says("ApiKey", name, "Programmed", "True")
        self.served(lambda: None)
        return name

    def set_plan(self, name: str, limit: int, **spec: Any) -> None:
        """Its quota is this from now on."""
        opened = [{"apiRef": {"name": "shop"}, "stage": "$default"}]
        quota = {"limit": limit, "period": "MONTH"}
        spec = {"apiStages": opened, "quota": quota, **spec}
        self.fleet.apply(manifest("UsagePlan", name, spec))

    def set_bucket(self, rate: float, burst: int) -> None:
        """The route's bucket from now on."""
        self.served(
            lambda: self.fleet.apply(
                route("bucket", "GET /bucket", integration=BACKEND, throttle=bucket(rate, burst))
            )
        )

    def served(self, change: Callable[[], None]) -> None:
        """Once every pod has what was changed: a route that is made after it answers."""
        change()
        self._plans += 1
        path = f"/mark-{self._plans}"
        self.fleet.apply(route("mark", f"GET {path}", integration=BACKEND))
        self.fleet.answers("shop", path, 200)

    # -- load

    def load(
        self,
        path: str,
        rates: Mapping[str, float],
        seconds: float,
        *,
        key: str = "",
        act: Callable[[], None] = lambda: None,
        after: float = 0.0,
    ) -> Answers:
        """Requests at these rates; `act` is called once they have begun, and they go on for `after`
        seconds when it is done, and for `seconds` at least."""
        self._seed += 1
        head = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n"
        head += f"x-api-key: {key_of(key)}\r\n\r\n" if key else "\r\n"
        targets = [
            {
                "name": name,
                "port": self.fleet.pods[name].port,
                "rate": rate,
                "connections": CONNECTIONS,
            }
            for name, rate in rates.items()
        ]
        given = {"head": head, "seconds": seconds, "targets": targets, "seed": self._seed}
        command = [sys.executable, str(HERE / "load.py")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(given).encode() + b"\n")
            process.stdin.flush()
            process.stdout.readline()
            with ThreadPoolExecutor(1) as reader:
                # What `act` starts ends with its thread, so that has to be this one.
                found = reader.submit(process.stdout.read)
                try:
                    act()
                    process.stdin.write(b"%f\n" % after)
                    process.stdin.flush()
                except BaseException:
                    process.kill()
                    raise
                return Answers(**json.loads(found.result()))

    def usage(self, plan: str) -> int:
        """What the operator says was used."""
        port = wait_until(lambda: self.operator.logged("started"), "its ports")[-1]["usagePort"]
        known = identity(f"{NAMESPACE}/UsagePlan/{plan}")
        status, said = ask(f"http://127.0.0.1:{port}/usageplans/{known}/usage")
        if status != 200:
            return -1
        items = json.loads(said)["items"]
        return sum(used for days in items.values() for used, _ in days)


def bucket(rate: float, burst: int) -> dict[str, float]:
    """As a Route has it."""
    return {"rateLimit": rate, "burstLimit": burst}


PLENTY = bucket(1_000_000, 1_000_000)


def key_of(name: str) -> str:
    """The value of a key."""
    return f"{name}-{'x' * 30}"
