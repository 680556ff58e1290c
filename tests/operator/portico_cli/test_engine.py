"""Both engines: ports first, nothing accepted before a configuration, an orderly end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from portico_cli import engine
from portico_cli.configuration import Loader
from portico_compiler.world import Settings as WorldSettings
from portico_dataplane.settings import Settings
from portico_dataplane.workers.sockets import ListenError
from portico_ir.model import Snapshot

PATIENCE_S = 60.0
MOCK = """
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {name: shop}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: mock}
spec:
  apiRef: {name: shop}
  routeKey: GET /mock
  integration:
    type: MOCK
    requestTemplates: {application/json: '{"statusCode": 200}'}
    responses: {default: {statusCode: STATUS}}
"""


def settings(workers: int, port: int = 0) -> Settings:
    return Settings(
        host="127.0.0.1",
        port=port,
        admin_port=0,
        workers=workers,
        drain_seconds=5,
        log_level="error",
    )


def snapshot(folder: Path, status: int) -> Snapshot:
    (folder / "mock.yaml").write_text(MOCK.replace("STATUS", str(status)))
    world = WorldSettings(sole_api_fallback=True)
    configuration = Loader([str(folder)]).load(world)
    assert configuration.errors == []
    return configuration.compiled.snapshot


@pytest.fixture(params=[1, 2], ids=["one process", "workers"])
async def running(
    request: pytest.FixtureRequest,
) -> AsyncIterator[tuple[engine.Engine, engine.Ports]]:
    chosen = settings(request.param)
    ports = engine.Ports(chosen)
    made = engine.make(chosen, ports)
    await made.start()
    yield made, ports
    await asyncio.wait_for(made.stop(), PATIENCE_S)


async def status_of(port: int, path: str = "/mock") -> int:
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"http://127.0.0.1:{port}{path}") as response,
    ):
        await response.read()
        return response.status


async def test_it_serves_one_snapshot_after_another(
    running: tuple[engine.Engine, engine.Ports], tmp_path: Path
) -> None:
    made, ports = running
    assert await status_of(ports.admin_port, "/readyz") == 503
    # Connections wait in the kernel until the first configuration serves.
    early = asyncio.ensure_future(status_of(ports.traffic_port))
    assert await made.apply(snapshot(tmp_path, 201)) == {}
    assert await early == 201
    assert await status_of(ports.admin_port, "/readyz") == 200
    made.reload_failed()
    assert await made.apply(snapshot(tmp_path, 202)) == {}
    assert await status_of(ports.traffic_port) == 202
    assert not made.failed.done()


async def test_an_engine_that_never_served_ends_too(
    running: tuple[engine.Engine, engine.Ports],
) -> None:
    made, ports = running
    assert await status_of(ports.admin_port, "/livez") == 200
    assert made is not None


@pytest.mark.parametrize("which", ["traffic", "admin"])
def test_a_port_in_use_is_an_error_that_names_it(which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        chosen = settings(1)
        if which == "traffic":
            chosen = settings(1, port)
        else:
            chosen = Settings(host="127.0.0.1", port=0, admin_port=port)
        with pytest.raises(ListenError, match=f"port {port} is in use"):
            engine.Ports(chosen)
