"""StatusLoop: from a publication and its acknowledgements to one write."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import worlds
from fake_kube import item, until
from portico_compiler import ObjectRef
from portico_ir import codec
from portico_operator.cluster.status_writer import Outcome
from portico_operator.objects import read
from portico_operator.ports import PodReport
from portico_operator.reconciler import Publication
from portico_operator.rollout import LivePod
from portico_operator.status_loop import Batch, StatusLoop, Written
from portico_operator.store import Store
from portico_operator.tasks import end, spawn

TEXT = """
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {name: shop}
spec: {}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: a}
spec: {apiRef: {name: shop}, routeKey: GET /a, integration: {url: "http://x.example/"}}
"""
ROUTE = ObjectRef("Route", "default", "a")


class Bed:
    """A loop over a store, a fleet of one pod, and the statuses written."""

    def __init__(self) -> None:
        self.store = Store()
        self.version = 10
        for kind, name in (("RestApi", "shop"), ("Route", "a")):
            self.store.put(read(kind, item(name, 5, "default")))
        self.live: dict[str, LivePod] | None = None
        self.reports: dict[str, PodReport] = {}
        self.leads = True
        self.written: list[tuple[ObjectRef, dict[str, Any]]] = []
        self.loop = StatusLoop(
            self.store,
            live=lambda: self.live,
            reports=lambda: self.reports,
            leads=lambda: self.leads,
            room=lambda: 100,
            write_all=self._write,
            restored=lambda: None,
        )

    async def _write(self, batch: Batch, done: Callable[[ObjectRef, Written], None]) -> None:
        for ref, uid, status in batch:
            assert uid == f"u-{ref.name}"
            self.written.append((ref, status))
            self.version += 1
            raw = item(ref.name, self.version, "default", status=status)
            raw["metadata"]["generation"] = 5
            done(ref, Outcome(read(ref.kind, raw), retry=False))

    def publish(self) -> str:
        compiled = worlds.compiled(TEXT)
        changed = frozenset(compiled.report.conditions)
        self.loop.published(Publication(compiled, changed, 0.0))
        return codec.digest(codec.encode(compiled.snapshot.manifest))

    def programmed(self, ref: ObjectRef) -> str:
        for written, status in reversed(self.written):
            if written == ref:
                (found,) = (c for c in status["conditions"] if c["type"] == "Programmed")
                return str(found["reason"])
        return ""


@contextlib.asynccontextmanager
async def started() -> AsyncIterator[Bed]:
    bed = Bed()
    task = spawn(bed.loop.run(), name="status")
    try:
        yield bed
    finally:
        await end((task,))


async def test_nothing_is_said_before_the_pods_are_known() -> None:
    async with started() as bed:
        bed.publish()
        await until(lambda: not bed.loop._stirred.is_set())
        assert not bed.written
        bed.live = {}
        bed.loop.stir()
        await until(lambda: bed.programmed(ROUTE) == "NoDataPlane")


async def test_one_write_when_everybody_has_it() -> None:
    async with started() as bed:
        bed.live = {"u": LivePod("u", "pod")}
        digest = bed.publish()
        bed.reports = {"u": PodReport("u", "pod", digest)}
        bed.loop.stir()
        await until(lambda: len(bed.written) == 2)
        assert bed.programmed(ROUTE) == "Programmed"
        assert {ref for ref, _ in bed.written} == {
            ROUTE,
            ROUTE._replace(kind="RestApi", name="shop"),
        }


async def test_who_does_not_lead_writes_nothing_and_the_next_leader_everything() -> None:
    async with started() as bed:
        bed.leads = False
        bed.live = {}
        bed.publish()
        await until(lambda: bed.loop.board.backlog == 2)
        assert not bed.written
        bed.leads = True
        bed.loop.stir()
        await until(lambda: len(bed.written) == 2)


async def test_a_refusal_is_told_of_the_routes_in_the_unit() -> None:
    async with started() as bed:
        bed.live = {"u": LivePod("u", "pod")}
        digest = bed.publish()
        refused = {"routes/default/RestApi/shop/*/0": "unknown policy"}
        bed.reports = {"u": PodReport("u", "pod", digest, {}, refused)}
        bed.loop.stir()
        await until(lambda: bed.programmed(ROUTE) == "Refused")
