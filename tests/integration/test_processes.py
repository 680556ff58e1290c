"""The life of real processes: started, killed, reloaded, drained, refused."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from gateway_process import HOST, GatewayProcess, fetch, shop


class Backend:
    """A server whose `/hold` answers when told to."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.release = asyncio.Event()
        self.url = ""

    async def hold(self, request: web.Request) -> web.Response:
        self.arrived.set()
        await self.release.wait()
        return web.Response(text="held")

    async def hello(self, request: web.Request) -> web.Response:
        return web.Response(text=f"hello {request.path}")


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    made = Backend()
    app = web.Application()
    app.router.add_get("/hold", made.hold)
    app.router.add_get("/{path:.*}", made.hello)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}"
    yield made
    made.release.set()
    await runner.cleanup()


Start = Callable[..., Awaitable[GatewayProcess]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a gateway on a snapshot file; ends it afterwards."""
    running: list[GatewayProcess] = []

    async def started(snapshot: bytes, *options: str, **environ: str) -> GatewayProcess:
        path = tmp_path / "snapshot.json"
        path.write_bytes(snapshot)
        gateway = await GatewayProcess.start(path, *options, **environ)
        running.append(gateway)
        return gateway

    yield started
    for gateway in running:
        await gateway.kill()


def metric(text: str, name: str, **labels: str) -> float:
    """Sum over the samples that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def alive(pid: int) -> bool:
    """Whether the process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def eventually(reached: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    """For what no log record tells."""
    async with asyncio.timeout(60):
        while True:
            found = reached()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.01)


# --- serving ----------------------------------------------------------------------------------


async def test_two_workers_serve_and_their_metrics_add_up(start: Start, backend: Backend) -> None:
    gateway = await start(shop(backend.url, "/pets", detailed=True), "--workers", "2")
    await gateway.serving()
    assert await gateway.ask("/readyz") == (200, "ok\n")
    assert len(set(await gateway.workers())) == 2
    for _ in range(30):
        assert (await gateway.get("/pets"))[:2] == (200, "hello /pets")
    assert (await gateway.get("/absent"))[0] == 404

    _, text = await gateway.ask("/metrics")
    stage = {"namespace": "default", "api": "shop", "kind": "http", "stage": "$default"}
    assert metric(text, "portico_requests_total", **stage, code="2xx") == 30
    assert metric(text, "portico_requests_total", code="4xx") == 1
    assert metric(text, "portico_request_duration_seconds_count", **stage) >= 30
    assert metric(text, "portico_integration_duration_seconds_count", **stage) == 30
    assert metric(text, "portico_route_requests_total", **stage, route="GET /pets") == 30
    assert metric(text, "portico_workers_ready") == 2
    assert metric(text, "portico_config_info") == 1
    assert metric(text, "process_resident_memory_bytes", process="worker-1") > 0


async def test_the_admin_port_is_not_the_traffic_port(start: Start, backend: Backend) -> None:
    gateway = await (await start(shop(backend.url, "/pets"))).serving()
    for path in ("/livez", "/readyz", "/metrics", "/config"):
        assert (await gateway.get(path))[0] == 404


async def test_a_unit_that_is_refused_holds_up_no_other(start: Start, backend: Backend) -> None:
    gateway = await start(shop(backend.url, "/pets", refused="api/default/HttpApi/odd"))
    await gateway.serving()

    assert (await gateway.get("/pets"))[0] == 200
    assert (await gateway.saw("unit refused"))["unit"] == "api/default/HttpApi/odd"
    assert metric((await gateway.ask("/metrics"))[1], "portico_config_refused_units") == 1


async def test_all_of_the_admin_port_on_a_unix_socket(
    start: Start, backend: Backend, tmp_path: Path
) -> None:
    path = tmp_path / "admin.sock"
    options = ("--admin-host", "0.0.0.0", "--admin-socket", str(path))
    gateway = await (await start(shop(backend.url, "/pets"), *options)).serving()
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://portico/config") as response,
    ):
        assert response.status == 200
        assert "shop" in await response.text()
    gateway.signal(signal.SIGTERM)
    assert await gateway.ended() == 0
    assert not path.exists()


async def test_access_log_lines_of_all_workers_come_out_before_the_end(
    start: Start, backend: Backend
) -> None:
    snapshot = shop(backend.url, "/pets", log_format="$context.requestId $context.status")
    gateway = await (await start(snapshot, "--workers", "2")).serving()
    for _ in range(20):
        await gateway.get("/pets")
    gateway.signal(signal.SIGTERM)
    assert await gateway.ended() == 0

    lines = gateway.stdout.decode().splitlines()
    assert [line.split()[1] for line in lines] == ["200"] * 20
    assert len({line.split()[0] for line in lines}) == 20


async def test_no_access_log_when_it_is_switched_off(start: Start, backend: Backend) -> None:
    snapshot = shop(backend.url, "/pets", log_format="$context.requestId $context.status")
    gateway = await (await start(snapshot, "--access-log", "off")).serving()
    assert (await gateway.get("/pets"))[0] == 200
    gateway.signal(signal.SIGTERM)
    assert await gateway.ended() == 0

    assert gateway.stdout == b""


async def test_the_short_line_of_development(start: Start, backend: Backend) -> None:
    gateway = await (await start(shop(backend.url, "/pets"), "--access-log", "dev")).serving()
    await gateway.get("/pets?a=b")
    await gateway.until(lambda: b"\n" in gateway.stdout)

    assert gateway.stdout.decode().startswith("200 GET /pets?a=b shop/$default [GET /pets] ")


# --- workers ----------------------------------------------------------------------------------


async def test_a_killed_worker_is_replaced_while_requests_succeed(
    start: Start, backend: Backend
) -> None:
    """Connections that the kernel hands to the dead worker's socket wait for its successor."""
    gateway = await (await start(shop(backend.url, "/pets"), "--workers", "2")).serving()

    async def has_counted(number: int) -> bool:
        # A worker that does not answer in a second is shown as it was.
        _, text = await gateway.ask("/metrics")
        counted = metric(text, "portico_requests_total", code="2xx")
        assert counted <= number
        return counted == number

    for round_ in range(1, 3):
        victim = (await gateway.workers())[0]
        await gateway.get("/pets")
        await eventually(partial(has_counted, 41 * round_ - 40))
        os.kill(victim, signal.SIGKILL)
        await gateway.saw("worker ended and is replaced", round_)
        answers = await asyncio.gather(*(gateway.get("/pets") for _ in range(40)))
        assert [status for status, _, _ in answers] == [200] * 40

        async def is_ready() -> bool:
            return (await gateway.ask("/readyz"))[0] == 200

        await eventually(is_ready)
        pids = await gateway.workers()
        assert len(set(pids)) == 2
        assert victim not in pids
        await eventually(partial(has_counted, 41 * round_))
        _, text = await gateway.ask("/metrics")
        assert metric(text, "portico_worker_restarts_total") == round_


async def test_workers_die_with_the_supervisor(start: Start, backend: Backend) -> None:
    gateway = await (await start(shop(backend.url, "/pets"), "--workers", "2")).serving()
    pids = await gateway.workers()
    gateway.signal(signal.SIGKILL)
    await gateway.ended()

    await eventually(lambda: not any(alive(pid) for pid in pids))


async def test_workers_leave_signals_to_the_supervisor(start: Start, backend: Backend) -> None:
    """Ctrl-C reaches the whole process group; draining must still be in order."""
    gateway = await (await start(shop(backend.url, "/pets", "/hold"), "--workers", "2")).serving()
    held = asyncio.create_task(gateway.get("/hold"))
    await backend.arrived.wait()
    os.killpg(gateway.process.pid, signal.SIGINT)
    await gateway.saw("draining")
    backend.release.set()

    assert (await held)[:2] == (200, "held")
    assert await gateway.ended() == 0
    assert gateway.noise == []


# --- configuration ----------------------------------------------------------------------------


async def test_sighup_reloads_without_losing_a_request(
    start: Start, backend: Backend, tmp_path: Path
) -> None:
    gateway = await (await start(shop(backend.url, "/pets"), "--workers", "2")).serving()
    stop = asyncio.Event()
    failed: list[int] = []

    async def load() -> None:
        while not stop.is_set():
            status, _, _ = await gateway.get("/pets")
            if status != 200:
                failed.append(status)

    loads = [asyncio.create_task(load()) for _ in range(4)]
    for number in range(10):
        (tmp_path / "new.json").write_bytes(shop(backend.url, "/pets", f"/new{number}"))
        os.replace(tmp_path / "new.json", tmp_path / "snapshot.json")
        gateway.signal(signal.SIGHUP)
        await gateway.saw("serving", number + 2)
        assert (await gateway.get(f"/new{number}"))[0] == 200
        assert (await gateway.get(f"/new{number - 1}"))[0] == 404
    stop.set()
    await asyncio.gather(*loads)

    assert failed == []
    assert metric((await gateway.ask("/metrics"))[1], "portico_config_reloads_total") == 11


async def test_a_bad_file_leaves_the_last_good_one(
    start: Start, backend: Backend, tmp_path: Path
) -> None:
    gateway = await (await start(shop(backend.url, "/pets"))).serving()
    (tmp_path / "snapshot.json").write_text("{oops")
    gateway.signal(signal.SIGHUP)
    record = await gateway.saw("snapshot not reloaded")

    assert "not a snapshot" in record["reason"]
    assert (await gateway.get("/pets"))[0] == 200
    _, text = await gateway.ask("/metrics")
    assert metric(text, "portico_config_reload_failures_total") == 1


# --- ends -------------------------------------------------------------------------------------


async def test_sigterm_finishes_what_is_in_flight(start: Start, backend: Backend) -> None:
    gateway = await (await start(shop(backend.url, "/hold"), "--workers", "2")).serving()
    held = asyncio.create_task(gateway.get("/hold"))
    await backend.arrived.wait()
    gateway.signal(signal.SIGTERM)

    async def refuses() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        except ConnectionRefusedError:
            return True
        writer.close()
        return False

    await eventually(refuses)
    assert await gateway.ask("/readyz") == (503, "draining\n")
    assert not held.done()
    backend.release.set()
    status, text, headers = await held

    assert (status, text) == (200, "held")
    assert headers["Connection"].lower() == "close"
    assert await gateway.ended() == 0
    assert gateway.noise == []


async def test_sigterm_keeps_accepting_while_endpoints_drain(
    start: Start, backend: Backend
) -> None:
    gateway = await start(shop(backend.url, "/pets"), "--drain-delay", "600")
    await gateway.serving()
    gateway.signal(signal.SIGTERM)
    await gateway.saw("draining")

    assert await gateway.ask("/readyz") == (503, "draining\n")
    assert (await gateway.ask("/livez"))[0] == 200

    async def closes() -> bool:
        status, _, headers = await gateway.get("/pets")
        assert status == 200
        return headers.get("Connection", "").lower() == "close"

    await eventually(closes)
    gateway.signal(signal.SIGTERM)  # told twice: at once
    assert await gateway.ended() == 1


async def test_a_request_that_takes_too_long_is_cut(start: Start, backend: Backend) -> None:
    gateway = await (await start(shop(backend.url, "/hold"), "--drain-seconds", "0.2")).serving()
    held = asyncio.create_task(gateway.get("/hold"))
    await backend.arrived.wait()
    gateway.signal(signal.SIGTERM)

    with pytest.raises(aiohttp.ClientError):
        await held
    assert await gateway.ended() == 0


# --- refusals ---------------------------------------------------------------------------------


async def refused(gateway: GatewayProcess, code: int) -> str:
    """The one line a gateway that does not start leaves behind."""
    assert await gateway.ended() == code
    assert gateway.records == []
    return "\n".join(gateway.noise)


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
async def test_a_port_in_use(start: Start, option: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = await refused(await start(shop("http://127.0.0.1:1", "/"), option, str(port)), 1)

    assert said == f"portico_dataplane: port {port} is in use"


async def test_two_gateways_do_not_share_a_port(start: Start, backend: Backend) -> None:
    first = await (await start(shop(backend.url, "/pets"))).serving()
    second = await start(shop(backend.url, "/pets"), "--port", str(first.port))

    assert await refused(second, 1) == f"portico_dataplane: port {first.port} is in use"
    assert (await first.get("/pets"))[0] == 200


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "not a snapshot"),
        (b"{oops", "not a snapshot"),
        (b'{"manifest":{"ir_version":99,"units":{}}}', "written by a newer compiler"),
        (b'{"manifest":{"ir_version":1,"units":{"a":"b"}}}', "unit a is missing"),
    ],
)
async def test_a_snapshot_that_cannot_be_served(start: Start, document: bytes, said: str) -> None:
    text = await refused(await start(document), 1)

    assert text.startswith("portico_dataplane: ")
    assert "snapshot.json" in text
    assert said in text
    assert "Traceback" not in text


async def test_a_snapshot_that_is_not_there(tmp_path: Path) -> None:
    gateway = await GatewayProcess.start(tmp_path / "absent.json")

    assert (await refused(gateway, 1)).endswith("absent.json: No such file or directory")


async def test_wrong_usage() -> None:
    gateway = await GatewayProcess.start("x", "--workers", "none")

    assert "--workers: 'none' is not a positive whole number" in await refused(gateway, 2)


async def test_an_unknown_host_reaches_nothing(start: Start, backend: Backend) -> None:
    gateway = await (await start(shop(backend.url, "/pets"))).serving()
    status, _, _ = await fetch(f"http://127.0.0.1:{gateway.port}/pets", f"not.{HOST}")

    assert status == 403
