"""The arithmetic of the comparison: the median of per-round ratios, and bounds on it.

A ratio is taken within one round, where both systems met the same machine; the median of those
holds still while absolute numbers wander (design.md §10).
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping

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
    part: str
    """Of the run that measures it."""
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


def failed(verdicts: Iterable[Verdict], asked: Collection[str]) -> list[Bound]:
    """Gates that were missed, or asked for by their part and not measured."""
    return [
        entry.bound
        for entry in verdicts
        if entry.bound.enforced
        and (
            entry.verdict == "miss"
            or (entry.verdict == "not measured" and entry.bound.part in asked)
        )
    ]


EDIT = "units an edit rebuilds"
INTERPRETED = "portico"
COMPILED = "portico-compiled"
FULL = "portico-full"
SECURE = "portico-tls"
SECURE_COMPILED = "portico-tls-compiled"
FULL_COMPILED = "portico-full-compiled"


def bounds(ours: str) -> tuple[Bound, ...]:
    """design.md §10, judged on the system `ours`: the compiled one where it can be built, because
    that is what an image ships; the interpreted one is listed beside it."""
    found = [
        Bound(f"cpu small {ours}/envoy", "small", f"plain: {ours} ÷ Envoy", 0.60, enforced=True),
        Bound(f"cpu small {ours}/envoy", "small", f"plain: {ours} ÷ Envoy", 0.50),
        Bound(f"cpu small {ours}/haproxy", "small", f"plain: {ours} ÷ HAProxy", 2.0),
        Bound(f"cpu 10k {ours}/envoy", "10k", f"10 KB: {ours} ÷ Envoy", 0.55),
        Bound(f"cpu 1m {ours}/envoy", "1m", f"1 MB: {ours} ÷ Envoy", 1.0),
        Bound(f"added p99 {ours}/haproxy", "latency", f"p99 added: {ours} ÷ HAProxy", 2.0),
    ]
    full = ours.replace(INTERPRETED, FULL)
    chain = f"full chain: {full} ÷ Envoy full"
    found += [
        Bound(f"cpu full {full}/envoy-full", "full", chain, 0.45, enforced=True),
        Bound(f"cpu full {full}/envoy-full", "full", chain, 0.40),
    ]
    secure = ours.replace(INTERPRETED, SECURE)
    tls = f"TLS: {secure} ÷ Envoy"
    found.append(Bound(f"cpu tls {secure}/envoy-tls", "tls", tls, 0.55))
    if ours != INTERPRETED:
        plain = f"plain: {INTERPRETED} (interpreted) ÷ Envoy"
        found.append(Bound(f"cpu small {INTERPRETED}/envoy", "small", plain, 0.60))
    return (*found, *_OTHERS)


_OTHERS = (
    Bound("cpu small portico-2/portico", "small", "plain: 2 workers ÷ 1", 1.05),
    Bound("100x100 build s", "scale", "100 APIs × 100: decode + build, s", 1.0, enforced=True),
    Bound("1x10000 build s", "scale", "1 API × 10,000: decode + build, s", 1.0, enforced=True),
    Bound("100x100 worker MB", "scale", "100 APIs × 100: worker, MB", 150, enforced=True),
    Bound("1x10000 worker MB", "scale", "1 API × 10,000: worker, MB", 150, enforced=True),
    Bound(
        "100x100 units rebuilt",
        "scale",
        f"100 APIs × 100: {EDIT}",
        1,
        enforced=True,
    ),
    Bound(
        "1x10000 units rebuilt",
        "scale",
        f"1 API × 10,000: {EDIT}",
        1,
        enforced=True,
    ),
    Bound("100x100 pause ms", "scale", "100 APIs × 100: longest pause, ms", 20, enforced=True),
    Bound("1x10000 pause ms", "scale", "1 API × 10,000: longest pause, ms", 20, enforced=True),
    Bound("100x100 cold start s", "scale", "100 APIs × 100: cold start to serving, s", 3),
    Bound("1x10000 cold start s", "scale", "1 API × 10,000: cold start to serving, s", 3),
)
"""What does not depend on it; a gate is what this state of the project must already reach."""
