"""The real engine with a configuration of a test's own, and a record of what it told telemetry.

`Serving` is `Engine` (uvloop, in a thread of its own) with any units; `site` writes the units of
one API in a line. Used by tests of modules whose rules need more than one route.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from engine import UPSTREAM, Engine, snapshot
from portico_dataplane.app import Gateway
from portico_dataplane.build import Applied
from portico_ir.model import (
    ApiKind,
    ApiUnit,
    Endpoint,
    GatewayUnit,
    HttpProxy,
    Integration,
    LambdaProxy,
    Mock,
    MockResponse,
    MockTemplate,
    Route,
    RoutesUnit,
    ServiceTarget,
    Snapshot,
    Stage,
    Unit,
)
from raw_upstream import Upstream
from sample_requests import match_of

SERVICE: Final = ServiceTarget(upstream=UPSTREAM, host="upstream.test")
"""What `Serving` resolves to its recording upstream."""
REST, HTTP = ApiKind.REST, ApiKind.HTTP
FOLDERS: Final = {REST: "RestApi", HTTP: "HttpApi", ApiKind.WEBSOCKET: "WebSocketApi"}


def unit_id(kind: ApiKind, name: str) -> str:
    """The id of an API unit in the namespace `test`."""
    return f"api/test/{FOLDERS[kind]}/{name}"


def shard_id(kind: ApiKind, name: str, bucket: int = 0) -> str:
    """The id of one of its shards."""
    return f"routes/test/{FOLDERS[kind]}/{name}/*/{bucket}"


def proxied(**fields: Any) -> HttpProxy:
    """Pass on to the recording upstream."""
    return HttpProxy(**{"targets": (SERVICE,), "timeout_ms": 20_000, **fields})


def function(name: str = "f", **fields: Any) -> LambdaProxy:
    """Invoke a function of the recording upstream."""
    return LambdaProxy(**{"target": SERVICE, "function": name, "timeout_ms": 20_000, **fields})


def answering(status: int, body: str = "", **headers: str) -> Mock:
    """A mock that always says this."""
    return Mock(
        templates=(MockTemplate(content_type="application/json", status=status),),
        responses=(
            MockResponse(
                pattern="",
                status=status,
                headers=tuple(headers.items()),
                templates=(("application/json", body),) if body else (),
            ),
        ),
    )


def route(kind: ApiKind, key: str, integration: Integration | None = None, **fields: Any) -> Route:
    """One route; without an integration it is passed on to the recording upstream."""
    return Route(key=key, match=match_of(kind, key), integration=integration or proxied(), **fields)


def everything(kind: ApiKind, integration: Integration | None = None) -> tuple[Route, ...]:
    """Routes that take any path."""
    if kind is HTTP:
        return (route(kind, "$default", integration),)
    return tuple(route(kind, f"ANY {path}", integration) for path in ("/", "/{proxy+}"))


def site(
    kind: ApiKind,
    name: str,
    *shards: tuple[Route, ...],
    stages: tuple[Stage, ...] = (Stage(name="$default"),),
    **fields: Any,
) -> dict[str, Unit]:
    """An API at `<name>.test` and its shards; a stage that names none serves all of them."""
    ids = tuple(shard_id(kind, name, bucket) for bucket in range(len(shards)))
    stages = tuple(
        stage if stage.shards else msgspec.structs.replace(stage, shards=ids) for stage in stages
    )
    made: dict[str, Any] = {
        "uid": f"uid-{name}",
        "api_id": f"{name:x<10}",
        "kind": kind,
        "name": name,
        "namespace": "test",
        "hosts": (f"{name}.test",),
        "stages": stages,
        **fields,
    }
    units: dict[str, Unit] = {unit_id(kind, name): ApiUnit(**made)}
    for shard, routes in zip(ids, shards, strict=True):
        units[shard] = RoutesUnit(api=unit_id(kind, name), routes=routes)
    return units


class Recorded(NamedTuple):
    """One request as telemetry heard of it."""

    status: int
    latency_ms: float
    integration_ms: float
    sent: int


class RecordingMeter:
    """Keeps every request of one label set."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []

    def record(
        self, status: int, latency_ms: float, integration_latency_ms: float, sent: int
    ) -> None:
        """One more."""
        self.requests.append(Recorded(status, latency_ms, integration_latency_ms, sent))


