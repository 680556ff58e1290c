"""`make bench-accuracy`: what design.md §7 states about leases and quotas, held by real processes.

A real kube-apiserver and etcd, the operator, three data planes with two workers each, a Redis and
a backend. Prints one table, exits 1 when a bound is missed. `--only` chooses scenarios, `--store`
one of the two stores, `--quick` does a little of some. Bounded in time.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from accuracy.bed import Bed, Store
from accuracy.measures import Row, as_json, cells, markdown
from accuracy.scenarios import QUICK, SCENARIOS
from control_plane import DidNotStart, Missing
from portico_processes import DidNotHappen
from real_redis import REDIS

STORES: tuple[Store, ...] = ("operator", "redis")


def main() -> int:
    """The exit code."""
    given = arguments(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(width=None if sys.stdout.isatty() else 160)
    if REDIS is None:
        console.print("cannot measure: there is no redis-server (Debian has it)", style="red")
        return 1
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="portico-accuracy-") as folder:
            rows = _run(Path(folder), given, console)
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


def _run(folder: Path, given: argparse.Namespace, console: Console) -> list[Row]:
    rows: list[Row] = []
    wanted = given.only or (QUICK if given.quick else SCENARIOS)
    chosen = [name for name in SCENARIOS if name in wanted]
    with Bed(folder) as bed:
        for store in given.store or STORES:
            bed.use(store)
            for name in chosen:
                console.print(f"  {store}: {name} …", highlight=False)
                found = _scenario(bed, name, 0.2 if given.quick else 1.0)
                for row in found:
                    row.store = store
                    console.print("    " + "  ".join(cells(row)), highlight=False)
                rows += found
        for process in bed.fleet.processes():
            for line in process.noise[:5]:
                console.print(f"  {process.name} said: {line}", style="red", highlight=False)
    return rows


def _scenario(bed: Bed, name: str, scale: float) -> list[Row]:
    try:
        return SCENARIOS[name](bed, scale)
    except (DidNotHappen, TimeoutError, OSError, ValueError) as why:
        return [Row(name, note=f"{type(why).__name__}: {why}")]


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(prog="make bench-accuracy", description=__doc__)
    parser.add_argument("--only", type=_names, metavar="NAME,…", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--store", action="append", choices=STORES, help="one of them only")
    parser.add_argument("--quick", action="store_true", help="a little of some; no measurement")
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
    version = subprocess.run([str(REDIS), "--version"], capture_output=True, text=True, check=False)
    return {
        "size": "quick" if quick else "full",
        "processors": os.cpu_count(),
        "store": " ".join(version.stdout.split()[:3]),
        "load average": f"{os.getloadavg()[1]:.1f}",
        "took": f"{seconds:.0f} s",
    }


def _table(rows: list[Row]) -> Table:
    table = Table(title="bench-accuracy")
    for name in ("what", "store", "measured", "allowed", "", "beside"):
        table.add_column(name, justify="right" if name in ("measured", "allowed") else "left")
    for row in rows:
        table.add_row(*cells(row))
    return table


if __name__ == "__main__":
    raise SystemExit(main())
