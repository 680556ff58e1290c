"""What `make bench-scale` measured, against its goals: rows, gates, and the one table.

Filled by the scenarios, printed and written by `scale_run`. Pure: numbers in, text out. Promises:
a row that was not measured is a failure with its reason, never a pass; a gate is its goal and a
tenth (design.md §10).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MARGIN = 1.10
"""Machines differ between two runs by less than this."""


@dataclass(slots=True)
class Row:
    """One line of the table."""

    name: str
    """What was measured."""
    goal: float
    """The value may be this."""
    unit: str
    """Of value and goal."""
    value: float | None = None
    """What is held against the goal; None: not measured."""
    p50: float | None = None
    """Where there are many samples, their median."""
    samples: int = 0
    """How many."""
    detail: dict[str, float] = field(default_factory=dict)
    """CPU time and whatever explains the value."""
    note: str = ""
    """For people; why there is no value."""

    @property
    def gate(self) -> float:
        """The most that passes: of what is counted, not a tenth more."""
        return self.goal * MARGIN if self.unit not in ("failed", "writes") else self.goal

    @property
    def passed(self) -> bool:
        """Whether it was measured and is within its gate."""
        return self.value is not None and self.value <= self.gate


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line that fits the points best; 0 for fewer than two."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        return 0.0
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def timed(name: str, goal_ms: float, seconds: Sequence[float], detail: dict[str, float]) -> Row:
    """A row of propagation times: its p99 is what counts."""
    if not seconds:
        return Row(name, goal_ms, "ms", note="nothing was measured")
    return Row(
        name,
        goal_ms,
        "ms",
        value=percentile(seconds, 0.99) * 1e3,
        p50=percentile(seconds, 0.50) * 1e3,
        samples=len(seconds),
        detail={**detail, "max_ms": max(seconds) * 1e3},
    )


def markdown(rows: Sequence[Row], circumstances: dict[str, Any]) -> str:
    """The table, for a file that people read."""
    lines = [
        "| measured | p50 | value (p99) | goal | | samples | beside |",
        "|---|--:|--:|--:|---|--:|---|",
    ]
    for row in rows:
        beside = [f"{name} {_number(value)}" for name, value in row.detail.items()]
        beside += [row.note] if row.note else []
        lines.append(
            f"| {row.name} | {_number(row.p50)} | {_number(row.value)} {row.unit} "
            f"| {_number(row.goal)} | {'pass' if row.passed else '**fail**'} "
            f"| {row.samples or ''} | {', '.join(beside)} |"
        )
    told = ", ".join(f"{name} {value}" for name, value in circumstances.items())
    return "\n".join((*lines, "", f"{told}. A gate is its goal + 10 %; counts have none.", ""))


def as_json(rows: Sequence[Row], circumstances: dict[str, Any]) -> str:
    """The same, for programs."""
    entries = [
        {
            "name": row.name,
            "goal": row.goal,
            "gate": row.gate,
            "unit": row.unit,
            "value": row.value,
            "p50": row.p50,
            "samples": row.samples,
            "passed": row.passed,
            "detail": row.detail,
            "note": row.note,
        }
        for row in rows
    ]
    return json.dumps({"circumstances": circumstances, "rows": entries}, indent=2) + "\n"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.1f}"
