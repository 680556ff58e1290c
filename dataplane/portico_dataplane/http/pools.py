"""Pools of connections: one per address, one upstream per target, one registry per worker.

`http/targets.py` asks for upstreams while building, requests take connections. Promises: bounded
per address, with a bounded queue behind the bound; idle ones closed before the backend would
(its `Keep-Alive: timeout` is honoured). Lives outside any Runtime: a new configuration keeps
the connections of the old one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from portico_dataplane.core.balancing import Balancer
from portico_dataplane.core.load import Share
from portico_dataplane.core.retries import MOST_ATTEMPTS, RetryBudget
from portico_dataplane.effects.dialer import Dialer, DialError, DialKind
from portico_dataplane.effects.tls_client import AddressTls
from portico_dataplane.http.upstream import UpstreamConnection, UpstreamUser
from portico_dataplane.tasks import spawn
from portico_ir.model import Endpoint

if TYPE_CHECKING:
    import ssl

    from portico_dataplane.http.deadlines import Schedule, Slot
    from portico_dataplane.settings import Settings


class Pool:
    """Connections to one address of one upstream."""

    __slots__ = (
        "_dialing",
        "_idle",
        "_open",
        "_upstream",
        "_waiting",
        "endpoint",
        "head_limit",
        "idle_timeout",
        "most_headers",
        "retired",
        "tls",
        "watched",
    )

    def __init__(self, upstream: Upstream, endpoint: Endpoint) -> None:
        settings = upstream.registry.settings
        self._upstream = upstream
        self.endpoint = endpoint
        self.idle_timeout = settings.upstream_idle_timeout_s
        self.head_limit = settings.upstream_head_limit
        self.most_headers = settings.upstream_max_headers
        self.retired = upstream.retired
        """The address left, or the upstream did: what comes back is closed."""
        self.watched = False
        """Whether the sweep for idle connections knows of this pool."""
        self._idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self._dialing = 0
        self._waiting: deque[UpstreamUser] = deque()
        self.tls = None if upstream.tls is None else AddressTls()

    def take(self) -> UpstreamConnection | None:
        """An idle connection, the one used last (its window is warm), if there is one."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.closed or connection.transport.is_closing():
                continue
            # The sweep is coarse; a backend's own limit may have passed since.
            if time.monotonic() - connection.idle_since < connection.idle_timeout:
                return connection
            connection.close()
        return None

    def connect(self, user: UpstreamUser) -> None:
        """Make a connection for `user`, or queue it; it is told either way."""
        settings = self._upstream.registry.settings
        if len(self._open) + self._dialing < settings.upstream_max_connections:
            self._dialing += 1
            name = f"dial {self.endpoint.host}:{self.endpoint.port}"
            self._upstream.registry.dials(spawn(self._dial(user), name=name))
        elif len(self._waiting) < settings.upstream_max_waiting:
            self._waiting.append(user)
        else:
            user.on_no_connection(None)

    def forget(self, user: UpstreamUser) -> None:
        """`user` no longer waits."""
        if user in self._waiting:
            self._waiting.remove(user)

    async def _dial(self, user: UpstreamUser) -> None:
        upstream = self._upstream
        try:
            _, connection = await upstream.registry.dialer.connect(
                lambda: UpstreamConnection(self),
                self.endpoint.host,
                self.endpoint.port,
                tls=upstream.tls,
                server_hostname=upstream.server_name,
                session=None if self.tls is None else self.tls.session(),
                timeout_s=upstream.registry.settings.connect_timeout_s,
                trusted=upstream.trusted,
            )
        except DialError as error:
            self._dialing -= 1
            if self.tls is not None and error.kind is DialKind.TLS:
                self.tls.complain(upstream.key, self.endpoint.host, error)
            user.on_no_connection(error)
            self._serve_waiting()
            return
        except BaseException:
            self._dialing -= 1
            raise
        self._dialing -= 1
        self._open.add(connection)
        upstream.registry.live.add(self)
        user.on_connection(connection)

    def give_back(self, connection: UpstreamConnection) -> None:
        """`connection` may serve another request."""
        if connection.idle_timeout <= 0:
            connection.close()  # it says that it will not wait for another request
            return
        if self._waiting:
            self._waiting.popleft().on_connection(connection)
            return
        settings = self._upstream.registry.settings
        if self.retired or len(self._idle) >= settings.upstream_max_idle:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if not self.watched:
            self.watched = True
            self._upstream.registry.watch(self)

    def lost(self, connection: UpstreamConnection) -> None:
        """`connection` is no more."""
        self._open.discard(connection)
        if not self._open:
            self._upstream.registry.live.discard(self)
        if connection.user is None and connection in self._idle:
            self._idle.remove(connection)
        self._serve_waiting()

    def expect_end(self, connection: UpstreamConnection) -> Slot:
        """`connection` still sends; it must come to an end."""
        registry = self._upstream.registry
        return registry.deadlines.schedule(connection, registry.settings.write_timeout_s)

    def _serve_waiting(self) -> None:
        if self._waiting:
            self.connect(self._waiting.popleft())

    def sweep(self, now: float) -> bool:
        """Close what has been idle too long; whether any idle ones are left."""
        for connection in [c for c in self._idle if now - c.idle_since >= c.idle_timeout]:
            connection.close()
        self.watched = bool(self._idle)
        return self.watched

    def retire(self) -> None:
        """The address is gone: close what nobody uses, and the rest when it comes back."""
        self.retired = True
        for connection in list(self._idle):
            connection.close()

    def close(self) -> None:
        """Close everything, for good."""
        self.retired = True
        self._waiting.clear()
        for connection in list(self._open):
            connection.close()

    @property
    def idle(self) -> int:
        """Connections nobody uses."""
        return len(self._idle)

    @property
    def open(self) -> int:
        """Connections in all."""
        return len(self._open)


