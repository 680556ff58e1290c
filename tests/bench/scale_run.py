"""`make bench-scale`: what design.md §10 and the issue promise of the control plane, measured.

A real kube-apiserver and etcd, the operator, three data planes and a backend, all as processes.
Prints one table with goals, exits 1 when a gate is missed. `--only` chooses scenarios, `--quick`
does little of each. Bounded in time: a scenario that does not come to its end is a failed row.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from control_plane import DidNotStart, Missing
from portico_processes import DidNotHappen
from scale import edits, load, volumes
from scale.bed import Bed
from scale.measures import Row, as_json, markdown
from scale.probe import NotServed
from scale.sizes import FULL, QUICK, Size

Scenario = Callable[[Bed, Size], list[Row]]
SCENARIOS: dict[str, Scenario] = {
    "empty": edits.empty,
    "one-api": edits.one_api,
    "wait": volumes.applied,
    "memory": volumes.memory,
    "many-apis": edits.many_apis,
    "churn": edits.churn,
    "second-operator": edits.second_operator,
    "status-writes": volumes.status_writes,
    "scale-up": volumes.scale_up,
    "live-edits": load.live_edits,
    "starts": volumes.starts,
    "flat": volumes.flat,
}
"""In this order: each world is made once."""


def main() -> int:
    """The exit code."""
    given = arguments(sys.argv[1:])
    chosen = [name for name in SCENARIOS if name in (given.only or SCENARIOS)]
    size = QUICK if given.quick else FULL
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(width=None if sys.stdout.isatty() else 160)
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="portico-scale-") as folder:
            rows = _run(Path(folder), chosen, size, console)
    except (Missing, DidNotStart) as why:
        console.print(f"cannot measure: {why}", style="red", highlight=False)
        return 1
    circumstances = _circumstances(given.quick, time.monotonic() - began)
    console.print(_table(rows))
    console.print(", ".join(f"{name} {value}" for name, value in circumstances.items()))
    for path, write in ((given.markdown, markdown), (given.json, as_json)):
        if path:
            Path(path).write_text(write(rows, circumstances))
    return 0 if all(row.passed for row in rows) else 1


def _run(folder: Path, chosen: list[str], size: Size, console: Console) -> list[Row]:
    rows: list[Row] = []
    with Bed(folder) as bed:
        for name in chosen:
            console.print(f"  {name} …", highlight=False)
            try:
                found = SCENARIOS[name](bed, size)
            except (DidNotHappen, NotServed, TimeoutError, OSError) as why:
                where = traceback.extract_tb(why.__traceback__)[-1]
                told = f"{type(why).__name__}: {why} ({where.name}, line {where.lineno})"
                found = [Row(name, 0, "failed", note=told)]
            for row in found:
                verdict = "pass" if row.passed else "FAIL"
                told = "" if row.value is None else f"{row.value:.1f} {row.unit}"
                console.print(f"    {row.name}: {told} {verdict} {row.note}", highlight=False)
            rows += found
        faults = [line for pod in (*bed.fleet.pods.values(), bed.operator) for line in _noise(pod)]
        for line in faults:
            console.print(f"  said: {line}", style="red", highlight=False)
    return rows


def _noise(process: Any) -> list[str]:
    process.read()
    return [f"{process.name}: {line}" for line in process.noise[:5]]


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(prog="make bench-scale", description=__doc__)
    parser.add_argument("--only", type=_names, metavar="NAME,…", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="a little of each; no measurement")
    parser.add_argument("--markdown", metavar="FILE", help="write the table here, too")
    parser.add_argument("--json", metavar="FILE", help="and here, for programs")
    return parser.parse_args(given)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"not a scenario: {', '.join(unknown) or 'nothing'}")
    return names


def _circumstances(quick: bool, seconds: float) -> dict[str, Any]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in _lines("/proc/cpuinfo")
            if "model name" in line
        ),
        "unknown processor",
    )
    return {
        "size": "quick" if quick else "full",
        "processors": f"{os.cpu_count()} × {model}",
        "load average": f"{os.getloadavg()[1]:.1f}",
        "took": f"{seconds:.0f} s",
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _table(rows: list[Row]) -> Table:
    table = Table(title="bench-scale")
    for name in ("measured", "p50", "value (p99)", "goal", "", "n", "beside"):
        table.add_column(name, justify="left" if name in ("measured", "", "beside") else "right")
    for row in rows:
        beside = [f"{name} {value:.1f}" for name, value in row.detail.items()]
        table.add_row(
            row.name,
            "" if row.p50 is None else f"{row.p50:.0f}",
            "" if row.value is None else f"{row.value:.1f} {row.unit}",
            f"{row.goal:g}",
            "pass" if row.passed else "FAIL",
            str(row.samples or ""),
            ", ".join(beside + ([row.note] if row.note else [])),
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
