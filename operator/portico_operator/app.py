"""App: the parts of an operator, put together. Wiring only.

Run by `__main__` and by tests. Promises: ports are taken before anything else starts; when a part
ends that should not, `/livez` says which; leaving ends every task and releases the Lease.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import time
from collections.abc import Coroutine, Mapping
from functools import partial
from importlib import metadata
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from portico_compiler import Object, ObjectRef, Settings
from portico_operator.capture_loop import CaptureLoop
from portico_operator.cluster.client import Credentials, KubeClient
from portico_operator.cluster.herald import Herald
from portico_operator.cluster.intake import PACE, Intake, Pace
from portico_operator.cluster.key_secrets import KeySecrets
from portico_operator.cluster.lease import Lease
from portico_operator.cluster.pod_watch import PodWatch
from portico_operator.cluster.reviewer import TokenReviewer
from portico_operator.cluster.revision_store import RevisionStore
from portico_operator.cluster.status_writer import StatusWriter
from portico_operator.cluster.vault import ClusterVault
from portico_operator.counting import LOOPBACK, Counting
from portico_operator.delivery.access import Access
from portico_operator.delivery.fleet import Standing
from portico_operator.delivery.server import StreamServer
from portico_operator.health import HealthServer
from portico_operator.metrics import Metrics
from portico_operator.mint import Mint
from portico_operator.reconciler import Publication, Reconciler
from portico_operator.settings import DataPlane, OperatorSettings
from portico_operator.status_loop import StatusLoop
from portico_operator.store import Store
from portico_operator.stream_tls import StreamTls
from portico_operator.tasks import end, spawn

_log = logging.getLogger(__name__)


class App:
    """One replica; `async with` runs it."""

    def __init__(
        self, settings: OperatorSettings, credentials: Credentials, pace: Pace = PACE
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.store = Store()
        self._sockets = _listen_all(settings)
        self.client = KubeClient(credentials)
        self.lease = Lease(
            self.client, settings.namespace, settings.lease, settings.identity, settings.terms
        )
        self.pods = {plane.class_name: self._pod_watch(plane) for plane in settings.data_planes}
        """By class."""
        access = Access(TokenReviewer(self.client), self, time.time)
        build = _build(_compiler_settings(settings))
        self.counting = Counting(self.client, settings, self.lease, lambda t: self.server.keep(t))
        self.server = StreamServer(
            access, build=build, measures=self.metrics, settler=self.counting.keeping
        )
        self.intake = Intake(
            self.client, self.store, self._touch, namespaces=settings.watch_namespaces, pace=pace
        )
        self.reconciler = Reconciler(
            self.store,
            _compiler_settings(settings),
            self.server,
            confirm=self.intake.confirm,
            published=self._published,
            measures=self.metrics,
        )
        self.status = self._status_loop(settings)
        self.captures = self._deployments(settings)
        self.mint = Mint(
            KeySecrets(self.client, self.lease.time_left, settings.identity),
            leads=self.lease.is_leader,
        )
        self.tls = StreamTls(
            self.server,
            ClusterVault(self.client, settings.namespace, settings.ca_secret, settings.ca_bundle),
            _names(settings),
            self._sockets[0],
            self.lease.is_leader,
        )
        self._health = HealthServer(
            dead=self._dead, unready=self._unready, metrics=self.metrics.exposition
        )
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._number_gauges()

    def _pod_watch(self, plane: DataPlane) -> PodWatch:
        changed = partial(self._pods_changed, plane.class_name)
        return PodWatch(self.client, self.settings.namespace, plane.name, changed)

    def _status_loop(self, settings: OperatorSettings) -> StatusLoop:
        leads = self.lease.is_leader
        writer = Herald(
            self.client,
            StatusWriter(self.client, self.lease.time_left),
            find=self._object,
            provisional=self._provisional,
            leads=leads,
            instance=settings.identity,
        )
        return StatusLoop(
            self.store,
            writer,
            standings=self._standings,
            leads=leads,
            restored=self._touch,
            wrote=self.metrics.status_written,
            patience=settings.patience,
        )

    def _deployments(self, settings: OperatorSettings) -> CaptureLoop:
        return CaptureLoop(
            self.store,
            RevisionStore(self.client, self.lease.is_leader, settings.watch_namespaces),
            leads=self.lease.is_leader,
            refresh=self.intake.refresh,
            classes=self.pods.keys,
        )

    async def __aenter__(self) -> Self:
        await self.client.__aenter__()
        await self._health.start(self._sockets[1])
        await self.counting.server.start(self._sockets[2])
        self.server.subscribe(self.status.stir)
        self.lease.subscribe(lambda _: self.status.stir())
        self.lease.subscribe(lambda _: self.captures.stir())
        self.lease.subscribe(lambda _: self.counting.stir())
        self.lease.subscribe(lambda _: self.mint.stir())
        parts: dict[str, Coroutine[Any, Any, None]] = {
            "stream": self.tls.run(),
            "leases": self.counting.keeping.run(),
            "extensions": self.counting.extending.run(),
            "mint": self.mint.run(),
            "status": self.status.run(),
            "captures": self.captures.run(),
            "reconciler": self.reconciler.run(),
            "days": self.reconciler.turn_days(),
            "progress": self.reconciler.tell_progress(),
            "intake": self.intake.run(),
            **{f"pods of {name}": watch.run() for name, watch in self.pods.items()},
            "lease": self.lease.run(),
        }
        self._tasks = {name: spawn(part, name=name) for name, part in parts.items()}
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Streams first, so that pods go to another replica while this one can still serve.
        for task in self._tasks.values():
            await end((task,))
        await self._health.close()
        await self.counting.close()
        for listening in self._sockets:
            listening.close()
        await self.client.__aexit__(kind, error, trace)

    @property
    def stream_port(self) -> int:
        """In use, when any was asked for."""
        return int(self._sockets[0].getsockname()[1])

    @property
    def usage_port(self) -> int:
        """The same, of the usage endpoint."""
        return int(self._sockets[2].getsockname()[1])

    @property
    def admin_port(self) -> int:
        """The same, of the admin port."""
        return int(self._sockets[1].getsockname()[1])

    # --- delivery.access.Grounds --------------------------------------------------------

    def class_of(self, service_account: str) -> str | None:
        """The class whose pods run as this account."""
        for plane in self.settings.data_planes:
            own = f"{self.settings.namespace}:{plane.name}"
            if service_account == f"system:serviceaccount:{own}":
                return plane.class_name
        return None

    def is_gone(self, pod_uid: str) -> bool:
        """Whether the pod has left."""
        return any(watch.is_gone(pod_uid) for watch in self.pods.values())

    # --- between the parts --------------------------------------------------------------

    def _touch(self) -> None:
        self.reconciler.touch()

    def _published(self, publication: Publication) -> None:
        serials = {name: self.server.fleet(name).serial for name in self.pods}
        self.status.published(publication, serials)
        self.counting.published(publication.compiled.snapshots)
        self.captures.published(publication)
        self.mint.published(publication.compiled.wanted)

    def _object(self, ref: ObjectRef) -> Object | None:
        known = self.store.get(ref)
        return None if known is None else known.object

    def _provisional(self) -> Mapping[ObjectRef, str]:
        latest = self.status.latest
        return {} if latest is None else latest.compiled.report.provisional

    def _pods_changed(self, class_name: str) -> None:
        self.server.set_pods(class_name, self.pods[class_name].states.values())
        self.status.stir()

    def _standings(self) -> Mapping[str, Standing] | None:
        if not all(watch.known for watch in self.pods.values()):
            return None
        return {name: self.server.fleet(name).standing() for name in self.pods}

    def _live_pods(self) -> int:
        return sum(standing.pods for standing in (self._standings() or {}).values())

    # --- probes -------------------------------------------------------------------------

    def _dead(self) -> str:
        ended = [name for name, task in self._tasks.items() if task.done()]
        return f"ended: {', '.join(ended)}" if ended else ""

    def _unready(self) -> str:
        if not self.reconciler.first_done.is_set():
            missing = ", ".join(f"{scope.kind}" for scope in self.store.missing())
            return f"no configuration yet; missing: {missing or 'nothing'}"
        return "" if self.tls.started else "no certificate for the stream yet"

    def _number_gauges(self) -> None:
        watch = self.metrics.watch
        watch("portico_leader", "1 while this replica leads.", lambda: self.lease.is_leader())
        watch("portico_store_objects", "Objects in the store.", lambda: len(self.store))
        watch("portico_status_backlog", "Waiting writes.", lambda: self.status.board.backlog)
        watch("portico_pods_live", "Live pods.", self._live_pods)
        watch("portico_streams", "Open streams.", lambda: sum(self.server.streams().values()))
        watch(
            "portico_stream_denials",
            "Tokens that were refused.",
            lambda: sum(access_denials(self.server).values()),
        )


def access_denials(server: StreamServer) -> Mapping[str, int]:
    """Refused tokens by reason."""
    return server.access.denials


def _compiler_settings(settings: OperatorSettings) -> Settings:
    scheme: Literal["http", "https"] = "https" if settings.scheme == "https" else "http"
    return Settings(
        mode="cluster",
        classes=tuple(plane.class_name for plane in settings.data_planes),
        base_domain=settings.base_domain,
        scheme=scheme,
        port=settings.public_port,
        key_generation=settings.key_generation,
        build=_version(),
    )


def _build(settings: Settings) -> str:
    """What made a configuration: of one world, replicas of one build make the same bytes. Those
    that were started with other settings are of another build, too."""
    said = hashlib.sha256(msgspec.json.encode(settings, order="deterministic"))
    return f"{settings.build}+{said.hexdigest()[:8]}"


def _names(settings: OperatorSettings) -> list[str]:
    """What pods may call this replica: a name of the headless Service, whatever its address."""
    service = f"{settings.stream_service}.{settings.namespace}"
    return [settings.stream_service, service, f"{service}.svc", f"{service}.svc.cluster.local"]


def _listen_all(settings: OperatorSettings) -> list[socket.socket]:
    """Stream, admin, usage; all of them, or none and the error."""
    taken: list[socket.socket] = []
    try:
        for port in (settings.stream_port, settings.admin_port):
            taken.append(_listen(settings.host, port))
        taken.append(_listen(LOOPBACK, settings.usage_port))
    except OSError:
        for listening in taken:
            listening.close()
        raise
    return taken


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host or (not host and socket.has_dualstack_ipv6()) else None
    if family is None:
        return socket.create_server((host, port), backlog=1024)
    dual = not host
    return socket.create_server((host, port), family=family, backlog=1024, dualstack_ipv6=dual)


def _version() -> str:
    try:
        return metadata.version("portico")
    except metadata.PackageNotFoundError:
        return "unknown"