class Upstream:
    """Everything that answers for one target: its addresses, their health, their pools."""

    __slots__ = (
        "_cluster_ip",
        "_pools",
        "balancer",
        "budget",
        "key",
        "registry",
        "retired",
        "server_name",
        "share",
        "sole",
        "standby",
        "tls",
        "trusted",
    )

    def __init__(
        self,
        registry: Upstreams,
        key: str,
        *,
        tls: ssl.SSLContext | None,
        server_name: str,
        trusted: bool,
    ) -> None:
        self.registry = registry
        self.key = key
        self.tls = tls
        self.server_name = server_name if tls is not None else None
        self.trusted = trusted
        """A Service resolved by reference; anything else is checked at connect time."""
        self.balancer = Balancer(most_errors=registry.settings.eject_after_errors)
        self.budget = RetryBudget()
        self.share = Share()
        self.retired = False
        """Nothing names it any more."""
        self.sole: Pool | None = None
        """The one pool when there is one address: no choice to make."""
        self.standby: Endpoint | None = None
        """The Service's ClusterIP, while it may stand in for addresses that all fail."""
        self._cluster_ip: Endpoint | None = None
        self._pools: dict[Endpoint, Pool] = {}

    def update(self, endpoints: Iterable[Endpoint]) -> None:
        """Replace the addresses; connections to those that left end when their answer does."""
        wanted = tuple(endpoints)
        for endpoint in [e for e in self._pools if e not in wanted and e != self.standby]:
            self._pools.pop(endpoint).retire()
        self.balancer.update(wanted)
        self._simplify()

    def set_cluster_ip(self, address: Endpoint | None) -> None:
        """What the configuration says of the Service; None: it has no ClusterIP."""
        if address != self._cluster_ip:
            self._cluster_ip = address
            self.allow_fallback(allowed=self.registry.fallback)

    def allow_fallback(self, *, allowed: bool) -> None:
        """Whether the ClusterIP may stand in. Only then does `pick` have anything to ask."""
        before, self.standby = self.standby, self._cluster_ip if allowed else None
        wanted = [self.standby, *self.balancer.endpoints]
        if before in self._pools and before not in wanted:
            self._pools.pop(before).retire()
        self._simplify()

    def _simplify(self) -> None:
        endpoints = self.balancer.endpoints
        alone = len(endpoints) == 1 and self.standby is None
        self.sole = self._pool(endpoints[0]) if alone else None

    def retire(self) -> None:
        """Nothing names it any more. A request that began with it still reaches its addresses
        (design §9 rule 9), over connections that nobody keeps."""
        self.retired = True
        for pool in self._pools.values():
            pool.retire()

    def pick(self, now: float, attempt: int = 1) -> Pool | None:
        """The pool of the address to use next; `None`: there is no address.

        `attempt` counts within one request: where a ClusterIP may stand in, the last one is its.
        """
        if self.sole is not None:
            return self.sole
        if self.standby is not None and (attempt >= MOST_ATTEMPTS or self.balancer.none_works):
            return self._pool(self.standby)
        endpoint = self.balancer.pick(now)
        return None if endpoint is None else self._pool(endpoint)

    def is_moving(self, endpoint: Endpoint) -> bool:
        """Whether nothing better than `endpoint`, which failed, is known of a Service: its pods
        may just have been replaced. Of a URL there is never more to know."""
        return self.trusted and self.balancer.none_works and self.standby in (None, endpoint)

    def _pool(self, endpoint: Endpoint) -> Pool:
        pool = self._pools.get(endpoint)
        if pool is None:
            pool = self._pools[endpoint] = Pool(self, endpoint)
        return pool

    def pools(self) -> Iterable[Pool]:
        """Every pool."""
        return self._pools.values()

    def __repr__(self) -> str:
        return f"<{self.key} {len(self._pools)} addresses, {self.balancer!r}>"


