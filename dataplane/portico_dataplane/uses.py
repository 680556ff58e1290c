"""What the routes in place lead to and whom they trust, counted.

Kept by `build.py`, so that an edit costs the shard it is in and not every route there is: with
10,000 routes, looking through all of them was half of what an edit cost a worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from portico_ir.access import Authorizer, JwtAuthorizer
from portico_ir.integrations import targets_of
from portico_ir.model import RoutesUnit, Target

_T = TypeVar("_T", Target, Authorizer)


class Uses:
    """Of the shards that one build after another puts in place."""

    def __init__(self) -> None:
        self._units: dict[int, RoutesUnit] = {}
        """By identity: a shard that did not change is the same object."""
        self._targets: Counter[Target] = Counter()
        self._authorizers: Counter[Authorizer] = Counter()

    @property
    def targets(self) -> frozenset[Target]:
        """Every target that some shard names."""
        return frozenset(self._targets)

    @property
    def authorizers(self) -> frozenset[Authorizer]:
        """Every authorizer that some shard names."""
        return frozenset(self._authorizers)

    async def place(
        self, units: Iterable[RoutesUnit], breathe: Callable[[], Awaitable[None]]
    ) -> set[Target]:
        """These shards are in place now; targets that none of them names and one before did."""
        now = {id(unit): unit for unit in units}
        before, self._units = self._units, now
        gone: set[Target] = set()
        for key in now.keys() - before.keys():
            self._add(now[key])
            await breathe()
        for key in before.keys() - now.keys():
            gone |= self._remove(before[key])
            await breathe()
        return gone

    def _add(self, unit: RoutesUnit) -> None:
        self._targets.update(_targets(unit))
        self._authorizers.update(unit.authorizers.values())

    def _remove(self, unit: RoutesUnit) -> set[Target]:
        _less(self._authorizers, unit.authorizers.values())
        return _less(self._targets, _targets(unit))


def _targets(unit: RoutesUnit) -> list[Target]:
    found = [target for route in unit.routes for target in targets_of(route.integration)]
    found += [a.target for a in unit.authorizers.values() if not isinstance(a, JwtAuthorizer)]
    return found


def _less(counter: Counter[_T], items: Iterable[_T]) -> set[_T]:
    gone: set[_T] = set()
    for item in items:
        counter[item] -= 1
        if counter[item] <= 0:
            del counter[item]
            gone.add(item)
    return gone
