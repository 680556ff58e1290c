"""What is counted for each API key and each client address: counters that come and go.

Used by the throttle policy for every request that has a key, or on a route with a bucket for each
client. Promises: memory is that of the keys and clients of the last seconds, whatever numbers of
them there have been; what is dropped has been given back, so nothing is forgotten by it.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Final

from portico_dataplane.core.holds import Stake
from portico_dataplane.core.lease import BucketLease, Lease
from portico_dataplane.core.leases import Leases
from portico_ir.access import Plan
from portico_ir.leases import Requests

MOST_CLIENTS: Final = 20_000
"""Addresses with a bucket in one worker; beyond, the one that has been there longest goes."""
REST_MS: Final = 10_000
"""Between two looks for what is no longer in use."""


class KeyCounters:
    """One key under one plan."""

    __slots__ = ("_key", "_leases", "_stakes", "common", "methods", "plan")

    def __init__(self, plan: Plan, key: str, leases: Leases) -> None:
        self._key = key
        self._leases = leases
        self.set(plan)

    def set(self, plan: Plan) -> None:
        """The plan says so from now on."""
        self.plan = plan
        key, leases = self._key, self._leases
        known_as = f"{plan.id}/{key}"
        throttle, quota = plan.throttle, plan.quota
        limit = Requests(plan.id, key)
        if quota is not None:
            limit = Requests(plan.id, key, quota.limit, quota.period, quota.offset)
        counted: tuple[Lease, ...] = (leases.quota(f"quota/{known_as}", limit),)
        if throttle is not None:
            bucket = leases.bucket(f"plan/{known_as}", throttle.rate, throttle.burst)
            counted = (bucket, *counted)
        self.common = counted
        """What every request with this key passes: the plan's bucket, the quota."""
        self.methods = {
            (stage.api, stage.stage, route): leases.bucket(
                f"method/{known_as}/{stage.api}/{stage.stage}/{route}", bucket.rate, bucket.burst
            )
            for stage in plan.stages
            for route, bucket in stage.throttles.items()
        }
        """What those on some routes pass before: uid of the API, stage, route key."""
        self._stakes = tuple(map(Stake, (*self.common, *self.methods.values())))

    def on(self, place: tuple[str, str, str]) -> tuple[Lease, ...]:
        """What a request with this key passes on a route, in the order of AWS §7.3."""
        method = self.methods.get(place)
        return self.common if method is None else (method, *self.common)

    @property
    def active(self) -> bool:
        """It has been used lately."""
        return any(lease.active for lease in (*self.common, *self.methods.values()))


class Counters:
    """Every key and client of the last seconds, in one worker."""

    def __init__(self, leases: Leases, most_clients: int = MOST_CLIENTS) -> None:
        self.leases = leases
        self._most = most_clients
        self.keys: dict[tuple[str, str], KeyCounters] = {}
        """By plan and key; always the same dict."""
        self._clients: dict[tuple[str, str], tuple[BucketLease, Stake]] = {}
        self._swept = 0

    def key(self, plan: Plan, key: str, now: int) -> KeyCounters:
        """The counters of a key."""
        found = self.keys.get((plan.id, key))
        if found is None:
            self._sweep(now)
            found = self.keys[(plan.id, key)] = KeyCounters(plan, key, self.leases)
        elif found.plan is not plan:
            found.set(plan)
        return found

    def client(self, place: str, address: str, rate: float, burst: float, now: int) -> BucketLease:
        """The bucket of a client on one route."""
        place_of = (place, address)
        found = self._clients.get(place_of)
        if found is None:
            self._sweep(now)
            if len(self._clients) >= self._most:
                oldest, _ = self._clients.pop(next(iter(self._clients)))
                self.leases.retire(oldest)
            known_as = f"client/{place}/{network_of(address)}"
            lease = self.leases.bucket(known_as, rate, burst)
            self._clients[place_of] = lease, Stake(lease)
            return lease
        lease = found[0]
        if lease.limit.rate != rate or lease.limit.burst != burst:
            lease = self.leases.bucket(lease.id, rate, burst)
        return lease

    def __len__(self) -> int:
        """Keys and clients."""
        return len(self.keys) + len(self._clients)

    def _sweep(self, now: int) -> None:
        if 0 <= now - self._swept < REST_MS:
            return
        self._swept = now
        for key in [key for key, found in self.keys.items() if not found.active]:
            del self.keys[key]
        for client in [key for key, (lease, _) in self._clients.items() if not lease.active]:
            del self._clients[client]


def network_of(address: str) -> str:
    """Whom an address stands for: an IPv6 client has at least a /64 to choose from (RFC 6177)."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped
    if mapped is not None:
        return str(mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
