"""Edits while requests run: none fails, and each is answered by one configuration or the next.

Design §10: 0 failed requests in 1,000 edits under load; here 200, with few clients, on both event
loops. A request that was sent when version n served must not be answered by an older one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import uvloop

from engine import snapshot
from portico_dataplane.app import Gateway
from portico_dataplane.settings import Settings
from portico_ir.model import Endpoint, EndpointSet, HttpProxy, Route, ServiceTarget, Snapshot, Unit
from serving import (
    REST,
    RecordingLines,
    RecordingMeters,
    answering,
    function,
    route,
    shard_id,
    site,
)

EDITS = 200
CLIENTS = 8
ANSWERS_PER_EDIT = 5
"""So many answers come in before the next edit: load goes on between them."""
PATIENCE_S = 60.0
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Backend:
    """Answers with the path that it was asked for, and what it is called; like many a backend it
    closes a connection now and then."""

    def __init__(self, name: str, closes_after: int) -> None:
        self.name = name
        self._closes_after = closes_after
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for left in range(self._closes_after, 0, -1):
                head = await reader.readuntil(b"\r\n\r\n")
                _, _, rest = head.partition(b"Content-Length: ")
                if rest:
                    await reader.readexactly(int(rest.partition(b"\r\n")[0]))
                path = head.split(b" ")[1].decode()
                body = json.dumps({"backend": self.name, "path": path}).encode()
                if "/functions/" in path:
                    name = path.split("/")[3]
                    result = {"statusCode": 200, "body": json.dumps({"path": name})}
                    body = json.dumps(result).encode()
                close = b"Connection: close\r\n" if left == 1 else b""
                lines = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                writer.write(lines + close + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def backends() -> AsyncIterator[dict[str, Backend]]:
    """Two Services."""
    found = {"a": Backend("a", 1000), "b": Backend("b", 37)}
    servers = []
    for one in found.values():
        server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
        one.port = server.sockets[0].getsockname()[1]
        servers.append(server)
    yield found
    for server in servers:
        server.close()
        await server.wait_closed()


class Client:
    """A keep-alive client that asks again and again."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path
        self.answers = 0
        self.last = -1

    async def run(self, load: Load) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        lines = f"GET {self._path} HTTP/1.1\r\nHost: edited.test\r\n\r\n".encode()
        try:
            while not load.over:
                least = load.applied
                writer.write(lines)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
                status = int(head.split(b" ")[1])
                assert status == 200, (self._path, head, body)
                assert b"Connection: close" not in head
                version = int(json.loads(body)["path"].rpartition("v")[2])
                assert least <= version <= load.begun, (self._path, least, version, load.begun)
                assert version >= self.last
                self.last = version
                self.answers += 1
                load.answered()
        finally:
            writer.close()


class Load:
    """Clients, and how far the edits are."""

    def __init__(self) -> None:
        self.begun = self.applied = 0
        self.over = False
        self._answers = 0
        self._more = asyncio.Condition()

    def answered(self) -> None:
        self._answers += 1

    async def until_more(self, tasks: list[asyncio.Task[None]]) -> None:
        """Until some more answers have come; or a client has failed."""
        wanted = self._answers + ANSWERS_PER_EDIT
        while self._answers < wanted:
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0)


Version = Callable[[int], dict[str, Unit]]
Check = Callable[[int, Any], None]


def service(name: str, version: int) -> HttpProxy:
    target = ServiceTarget(upstream=f"test/{name}:80", host=name, path=f"/v{version}")
    return HttpProxy(targets=(target,))


def edited(integration: Callable[[int], Route]) -> Version:
    """One route changes; a few others do not."""
    others = tuple(route(REST, f"GET /other/{n}", answering(200)) for n in range(20))
    return lambda version: site(REST, "edited", (integration(version), *others))


def mock(version: int) -> Route:
    body = json.dumps({"path": f"/v{version}"})
    return route(REST, "GET /x", answering(200, body))


def path(version: int) -> Route:
    return route(REST, "GET /x", service("a", version))


