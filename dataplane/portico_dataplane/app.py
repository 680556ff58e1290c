"""Gateway: one worker's engine. Wiring only.

Made by a worker process, by `portico dev` and by tests: `start`, then `apply` a snapshot as
often as it changes, `drain` at the end. Everything a request needs hangs off it; nothing here
decides anything.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import logging
import os
import random
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

from portico_dataplane.build import Applied, Builder
from portico_dataplane.core import errors
from portico_dataplane.core.authorizer_cache import AnswerCaches
from portico_dataplane.core.credentials import Directory
from portico_dataplane.core.crowd import Crowd
from portico_dataplane.core.egress import EgressPolicy
from portico_dataplane.core.identifiers import (
    REST_BYTES,
    SHORT_BYTES,
    Chance,
    Names,
    extended_id,
    rest_request_id,
)
from portico_dataplane.core.key_counters import Counters
from portico_dataplane.core.keyring import Keyring
from portico_dataplane.core.load import Load
from portico_dataplane.core.messages import Headers, Outcome, Request
from portico_dataplane.core.tokens import TokenCache
from portico_dataplane.effects.dialer import Dialer
from portico_dataplane.effects.keysets import Documents, KeySets
from portico_dataplane.effects.lessee import Lessee
from portico_dataplane.holder import Holder
from portico_dataplane.http import answer
from portico_dataplane.http.connection import ClientConnection
from portico_dataplane.http.deadlines import Deadlines
from portico_dataplane.http.flights import Flights
from portico_dataplane.http.listeners import Listeners
from portico_dataplane.http.pools import Upstreams
from portico_dataplane.http.targets import Targets
from portico_dataplane.policies.authorizer_answer import Answer
from portico_dataplane.policies.registry import Outside
from portico_dataplane.settings import Settings
from portico_dataplane.telemetry.access_log import dev_line
from portico_dataplane.telemetry.ports import LineSink, Meters
from portico_dataplane.telemetry.readings import CONNECTIONS, SHED
from portico_dataplane.workers.accounting import Accounting
from portico_ir.access import JwtAuthorizer
from portico_ir.domains import DomainUnit
from portico_ir.errors import ErrorKind
from portico_ir.leases import Ask, Grant
from portico_ir.model import EndpointSet, GatewayUnit, Snapshot

_log = logging.getLogger(__name__)

_MOST_LOGGED: Final = 50

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Gateway:
    """Accepts, serves and swaps; one event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        meters: Meters,
        lines: LineSink,
        ask: Callable[[list[Ask]], None] | None = None,
    ) -> None:
        self.settings = settings
        self.lines = lines
        self.holder = Holder()
        self.directory = Directory()
        self.keyring = Keyring()
        self.tokens = TokenCache()
        self.answers: AnswerCaches[Answer] = AnswerCaches()
        self.flights = Flights()
        self.chance = Chance(os.urandom)
        self.names = Names(os.urandom)
        self.date = answer.Date()
        self.connections: set[ClientConnection] = set()
        self.crowd = Crowd(settings.max_connections_per_client, self.trusts)
        self.in_flight = 0
        self.load = Load(settings.max_in_flight, settings.overload_lag_s)
        self.draining = False
        """Answers that begin now say that their connection ends."""
        self.closing = False
        """Connections end with the answer they are at, whatever it said of them."""
        self.unknown_meter = meters.meter("", "", "", "", "")
        self.dev_line: Callable[[Request, Outcome], str] | None = (
            dev_line if settings.access_log == "dev" else None
        )
        self._meters = meters
        self._ask = ask
        self._accounting: Accounting | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._trusted: tuple[Network, ...] = ()
        self._idle = asyncio.Event()
        self._applying = asyncio.Lock()
        self._refused: dict[str, str] = {}
        self._applied_at = 0.0
        self._log_second = 0.0
        self._logged = 0

    deadlines: Deadlines
    lessee: Lessee
    keysets: KeySets
    listeners: Listeners
    upstreams: Upstreams
    targets: Targets

    async def start(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Listen: on `sockets` when given, else where the settings say. OSError: port in use."""
        loop = self._loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(loop)
        self._egress = EgressPolicy()
        dialer = Dialer(self._egress)
        self.upstreams = Upstreams(self.settings, dialer, self.deadlines)
        self.targets = Targets(self.upstreams)
        self.keysets = KeySets(self.keyring, lambda: _documents(dialer))
        logs = self.settings.access_log != "off"
        self._account(loop)
        counters = Counters(self.lessee.leases)
        outside = Outside(self.directory, self.keyring, self.tokens, self.answers, counters)
        self._builder = Builder(self._meters, self.targets, outside, logs=logs)
        self.listeners = Listeners(self, self._domain)
        if sockets is None:
            await self.listeners.open_by_settings()
        else:
            await self.listeners.open(sockets)

    def _account(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leases come from the supervisor; a gateway without one is its own."""
        if self._ask is not None:
            self.lessee = Lessee(loop, self._ask)
            self.lessee.leases.leaves = self.settings.workers
            return
        accounting = self._accounting = Accounting(loop, 1, self._deliver)
        self.lessee = Lessee(loop, lambda asks: accounting.asked(0, asks))

    @property
    def accounting(self) -> Accounting | None:
        """Where its leases come from; None: from a supervisor."""
        return self._accounting

    def _deliver(self, worker: int, grants: list[Grant], leaves: int) -> None:
        self.lessee.granted(grants, leaves)

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on these too. A worker starts on none and listens once its snapshot serves."""
        await self.listeners.open(sockets)

    def _domain(self, server_name: str) -> DomainUnit | None:
        found = self.holder.current.domains.find(server_name)
        return found.unit if found is not None else None

    @property
    def port(self) -> int:
        """The port in use, when the settings asked for any."""
        return self.listeners.port

    async def apply(self, snapshot: Snapshot) -> Applied:
        """Build beside, swap once; units a refused API needs stay as they were."""
        async with self._applying:
            gc.disable()  # a collection while thousands of objects are young costs 100 ms
            try:
                self.targets.set_endpoints(snapshot.endpoints)
                runtime, credentials, applied = await self._builder.build(snapshot)
                self.directory.credentials = credentials
                before = self.holder.swap(runtime).gateway
                self._permit(before, runtime.gateway)
                self._retain()
                if self._accounting is not None:
                    self._accounting.configure(self._builder.store)
                    self._accounting.declare(snapshot)
                self._refused = applied.refused
                self._applied_at = time.time()
            finally:
                gc.freeze()  # what serves is not garbage: no collection looks at it again
                gc.enable()
            return applied

    def _retain(self) -> None:
        """State of authorizers that are no longer there goes with them."""
        tokens = [a for a in self._builder.authorizers if isinstance(a, JwtAuthorizer)]
        self.tokens.retain(tokens)
        units = [api.unit for api in self.holder.current.apis.values()]
        stages = {(unit.uid, stage.name) for unit in units for stage in unit.stages}
        self.answers.retain(self._builder.authorizers, stages)
        self.keysets.retain({issuer for a in tokens for issuer in a.issuers})

    def _permit(self, before: GatewayUnit, now: GatewayUnit) -> None:
        """What the gateway unit says about the other ends of connections."""
        self._trusted = _networks(now.trusted_proxies)
        self._egress.update(allow=now.egress_allow, is_open=now.egress_open)
        if (before.egress_allow, before.egress_open) != (now.egress_allow, now.egress_open):
            self.upstreams.redial()

    def set_endpoints(self, endpoints: EndpointSet) -> bool:
        """Addresses changed; no router is rebuilt. False: older than what is known."""
        return self.targets.set_endpoints(endpoints)

    def set_fallback(self, *, allowed: bool) -> None:
        """Whether ClusterIPs may stand in for addresses that all fail."""
        self.upstreams.set_fallback(allowed=allowed)

    def begin_drain(self) -> None:
        """Answer with `Connection: close` from now on; go on accepting.

        Idle connections stay: a request may be on its way on any of them.
        """
        self.draining = True

    async def drain(self, seconds: float) -> None:
        """Stop accepting, let requests in flight take up to `seconds`, then cut and stop."""
        self.listeners.close()
        self.begin_drain()
        self.closing = True
        for connection in list(self.connections):
            connection.shut()
        if self.connections:
            self._idle.clear()
            try:
                await asyncio.wait_for(self._idle.wait(), seconds)
            except TimeoutError:
                pass
        await self.stop()

    async def stop(self) -> None:
        """End at once."""
        self.listeners.abort()
        for connection in list(self.connections):
            connection.abort()
        self.keysets.close()
        self.lessee.close()
        if self._accounting is not None:
            await self._accounting.close()
        await self.upstreams.close()
        # One turn, so that transports tell their protocols.
        await asyncio.sleep(0)
        self.deadlines.close()

    def gauges(self) -> dict[str, float]:
        """Momentary values, for metrics."""
        open_, idle = self.upstreams.counts()
        return {
            "in_flight": self.in_flight,
            "client_connections": len(self.connections),
            "upstream_connections_active": open_ - idle,
            "upstream_connections_idle": idle,
            "refused_units": len(self._refused),
            "config_timestamp": self._applied_at,
            **self.listeners.gauges(),
        }

    def counters(self) -> dict[str, float]:
        """What only grows, for metrics."""
        refused = self.crowd.refused.items()
        return {
            **self.listeners.counters(),
            **{f"{CONNECTIONS}.{cause}": float(count) for cause, count in refused},
            **{f"{SHED}.{cause}": float(count) for cause, count in self.load.shed.items()},
        }

    @property
    def digest(self) -> str:
        """Of the manifest that serves."""
        return self.holder.current.digest

    # --- for connections and exchanges --------------------------------------------------------

    def connection_closed(self) -> None:
        """One connection less."""
        if not self.connections:
            self._idle.set()

    def jitter(self) -> float:
        """0.9 to 1.1: what should not happen to all at once."""
        return random.uniform(0.9, 1.1)

    def trusts(self, peer: str) -> bool:
        """Whether what this address says of others is believed."""
        return _within(peer, self._trusted)

    def client_address(self, peer: str, headers: Headers) -> str:
        """The client's address: behind trusted proxies, the last one they did not make up."""
        trusted = self._trusted
        if not trusted or not _within(peer, trusted):
            return peer
        hops = [
            hop.strip()
            for name, value in headers
            if name.lower() == b"x-forwarded-for"
            for hop in value.decode("latin-1").split(",")
        ]
        address = peer
        for hop in reversed(hops):
            try:
                ipaddress.ip_address(hop)
            except ValueError:
                break
            address = hop
            if not _within(hop, trusted):
                break
        return address

    def log_failure(self, request: Request, outcome: Outcome, now: float) -> None:
        """Why a request failed, for operators: at most 50 lines a second, because failures
        come in floods and the access log has them all."""
        if now - self._log_second >= 1.0:
            self._log_second, self._logged = now, 0
        self._logged += 1
        if self._logged <= _MOST_LOGGED:
            cause = outcome.integration_error
            _log.info("request %s: %s: %s", request.request_id, outcome.error, cause)

    def refusal(self, kind: ErrorKind) -> bytes:
        """The answer to a head no request can be made of."""
        response = errors.error_response(
            kind,
            None,
            request_id=rest_request_id(self.chance.take(REST_BYTES)),
            extended_id=extended_id(self.chance.take(SHORT_BYTES)),
        )
        self.unknown_meter.record(response.status, 0.0, -1.0, len(response.body))
        framing = b"Content-Length: %d\r\n" % len(response.body) + answer.CLOSE
        return answer.own_head(response, b"", framing, self.date.line()) + response.body


async def _documents(dialer: Dialer) -> Documents:
    """What fetches documents; large, so it is loaded beside the loop, by who first needs it."""

    def load() -> Documents:
        from portico_dataplane.effects import documents

        return documents.Documents(dialer)

    return await asyncio.to_thread(load)


def _networks(cidrs: tuple[str, ...]) -> tuple[Network, ...]:
    found: list[Network] = []
    for cidr in cidrs:
        try:
            found.append(ipaddress.ip_network(cidr, strict=False))
        except ValueError:
            continue  # the compiler reported it; trusting nobody is the safe reading
    return tuple(found)


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
