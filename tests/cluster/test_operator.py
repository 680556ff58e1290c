"""The operator against a real API server: what a user applies, and what status says of it."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from control_plane import ControlPlane
from kubernetes_api import GROUP_VERSION, KubernetesApi
from manifests import manifest, route, service
from operators import condition, eventually, running, status_of
from portico_compiler import ObjectRef
from portico_ir import codec
from portico_ir.stream import Acknowledgement, content_digest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "petstore" / "manifests"


def apply(api: KubernetesApi, namespace: str, *documents: dict[str, Any]) -> None:
    for document in documents:
        own = copy.deepcopy(document)
        own["metadata"]["namespace"] = namespace
        api.apply(own)


def resolved(api: KubernetesApi, kind: str, name: str, namespace: str) -> bool:
    return condition(api, kind, name, namespace, "ResolvedRefs")[0] == "True"


def idle(api: KubernetesApi, kind: str, name: str, namespace: str) -> bool:
    return condition(api, kind, name, namespace, "Programmed")[1] == "NotDeployed"


def petstore() -> list[dict[str, Any]]:
    return [
        document
        for file in sorted(EXAMPLES.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
    ]


async def test_petstore_is_accepted_and_waits_for_a_data_plane(
    cluster: ControlPlane, fresh_namespace: str
) -> None:
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace) as app:
        await asyncio.to_thread(apply, api, namespace, *petstore())
        for kind, name in (("RestApi", "petstore"), ("Route", "get-pet"), ("Route", "chat")):
            await eventually(partial(resolved, api, kind, name, namespace))
            assert condition(api, kind, name, namespace, "Accepted")[0] == "True"
            assert condition(api, kind, name, namespace, "Programmed")[:2] == (
                "False",
                "NoDataPlane",
            )
        status = status_of(api, "RestApi", "petstore", namespace)
        assert len(status["apiId"]) == 10
        assert status["addresses"] == [f"http://petstore.{namespace}.localhost/"]
        assert status["dataPlane"] == {"pods": 0, "acknowledged": 0}
        await eventually(lambda: app.tls.started, "the stream")
        assert await _probe(app.admin_port, "readyz") == 200
        assert await _probe(app.admin_port, "livez") == 200
        assert await _probe(app.admin_port, "metrics") == 200
    lease = api.get("coordination.k8s.io/v1", "Lease", "portico-operator", namespace)
    assert not lease["spec"].get("holderIdentity")


async def _probe(port: int, path: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/{path}") as answer,
    ):
        return answer.status


async def test_one_change_is_one_write(cluster: ControlPlane, fresh_namespace: str) -> None:
    api, namespace = cluster.api, fresh_namespace

    def managed() -> tuple[int, str]:
        found = api.get(GROUP_VERSION, "Route", "r", namespace)
        return found["status"]["observedGeneration"], found["metadata"]["resourceVersion"]

    async with running(cluster, namespace) as app:
        apply(api, namespace, manifest("RestApi", "shop"), route("r", "GET /a"))
        await eventually(lambda: condition(api, "Route", "r", namespace, "Accepted")[0] == "True")
        await eventually(lambda: app.status.board.backlog == 0)
        before = _written(app)
        for number in range(2, 5):
            apply(api, namespace, route("r", f"GET /a{number}"))
            await eventually(partial(_is_at, managed, number))
        settled = managed()
        await eventually(lambda: app.status.board.backlog == 0)
        assert _written(app) - before == 3
        # A write of its own is an event, too, and must not lead to another.
        apply(api, namespace, route("other", "GET /b"))
        await eventually(lambda: condition(api, "Route", "other", namespace, "Accepted")[0])
        await eventually(lambda: app.status.board.backlog == 0)
        assert managed() == settled
        assert _written(app) - before == 4


def _is_at(managed: Callable[[], tuple[int, str]], generation: int) -> bool:
    return managed()[0] == generation


def _written(app: Any) -> int:
    return int(
        app.metrics.registry.get_sample_value("portico_status_writes_total", {"outcome": "written"})
        or 0
    )


async def test_edit_rename_move_and_delete(cluster: ControlPlane, fresh_namespace: str) -> None:
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace) as app:
        apply(api, namespace, manifest("RestApi", "shop"), manifest("RestApi", "other"))
        apply(api, namespace, route("r", "GET /a"), route("s", "GET /b"))
        await eventually(lambda: _routes(app, namespace, "shop") == {"GET /a", "GET /b"})
        apply(api, namespace, route("r", "GET /edited"))
        await eventually(lambda: _routes(app, namespace, "shop") == {"GET /edited", "GET /b"})
        apply(api, namespace, route("r", "GET /edited", api="other"))
        await eventually(lambda: _routes(app, namespace, "other") == {"GET /edited"})
        assert _routes(app, namespace, "shop") == {"GET /b"}
        api.delete(GROUP_VERSION, "Route", "s", namespace)
        apply(api, namespace, route("renamed", "GET /b"))
        await eventually(lambda: _routes(app, namespace, "shop") == {"GET /b"})
        api.delete(GROUP_VERSION, "RestApi", "shop", namespace)
        await eventually(
            lambda: (
                condition(api, "Route", "renamed", namespace, "ResolvedRefs")[1] == "RefNotFound"
            )
        )
        assert _routes(app, namespace, "shop") is None
        apply(api, namespace, manifest("RestApi", "shop"))
        await eventually(lambda: _routes(app, namespace, "shop") == {"GET /b"})


def _routes(app: Any, namespace: str, name: str) -> set[str] | None:
    latest = app.status.latest
    if latest is None:
        return None
    ref = ObjectRef("RestApi", namespace, name)
    report = latest.compiled.report
    if ref not in report.addresses:
        return None
    return {row.key for row in report.routes if row.api == ref}


async def test_a_broken_route_names_the_field_and_leaves_its_neighbour(
    cluster: ControlPlane, fresh_namespace: str
) -> None:
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace):
        apply(api, namespace, manifest("RestApi", "shop"), route("good", "GET /good"))
        broken: dict[str, Any] = {"integration": {"url": "http://backend.example/{nowhere}"}}
        apply(api, namespace, route("bad", "GET /bad", **broken))
        found = await eventually(
            lambda: _false(condition(api, "Route", "bad", namespace, "Accepted"))
        )
        assert found is not None
        _, reason, message = found
        assert reason
        assert "spec.integration.url" in message
        assert condition(api, "Route", "bad", namespace, "Programmed")[1] == "NotAccepted"
        await eventually(
            lambda: condition(api, "Route", "good", namespace, "Accepted")[0] == "True"
        )


def _false(found: tuple[str, str, str]) -> tuple[str, str, str] | None:
    return found if found[0] == "False" else None


async def test_a_service_that_is_missing_and_appears(
    cluster: ControlPlane, fresh_namespace: str
) -> None:
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace):
        target: dict[str, Any] = {"integration": {"service": {"name": "pets", "port": 80}}}
        apply(api, namespace, manifest("RestApi", "shop"), route("r", "GET /a", **target))

        def state() -> tuple[str, str, str]:
            return condition(api, "Route", "r", namespace, "ResolvedRefs")

        await eventually(lambda: state()[1] == "ServiceNotFound")
        apply(api, namespace, service("pets", 80))
        await eventually(lambda: state()[0] == "True")
        api.delete("v1", "Service", "pets", namespace)
        await eventually(lambda: state()[1] == "ServiceNotFound")


async def test_endpoints_follow_their_slices(cluster: ControlPlane, fresh_namespace: str) -> None:
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace) as app:
        target: dict[str, Any] = {"integration": {"service": {"name": "pets", "port": 80}}}
        apply(api, namespace, manifest("RestApi", "shop"), route("r", "GET /a", **target))
        apply(api, namespace, service("pets", 80))

        def addresses() -> list[str]:
            known = app.reconciler._endpoints.get("portico")
            found = known.upstreams.get(f"{namespace}/pets:80", ()) if known else ()
            return [endpoint.host for endpoint in found]

        apply(api, namespace, _slice("10.1.2.3", "10.1.2.4"))
        await eventually(lambda: addresses() == ["10.1.2.3", "10.1.2.4"])
        fleet = app.server.fleet("portico")
        serial = fleet.serial
        sequence = app.reconciler._endpoints["portico"].sequence
        apply(api, namespace, _slice("10.1.2.4"))
        await eventually(lambda: addresses() == ["10.1.2.4"])
        assert app.reconciler._endpoints["portico"].sequence > sequence
        assert fleet.serial == serial, "pods acknowledge no addresses"
        api.delete("discovery.k8s.io/v1", "EndpointSlice", "pets-1", namespace)
        await eventually(lambda: addresses() == [])


def _slice(*addresses: str) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "pets-1",
            "labels": {
                "kubernetes.io/service-name": "pets",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses],
        "ports": [{"name": "p80", "port": 8080, "protocol": "TCP"}],
    }


async def test_host_conflicts_go_to_the_elder(cluster: ControlPlane, fresh_namespace: str) -> None:
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace):
        apply(api, namespace, manifest("RestApi", "shop"))
        await asyncio.sleep(1.1)  # creationTimestamp has a resolution of a second
        apply(api, namespace, manifest("HttpApi", "shop"))
        await eventually(
            lambda: condition(api, "HttpApi", "shop", namespace, "Accepted")[1] == "HostConflict"
        )
        assert condition(api, "RestApi", "shop", namespace, "Accepted")[0] == "True"


async def test_an_api_without_a_stage_is_not_deployed(
    cluster: ControlPlane, fresh_namespace: str
) -> None:
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace):
        apply(api, namespace, manifest("RestApi", "shop", {"defaultStage": "Never"}))
        apply(api, namespace, route("r", "GET /a"))
        for kind, name in (("RestApi", "shop"), ("Route", "r")):
            await eventually(partial(idle, api, kind, name, namespace))


async def test_programmed_when_every_live_pod_has_acknowledged(
    cluster: ControlPlane, fresh_namespace: str
) -> None:
    """The pod's side of the stream is tests of delivery; here it only says what it serves."""
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace) as app:
        fleet = app.server.fleet("portico")

        def acknowledge() -> None:
            latest = app.status.latest
            assert latest is not None
            manifest_ = latest.compiled.snapshots["portico"].manifest
            said = Acknowledgement(
                digest=codec.digest(codec.encode(manifest_)),
                content=content_digest(manifest_),
                marks=manifest_.marks,
            )
            fleet.acknowledged("pod-uid", said, time.time())
            app.status.stir()

        apply(api, namespace, _pod_slice("portico-dataplane"))
        await eventually(lambda: fleet.is_live("pod-uid"))
        apply(api, namespace, manifest("RestApi", "shop"), route("r", "GET /a"))
        await eventually(
            lambda: condition(api, "Route", "r", namespace, "Programmed")[1] == "Unreachable"
        )
        fleet.joined("pod-uid", "pod-1")
        acknowledge()
        await eventually(lambda: condition(api, "Route", "r", namespace, "Programmed")[0] == "True")
        await eventually(
            lambda: status_of(api, "RestApi", "shop", namespace)["dataPlane"]["acknowledged"] == 1
        )
        # An edit that is acknowledged in time is one write, and it says True.
        await eventually(lambda: app.status.board.backlog == 0)
        before, published = _written(app), fleet.serial
        apply(api, namespace, route("r", "GET /edited"))
        await eventually(lambda: fleet.serial > published)
        acknowledge()
        await eventually(lambda: condition(api, "Route", "r", namespace, "Programmed")[0] == "True")
        await eventually(lambda: app.status.board.backlog == 0)
        assert _written(app) - before == 1


def _pod_slice(service_name: str) -> dict[str, Any]:
    target = {"kind": "Pod", "name": "pod-1", "uid": "pod-uid"}
    endpoint = {"addresses": ["10.9.9.9"], "conditions": {"ready": True}, "targetRef": target}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service_name}-1",
            "labels": {"kubernetes.io/service-name": service_name},
        },
        "addressType": "IPv4",
        "endpoints": [endpoint],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }
