"""Operator to data plane, both as they run: a stream server over TLS, pods as real processes.

Whether what was acknowledged serves is asked of the pods themselves, at that moment.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from gateway_process import HOST, GatewayProcess, fetch, shop
from portico_ir import codec
from portico_ir.model import (
    Endpoint,
    EndpointSet,
    HttpProxy,
    RoutesUnit,
    ServiceTarget,
    Snapshot,
)
from stream_operators import CLASS, Operator, authority, token_of, write_token

CA = authority()
UPSTREAM = "default/pets:80"
API = "api/default/HttpApi/shop"
SHARD = "routes/default/HttpApi/shop/*/0"


class Backend:
    """Says its name; can be ended."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._runner = web.AppRunner(self._app(), shutdown_timeout=0.1)
        self.port = 0

    def _app(self) -> web.Application:
        async def hello(request: web.Request) -> web.Response:
            return web.Response(text=f"{self._name} {request.path}")

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", hello)
        return app

    async def start(self) -> Backend:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def close(self) -> None:
        await self._runner.cleanup()

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(host="127.0.0.1", port=self.port)


@pytest.fixture
async def backends() -> AsyncIterator[list[Backend]]:
    running = [await Backend("first").start(), await Backend("second").start()]
    yield running
    for backend in running:
        await backend.close()


def snapshot(backend: Backend, *paths: str, mark: int = 1, **more: Any) -> Snapshot:
    """An API as an operator publishes it; its service is at `backend`, and nowhere else."""
    made = codec.decode_snapshot(shop("http://unused.test", *paths))
    units = {unit: bytes(raw) for unit, raw in made.units.items()}
    routes = codec.decode_unit(units[SHARD])
    assert isinstance(routes, RoutesUnit)
    target = ServiceTarget(upstream=UPSTREAM, host="pets.default", **more)
    units[SHARD] = codec.encode(
        msgspec.structs.replace(
            routes,
            routes=tuple(
                msgspec.structs.replace(route, integration=HttpProxy(targets=(target,)))
                for route in routes.routes
            ),
        )
    )
    return Snapshot(
        manifest=msgspec.structs.replace(
            made.manifest,
            units={unit: codec.digest(raw) for unit, raw in units.items()},
            marks={"Route": str(mark)},
        ),
        units={unit: msgspec.Raw(raw) for unit, raw in units.items()},
        endpoints=EndpointSet(upstreams={UPSTREAM: (backend.endpoint,)}),
    )


