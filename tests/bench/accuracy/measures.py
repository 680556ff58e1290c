"""What `make bench-accuracy` measured, against what design.md §7 states: rows and their bounds.

Filled by the scenarios, printed and written by `accuracy_run`. Pure: numbers in, text out.
Promises: a row that was not measured is a failure with its reason, never a pass.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from lease_world import ideal

PASSED = 200


@dataclass(slots=True)
class Row:
    """One line of the table."""

    name: str
    """What was measured."""
    store: str = ""
    """Where counters were kept."""
    value: float | None = None
    """What is held against the bounds; None: not measured."""
    low: float = 0.0
    high: float = 0.0
    unit: str = "requests"
    detail: dict[str, float] = field(default_factory=dict)
    """Whatever explains the value."""
    note: str = ""
    """For people; why there is no value."""

    @property
    def passed(self) -> bool:
        """Whether it was measured and is within its bounds."""
        return self.value is not None and self.low <= self.value <= self.high


class Answer(NamedTuple):
    """What became of one request."""

    at: float
    """Seconds since the beginning at which it left."""
    pod: str
    status: int
    """0: no answer."""


class Answers:
    """What became of all requests of a run."""

    def __init__(self, answers: dict[str, list[tuple[float, int]]], seconds: float) -> None:
        self.seconds = seconds
        """How long requests were made."""
        self.all = sorted(
            Answer(at, pod, status) for pod, each in answers.items() for at, status in each
        )

    def asked(self, begin: float = 0.0, end: float = float("inf")) -> int:
        """Requests that left between these times."""
        return sum(begin <= answer.at < end for answer in self.all)

    def passed(self, begin: float = 0.0, end: float = float("inf")) -> int:
        """Requests that were served, of those that left between these times."""
        return sum(a.status == PASSED for a in self.all if begin <= a.at < end)

    def of(self, status: int) -> int:
        """Answers with this status."""
        return sum(answer.status == status for answer in self.all)

    def first_passed(self, after: float) -> float:
        """Seconds from then on until one was served."""
        return next((a.at - after for a in self.all if a.at >= after and a.status == PASSED), 1e9)

    def last_passed(self) -> float:
        """When the last one left that was served."""
        return max((a.at for a in self.all if a.status == PASSED), default=0.0)

    def longest_pause(self) -> float:
        """Seconds in which no request left: more than it takes to fill a bucket say that the
        machine stood still, and then no two counters see the same arrivals."""
        times = [answer.at for answer in self.all]
        return max((b - a for a, b in pairwise(times)), default=0.0)

    def ideal(self, rate: float, burst: float) -> int:
        """What one bucket for all of them would have let through."""
        return ideal([answer.at for answer in self.all], rate, burst)

    def strange(self) -> list[int]:
        """Answers that are neither: the machine was too slow, or something broke."""
        return sorted({a.status for a in self.all} - {PASSED, 429})


def exactly(name: str, answers: Answers, limit: int, *, lost: int = 0) -> Row:
    """A quota: 1 % over it at most, and its last request can be made."""
    return Row(
        name,
        value=answers.passed(),
        low=limit - lost,
        high=limit * 1.01,
        detail={"refused": answers.of(429), "unanswered": answers.of(0)},
    )


def within(name: str, answers: Answers, rate: float, burst: float) -> Row:
    """A bucket: 2 % more or less than what it takes in."""
    wanted = answers.ideal(rate, burst)
    return Row(
        name,
        value=answers.passed(),
        low=wanted * 0.98,
        high=wanted * 1.02,
        detail={
            "asked": len(answers.all),
            "unanswered": answers.of(0),
            "ms of the longest pause": 1000 * answers.longest_pause(),
        },
    )


def markdown(rows: Sequence[Row], circumstances: dict[str, Any]) -> str:
    """The table, for a file that people read."""
    lines = ["| what | store | measured | allowed | | beside |", "|---|---|--:|--:|---|---|"]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows]
    told = ", ".join(f"{name} {value}" for name, value in circumstances.items())
    return "\n".join((*lines, "", f"{told}.", ""))


def cells(row: Row) -> Iterable[str]:
    """A row of the table, as text."""
    beside = [f"{name} {_number(value)}" for name, value in row.detail.items()]
    return (
        row.name,
        row.store,
        "" if row.value is None else f"{_number(row.value)} {row.unit}",
        f"{_number(row.low)} to {_number(row.high)}",
        "pass" if row.passed else "FAIL",
        ", ".join(beside + ([row.note] if row.note else [])),
    )


def as_json(rows: Sequence[Row], circumstances: dict[str, Any]) -> str:
    """The same, for programs."""
    entries = [
        {
            "name": row.name,
            "store": row.store,
            "value": row.value,
            "low": row.low,
            "high": row.high,
            "unit": row.unit,
            "passed": row.passed,
            "detail": row.detail,
            "note": row.note,
        }
        for row in rows
    ]
    return json.dumps({"circumstances": circumstances, "rows": entries}, indent=2) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
