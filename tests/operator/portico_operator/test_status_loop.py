"""StatusLoop: from a publication and its acknowledgements to one write."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

import worlds
from fake_kube import item, until
from portico_compiler import ObjectRef
from portico_ir.stream import Acknowledgement, content_digest
from portico_operator import status_loop
from portico_operator.cluster.status_writer import Outcome
from portico_operator.delivery.fleet import Fleet
from portico_operator.objects import read
from portico_operator.pods import PodState
from portico_operator.reconciler import Publication
from portico_operator.status_loop import Done, StatusLoop
from portico_operator.store import Store
from portico_operator.tasks import end, spawn

CLASS = "portico"
TEXT = """
apiVersion: portico.dev/v1alpha1
kind: PorticoClass
metadata: {name: portico}
spec: {default: true}
---
apiVersion: portico.dev/v1alpha1
kind: PorticoClass
metadata: {name: foreign}
spec: {}
---
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {name: shop}
spec: {}
---
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {name: elsewhere}
spec: {className: foreign}
---
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {name: nowhere}
spec: {className: missing}
---
apiVersion: portico.dev/v1alpha1
kind: Stage
metadata: {name: prod}
spec: {apiRef: {name: shop}, stageName: prod}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: a}
spec: {apiRef: {name: shop}, routeKey: GET /a, integration: {url: "http://x.example/"}}
"""
ROUTE, API = ObjectRef("Route", "default", "a"), ObjectRef("RestApi", "default", "shop")
STAGE = ObjectRef("Stage", "default", "prod")
OWN_CLASS = ObjectRef("PorticoClass", "", "portico")
NOWHERE = ObjectRef("RestApi", "default", "nowhere")
OURS = {ROUTE, API, STAGE, OWN_CLASS, NOWHERE}
SHARD = "routes/default/RestApi/shop/*/0"


class Writer:
    """Writes into the bed's cluster at once, as long as it is not `away`."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self.away = False
        self.leads = True
        self.closed = False

    def room(self) -> int:
        return 100

    def next_time(self) -> float:
        return -math.inf

    def begin(self, ref: ObjectRef, uid: str, status: dict[str, Any], done: Done) -> None:
        assert uid == f"u-{ref.name}"
        if not self.leads or self.away:
            asyncio.get_running_loop().call_soon(
                done, ref, Outcome(None, 0.01 if self.leads else None)
            )
            return
        self._bed.written.append((ref, status))
        asyncio.get_running_loop().call_soon(done, ref, Outcome(self._bed.stored(ref, status)))

    async def close(self) -> None:
        self.closed = True


class Bed:
    """A loop over a store, a fleet, and the statuses written."""

    def __init__(self) -> None:
        self.store, self.fleet = Store(), Fleet("b")
        self.version = 10
        self.known, self.leads = False, True
        self.restored = 0
        self.written: list[tuple[ObjectRef, dict[str, Any]]] = []
        world, problems = worlds.world(TEXT)
        assert not problems
        for object_ in world.objects:
            raw = item(object_.ref.name, 5, object_.ref.namespace, **dict(object_.body))
            self.store.put(read(object_.ref.kind, raw))
        self.writer = Writer(self)
        self.loop = StatusLoop(
            self.store,
            self.writer,
            standings=lambda: {CLASS: self.fleet.standing()} if self.known else None,
            leads=lambda: self.leads,
            restored=self._count,
        )

    def _count(self) -> None:
        self.restored += 1

    def stored(self, ref: ObjectRef, status: dict[str, Any]) -> Any:
        self.version += 1
        known = self.store.get(ref)
        assert known is not None
        body = dict(known.object.body)
        raw = item(ref.name, self.version, ref.namespace, **body, status=status)
        raw["metadata"]["generation"] = 5
        return read(ref.kind, raw)

    def pods(self, *names: str) -> None:
        self.known = True
        self.fleet.set_pods([PodState(name, name, True, False) for name in names], 0)
        self.loop.stir()

    def publish(self, text: str = TEXT) -> str:
        """The content that pods acknowledge."""
        compiled = worlds.compiled(text, classes=(CLASS,))
        manifest = compiled.snapshots[CLASS].manifest
        content = content_digest(manifest)
        self.fleet.published(content=content, marks={}, changed_at=0.0, now=0.0)
        changed = frozenset(compiled.report.conditions)
        publication = Publication(compiled, changed, 0.0)
        self.loop.published(publication, {CLASS: self.fleet.serial})
        return content

    def acknowledge(self, content: str, pod: str = "pod", **refused: str) -> None:
        self.fleet.acknowledged(
            pod, Acknowledgement(digest="d", content=content, refused=refused, build="b"), 0.25
        )
        self.loop.stir()

    def status(self, ref: ObjectRef) -> dict[str, Any]:
        return next((status for each, status in reversed(self.written) if each == ref), {})

    def programmed(self, ref: ObjectRef) -> str:
        for condition in self.status(ref).get("conditions", ()):
            if condition["type"] == "Programmed":
                return str(condition["reason"])
        return ""


@contextlib.asynccontextmanager
async def started() -> AsyncIterator[Bed]:
    bed = Bed()
    task = spawn(bed.loop.run(), name="status")
    try:
        yield bed
    finally:
        await end((task,))
    assert bed.writer.closed


