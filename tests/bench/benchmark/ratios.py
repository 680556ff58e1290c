"""The arithmetic of the comparison: the median of per-round ratios, and bounds on it.

A ratio is taken within one round, where both systems met the same machine; the median of those
holds still while absolute numbers wander (design.md §10).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

import msgspec


class Ratio(msgspec.Struct, frozen=True):
    """One system's cost in units of another's."""

    per_round: list[float]
    """One for each round in which both were measured."""
    median: float


class Bound(msgspec.Struct, frozen=True):
    """What a measured figure must not exceed."""

    figure: str
    """Key into `figures` of the results."""
    title: str
    limit: float
    enforced: bool = False
    """A gate: a miss makes the run fail. Otherwise a goal, which is listed."""


class Verdict(msgspec.Struct, frozen=True):
    """A bound and what came of it."""

    bound: Bound
    measured: float | None
    verdict: str
    """`hold`, `miss` or `not measured`."""


def ratio(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Ratio | None:
    """Round by round, then the median; None when no round has both."""
    per_round = [ours[number] / theirs[number] for number in sorted(ours) if theirs.get(number)]
    if not per_round:
        return None
    return Ratio(per_round=per_round, median=statistics.median(per_round))


def judge(bounds: Iterable[Bound], figures: Mapping[str, float]) -> list[Verdict]:
    """Every bound against what was measured."""
    judged: list[Verdict] = []
    for bound in bounds:
        measured = figures.get(bound.figure)
        if measured is None:
            verdict = "not measured"
        else:
            verdict = "hold" if measured <= bound.limit else "miss"
        judged.append(Verdict(bound=bound, measured=measured, verdict=verdict))
    return judged


BOUNDS = (
    Bound("cpu small portico/envoy", "plain, CPU ÷ Envoy's: gate", 0.60, enforced=True),
    Bound("cpu small portico/envoy", "plain, CPU ÷ Envoy's: goal", 0.50),
    Bound("cpu small portico/haproxy", "plain, CPU ÷ HAProxy's", 2.0),
    Bound("cpu 10k portico/envoy", "10 KB, CPU ÷ Envoy's", 0.55),
    Bound("cpu 1m portico/envoy", "1 MB, CPU ÷ Envoy's", 1.0),
    Bound("cpu small portico-2/portico", "2 workers ÷ 1, CPU per request", 1.05),
    Bound("added p99 portico/haproxy", "p99 added at half load ÷ HAProxy's", 2.0),
    Bound("100x100 build s", "100 APIs × 100: decode + build, s", 1.0, enforced=True),
    Bound("1x10000 build s", "1 API × 10,000: decode + build, s", 1.0, enforced=True),
    Bound("100x100 worker MB", "100 APIs × 100: worker, MB", 150, enforced=True),
    Bound("1x10000 worker MB", "1 API × 10,000: worker, MB", 150, enforced=True),
    Bound("100x100 units rebuilt", "100 APIs × 100: units rebuilt by an edit", 1, enforced=True),
    Bound("1x10000 units rebuilt", "1 API × 10,000: units rebuilt by an edit", 1, enforced=True),
    Bound("100x100 pause ms", "100 APIs × 100: longest pause, ms", 20, enforced=True),
    Bound("1x10000 pause ms", "1 API × 10,000: longest pause, ms", 20, enforced=True),
    Bound("100x100 cold start s", "100 APIs × 100: cold start to serving, s", 3),
    Bound("1x10000 cold start s", "1 API × 10,000: cold start to serving, s", 3),
)
"""design.md §10; a gate is what this state of the project must already reach."""
