"""CaptureLoop: the leader takes what is ready and removes what nobody names; others do nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import worlds
from deployments import Raw, deployment, revision, shop, stage
from fake_kube import until
from portico_compiler import ObjectRef, compile  # noqa: A004
from portico_compiler.passes.captures import Candidate
from portico_operator.capture_loop import CaptureLoop, Terms
from portico_operator.captures import Kept
from portico_operator.cluster.client import ApiError
from portico_operator.cluster.revision_store import Found, NotLeading
from portico_operator.objects import read
from portico_operator.reconciler import Publication
from portico_operator.store import Store
from portico_operator.tasks import end, spawn

QUICK = Terms(settle=0.02, grace=0.02, sweep=600.0)
VERSION = 10


class Cluster:
    """Revisions, lists and the Lease, as far as the loop asks for them."""

    def __init__(self, raws: list[Raw]) -> None:
        self.raws = raws
        self.leading = True
        self.taken: list[str] = []
        self.removed: list[str] = []
        self.kept: list[Kept] = []
        self.failures: list[Exception] = []
        self.refreshed: list[frozenset[str]] = []
        self.versions: dict[str, int] = {}
        self.store = Store()
        self.uid = ""
        self.loop = CaptureLoop(
            self.store,
            self,
            leads=lambda: self.leading,
            refresh=self.refresh,
            classes=lambda: ("",),
            terms=QUICK,
        )

    def publish(self, lists: Mapping[str, int] | None = None) -> None:
        world, problems = worlds.of_raws(self.raws, mode="cluster")
        assert not problems
        for found in world.objects:
            metadata = {
                "name": found.ref.name,
                "namespace": found.ref.namespace,
                "uid": found.uid,
                "resourceVersion": str(VERSION),
            }
            self.store.put(read(found.ref.kind, {"metadata": metadata, **found.body}))
            if found.ref.kind == "RestApi":
                self.uid = found.uid
        compiled = compile(world)
        self.loop.published(Publication(compiled, frozenset(), 0.0, lists or self.versions))

    # --- what the loop asks for -------------------------------------------------------------

    async def refresh(self, kinds: Iterable[str]) -> None:
        self.refreshed.append(frozenset(kinds))
        self.versions = dict.fromkeys((*kinds, *self.versions), VERSION + 5)
        self.publish()

    async def take(self, candidate: Candidate) -> bool:
        if self.failures:
            raise self.failures.pop(0)
        assert candidate.captured is not None
        self.taken.append(candidate.deployment.name)
        return True

    async def find(self) -> Found:
        return Found(list(self.kept), VERSION + 1)

    async def remove(self, part: Kept) -> None:
        self.removed.append(part.name)
        self.kept.remove(part)


@contextlib.asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[Cluster]:
    task = spawn(cluster.loop.run(), name="captures")
    try:
        cluster.publish()
        yield cluster
        assert not task.done()
    finally:
        await end((task,))


CLASS: Raw = {
    "apiVersion": "portico.dev/v1alpha1",
    "kind": "PorticoClass",
    "metadata": {"name": "c"},
    "spec": {"default": True},
}


def world(*more: Raw) -> list[Raw]:
    return [CLASS, *shop(), *more]


async def test_lists_are_made_new_and_it_is_taken_once() -> None:
    async with running(Cluster(world(deployment("v1")))) as cluster:
        await until(lambda: cluster.taken)
        assert {"RestApi", "Route", "Authorizer"} in cluster.refreshed
        cluster.publish()
        await asyncio.sleep(0.1)
        assert cluster.taken == ["v1"]


async def test_who_does_not_lead_takes_nothing_until_it_does() -> None:
    cluster = Cluster(world(deployment("v1")))
    cluster.leading = False
    async with running(cluster):
        await asyncio.sleep(0.1)
        assert (cluster.taken, cluster.refreshed) == ([], [])
        cluster.leading = True
        cluster.loop.stir()
        await until(lambda: cluster.taken)


async def test_a_failure_is_tried_again_and_a_lost_lease_is_none() -> None:
    cluster = Cluster(world(deployment("v1")))
    cluster.failures = [ApiError(500, "", "not now"), NotLeading("another one does")]
    async with running(cluster):
        await until(lambda: cluster.taken)
    assert not cluster.failures


def kept(cluster: Cluster, name: str, uid: str = "") -> Kept:
    api = ObjectRef("RestApi", "default", "shop")
    return Kept("default", name, f"u-{name}", name, api, uid or cluster.uid)


def own_class(cluster: Cluster) -> Any:
    return lambda: ("c",)


async def test_what_nobody_names_goes_and_what_is_named_stays() -> None:
    named, unnamed = revision(shop(), "v1", own=True), revision(shop(), "v2", own=True)
    names = [parts[-1]["metadata"]["name"] for parts in (named, unnamed)]
    cluster = Cluster(world(*named, *unnamed, stage("prod", "v1")))
    cluster.loop._classes = own_class(cluster)
    cluster.publish()
    cluster.kept = [kept(cluster, name) for name in (*names, "elsewhere")]
    cluster.kept.append(kept(cluster, "foreign", uid="of another API"))
    async with running(cluster):
        await until(lambda: len(cluster.removed) == 2)
        assert sorted(cluster.removed) == sorted([names[1], "elsewhere"])
        # First the lists that say who names what, newer than what was found.
        assert any({"ApiDeployment", "Stage", "RestApi"} <= kinds for kinds in cluster.refreshed)
        # Later, the stage goes; what it served goes after it.
        cluster.raws = [raw for raw in cluster.raws if raw["kind"] != "Stage"]
        cluster.publish()
        await until(lambda: names[0] in cluster.removed)
        assert [part.name for part in cluster.kept] == ["foreign"]


async def test_of_another_class_nothing_is_removed() -> None:
    unnamed = revision(shop(), "v2", own=True)
    cluster = Cluster(world(*unnamed))
    cluster.publish()
    cluster.kept = [kept(cluster, unnamed[-1]["metadata"]["name"])]
    async with running(cluster):
        await until(lambda: cluster.refreshed)
        await asyncio.sleep(0.1)
        assert cluster.removed == []


async def test_nothing_is_looked_for_where_there_is_nothing() -> None:
    async with running(Cluster(world())) as cluster:
        await asyncio.sleep(0.1)
        assert cluster.refreshed == []
