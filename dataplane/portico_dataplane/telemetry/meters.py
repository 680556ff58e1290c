"""Counters and histograms of requests in slots of our own.

`build.py` asks for meters, `http/exchange.py` records into them, the worker sends their
series to the supervisor, which adds them up. prometheus_client costs 2.2 µs per `.labels()`
(design.md §10), so it meets these numbers only when somebody scrapes (`exposition.py`).
Promises: `record` is a handful of list operations; the number of label sets is bounded;
counters outlive the Runtime that counted, so a swap restarts none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from portico_dataplane.core.holds import Token

Labels = tuple[str, str, str, str, str]
"""namespace, api, kind, stage, route; route is empty for a stage's own numbers."""

LATENCY_BOUNDS_MS: Final[tuple[float, ...]] = (
    1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0,
    1_000.0, 2_500.0, 5_000.0, 10_000.0, 30_000.0,
)  # fmt: skip
"""Upper bounds, inclusive; 29 s, AWS's integration timeout, falls into the last finite one."""

STATUS_CLASSES: Final = 10
"""By the first digit: 0 is a client that left before an answer; 6 to 9 exist on the wire."""

# One flat list per label set: status classes, two histograms, three sums. Flat, because
# adding up two workers is then one zip, and a frame of the channel is one array.
_BUCKETS: Final = len(LATENCY_BOUNDS_MS) + 1
_LATENCY: Final = STATUS_CLASSES
_INTEGRATION: Final = _LATENCY + _BUCKETS
_LATENCY_SUM: Final = _INTEGRATION + _BUCKETS
_INTEGRATION_SUM: Final = _LATENCY_SUM + 1
_SENT: Final = _LATENCY_SUM + 2
CELLS: Final = _LATENCY_SUM + 3

Cells = list[float]
Series = dict[Labels, Cells]
"""What the workers send and the supervisor adds up."""


class StageMeter:
    """Implements `ports.Meter`; meters of the same labels count in the same cells."""

    __slots__ = ("_cells", "_token")

    def __init__(self, cells: Cells, token: Token) -> None:
        self._cells = cells
        self._token = token

    def record(
        self, status: int, latency_ms: float, integration_latency_ms: float, sent: int
    ) -> None:
        """One finished request."""
        cells = self._cells
        cells[status // 100] += 1
        cells[_LATENCY + bisect_left(LATENCY_BOUNDS_MS, latency_ms)] += 1
        cells[_LATENCY_SUM] += latency_ms
        if integration_latency_ms >= 0:
            cells[_INTEGRATION + bisect_left(LATENCY_BOUNDS_MS, integration_latency_ms)] += 1
            cells[_INTEGRATION_SUM] += integration_latency_ms
        cells[_SENT] += sent


class StageMeters:
    """Implements `ports.Meters`; one per process.

    Stages and routes are bounded apart, so that detailed metrics of one API cannot crowd out
    the totals of another. Cells whose meters no Runtime refers to any more still count, and make
    room when the bound is reached.
    """

    def __init__(self, max_label_sets: int = 10_000) -> None:
        self._bound = max_label_sets
        self._cells: tuple[Series, Series] = ({}, {})
        self._in_use: WeakValueDictionary[Labels, Token] = WeakValueDictionary()

    def meter(self, namespace: str, api: str, kind: str, stage: str, route: str) -> StageMeter:
        """The meter of these labels; beyond the bound, the one labelled `other`."""
        labels = (namespace, api, kind, stage, route)
        family = self._cells[bool(route)]
        cells = family.get(labels)
        if cells is None:
            # The label set `other` is one of the bound.
            if len(family) >= self._bound - 1 and not self._make_room(family):
                return self._other(family, by_route=bool(route))
            cells = family[labels] = [0] * CELLS
        return self._meter(labels, cells)

    def snapshot(self) -> Series:
        """A copy of every series, safe to encode while counting goes on."""
        return {labels: cells.copy() for family in self._cells for labels, cells in family.items()}

    def _other(self, family: Series, *, by_route: bool) -> StageMeter:
        labels = other(by_route=by_route)
        return self._meter(labels, family.setdefault(labels, [0] * CELLS))

    def _meter(self, labels: Labels, cells: Cells) -> StageMeter:
        token = self._in_use.get(labels)
        if token is None:
            token = self._in_use[labels] = Token()
        return StageMeter(cells, token)

    def _make_room(self, family: Series) -> bool:
        abandoned = [labels for labels in family if labels not in self._in_use]
        for labels in abandoned:
            if OTHER not in labels:
                del family[labels]
        return len(family) < self._bound - 1


OTHER: Final = "other"


def other(*, by_route: bool) -> Labels:
    """The label set of everything beyond the bound."""
    return (OTHER, OTHER, OTHER, OTHER, OTHER if by_route else "")


class Reading(NamedTuple):
    """One label set's numbers in the units of Prometheus: seconds, cumulative buckets."""

    by_class: tuple[float, ...]
    """Requests by first digit of their status; index 0: no status was sent."""
    latency: tuple[float, ...]
    """Cumulative counts, one per bound and one for infinity (AWS Latency)."""
    latency_sum: float
    integration: tuple[float, ...]
    """As `latency`, of those requests that called something (AWS IntegrationLatency)."""
    integration_sum: float
    sent: float
    """Bytes of bodies."""


def read(cells: Cells) -> Reading:
    """What the cells of one label set mean."""
    return Reading(
        by_class=tuple(cells[:STATUS_CLASSES]),
        latency=_cumulative(cells[_LATENCY:_INTEGRATION]),
        latency_sum=cells[_LATENCY_SUM] / 1000,
        integration=_cumulative(cells[_INTEGRATION:_LATENCY_SUM]),
        integration_sum=cells[_INTEGRATION_SUM] / 1000,
        sent=cells[_SENT],
    )


def merge(parts: Iterable[Series]) -> Series:
    """The sum over processes; the parts stay as they are."""
    total: Series = {}
    for part in parts:
        for labels, cells in part.items():
            known = total.get(labels)
            if known is None:
                total[labels] = cells.copy()
            else:
                total[labels] = [a + b for a, b in zip(known, cells, strict=True)]
    return total


def _cumulative(counts: list[float]) -> tuple[float, ...]:
    running = 0.0
    sums = []
    for count in counts:
        running += count
        sums.append(running)
    return tuple(sums)
