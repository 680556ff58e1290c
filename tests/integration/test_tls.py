"""HTTPS as clients meet it: curl and OpenSSL against real processes, and `portico dev`."""

from __future__ import annotations

import asyncio
import datetime
import re
import shutil
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from dev_process import DevProcess
from gateway_process import HOST, GatewayProcess, shop
from pki import Authority, Pair
from portico_ir import codec
from portico_ir.domains import DomainUnit, Mapping, MutualTls, TlsPolicy
from portico_ir.model import Unit
from secure_engine import trusting
from snapshots import snapshot_of

CA, CLIENTS = Authority(), Authority("Clients")
OPEN, MUTUAL, NEW = "open.example.com", "mutual.example.com", "new.example.com"
PAST = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)
PETSTORE = Path(__file__).resolve().parents[2] / "examples" / "petstore"

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def domain(name: str, pair: Pair, mutual: str = "", policy: TlsPolicy | None = None) -> DomainUnit:
    return DomainUnit(
        object=f"default/{name.partition('.')[0]}",
        hosts=(name,),
        certificate=pair.contract(),
        policy=policy or TlsPolicy(),
        mutual=MutualTls(authorities=mutual) if mutual else None,
        mappings=(Mapping(key="", api="api/default/HttpApi/shop", stage="$default"),),
    )


def snapshot(backend: str, *domains: DomainUnit) -> bytes:
    units = {
        name: bytes(raw) for name, raw in codec.decode_snapshot(shop(backend, "/x")).units.items()
    }
    more: dict[str, Unit] = {f"domain/{unit.object}": unit for unit in domains}
    return codec.encode(
        snapshot_of(units | {name: codec.encode(unit) for name, unit in more.items()})
    )


def three(first: Pair) -> tuple[DomainUnit, ...]:
    return (
        domain(OPEN, first),
        domain(MUTUAL, CA.server(MUTUAL), CLIENTS.pem),
        domain(NEW, CA.server(NEW), policy=TlsPolicy(minimum="1.3", required=True)),
    )


@pytest.fixture
async def backend() -> AsyncIterator[str]:
    async def told(request: web.Request) -> web.Response:
        names = ("Forwarded", "Client-Cert")
        return web.json_response({name: request.headers.get(name) for name in names})

    app = web.Application()
    app.router.add_get("/{path:.*}", told)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


Start = Callable[..., Awaitable[GatewayProcess]]


@pytest.fixture
async def start(tmp_path: Path, backend: str) -> AsyncIterator[Start]:
    running: list[GatewayProcess] = []

    async def started(*options: str, first: Pair | None = None) -> GatewayProcess:
        path = tmp_path / "snapshot.json"
        path.write_bytes(snapshot(backend, *three(first or CA.server(OPEN))))
        gateway = await GatewayProcess.start(path, *options)
        running.append(gateway)
        return await gateway.serving()

    yield started
    for gateway in running:
        await gateway.kill()


def tls_port(gateway: GatewayProcess) -> int:
    return int(gateway.logged("listening")[0]["tls"][0].rpartition(":")[2])


