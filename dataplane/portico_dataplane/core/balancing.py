"""Which target, and which of its addresses, a request goes to.

`WeightedChoice` belongs to a route, `Balancer` to an upstream: it lives outside the Runtime
under the upstream's id, so that what is known of an address survives compiles and endpoint
updates. Called by `integrations/http.py` and `http/upstream.py`. Promises: pure, time comes
in; an address that refuses connections, or answers nothing but 5xx, is left alone for a growing
while, but never so many that fewer than half remain, and one request finds out whether it is back;
with any address at all there is an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from portico_ir.model import Endpoint

EJECT_AFTER: Final = 2
"""Failures in a row. One may be chance: a connection reset as a backend restarts."""
EJECT_AFTER_ERRORS: Final = 5
"""Answers 5xx in a row, as Envoy's `consecutive_5xx` has it."""
EJECT_BASE_S: Final = 5.0
EJECT_CAP_S: Final = 60.0
PROBE_S: Final = 5.0
"""How long one request has to tell of an address whose time has run out, before another may."""


class WeightedChoice:
    """Smooth weighted round robin: shares by weight, spread evenly instead of in runs."""

    __slots__ = ("_current", "_sole", "_total", "_weights")

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = [(index, weight) for index, weight in enumerate(weights) if weight > 0]
        self._current = [0] * len(weights)
        self._total = sum(weight for _, weight in self._weights)
        self._sole = self._weights[0][0] if len(self._weights) == 1 else None

    def pick(self) -> int | None:
        """Index of the next one; None when every weight is 0."""
        if self._sole is not None:
            return self._sole
        current = self._current
        best = -1
        for index, weight in self._weights:
            current[index] += weight
            if best < 0 or current[index] > current[best]:
                best = index
        if best < 0:
            return None
        current[best] -= self._total
        return best


class _Health:
    """What is known against an address. There is none for one that works."""

    __slots__ = ("ejections", "errors", "failures", "on_trial", "until")

    def __init__(self) -> None:
        self.failures = 0
        """Without an answer since."""
        self.errors = 0
        """Answers 5xx without another since."""
        self.ejections = 0
        """Without a success since: each lasts twice as long as the one before."""
        self.until = 0.0
        """Left alone before this time; 0: not at all."""
        self.on_trial = False
        """Left alone but for one request, which is to tell."""

    def spare(self) -> None:
        """As eligible as any other."""
        self.until = 0.0
        self.on_trial = False


class Balancer:
    """Round robin over the addresses of one upstream, with passive ejection.

    Failures to connect and resets before an answer are failures; an answer of any status says that
    the address can be reached, and so many answers 5xx in a row that others may do better.
    """

    __slots__ = ("_endpoints", "_health", "_most_errors", "_next")

    def __init__(
        self, endpoints: Iterable[Endpoint] = (), *, most_errors: int = EJECT_AFTER_ERRORS
    ) -> None:
        self._endpoints: tuple[Endpoint, ...] = ()
        self._health: dict[Endpoint, _Health] = {}
        self._most_errors = most_errors
        """0: what an address answers says nothing of it."""
        self._next = 0
        self.update(endpoints)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The addresses, without repeats."""
        return self._endpoints

    @property
    def all_failing(self) -> bool:
        """Every address has failed and none has done better since; False when there is none."""
        health = self._health
        return bool(self._endpoints) and all(
            endpoint in health and self._failing(health[endpoint]) for endpoint in self._endpoints
        )

    @property
    def none_works(self) -> bool:
        """Every address failed when it was tried last, and answered nothing; False when there is
        none."""
        health = self._health
        return len(health) == len(self._endpoints) > 0 and all(
            one.failures > 0 for one in health.values()
        )

    def update(self, endpoints: Iterable[Endpoint]) -> None:
        """Replace the addresses; those that stay keep their health and the turn."""
        before, turn = self._endpoints, self._next
        self._endpoints = tuple(dict.fromkeys(endpoints))
        known = set(self._endpoints)
        if len(before) == 1:
            self._health = {}  # of a sole address nobody tells when it works again
        self._health = {one: health for one, health in self._health.items() if one in known}
        # The turn is with the first address from the old turn on that is still there.
        ahead = (*before[turn:], *before[:turn])
        follower = next((endpoint for endpoint in ahead if endpoint in known), None)
        self._next = self._endpoints.index(follower) if follower is not None else 0

    def pick(self, now: float) -> Endpoint | None:
        """The address to use next; None only when there is none."""
        endpoints = self._endpoints
        count = len(endpoints)
        if not count:
            return None
        turn = self._next
        if self._health:
            for step in range(count):
                health = self._health.get(endpoints[(turn + step) % count])
                if health is None or health.until <= now:
                    turn = (turn + step) % count
                    if health is not None and health.until:
                        # Half open: this request finds out, the others stay away meanwhile.
                        health.on_trial = True
                        health.until = now + PROBE_S
                    break
        self._next = (turn + 1) % count
        return endpoints[turn]

    def answered(self, endpoint: Endpoint, status: int, now: float) -> None:
        """It answered."""
        if status < 500 or not self._most_errors:
            self.succeeded(endpoint)
        elif endpoint in self._endpoints:
            health = self._health.setdefault(endpoint, _Health())
            health.failures = 0
            health.errors += 1
            self._judge(health, now)

    def succeeded(self, endpoint: Endpoint) -> None:
        """It works."""
        if self._health:
            self._health.pop(endpoint, None)

    def failed(self, endpoint: Endpoint, now: float) -> None:
        """It refused, was not reached in time, or reset before an answer."""
        if endpoint not in self._endpoints:
            return  # an update took it away while a request was under way
        health = self._health.setdefault(endpoint, _Health())
        health.failures += 1
        self._judge(health, now)

    def _failing(self, health: _Health) -> bool:
        return health.failures >= EJECT_AFTER or 0 < self._most_errors <= health.errors

    def _judge(self, health: _Health, now: float) -> None:
        """Leave an address alone from now on, if there is enough against it."""
        if not self._failing(health) or (health.until > now and not health.on_trial):
            return
        if self.all_failing:
            # None is better than another: try all of them, so that whichever comes back first
            # is found, instead of sending everything to the one whose time ran out first.
            for other in self._health.values():
                other.spare()
            return
        health.spare()
        ejected = sum(other.until > now for other in self._health.values())
        if ejected < len(self._endpoints) // 2:
            health.until = now + min(EJECT_BASE_S * 2.0**health.ejections, EJECT_CAP_S)
            # No further than the cap needs: the exponent stays small.
            health.ejections = min(health.ejections + 1, 10)

    def __repr__(self) -> str:
        return f"<Balancer {', '.join(map(self._told, self._endpoints)) or 'empty'}>"

    def _told(self, endpoint: Endpoint) -> str:
        text = f"{endpoint.host}:{endpoint.port}"
        health = self._health.get(endpoint)
        if health is None:
            return text
        what = f"{health.failures}" if health.failures else f"{health.errors} answers 5xx"
        if health.until > 0:
            return f"{text} ejected until {health.until:g} after {what}"
        return f"{text} failed {what}"