def moved(version: int) -> Route:
    """From one Service to another: each snapshot names the addresses of one."""
    return route(REST, "GET /x", service("ab"[version % 2], version))


def called(version: int) -> Route:
    target = ServiceTarget(upstream=f"test/{'ab'[version % 2]}:80", host="h")
    return route(REST, "GET /x", function(f"v{version}", target=target))


def renamed(version: int) -> Route:
    """The key itself changes: another route takes the request."""
    key = ("GET /x", "ANY /{proxy+}", "GET /{id}")[version % 3]
    return route(REST, key, service("a", version))


EDITED = {
    "mock": mock,
    "path": path,
    "another-service": moved,
    "function": called,
    "another-route": renamed,
}


async def edits(
    units: Version, *, refused: Callable[[int], bool] = lambda version: False
) -> Gateway:
    """Apply them all while clients ask."""
    settings = Settings(host="127.0.0.1", port=0)
    gateway = Gateway(settings, meters=RecordingMeters(), lines=RecordingLines())
    await gateway.start()
    load = Load()
    async with backends() as found:

        def document(version: int) -> Snapshot:
            made = snapshot(units(version), {})
            # As the compiler has it: the addresses of those Services that are named.
            raw = b"".join(bytes(unit) for unit in made.units.values())
            addresses: dict[str, tuple[Endpoint, ...]] = {
                f"test/{name}:80": (Endpoint(host="127.0.0.1", port=one.port),)
                for name, one in found.items()
                if f"test/{name}:80".encode() in raw
            }
            known = EndpointSet(sequence=version, upstreams=addresses)
            return Snapshot(manifest=made.manifest, units=made.units, endpoints=known)

        await gateway.apply(document(0))
        clients = [Client(gateway.port, "/x") for _ in range(CLIENTS)]
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(client.run(load)) for client in clients]
        for version in range(1, EDITS + 1):
            if refused(version):
                applied = await gateway.apply(spoilt(document(version)))
                assert set(applied.refused) == {shard_id(REST, "edited")}
            else:
                load.begun = version
                applied = await gateway.apply(document(version))
                assert applied.refused == {}
                load.applied = version
            await load.until_more(tasks)
        # And once more for all of them: the last one serves everybody.
        seen = [client.answers for client in clients]
        while any(c.answers < n + 2 for c, n in zip(clients, seen, strict=True)):
            await load.until_more(tasks)
        assert {client.last for client in clients} == {load.applied}
        load.over = True
        await asyncio.gather(*tasks)
        await gateway.drain(5)
    return gateway


def spoilt(document: Snapshot) -> Snapshot:
    """With a shard whose bytes are not those that the manifest names."""
    units = {**document.units, shard_id(REST, "edited"): msgspec.Raw(b"{}")}
    return Snapshot(manifest=document.manifest, units=units, endpoints=document.endpoints)


def run(story: Coroutine[Any, Any, Gateway], loop: str) -> Gateway:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(asyncio.wait_for(story, PATIENCE_S))


@pytest.mark.parametrize(
    ("what", "loop"), [*((what, "uvloop") for what in EDITED), ("another-service", "asyncio")]
)
def test_no_request_fails(what: str, loop: str) -> None:
    gateway = run(edits(edited(EDITED[what])), loop)
    assert gateway.in_flight == 0
    meters = gateway._meters
    assert isinstance(meters, RecordingMeters)
    # Counters did not begin anew with any of the edits, and nothing else was counted.
    (counted,) = meters.counts().values()
    assert set(counted) == {200}
    assert len(counted) >= EDITS * ANSWERS_PER_EDIT
    # What edits left behind is gone.
    assert len(gateway.upstreams._by_key) <= 1
    assert gateway.upstreams.counts() == (0, 0)


@pytest.mark.parametrize("loop", LOOPS)
def test_refusals_fail_no_request_either(loop: str) -> None:
    """Rule 9: every third edit is refused; the version before goes on, addresses and all."""
    gateway = run(edits(edited(moved), refused=lambda version: version % 3 == 0), loop)
    assert gateway.upstreams.counts() == (0, 0)
