"""What the admin port answers, to whom, and what it never shows."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from portico_dataplane.admin import AdminServer, ConfigView, WorkerView, redacted_unit
from portico_dataplane.telemetry.readings import ConfigReading, Scrape
from portico_dataplane.workers.sockets import listen_once, listen_unix
from portico_ir.codec import encode
from portico_ir.model import (
    ApiKind,
    ApiUnit,
    FromLiteral,
    GatewayUnit,
    HttpProxy,
    HttpSegments,
    ParameterMapping,
    Route,
    RoutesUnit,
    Stage,
    UrlTarget,
)
from snapshots import snapshot_of

UNITS = {
    "gateway": encode(GatewayUnit(region="eu-west-1")),
    "api/default/HttpApi/a": encode(
        ApiUnit(
            uid="u",
            api_id="abcdefghij",
            kind=ApiKind.HTTP,
            name="a",
            namespace="default",
            stages=(Stage(name="$default", variables={"db_password": "hunter2", "tier": "gold"}),),
        )
    ),
    "routes/default/HttpApi/a/*/0": encode(
        RoutesUnit(
            api="api/default/HttpApi/a",
            routes=(
                Route(
                    key="GET /",
                    match=HttpSegments(method="GET", path="/"),
                    integration=HttpProxy(
                        targets=(UrlTarget(url="https://me:hunter2@example.com/x?y=a@b"),),
                        mappings=(
                            ParameterMapping(
                                place="header",
                                name="Authorization",
                                source=FromLiteral(value="Bearer hunter2"),
                            ),
                            ParameterMapping(
                                place="header", name="X-Tier", source=FromLiteral(value="silver")
                            ),
                        ),
                    ),
                ),
            ),
        )
    ),
    "api/future": b'{"unit":"unheard of","secret":"hunter2"}',
}


class Source:
    """An AdminSource as the test wants it."""

    def __init__(self) -> None:
        self.reason = ""
        self.flushed: list[str] = []

    def unready(self) -> str:
        return self.reason

    async def scrape(self) -> Scrape:
        return Scrape(config=ConfigReading(digests=("d1",), loaded_at=1.0), now=2.0)

    def config(self) -> ConfigView:
        return ConfigView(
            digest="d1",
            loaded_at=1.0,
            snapshot=snapshot_of(UNITS, upstreams=("default/pets:80",)),
            workers=(WorkerView(name="worker-0", pid=7, serves=True, digest="d1"),),
        )

    def flush(self, authorizer: str) -> None:
        self.flushed.append(authorizer)


class Served:
    """A served source, and how to reach it."""

    def __init__(self, source: Source, port: int, path: str) -> None:
        self.source = source
        self.port = port
        self.path = path

    async def get(
        self, what: str, *, host: str = "127.0.0.1", unix: bool = False, **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        connector = aiohttp.UnixConnector(self.path) if unix else aiohttp.TCPConnector()
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(f"http://{host}:{self.port}{what}", headers=headers) as response,
        ):
            found = {str(name): value for name, value in response.headers.items()}
            return response.status, await response.text(), found


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    path = str(tmp_path / "admin.sock")
    sockets = [*listen_once("0.0.0.0", 0), listen_unix(path)]
    source = Source()
    server = AdminServer(source)
    await server.start(sockets)
    yield Served(source, sockets[0].getsockname()[1], path)
    await server.close()


def another_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it asks for a route
        except OSError:
            pytest.skip("this machine has no address besides loopback")
        address = probe.getsockname()[0]
    assert isinstance(address, str)
    return address


async def test_live_whatever_it_serves(served: Served) -> None:
    served.source.reason = "0 of 2 workers serve"

    assert (await served.get("/livez"))[:2] == (200, "ok\n")


async def test_ready_or_why_not(served: Served) -> None:
    assert (await served.get("/readyz"))[:2] == (200, "ok\n")
    served.source.reason = "draining"
    assert (await served.get("/readyz"))[:2] == (503, "draining\n")


async def test_metrics_are_what_prometheus_reads(served: Served) -> None:
    status, text, headers = await served.get("/metrics")
    names = {family.name for family in text_string_to_metric_families(text)}

    assert status == 200
    assert "portico_config_info" in names | {f"{name}_info" for name in names}
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_openmetrics_for_those_who_ask(served: Served) -> None:
    _, text, headers = await served.get("/metrics", Accept="application/openmetrics-text")

    assert text.endswith("# EOF\n")
    assert "openmetrics" in headers["Content-Type"]


@pytest.mark.parametrize("unix", [False, True])
async def test_config_on_loopback_and_unix_socket(served: Served, unix: bool) -> None:
    status, text, _ = await served.get("/config", unix=unix)
    document = json.loads(text)

    assert status == 200
    assert document["digest"] == "d1"
    assert document["workers"][0]["pid"] == 7
    assert set(document["manifest"]["units"]) == set(UNITS)
    assert document["units"]["gateway"] == {"unit": "gateway", "region": "eu-west-1"}
    assert document["endpoints"]["upstreams"]["default/pets:80"] == [
        {"host": "127.0.0.1", "port": 1}
    ]


async def test_config_is_not_there_for_others(served: Served) -> None:
    address = another_address()

    assert (await served.get("/config", host=address))[0] == 404
    assert (await served.get("/readyz", host=address))[0] == 200
    # On loopback, but under a name a browser was lured to (DNS rebinding).
    assert (await served.get("/config", Host="evil.example:9901"))[0] == 404
    assert (await served.get("/config", Host="localhost:9901"))[0] == 200
    assert (await served.get("/config", Host="[::1]:9901"))[0] == 200


async def test_what_is_not_there_looks_the_same(served: Served) -> None:
    hidden = await served.get("/config", host=another_address())
    absent = await served.get("/absent", host=another_address())

    assert hidden[:2] == absent[:2]


async def test_no_secret_is_shown(served: Served) -> None:
    _, text, _ = await served.get("/config")

    assert "hunter2" not in text
    assert "gold" in text
    assert "silver" in text
    assert "https://[redacted]@example.com/x?y=a@b" in text


async def test_writing_methods_are_refused(served: Served) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{served.port}/config") as response,
    ):
        assert response.status == 405


async def test_answers_of_authorizers_can_be_forgotten(served: Served) -> None:
    async def post(host: str = "127.0.0.1", query: str = "", **headers: str) -> int:
        url = f"http://{host}:{served.port}/authorizers/flush{query}"
        async with aiohttp.ClientSession() as session, session.post(url, headers=headers) as got:
            return got.status

    assert await post(query="?name=default/auth") == 200
    assert await post() == 200
    assert served.source.flushed == ["default/auth", ""]
    assert await post(host=another_address()) == 404
    # A page that was opened in a browser of this machine.
    assert await post(Origin="https://evil.example") == 404
    assert await post(Host="evil.example:9901") == 404
    assert (await served.get("/authorizers/flush"))[0] == 405
    assert len(served.source.flushed) == 2


async def test_before_a_first_configuration(served: Served) -> None:
    served.source.config = lambda: ConfigView(  # type: ignore[method-assign]
        digest="", loaded_at=0.0, snapshot=None
    )

    assert json.loads((await served.get("/config"))[1])["manifest"] is None


async def test_a_client_that_sends_nonsense_disturbs_nobody(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"\x16\x03\x01 not http\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert b"Traceback" not in answer
    assert (await served.get("/livez"))[0] == 200


def test_a_unit_of_the_future_is_not_shown() -> None:
    assert list(redacted_unit(UNITS["api/future"])) == ["undecodable"]
