"""Throttles and quotas: every counter that a request passes, in AWS's order (§3.18, §7.3).

Made by the registry for each route that has any. The order: what the key's plan allows for the
method, for all of it, and its quota; then the client's address, the route, the stage and the
account. Promises: a request passes all or spends none; as long as leases are at hand nothing
waits; nothing here knows of other workers or pods, because leases do.
"""

from __future__ import annotations

import math

from portico_dataplane.core.credentials import Directory
from portico_dataplane.core.holds import Stake
from portico_dataplane.core.key_counters import Counters, KeyCounters
from portico_dataplane.core.lease import ASK, BucketLease, Lease, QuotaLease, Taken
from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import CONTINUE, Continue, NeedTokens, Reject
from portico_ir.errors import ErrorKind
from portico_ir.policies import Throttle


class ThrottlePolicy:
    """One route's counters."""

    __slots__ = (
        "_client",
        "_counters",
        "_credentials",
        "_keys",
        "_name",
        "_own",
        "_place",
        "_stakes",
    )

    def __init__(
        self,
        place: tuple[str, str, str],
        own: tuple[BucketLease, ...],
        client: Throttle | None,
        counters: Counters,
        credentials: Directory,
    ) -> None:
        self._place = place
        """uid of the API, stage, route key."""
        self._name = "/".join(place)
        self._own = own
        """Buckets that every request of the route passes."""
        self._stakes = tuple(map(Stake, own))
        self._client = client
        self._counters = counters
        self._keys = counters.keys
        self._credentials = credentials

    def on_request(self, request: Request) -> Continue | Reject | NeedTokens:
        """A token of each, or none."""
        now = request.received_ms
        caller = request.caller
        if caller.plan:
            found = self._keys.get((caller.plan, caller.api_key_id))
            if found is None or found.plan is not self._credentials.credentials.plans[caller.plan]:
                found = self._of_key(request, now)
            for lease in found.on(self._place) if found.methods else found.common:
                taken = lease.take(now)
                if taken:
                    return self._stopped(request, lease, taken)
        if self._client is not None:
            mine = self._of_client(self._client, request, now)
            taken = mine.take(now)
            if taken:
                return self._stopped(request, mine, taken)
        for bucket in self._own:
            taken = bucket.take(now)
            if taken:
                return self._stopped(request, bucket, taken)
        return CONTINUE

    def _of_key(self, request: Request, now: int) -> KeyCounters:
        caller = request.caller
        # `require_key` has just found it there.
        plan = self._credentials.credentials.plans[caller.plan]
        return self._counters.key(plan, caller.api_key_id, now)

    def _of_client(self, spec: Throttle, request: Request, now: int) -> BucketLease:
        address = request.source_ip
        return self._counters.client(self._name, address, spec.rate, spec.burst, now)

    # --- not as easy as that ------------------------------------------------------------------

    def _all(self, request: Request) -> list[Lease]:
        now = request.received_ms
        found: list[Lease] = []
        if request.caller.plan:
            found += self._of_key(request, now).on(self._place)
        if self._client is not None:
            found.append(self._of_client(self._client, request, now))
        return found + list(self._own)

    def _stopped(self, request: Request, at: Lease, taken: Taken) -> Reject | NeedTokens:
        counters = self._all(request)
        return self._from(counters, counters.index(at), taken, request)

    def _from(
        self, counters: list[Lease], position: int, taken: Taken, request: Request
    ) -> Reject | NeedTokens:
        """The counter there has no token at hand: refused, or to be asked for."""
        if taken != ASK:
            return _refused(counters, position, request)

        def then(passed: bool) -> Continue | Reject | NeedTokens:
            if not passed:
                return _refused(counters, position, request)
            for later in range(position + 1, len(counters)):
                result = counters[later].take(request.received_ms)
                if result:
                    return self._from(counters, later, result, request)
            return CONTINUE

        return NeedTokens(counters[position], then)


def _refused(counters: list[Lease], position: int, request: Request) -> Reject:
    """The answer; what was taken of the counters before goes back."""
    for lease in counters[:position]:
        lease.back()
    lease = counters[position]
    kind, wait = ErrorKind.THROTTLED, 0
    if isinstance(lease, QuotaLease):
        kind = ErrorKind.QUOTA_EXCEEDED
        wait = max(1, (lease.at - request.received_ms) // 1000) if lease.known else 0
    elif isinstance(lease, BucketLease) and lease.limit.rate > 0:
        wait = max(1, math.ceil(1 / lease.limit.rate))
    # AWS sends no Retry-After; ours is sent where the API asks for it.
    headers = ((b"Retry-After", b"%d" % wait),) if wait and request.api.retry_after else ()
    return Reject(kind, f"no token in {lease.id}", None, headers)