Start = Callable[..., Awaitable[GatewayProcess]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts pods that are fed by operators; ends them afterwards."""
    running: list[GatewayProcess] = []
    (tmp_path / "ca.crt").write_text(CA.certificate)

    async def started(name: str, *operators: Operator, options: tuple[str, ...] = ()) -> Any:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        write_token(folder / "token", token_of(name))
        named = [part for one in operators for part in ("--operator", one.address)]
        process = await GatewayProcess.launch(
            *named,
            *("--token-file", str(folder / "token"), "--ca-file", str(tmp_path / "ca.crt")),
            *("--last-good", str(folder / "last-good"), "--workers", "1", *options),
        )
        running.append(process)
        await process.saw("listening")
        return process

    yield started
    for process in running:
        await process.kill()
        assert process.noise == []


@pytest.fixture
async def operators() -> AsyncIterator[list[Operator]]:
    running = [await Operator(CA).start(), await Operator(CA).start()]
    yield running
    for operator in running:
        await operator.close()


async def acknowledged(operator: Operator, *pods: str) -> None:
    """Until these pods have acknowledged the latest."""
    news = asyncio.Event()
    operator.server.subscribe(news.set)
    fleet = operator.server.fleet(CLASS)
    async with asyncio.timeout(60):
        while not all(0 < fleet.serial == fleet.told(pod)[0] for pod in pods):
            news.clear()
            await news.wait()


async def answers(process: GatewayProcess, path: str, wanted: int) -> None:
    status, text, _ = await process.get(path)
    assert status == wanted, text


async def test_what_is_acknowledged_serves_on_every_pod(
    start: Start, operators: list[Operator], backends: list[Backend]
) -> None:
    names = ["pod-0", "pod-1", "pod-2"]
    for operator in operators:
        operator.live(*names)
        operator.server.publish(CLASS, snapshot(backends[0], "/a"))
    pods = await asyncio.gather(*(start(name, *operators) for name in names))
    for operator in operators:
        await acknowledged(operator, *names)
    for pod in pods:
        assert (await pod.ask("/readyz"))[0] == 200
        await answers(pod, "/a", 200)
        await answers(pod, "/b", 404)

    for operator in operators:
        operator.server.publish(CLASS, snapshot(backends[0], "/a", "/b", mark=2))
    for operator in operators:
        await acknowledged(operator, *names)
        assert operator.server.fleet(CLASS).programmed([API, SHARD], 2).is_true
    for pod in pods:
        await answers(pod, "/b", 200)

    # Addresses apart: nothing is acknowledged, nothing is built.
    serial = operators[0].server.fleet(CLASS).serial
    for operator in operators:
        addresses = EndpointSet(upstreams={UPSTREAM: (backends[1].endpoint,)})
        operator.server.set_endpoints(CLASS, addresses, {"EndpointSlice": "3"})
    for pod in pods:
        async with asyncio.timeout(30):
            while not (await pod.get("/a"))[1].startswith("second"):
                pass
    assert operators[0].server.fleet(CLASS).serial == serial


async def test_a_refused_unit_keeps_the_old_and_is_told(
    start: Start, operators: list[Operator], backends: list[Backend]
) -> None:
    one = operators[0]
    one.live("pod-0")
    one.server.publish(CLASS, snapshot(backends[0], "/a"))
    pod = await start("pod-0", one)
    await acknowledged(one, "pod-0")

    bad = snapshot(backends[0], "/a", "/b", mark=2)
    unreadable = b'{"unit":"routes","api":"api/default/HttpApi/shop","newer":true}'
    bad = msgspec.structs.replace(
        bad,
        manifest=msgspec.structs.replace(
            bad.manifest, units=bad.manifest.units | {SHARD: codec.digest(unreadable)}
        ),
        units=bad.units | {SHARD: msgspec.Raw(unreadable)},
    )
    serial = one.server.publish(CLASS, bad)
    await acknowledged(one, "pod-0")
    programming = one.server.fleet(CLASS).programmed([SHARD], serial)
    assert (programming.is_true, programming.reason) == (False, "Refused")
    assert "newer" in programming.message
    assert one.server.fleet(CLASS).programmed(["gateway"], serial).is_true
    await answers(pod, "/a", 200)
    await answers(pod, "/b", 404)


async def test_a_pod_restarts_while_both_operators_are_down(
    start: Start, operators: list[Operator], backends: list[Backend]
) -> None:
    for operator in operators:
        operator.server.publish(CLASS, snapshot(backends[0], "/a"))
    pod = await start("pod-0", *operators)
    await acknowledged(operators[0], "pod-0")
    async with asyncio.timeout(30):
        while not (kept := _kept(pod)):
            await asyncio.sleep(0.01)
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept if path.is_file())
    for operator in operators:
        await operator.close()
    await pod.kill()

    again = await start("pod-0", *operators, options=("--last-good-after", "0.5"))
    assert (await again.ask("/readyz"))[0] == 503
    await again.saw("last good snapshot serves")
    await answers(again, "/a", 200)
    assert (await again.ask("/readyz"))[0] == 200


def _kept(pod: GatewayProcess) -> list[Path]:
    folder = Path(pod.options[pod.options.index("--last-good") + 1])
    return list(folder.rglob("*")) if (folder / "index.json").exists() else []


async def test_a_backend_is_rolled_while_the_operators_are_down(
    start: Start, operators: list[Operator], backends: list[Backend]
) -> None:
    old, new = backends
    one = operators[0]
    one.server.publish(CLASS, snapshot(old, "/a", cluster_ip=f"127.0.0.1:{new.port}"))
    pod = await start("pod-0", one, options=("--fallback-after", "0.2"))
    await acknowledged(one, "pod-0")
    # A machine that is busy may take longer to connect than the pod has patience: what it said
    # of operators until then has been read when it says that it serves.
    await pod.saw("serving")
    before = len(pod.logged("operators are away"))
    await one.close()
    await pod.saw("operators are away", before + 1)
    # The worker's numbers are asked for over the channel that tells it so: it knows.
    await pod.ask("/metrics")
    assert (await pod.get("/a"))[1].startswith("first")
    await old.close()
    for _ in range(20):
        status, text, _ = await pod.get("/a")
        assert (status, text.split()[0]) == (200, "second")
    # Back: addresses are those that the operator tells, and no others.
    back = Operator(CA, port=one.port)
    back.server.publish(CLASS, snapshot(old, "/a", "/b", cluster_ip=f"127.0.0.1:{new.port}"))
    operators[0] = await back.start()
    await acknowledged(back, "pod-0")
    await pod.saw("operators are back", before + 1)
    assert (await pod.get("/a"))[0] == 503


async def test_a_worker_that_dies_comes_back_with_what_the_stream_said(
    start: Start, operators: list[Operator], backends: list[Backend]
) -> None:
    one = operators[0]
    one.server.publish(CLASS, snapshot(backends[0], "/a"))
    pod = await start("pod-0", one)
    await acknowledged(one, "pod-0")
    (worker,) = await pod.workers()
    os.kill(worker, signal.SIGKILL)
    async with asyncio.timeout(60):
        while await pod.workers() in ([worker], [None]) or (await pod.ask("/readyz"))[0] != 200:
            pass
    await answers(pod, "/a", 200)
    one.server.publish(CLASS, snapshot(backends[0], "/a", "/b", mark=2))
    await acknowledged(one, "pod-0")
    await answers(pod, "/b", 200)


async def test_a_pod_without_a_good_token_is_never_ready(
    start: Start, operators: list[Operator], backends: list[Backend]
) -> None:
    one = operators[0]
    one.grounds.classes = {}
    one.server.publish(CLASS, snapshot(backends[0], "/a"))
    pod = await start("pod-0", one, options=("--last-good-after", "0"))
    record = await pod.saw("no operator stream")
    assert record["reason"] == "refused with 401"
    assert (await pod.ask("/readyz"))[0] == 503
    assert one.access.denials["service_account"] >= 1
    assert (await fetch(f"{pod.admin}/livez", HOST))[0] == 200
    pod.signal(signal.SIGTERM)
    assert await pod.ended() == 0