class Upstreams:
    """Every upstream of this worker, by key; outlives Runtimes."""

    SWEEP_S: Final = 1.0

    def __init__(self, settings: Settings, dialer: Dialer, deadlines: Schedule) -> None:
        self.settings = settings
        self.dialer = dialer
        self.deadlines = deadlines
        self._by_key: dict[str, Upstream] = {}
        self.live: set[Pool] = set()
        """Pools with a connection, those of addresses and upstreams that left included."""
        self._dials: set[asyncio.Task[None]] = set()
        self._watched: set[Pool] = set()
        self.fallback = False
        """Whether ClusterIPs may stand in for addresses that all fail."""
        self._sweeping = False

    def get(
        self,
        key: str,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
        trusted: bool,
    ) -> Upstream:
        """The upstream of that key, made when it is new."""
        upstream = self._by_key.get(key)
        if upstream is None:
            upstream = self._by_key[key] = Upstream(
                self, key, tls=tls, server_name=server_name, trusted=trusted
            )
        return upstream

    def set_fallback(self, *, allowed: bool) -> None:
        """Whether ClusterIPs may stand in: no operator tells of addresses any more."""
        self.fallback = allowed
        for upstream in self._by_key.values():
            upstream.allow_fallback(allowed=allowed)

    def keys(self) -> frozenset[str]:
        """Of every upstream there is."""
        return frozenset(self._by_key)

    def drop(self, key: str) -> None:
        """Forget one upstream; connections in use end with their answer."""
        upstream = self._by_key.pop(key, None)
        if upstream is not None:
            upstream.retire()

    def redial(self) -> None:
        """What may be reached has changed: connections to URLs are made, and checked, anew."""
        for upstream in self._by_key.values():
            if not upstream.trusted:
                endpoints = upstream.balancer.endpoints
                upstream.update(())
                upstream.update(endpoints)

    def watch(self, pool: Pool) -> None:
        """`pool` has idle connections: sweep it until it has none."""
        self._watched.add(pool)
        if not self._sweeping:
            self._sweeping = True
            self.deadlines.schedule(self, self.SWEEP_S)

    def on_deadline(self) -> None:
        """Sweep."""
        now = time.monotonic()
        self._watched = {pool for pool in self._watched if pool.sweep(now)}
        self._sweeping = bool(self._watched)
        if self._sweeping:
            self.deadlines.schedule(self, self.SWEEP_S)

    def counts(self) -> tuple[int, int]:
        """(open, idle) connections in all."""
        live = self.live
        return sum(pool.open for pool in live), sum(pool.idle for pool in live)

    def dials(self, attempt: asyncio.Task[None]) -> None:
        """An attempt to connect has begun."""
        self._dials.add(attempt)
        attempt.add_done_callback(self._dials.discard)

    async def close(self) -> None:
        """End every connection and every attempt to make one."""
        attempts = list(self._dials)
        for attempt in attempts:
            attempt.cancel()
        for upstream in self._by_key.values():
            for pool in upstream.pools():
                pool.close()
        for pool in list(self.live):
            pool.close()
        await asyncio.gather(*attempts, return_exceptions=True)
