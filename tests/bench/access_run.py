"""`make bench-access`: what deciding who calls costs a request, beside its goals.

Drives the policies of a route as an exchange does, without sockets, with a browser's headers.
Interpreted and compiled (`make compiled`) run in processes of their own; goals are judged on the
compiled ones where there is a C compiler, as `make bench` does. Exits 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from access import authorizers, keys, signatures, tokens
from access.stretches import Row
from benchmark import compiled

GROUPS = {
    "tokens": tokens.rows,
    "authorizers": authorizers.rows,
    "signatures": signatures.rows,
    "keys": keys.rows,
}


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="CPU per decision")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--row-of", choices=GROUPS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row_of:
        sys.stdout.buffer.write(msgspec.json.encode(GROUPS[given.row_of]()))
        return 0
    console = Console()
    lacking = compiled.prepare(console)
    environments = {"interpreted": dict(os.environ)}
    if lacking:
        console.print(f"not compiled: {lacking}")
    else:
        environments["compiled"] = compiled.environment()
    found = {
        name: [row for group in given.only for row in _rows(group, environment)]
        for name, environment in environments.items()
    }
    table = Table("decision", "unit", *environments, "goal")
    missed = []
    judged = list(environments)[-1]
    for lines in zip(*found.values(), strict=True):
        of = dict(zip(environments, lines, strict=True))
        row = of[judged]
        late = bool(row.goal) and row.value > row.goal
        missed += [row.name] if late else []
        goal = f"{row.goal:g}{' missed' if late else ''}" if row.goal else ""
        table.add_row(row.name, row.unit, *(f"{each.value:.2f}" for each in of.values()), goal)
    console.print(table)
    return int(bool(missed))


def _rows(group: str, environment: dict[str, str]) -> list[Row]:
    """Of a process of its own: memory is a row, and modules are compiled or not."""
    command = [sys.executable, str(Path(__file__)), "--row-of", group]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{group}: {done.stderr.decode()}")
    return msgspec.json.decode(done.stdout, type=list[Row])


if __name__ == "__main__":
    sys.exit(main())
