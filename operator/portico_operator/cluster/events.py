"""kopf as informer for our own kinds: its life cycle in a thread, its events handed over.

Started by `intake`. Handlers are a few lines; nothing else of kopf is used (design.md §5, item 1):
no state on objects, no finalizers, no indices, no posting. It has a thread and a loop of its own
because it cancels every task of its loop when it ends, and because its start costs 1 ms of CPU an
object, which would hold up delivery. Promises: `take` is called on the loop of whoever started it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import kopf

from portico_operator.cluster.client import ApiError, Credentials, KubeClient
from portico_operator.cluster.resources import OURS, Resource
from portico_operator.tasks import end, spawn

_log = logging.getLogger(__name__)

Take = Callable[[str, str | None, Mapping[str, Any]], None]
"""Kind, type of the event (None: kopf's own first list) and the object."""
_IDENTITY: Any = "portico"
"""Nobody peers; left out, kopf asks the system for the user's name, and a pod's has none."""
_RESTART_S = 1.0
_STOP_S = 10.0
_GOODBYE_S = 0.25
_GRACE_S = 5.0
"""Its watchers must run this long after the start, and from then on."""


class _Patience:
    """Back-offs without end: an API server that is away for minutes must not end a watch."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.1, 0.5, 1.0, 2.0, 3.0)
        while True:
            yield 5.0


class _NoDiffs(kopf.DiffBaseStorage):
    """Nothing is compared with what was handled last: handlers see events alone.

    kopf works both out for every event all the same, which was half of what an event cost."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        """Of nothing."""


class Informer:
    """kopf, watching our kinds."""

    def __init__(
        self,
        credentials: Credentials,
        take: Take,
        namespaces: Collection[str] = (),
        resources: Collection[Resource] = tuple(OURS.values()),
        restarted: Callable[[], None] = lambda: None,
    ) -> None:
        self._credentials = credentials
        self._take = take
        self._namespaces = tuple(namespaces)
        self._resources = tuple(resources)
        self._restarted = restarted
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; `take` is called on the running loop."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="kopf", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the thread, or leave it to the end of the process when it takes too long."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _STOP_S)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stop.is_set():
            try:
                asyncio.run(self._operate(loop))
            except Exception:  # whatever ended kopf, the informer must come back
                _log.exception("kopf ended; it is started again")
            self._stop.wait(_RESTART_S)

    async def _operate(self, loop: asyncio.AbstractEventLoop) -> None:
        """kopf until it is told to end, or until one of its watchers has ended by itself."""
        if not await self._all_served():
            return
        ending = asyncio.Event()
        guard = spawn(self._guard(ending), name="kopf's watchers")
        _hand_over(loop, self._restarted)
        try:
            await kopf.operator(
                registry=self._registry(loop),
                settings=_settings(),
                standalone=True,
                identity=_IDENTITY,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=ending,
            )
        finally:
            await end((guard,))
            # What aiohttp closes over TLS is gone only some turns of the loop later.
            await asyncio.sleep(_GOODBYE_S)

    async def _all_served(self) -> bool:
        """kopf looks once for what is served, and never again for what it did not find."""
        groups = {(resource.group, resource.version) for resource in self._resources}
        async with KubeClient(self._credentials) as client:
            try:
                served = {
                    (group, entry.get("name"))
                    for group, version in groups
                    for entry in (await client.get(f"/apis/{group}/{version}")).get("resources")
                    or ()
                }
            except ApiError:
                return False
        return all((resource.group, resource.plural) in served for resource in self._resources)

    async def _guard(self, ending: asyncio.Event) -> None:
        """A watcher that met 403 or 404 (an API server that is just starting gives both) ends
        for good, and kopf goes on without it: then all of it is started again."""
        began = asyncio.get_running_loop().time()
        while not self._stop.is_set():
            await asyncio.sleep(0.2)
            if asyncio.get_running_loop().time() - began < _GRACE_S:
                continue
            running = {task.get_name() for task in asyncio.all_tasks() if not task.done()}
            lost = [
                resource.plural
                for resource in self._resources
                if not any(name.startswith(_watcher_of(resource)) for name in running)
            ]
            if lost:
                _log.warning("kopf no longer watches %s; it is started again", ", ".join(lost))
                break
        ending.set()

    def _registry(self, loop: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        credentials = self._credentials

        @kopf.on.login(registry=registry)
        def login(**_: Any) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(
                server=credentials.server,
                ca_path=credentials.ca_path,
                ca_data=credentials.ca_data,
                insecure=credentials.insecure or None,
                scheme="Bearer" if credentials.bearer() else None,
                token=credentials.bearer(),
                certificate_path=credentials.certificate_path,
                private_key_path=credentials.key_path,
            )

        for resource in self._resources:
            self._watch(registry, resource, loop)
        return registry

    def _watch(
        self, registry: kopf.OperatorRegistry, resource: Resource, loop: asyncio.AbstractEventLoop
    ) -> None:
        kind, take = resource.kind, self._take

        @kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)
        async def seen(event: Mapping[str, Any], **_: Any) -> None:
            raw = dict(event["object"])
            _hand_over(loop, take, kind, event.get("type"), raw)


def _hand_over(loop: asyncio.AbstractEventLoop, act: Callable[..., None], *given: Any) -> None:
    try:
        loop.call_soon_threadsafe(act, *given)
    except RuntimeError:
        return  # The loop is closed: the process ends.


def _watcher_of(resource: Resource) -> str:
    """How kopf names the task that watches a kind; tests/cluster notices when that changes."""
    return f"watcher for {resource.plural}.{resource.version}.{resource.group}@"


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.peering.standalone = True
    # Its observer drops every kind that a starting API server does not serve yet, and never looks
    # again; `_all_served` and `_guard` see to kinds that go and come.
    settings.scanning.disabled = True
    # Never `queueing.worker_limit`: below the number of objects it deadlocks (nolar/kopf#1243).
    settings.queueing.idle_timeout = 1.0
    settings.queueing.exit_timeout = 1.0
    settings.watching.server_timeout = 600
    settings.watching.chunk_size = 1000
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = _Patience()
    settings.execution.max_workers = 1
    return settings