async def test_nothing_is_said_before_the_pods_are_known() -> None:
    async with started() as bed:
        bed.publish()
        await asyncio.sleep(0.2)
        assert not bed.written
        bed.pods()
        await until(lambda: bed.programmed(ROUTE) == "NoDataPlane")


async def test_one_write_when_everybody_has_it() -> None:
    async with started() as bed:
        bed.pods("pod")
        bed.fleet.joined("pod", "pod")
        bed.acknowledge(bed.publish())
        await until(lambda: len(bed.written) == len(OURS))
        assert {ref for ref, _ in bed.written} == OURS
        assert {bed.programmed(ref) for ref in OURS - {NOWHERE}} == {"Programmed"}


async def test_publications_that_come_while_it_rests_share_one_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many edits a second there are, most of the CPU is for delivering them."""
    monkeypatch.setattr(status_loop, "REST", 1e9)
    monkeypatch.setattr(status_loop, "MOST_REST_S", 0.5)
    async with started() as bed:
        bed.pods("pod")
        bed.fleet.joined("pod", "pod")
        bed.acknowledge(bed.publish())
        await until(lambda: len(bed.written) == len(OURS))
        looks = []
        monkeypatch.setattr(
            bed.loop.board, "found", lambda news, *rest: looks.append(news), raising=True
        )
        for number in range(5):
            bed.acknowledge(bed.publish(f"{TEXT}# {number}"))
            await asyncio.sleep(0.06)
        assert not looks
        await until(lambda: looks)
        assert len(looks) == 1


async def test_objects_of_another_operators_class_are_not_ours_and_those_of_none_are() -> None:
    async with started() as bed:
        bed.pods()
        bed.publish()
        await until(lambda: len(bed.written) == len(OURS))
        assert {ref for ref, _ in bed.written} == OURS
        assert bed.programmed(NOWHERE) == "NoDataPlane"
        assert "no PorticoClass" in bed.status(NOWHERE)["conditions"][-1]["message"]


async def test_who_does_not_lead_writes_nothing_and_the_next_leader_everything() -> None:
    async with started() as bed:
        bed.leads = False
        bed.pods()
        bed.publish()
        await asyncio.sleep(0.2)
        assert not bed.written
        bed.leads = True
        bed.loop.stir()
        await until(lambda: len(bed.written) == len(OURS))


async def test_a_lease_that_is_lost_for_a_moment_loses_no_write() -> None:
    """Between two looks of the loop: only the writer has noticed."""
    async with started() as bed:
        bed.writer.leads = False
        bed.pods()
        bed.publish()
        await asyncio.sleep(0.2)
        assert not bed.written
        bed.writer.leads = True
        await until(lambda: len(bed.written) == len(OURS))


async def test_an_api_server_that_is_away_loses_no_write() -> None:
    async with started() as bed:
        bed.writer.away = True
        bed.pods()
        bed.publish()
        await asyncio.sleep(0.3)
        assert not bed.written
        bed.writer.away = False
        await until(lambda: len(bed.written) == len(OURS))
        await until(lambda: bed.loop.board.backlog == 0)


async def test_a_refusal_is_told_of_the_api_and_what_is_its_own() -> None:
    async with started() as bed:
        bed.pods("pod")
        bed.fleet.joined("pod", "pod")
        bed.acknowledge(bed.publish(), **{SHARD: "unknown policy"})
        await until(lambda: len(bed.written) == len(OURS))
        reasons = {ref.kind: bed.programmed(ref) for ref in (API, STAGE, ROUTE, OWN_CLASS)}
        assert reasons == {
            "RestApi": "Refused",
            "Stage": "Refused",
            "Route": "Refused",
            "PorticoClass": "Programmed",
        }


async def test_apis_and_stages_count_pods_and_say_how_long_it_took() -> None:
    async with started() as bed:
        bed.pods("pod", "other")
        for name in ("pod", "other"):
            bed.fleet.joined(name, name)
        first = bed.publish()
        for name in ("pod", "other"):
            bed.acknowledge(first, name)
        second = bed.publish(TEXT.replace("GET /a", "GET /b"))
        for name in ("pod", "other"):
            bed.acknowledge(second, name)
        await until(lambda: len(bed.written) == len(OURS))
        counts = {"pods": 2, "acknowledged": 2, "propagation": "250ms"}
        assert bed.status(API)["dataPlane"] == counts
        assert bed.status(STAGE)["dataPlane"] == counts
        assert "dataPlane" not in bed.status(ROUTE)


async def test_what_an_answer_brings_that_its_event_did_not_is_compiled() -> None:
    async with started() as bed:
        stored = bed.stored

        def edited(ref: ObjectRef, status: dict[str, Any]) -> Any:
            known = stored(ref, status)
            raw = item(ref.name, bed.version, ref.namespace, spec={"edited": True}, status=status)
            return known if ref != ROUTE else read("Route", raw)

        bed.stored = edited  # type: ignore[method-assign]
        bed.pods()
        bed.publish()
        await until(lambda: len(bed.written) == len(OURS))
        await until(lambda: bed.restored >= 1)  # The Stage's tells that it was programmed, too.
