"""A pod that loses its operator goes to the other one: at once, and never a step back.

Two real operators on a real API server, one real pod. Nothing happens in the cluster between the
SIGKILL and the move, so that a pod which waited for a change would wait for the re-list.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane import ControlPlane
from manifests import manifest, route
from portico_fleet import Fleet
from portico_processes import OperatorProcess, PodProcess, wait_until
from steady_load import SteadyLoad
from tcp_proxy import TcpProxy

PATIENCE_S = 20.0
"""Long for a busy machine, and well below the 60 s after which a re-list would heal anything."""
PETS: dict[str, Any] = {"integration": {"service": {"name": "pets", "port": 80}}}


@pytest.fixture
def fleet(cluster: ControlPlane, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet.made(cluster, tmp_path) as made:
        made.backend("pets")
        yield made
        assert [line for process in made.processes() for line in process.noise] == []


def stopped(fleet: Fleet, operator: OperatorProcess) -> None:
    """It does nothing any more, and its connections stay."""
    operator.signal(signal.SIGSTOP)


def followed(pod: PodProcess, times: int) -> str:
    """Whom the pod follows, once it has chosen so often."""
    return str(pod.saw("operator followed", times, PATIENCE_S)["address"])


def connected(pod: PodProcess, operator: OperatorProcess, times: int = 1) -> None:
    """Once the pod has had so many streams to this operator."""

    def look() -> bool:
        opened = [record["address"] for record in pod.logged("operator stream open")]
        return opened.count(operator.address) >= times

    wait_until(look, f"a stream to {operator.name}")


def serves(pod: PodProcess, host: str, path: str) -> None:
    wait_until(lambda: pod.get(host, path)[0] == 200, f"{host}{path} to be served", PATIENCE_S)


def test_a_pod_whose_operator_is_killed_waits_for_no_change(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    """The two make other bytes of one world, as two versions do, and have listed it at different
    times: only how far each has looked can tell the pod that going there is no step back."""
    elder = fleet.operator("elder", "--base-domain", "elder.test").ready()
    # A kind of which the elder has seen an end that leaves no trace in later lists.
    fleet.apply(manifest("RestApi", "shop"), manifest("RestApi", "brief"))
    fleet.apply(route("a", "GET /a", **PETS))
    fleet.delete("RestApi", "brief")
    younger = fleet.operator("younger", "--base-domain", "younger.test").ready()
    hosts = {each.address: f"shop.{fleet.namespace}.{each.name}.test" for each in fleet.operators}

    stopped(fleet, elder)
    pod = fleet.pod("pod")
    assert followed(pod, 1) == younger.address
    serves(pod, hosts[younger.address], "/a")
    elder.signal(signal.SIGCONT)
    connected(pod, elder)
    took = [_killed(pod, younger, elder, 2)]
    serves(pod, hosts[elder.address], "/a")

    # Back, and younger than ever; the pod stays where it is, whoever has listed last.
    again = fleet.restart(younger).ready()
    connected(pod, again, 2)
    fleet.apply(route("b", "GET /b", **PETS))
    serves(pod, hosts[elder.address], "/b")
    assert pod.logged("operator lags and is left") == []
    assert len(pod.logged("operator followed")) == 2
    took.append(_killed(pod, elder, again, 3))
    serves(pod, hosts[again.address], "/b")
    with capsys.disabled():
        print(f"\nmoved after {', '.join(f'{seconds:.2f} s' for seconds in took)}")


def _killed(pod: PodProcess, operator: OperatorProcess, other: OperatorProcess, n: int) -> float:
    """SIGKILL; seconds until the pod follows the other one."""
    began = time.monotonic()
    operator.kill()
    assert followed(pod, n) == other.address
    return time.monotonic() - began


def test_a_pod_never_goes_back_to_an_operator_that_lags(fleet: Fleet) -> None:
    config = json.loads(fleet.plane.kubeconfig.read_text())
    server = config["clusters"][0]["cluster"]["server"]
    with TcpProxy(int(server.rpartition(":")[2])) as way:
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{way.port}"
        slow_config = fleet.folder / "slow.kubeconfig"
        slow_config.write_text(json.dumps(config))
        quick = fleet.operator("quick").ready()
        fleet.apply(manifest("RestApi", "shop"), route("a", "GET /a", **PETS))
        slow = fleet.operator("slow", kubeconfig=slow_config).ready()

        stopped(fleet, slow)
        pod = fleet.pod("pod", "--fallback-after", "600")
        assert followed(pod, 1) == quick.address
        slow.signal(signal.SIGCONT)
        connected(pod, slow)
        way.freeze()
        fleet.apply(route("new", "GET /new", **PETS))
        fleet.answers("shop", "/new", 200)
        with SteadyLoad(fleet.ports(), fleet.host("shop"), "/new") as load:
            quick.kill()
            wait_until(lambda: load.count > 100, "requests while the other one lags")
            assert len(pod.logged("operator followed")) == 1
            way.thaw()
            assert followed(pod, 2) == slow.address
            fleet.apply(route("last", "GET /last", **PETS))
            fleet.answers("shop", "/last", 200)
        assert load.failures == []