async def curl(port: int, host: str, *options: str) -> tuple[int, str, str]:
    """Exit code, body, and what `-v` says."""
    resolved = f"{host}:{port}:127.0.0.1"
    process = await asyncio.create_subprocess_exec(
        *("curl", "-v", "--silent", "--show-error", "--http1.1", "--max-time", "20"),
        *("--resolve", resolved, *options, f"https://{host}:{port}/x"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, told = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), told.decode()


@needs_curl
async def test_curl_with_and_without_client_certificates(start: Start, tmp_path: Path) -> None:
    gateway = await start("--workers", "2")
    port = tls_port(gateway)
    trust = tmp_path / "ca.pem"
    trust.write_text(CA.pem)
    trusts = ("--cacert", str(trust))

    def client(name: str, pair: Pair) -> tuple[str, ...]:
        certificate, key = pair.files(tmp_path, name)
        return (*trusts, "--cert", str(certificate), "--key", str(key))

    code, body, told = await curl(port, OPEN, *trusts)
    assert code == 0, told
    assert "SSL certificate verify ok" in told
    assert "ALPN: server accepted http/1.1" in told
    assert "proto=https" in body
    assert '"Client-Cert": null' in body

    code, body, told = await curl(port, MUTUAL, *client("good", CLIENTS.client("good")))
    assert code == 0, told
    assert '"Client-Cert": ":' in body
    for options, alert in (
        (trusts, "certificate required"),
        (client("wrong", Authority("Clients").client("wrong")), "alert"),
        (client("late", CLIENTS.client("late", until=PAST)), "certificate expired"),
    ):
        code, body, told = await curl(port, MUTUAL, *options)
        assert code in (35, 56), told
        assert not body
        assert alert in told

    old = ("--tls-max", "1.2")
    code, _, told = await curl(port, NEW, *trusts, *old)
    assert code == 35
    assert "protocol version" in told
    assert (await curl(port, OPEN, *trusts, *old))[0] == 0
    assert (await curl(port, NEW, *trusts))[0] == 0
    code, _, told = await curl(port, "unknown.example.com", *trusts)
    assert code == 35
    assert "unrecognized name" in told

    _, text = await gateway.ask("/metrics")
    results = labelled(text, "portico_tls_handshakes_total", "result")
    assert results["completed"] == 4
    assert results["no_client_certificate"] == results["protocol_version"] == 1
    assert results["bad_client_certificate"] == 2
    assert results["unknown_server_name"] == 1
    ends = labelled(text, "portico_certificate_expiry_timestamp_seconds", "domain")
    assert ends.keys() == {"open", "mutual", "new"}
    assert not gateway.noise


def labelled(text: str, name: str, label: str) -> dict[str, float]:
    return {
        sample.labels[label]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


async def requests(port: int, stop: asyncio.Event, seen: set[bytes], failures: list[str]) -> int:
    """Handshake, three requests, close; again and again."""
    count = 0
    context = trusting(CA)
    while not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname=OPEN
            )
            seen.add(writer.get_extra_info("ssl_object").getpeercert(True))
            for _ in range(3):
                writer.write(b"GET /x HTTP/1.1\r\nHost: %b\r\n\r\n" % OPEN.encode())
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200"), head
                length = re.search(rb"(?i)content-length: (\d+)", head)
                assert length is not None
                await reader.readexactly(int(length[1]))
                count += 1
            writer.close()
            await writer.wait_closed()
        except (OSError, AssertionError, EOFError) as error:
            failures.append(repr(error))
    return count


async def test_certificates_replaced_under_load(start: Start, tmp_path: Path, backend: str) -> None:
    pairs = [CA.server(OPEN) for _ in range(6)]
    gateway = await start("--workers", "2", first=pairs[0])
    stop, seen, failures = asyncio.Event(), set[bytes](), list[str]()
    clients = [
        asyncio.create_task(requests(tls_port(gateway), stop, seen, failures)) for _ in range(4)
    ]
    for number, pair in enumerate(pairs[1:], 2):
        (tmp_path / "snapshot.json").write_bytes(snapshot(backend, *three(pair)))
        gateway.signal(signal.SIGHUP)
        await gateway.saw("serving", number)
        der = ssl.PEM_cert_to_DER_cert(pair.chain)
        async with asyncio.timeout(30):
            while der not in seen:
                await asyncio.sleep(0.01)
    stop.set()
    counts = await asyncio.gather(*clients)
    assert not failures
    assert sum(counts) > 0


async def test_a_default_certificate_and_the_proxy_protocol(start: Start, tmp_path: Path) -> None:
    certificate, key = CA.server(HOST).files(tmp_path, "default")
    files = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    gateway = await start(*files)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", tls_port(gateway), ssl=trusting(CA), server_hostname=HOST
    )
    writer.write(b"GET /x HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % HOST.encode())
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_files_that_hold_no_certificate_are_an_error(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("nonsense")
    path = tmp_path / "snapshot.json"
    path.write_bytes(shop("http://127.0.0.1:9", "/x"))
    options = ("--tls-certificate", str(key), "--tls-key", str(key))
    gateway = await GatewayProcess.start(path, *options)
    assert await gateway.ended() == 1
    assert gateway.noise == [
        f"portico_dataplane: {key} and {key}: certificate and key: "
        "no PEM that OpenSSL can read, or no key without a password"
    ]


@needs_curl
async def test_dev_with_a_certificate_that_nobody_signed() -> None:
    async with DevProcess(PETSTORE, options=("--tls-port", "0", "--self-signed")) as dev:
        line = await dev.line(lambda line: "serving http" in line)
        found = re.search(r"and https://localhost:(\d+), admin on port", line)
        assert found is not None, line
        await dev.line(lambda line: line.startswith("watching for changes"))
        port = int(found[1])
        process = await asyncio.create_subprocess_exec(
            *("curl", "-k", "--silent", "--max-time", "20", f"https://localhost:{port}/pets"),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        assert b"Rex" in out or b"id" in out
