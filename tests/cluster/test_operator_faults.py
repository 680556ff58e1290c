"""The operator when things go wrong: kinds that go, an API server that is away, two leaders."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane import CRDS, ControlPlane
from kubernetes_api import GROUP_VERSION, KubernetesApi
from manifests import manifest, route
from operators import condition, eventually, prepare, running
from portico_operator.app import App

NAMESPACE = "default"


@pytest.fixture(scope="module")
def own(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A control plane that this module may break."""
    with ControlPlane(control_plane.binaries) as plane:
        plane.install_crds()
        yield plane


@pytest.fixture
def api(own: ControlPlane) -> Iterator[KubernetesApi]:
    """Its API, with nothing of ours before and after."""
    yield own.api
    for kind in ("Route", "RestApi"):
        for found in own.api.list(GROUP_VERSION, kind, NAMESPACE):
            own.api.delete(GROUP_VERSION, kind, found["metadata"]["name"], NAMESPACE)
    own.api.delete("coordination.k8s.io/v1", "Lease", "portico-operator", NAMESPACE)


def served(app: App) -> frozenset[str]:
    """Route keys of what was delivered last."""
    latest = app.status.latest
    if latest is None:
        return frozenset()
    return frozenset(row.key for row in latest.compiled.report.routes)


class Watchman:
    """Every set of routes that was ever delivered."""

    def __init__(self, app: App) -> None:
        self.seen: list[frozenset[str]] = []
        self._app = app
        published = app.reconciler._published

        def noted(publication: Any) -> None:
            published(publication)
            self.seen.append(served(app))

        app.reconciler._published = noted


@contextlib.asynccontextmanager
async def serving(plane: ControlPlane, *keys: str, **more: Any) -> AsyncIterator[App]:
    """An operator that has delivered these routes of one API."""
    async with running(plane, NAMESPACE, **more) as app:
        plane.api.apply(manifest("RestApi", "shop"))
        for number, key in enumerate(keys):
            plane.api.apply(route(f"r{number}", key))
        await eventually(lambda: served(app) == set(keys), "the first configuration")
        yield app


async def test_a_crd_that_is_deleted_and_recreated_never_empties_the_world(
    own: ControlPlane, api: KubernetesApi
) -> None:
    keys = {f"GET /r{number}" for number in range(5)}
    documents = [route(f"r{number}", f"GET /r{number}") for number in range(5)]
    async with serving(own, *sorted(keys)) as app:
        watchman = Watchman(app)
        crd = yaml.safe_load(Path(CRDS / "portico.dev_routes.yaml").read_text())
        await asyncio.to_thread(api.delete, crd["apiVersion"], crd["kind"], crd["metadata"]["name"])
        await eventually(lambda: app.store.missing(), "the kind to be missed")
        # Other changes wait, too: half a world is none.
        api.apply(manifest("RestApi", "another"))
        await asyncio.to_thread(own.install_crds)
        for document in documents:
            await asyncio.to_thread(api.apply, document)
        await eventually(lambda: not app.store.missing(), "the kind to be believed")
        await eventually(lambda: served(app) == keys)
        assert set(watchman.seen) <= {frozenset(keys)}
        # And the watch goes on.
        await asyncio.to_thread(api.apply, route("r9", "GET /after"))
        await eventually(lambda: served(app) == keys | {"GET /after"})
        api.delete(GROUP_VERSION, "RestApi", "another", NAMESPACE)


async def test_an_api_server_that_is_away_and_back(own: ControlPlane, api: KubernetesApi) -> None:
    async with serving(own, "GET /a") as app:
        watchman = Watchman(app)
        await asyncio.to_thread(own.kill_api_server)
        await eventually(lambda: not app.lease.is_leader(), "leading to end")
        assert served(app) == {"GET /a"}
        own.start_api_server()  # here: it ends with the thread that started it
        await asyncio.to_thread(api.apply, route("r1", "GET /b"))
        await eventually(lambda: served(app) == {"GET /a", "GET /b"})
        await eventually(lambda: condition(api, "Route", "r1", NAMESPACE, "Accepted")[0] == "True")
        assert frozenset() not in watchman.seen
        assert app._dead() == ""


async def test_versions_that_are_forgotten_while_it_was_away(
    own: ControlPlane, api: KubernetesApi
) -> None:
    async with serving(own, "GET /a", "GET /gone") as app:
        watchman = Watchman(app)
        # The watch cache of a fresh API server begins now, and etcd has no older versions.
        await asyncio.to_thread(own.kill_api_server)
        await asyncio.to_thread(own.compact)
        own.start_api_server()  # here: it ends with the thread that started it
        await asyncio.to_thread(api.delete, GROUP_VERSION, "Route", "r1", NAMESPACE)
        await asyncio.to_thread(own.compact)
        await asyncio.to_thread(api.apply, route("r2", "GET /new"))
        await eventually(lambda: served(app) == {"GET /a", "GET /new"})
        assert frozenset() not in watchman.seen


async def test_one_leader_writes_and_another_takes_over(
    own: ControlPlane, api: KubernetesApi
) -> None:
    async with serving(own, "GET /a", identity="one") as first:
        await eventually(first.lease.is_leader)
        async with running(own, NAMESPACE, identity="two") as second:
            await eventually(lambda: served(second) == {"GET /a"})
            api.apply(route("r1", "GET /b"))
            await eventually(
                lambda: condition(api, "Route", "r1", NAMESPACE, "Accepted")[0] == "True"
            )
            assert not second.lease.is_leader()
            assert _written(second) == 0
            # Killed: nothing is released, nobody renews.
            first.lease._release = _nothing  # type: ignore[method-assign]
            killed = [first._tasks[name] for name in ("lease", "status")]
            for task in killed:
                task.cancel()
            await asyncio.wait(killed)
            # Only now: the API server shows a status before its writer has heard the answer.
            before = _written(first)
            began = time.monotonic()
            await eventually(second.lease.is_leader)
            assert not first.lease.is_leader()
            assert time.monotonic() - began < 60
            api.apply(route("r2", "GET /c"))
            await eventually(
                lambda: condition(api, "Route", "r2", NAMESPACE, "Accepted")[0] == "True"
            )
            assert _written(first) == before


async def _nothing() -> None:
    """What a killed process does about its Lease."""


def _written(app: App) -> int:
    labels = {"outcome": "written"}
    return int(app.metrics.registry.get_sample_value("portico_status_writes_total", labels) or 0)


async def test_it_waits_for_kinds_that_are_not_served_yet(
    control_plane: ControlPlane,
) -> None:
    with ControlPlane(control_plane.binaries) as bare:
        async with running(bare, NAMESPACE) as app:
            await eventually(lambda: app.store.missing())
            assert not app.reconciler.first_done.is_set()
            assert "Route" in app._unready()
            await asyncio.to_thread(bare.install_crds)
            await asyncio.to_thread(prepare, bare.api, NAMESPACE)
            await eventually(app.reconciler.first_done.is_set)
            await asyncio.to_thread(bare.api.apply, manifest("RestApi", "shop"))
            await asyncio.to_thread(bare.api.apply, route("r", "GET /late"))
            await eventually(lambda: served(app) == {"GET /late"})
