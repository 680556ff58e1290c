"""Reconciler: bursts become one compile, and nothing half is ever delivered."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

import fake_kube
from fake_kube import until
from portico_compiler import Settings, compile  # noqa: A004
from portico_ir.model import EndpointSet, Snapshot
from portico_operator import objects, reconciler
from portico_operator.cluster.resources import OURS
from portico_operator.metrics import Metrics
from portico_operator.reconciler import Publication, Reconciler
from portico_operator.store import ALL, Scope, Store
from portico_operator.tasks import end, spawn


class Bed:
    """A reconciler, and everything that it was asked to deliver."""

    def __init__(self) -> None:
        self.store = Store()
        self.snapshots: list[Snapshot] = []
        self.endpoints: list[EndpointSet] = []
        self.edge: list[Snapshot | EndpointSet] = []
        """What the other class's data plane got."""
        self.marks: list[tuple[int, Mapping[str, str]]] = []
        """How far the replica had looked, after so many publications."""
        self.publications: list[Publication] = []
        self.may_believe = True
        self.asked = 0
        self.reconciler = Reconciler(
            self.store,
            Settings(mode="cluster", classes=("edge", "portico")),
            self,
            confirm=self._confirm,
            published=self.publications.append,
            measures=Metrics(),
        )

    def publish(
        self, class_name: str, snapshot: Snapshot, *, changed_at: float | None = None
    ) -> None:
        (self.snapshots if class_name == "portico" else self.edge).append(snapshot)

    def set_endpoints(
        self, class_name: str, endpoints: EndpointSet, marks: Mapping[str, str] | None = None
    ) -> None:
        (self.endpoints if class_name == "portico" else self.edge).append(endpoints)

    def advance(self, class_name: str, marks: Mapping[str, str]) -> None:
        if class_name == "portico":
            self.marks.append((len(self.snapshots), marks))

    async def _confirm(self) -> bool:
        self.asked += 1
        if self.may_believe:
            self.store.believe_deletions(self.store.deleted_kinds())
        return self.may_believe and not self.store.missing()

    def put(self, kind: str, name: str, version: int, **more: Any) -> None:
        self.store.put(objects.read(kind, fake_kube.item(name, version, **more)))
        self.reconciler.touch()

    def whole(self) -> None:
        for kind in OURS:
            self.store.expect((Scope(kind, ALL),))
            self.store.listed(Scope(kind, ALL), (), 1)
        self.put("PorticoClass", "portico", 2, namespace="", spec={"default": True})
        self.put("PorticoClass", "edge", 3, namespace="")

    def apis(self) -> set[str]:
        units = self.snapshots[-1].manifest.units
        return {unit.rpartition("/")[2] for unit in units if unit.startswith("api/")}


@contextlib.asynccontextmanager
async def started() -> AsyncIterator[Bed]:
    bed = Bed()
    task = spawn(bed.reconciler.run(), name="reconciler")
    try:
        yield bed
    finally:
        await end((task,))


async def test_a_burst_is_one_compile() -> None:
    async with started() as bed:
        bed.whole()
        for number in range(50):
            bed.put("RestApi", f"api-{number}", 10 + number)
        await until(lambda: bed.snapshots)
        assert len(bed.apis()) == 50
        assert len(bed.publications) == 1
        assert len(bed.publications[0].changed) == 52
        assert bed.reconciler.first_done.is_set()


async def test_delivery_hears_how_far_the_replica_has_looked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconciler, "PROGRESS_S", 0.005)
    routes = Scope("Route", ALL)
    async with started() as bed:
        progress = spawn(bed.reconciler.tell_progress(), name="progress")
        bed.whole()
        bed.put("RestApi", "shop", 10)
        await until(lambda: bed.publications)
        assert bed.snapshots[0].manifest.marks == {"PorticoClass": "3", "RestApi": "10"}
        count, marks = bed.marks[0]
        assert (count, marks["RestApi"], marks["Route"]) == (1, "10", "1")
        # A bookmark, and an event that changes nothing: nothing is published, and it is told.
        bed.store.advanced(routes, 40)
        await until(lambda: bed.marks[-1][1]["Route"] == "40")
        same = fake_kube.item("shop", 41)
        same["metadata"]["generation"] = 10
        bed.store.put(objects.read("RestApi", same))
        await until(lambda: bed.marks[-1][1]["RestApi"] == "41")
        assert len(bed.snapshots) == 1
        told = len(bed.marks)
        await asyncio.sleep(0.05)
        assert len(bed.marks) == told, "the same is not told again"
        await end((progress,))