class RecordingMeters:
    """The same labels, the same meter."""

    def __init__(self) -> None:
        self.by_labels: dict[tuple[str, ...], RecordingMeter] = {}

    def meter(self, namespace: str, api: str, kind: str, stage: str, route: str) -> RecordingMeter:
        """The meter of these labels."""
        return self.by_labels.setdefault((namespace, api, kind, stage, route), RecordingMeter())

    def counts(self) -> dict[tuple[str, ...], list[int]]:
        """Statuses by (API, stage, route), of those that counted anything."""
        return {
            (api, stage, route): [one.status for one in meter.requests]
            for (_, api, _, stage, route), meter in self.by_labels.items()
            if meter.requests
        }

    def forget(self) -> None:
        """Begin to count anew."""
        for meter in self.by_labels.values():
            meter.requests.clear()


class RecordingLines:
    """Keeps every line."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        """One more."""
        self.lines.append(line)


class Serving(Engine):
    """A gateway that serves `units`; `UPSTREAM` is at `upstream`, or at `endpoints`."""

    def __init__(
        self,
        units: Mapping[str, Unit],
        *,
        upstream: Upstream | None = None,
        endpoints: tuple[Endpoint, ...] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(upstream=upstream, endpoints=endpoints, **settings)
        self._units = units
        self.meters = RecordingMeters()
        self.lines = RecordingLines()

    def apply(self, units: Mapping[str, Unit], endpoints: tuple[Endpoint, ...] = ()) -> Applied:
        """Serve these units from now on."""
        return self.run(self.gateway.apply(self.snapshot(units, endpoints)))

    def snapshot(self, units: Mapping[str, Unit], endpoints: tuple[Endpoint, ...] = ()) -> Snapshot:
        """A whole snapshot of these units, with the recording upstream's address."""
        at = endpoints or self._endpoints
        if at is None:
            at = (Endpoint(host="127.0.0.1", port=self.upstream.port),)
        return snapshot({"gateway": GatewayUnit(egress_open=True), **units}, {UPSTREAM: at})

    def is_clean(self) -> bool:
        """Nothing is in progress: no request, no call, no task, and nobody waits for a time."""
        gateway = self.gateway
        open_, idle = gateway.upstreams.counts()
        # The pools' own sweep goes on while anything is idle.
        slots = gateway.deadlines._slots.values()
        late = {one for slot in slots for one in slot} - {gateway.upstreams}
        return not (
            gateway.connections or gateway.in_flight or open_ - idle or self.tasks() or late
        )

    def until_clean(self) -> None:
        """Wait until everything was given back."""
        self.until(self.is_clean, "everything was given back")

    @staticmethod
    def beside(send: Callable[[], None]) -> threading.Thread:
        """Send beside the test, as far as it goes: the other side may not take all of it."""

        def run() -> None:
            try:
                send()
            except OSError:
                pass  # closed by the test

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def settle_held(self, *, towards_upstreams: bool = False) -> None:
        """Wait until somebody is behind: a client, or a backend, so that nobody reads from who
        talks to it."""

        def held() -> bool:
            found = self.gateway.connections
            if towards_upstreams:
                return any(one._paused_by_body for one in found)
            return any(one._behind for one in found)

        self.until(held, "somebody is behind")

    async def _start(self) -> None:
        self.gateway = Gateway(self._settings, meters=self.meters, lines=self.lines)
        await self.gateway.start()
        applied = await self.gateway.apply(self.snapshot(self._units))
        assert not applied.refused, applied.refused
        self.port = self.gateway.port
