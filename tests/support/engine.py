"""The real engine, in a thread of its own, in front of a recording upstream.

Used by rules, fuzz and fault tests, whose clients are plain blocking sockets: the gateway runs
on uvloop here as it does in production, and nothing of a test runs on its loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from types import CoroutineType
from typing import Any, Final, Self, TypeVar

import msgspec
import uvloop

from portico_dataplane.app import Gateway
from portico_dataplane.settings import Settings
from portico_ir import codec
from portico_ir.model import (
    ApiKind,
    ApiUnit,
    DefaultMatch,
    Endpoint,
    EndpointSet,
    GatewayUnit,
    HttpProxy,
    HttpSegments,
    Manifest,
    Match,
    RestSegments,
    Route,
    RoutesUnit,
    ServiceTarget,
    Snapshot,
    Stage,
    Unit,
)
from raw_http import PATIENCE, RawClient
from raw_upstream import Upstream

T = TypeVar("T")

UPSTREAM: Final = "test/upstream:80"
SMALL_BODY: Final = 1024 * 1024
LARGE_BODY: Final = 1024 * 1024 * 1024
SHORT_MS: Final = 300
"""Timeout of routes under /short."""
LONG_MS: Final = 20_000


class _Meter:
    def record(
        self, status: int, latency_ms: float, integration_latency_ms: float, sent: int
    ) -> None:
        """Nothing: counters have tests of their own."""


class _Meters:
    def meter(self, namespace: str, api: str, kind: str, stage: str, route: str) -> _Meter:
        """One that counts nothing."""
        return _Meter()


class _Lines:
    def write(self, line: str) -> None:
        """Nothing: the access log has tests of its own."""


class Engine:
    """A gateway and its upstream. REST API at `rest.test`, HTTP API at `http.test`.

    Both send everything to `upstream`, by the client's own path. `/small` takes 1 MB of body,
    everything else 1 GB; `/short` has a timeout that a test can wait for.
    """

    SETTLED: Final = b"/settled"

    def __init__(
        self,
        *,
        upstream: Upstream | None = None,
        endpoints: tuple[Endpoint, ...] | None = None,
        **settings: Any,
    ) -> None:
        self._owned = upstream is None
        self.upstream = upstream or Upstream()
        self._endpoints = endpoints
        self._settings = Settings(host="127.0.0.1", port=0, **settings)
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine", daemon=True)
        self.port = 0
        self.failures: list[Mapping[str, Any]] = []
        """What reached the loop's exception handler: bugs, all of them."""

    gateway: Gateway

    def __enter__(self) -> Self:
        self._loop.set_exception_handler(lambda _, context: self.failures.append(context))
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(self, *exc: object) -> None:
        self.run(self.gateway.stop())
        left = self.run(_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
        if self._owned:
            self.upstream.close()
        assert not self.failures, self.failures
        assert not left, f"tasks left behind: {left}"

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """`coro`, on the engine's loop."""
        return asyncio.run_coroutine_threadsafe(coro, self._loop).result(PATIENCE)

    def ask(self, question: Callable[[], T]) -> T:
        """What `question()` answers on the engine's loop, where everything stands still."""

        async def answer() -> T:
            return question()

        return self.run(answer())

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until `holds()` on the engine's loop."""

        async def wait() -> None:
            while not holds():
                await asyncio.sleep(0.002)

        try:
            self.run(asyncio.wait_for(wait(), PATIENCE - 1))
        except TimeoutError:
            raise AssertionError(f"waited in vain until {what}") from None

    @staticmethod
    def tasks() -> list[str]:
        """Tasks of the engine's own; to be asked on its loop."""
        return [
            task.get_name()
            for task in asyncio.all_tasks()
            if isinstance(coro := task.get_coro(), CoroutineType)
            and "portico_dataplane" in coro.cr_code.co_filename
        ]

    def settle(self) -> None:
        """When this returns, whatever earlier input could still reach the upstream has: a whole
        request went through the same loop, to the same upstream, after it."""
        script = self.upstream.scripts.pop(self.SETTLED, None)
        assert script is None
        with RawClient(self.port) as client:
            client.send(b"GET %b HTTP/1.1\r\nHost: rest.test\r\n\r\n" % self.SETTLED)
            answer = client.read_answer()
            assert answer.status == 200, answer

    async def _start(self) -> None:
        self.gateway = Gateway(self._settings, meters=_Meters(), lines=_Lines())
        await self.gateway.start()
        applied = await self.gateway.apply(self._snapshot())
        assert not applied.refused, applied.refused
        self.port = self.gateway.port

    def _snapshot(self) -> Snapshot:
        endpoints = self._endpoints
        if endpoints is None:
            endpoints = (Endpoint(host="127.0.0.1", port=self.upstream.port),)
        return snapshot(
            {
                "gateway": GatewayUnit(egress_open=True),
                "api/test/RestApi/rest": _api(ApiKind.REST, "rest.test"),
                "api/test/HttpApi/http": _api(ApiKind.HTTP, "http.test"),
                "routes/test/RestApi/rest/*/0": _rest_routes(),
                "routes/test/HttpApi/http/*/0": _http_routes(),
            },
            {UPSTREAM: endpoints},
        )


async def _others() -> list[str]:
    """The tasks that are still there after a moment to end in; they are ended then."""
    ours = asyncio.current_task()
    left = [task for task in asyncio.all_tasks() if task is not ours]
    if left:
        await asyncio.wait(left, timeout=1)
    left = [task for task in left if not task.done()]
    names = [repr(task) for task in left]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    return names


def snapshot(units: Mapping[str, Unit], upstreams: dict[str, tuple[Endpoint, ...]]) -> Snapshot:
    """A whole snapshot of these units."""
    encoded = {name: codec.encode(unit) for name, unit in units.items()}
    return Snapshot(
        manifest=Manifest(
            ir_version=1, units={name: codec.digest(raw) for name, raw in encoded.items()}
        ),
        units={name: msgspec.Raw(raw) for name, raw in encoded.items()},
        endpoints=EndpointSet(sequence=1, upstreams=upstreams),
    )


def _api(kind: ApiKind, host: str) -> ApiUnit:
    name = host.split(".")[0]
    folder = "RestApi" if kind is ApiKind.REST else "HttpApi"
    return ApiUnit(
        uid=f"uid-{name}",
        api_id=f"{name:x<10}",
        kind=kind,
        name=name,
        namespace="test",
        hosts=(host,),
        stages=(Stage(name="$default", shards=(f"routes/test/{folder}/{name}/*/0",)),),
    )


def _route(key: str, match: Match, *, body: int = LARGE_BODY, timeout: int = LONG_MS) -> Route:
    return Route(
        key=key,
        match=match,
        integration=HttpProxy(
            targets=(ServiceTarget(upstream=UPSTREAM, host="upstream.test"),),
            timeout_ms=timeout,
            max_request_body=body,
        ),
    )


def _rest_routes() -> RoutesUnit:
    def rest(path: str, **more: int) -> Route:
        return _route(f"ANY {path}", RestSegments(method="ANY", path=path), **more)

    routes = (
        rest("/"),
        rest("/short", timeout=SHORT_MS),
        rest("/small", body=SMALL_BODY),
        rest("/{proxy+}"),
    )
    return RoutesUnit(api="api/test/RestApi/rest", routes=routes)


def _http_routes() -> RoutesUnit:
    def http(path: str, **more: int) -> Route:
        return _route(f"ANY {path}", HttpSegments(method="ANY", path=path), **more)

    routes = (
        _route("$default", DefaultMatch()),
        http("/short", timeout=SHORT_MS),
        http("/small", body=SMALL_BODY),
    )
    return RoutesUnit(api="api/test/HttpApi/http", routes=routes)