async def test_a_change_that_is_not_delivered_yet_is_not_said_to_be_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a pod would take an older configuration for one that has the change."""
    monkeypatch.setattr(reconciler, "PROGRESS_S", 0.005)
    async with started() as bed:
        progress = spawn(bed.reconciler.tell_progress(), name="progress")
        bed.whole()
        await until(lambda: bed.publications)
        # Half a world: a kind is missing, and nothing can be compiled.
        bed.store.unknown(Scope("Route", ALL))
        bed.put("RestApi", "shop", 50)
        await asyncio.sleep(0.1)
        assert all(marks.get("RestApi") != "50" for _, marks in bed.marks)
        bed.store.listed(Scope("Route", ALL), (), 60)
        bed.reconciler.touch()
        await until(lambda: bed.marks[-1][1]["RestApi"] == "50")
        assert bed.marks[-1][0] == len(bed.snapshots) == 2
        await end((progress,))


async def test_a_publication_says_up_to_where_lists_were_known() -> None:
    async with started() as bed:
        bed.whole()
        bed.store.listed(Scope("Route", ALL), (), 40)
        await until(lambda: bed.publications)
        assert bed.publications[-1].lists["Route"] == 40
        assert bed.publications[-1].lists["Stage"] == 1


@pytest.mark.parametrize("kind", ["ApiDeployment", "ControllerRevision"])
async def test_what_may_mean_thousands_of_routes_is_compiled_off_the_loop(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []

    def noting(*given: Any) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return compile(*given)

    monkeypatch.setattr("portico_operator.reconciler.compile_world", noting)
    async with started() as bed:
        bed.whole()
        await until(lambda: bed.publications)
        bed.put("RestApi", "api", 10)
        await until(lambda: len(bed.publications) == 2)
        bed.put(kind, "v1", 11, spec={"apiRef": {"name": "api"}}, data={})
        await until(lambda: len(bed.publications) == 3)
    assert not threads[0]
    assert not threads[2]


async def test_a_class_gets_its_own_and_no_other_s() -> None:
    async with started() as bed:
        bed.whole()
        bed.put("RestApi", "api", 10)
        bed.put("RestApi", "inner", 11, spec={"className": "edge"})
        await until(lambda: bed.snapshots)
        assert bed.apis() == {"api"}
        (found,) = bed.edge
        assert isinstance(found, Snapshot)
        assert sorted(found.units) == ["api/n/RestApi/inner", "gateway"]


async def test_nothing_before_everything_is_listed() -> None:
    async with started() as bed:
        bed.store.expect((Scope("Route", ALL),))
        bed.put("RestApi", "api", 10)
        await until(lambda: not bed.reconciler._stirred.is_set())
        assert not bed.snapshots
        bed.whole()
        await until(lambda: bed.snapshots)
        assert bed.apis() == {"api"}


async def test_deletions_that_nobody_confirms_are_not_served() -> None:
    async with started() as bed:
        bed.whole()
        bed.put("RestApi", "api", 10)
        await until(lambda: bed.snapshots)
        bed.may_believe = False
        bed.store.delete(objects.read("RestApi", fake_kube.item("api", 10)).ref, 20)
        bed.reconciler.touch()
        await until(lambda: bed.asked >= 2)
        assert len(bed.snapshots) == 1
        bed.may_believe = True
        await until(lambda: len(bed.snapshots) == 2)
        assert bed.apis() == set()


async def test_endpoints_move_while_a_kind_is_away() -> None:
    async with started() as bed:
        bed.whole()
        service = {"name": "pets", "port": 80}
        spec = {"apiRef": {"name": "api"}, "routeKey": "GET /", "integration": {"service": service}}
        bed.put("RestApi", "api", 10)
        bed.put("Route", "r", 11, spec=spec)
        bed.put("Service", "pets", 12, spec={"ports": [{"port": 80}]})
        await until(lambda: bed.snapshots)
        bed.store.unknown(Scope("Route", ALL))
        raw = fake_kube.item("pets-1", 13)
        raw["metadata"]["labels"] = {
            "kubernetes.io/service-name": "pets",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }
        raw |= {"endpoints": [{"addresses": ["10.0.0.7"]}], "ports": [{"port": 8080}]}
        before = len(bed.snapshots)
        bed.store.put(objects.read("EndpointSlice", raw))
        bed.reconciler.touch()
        await until(lambda: bed.endpoints)
        (endpoint,) = bed.endpoints[-1].upstreams["n/pets:80"]
        assert (endpoint.host, endpoint.port) == ("10.0.0.7", 8080)
        assert len(bed.snapshots) == before
        assert not [sent for sent in bed.edge if isinstance(sent, EndpointSet)]


async def test_endpoint_sequences_follow_the_cluster() -> None:
    async with started() as bed:
        bed.whole()
        bed.put("RestApi", "api", 10)
        await until(lambda: bed.snapshots)
        assert bed.snapshots[0].endpoints.sequence == 0
        service = {"name": "pets", "port": 80}
        spec = {"apiRef": {"name": "api"}, "routeKey": "GET /", "integration": {"service": service}}
        bed.put("Route", "r", 70, spec=spec)
        bed.put("Service", "pets", 71, spec={"ports": [{"port": 80}]})
        await until(lambda: bed.snapshots[-1].endpoints.upstreams)
        assert bed.snapshots[-1].endpoints.sequence == 71
