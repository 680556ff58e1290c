"""What processes cost: CPU seconds and memory of a process and all that descend from it.

Called around every measured stretch. Read from /proc, so it asks nothing of the system under
test. User plus system time, supervisor included: a proxy is charged for all of itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


class Stat(NamedTuple):
    """The fields of /proc/<pid>/stat that matter here, times in ticks."""

    pid: int
    parent: int
    own: int
    """User + system of all its threads, those that ended included."""
    reaped: int
    """User + system of children that ended and were waited for."""


def parse_stat(text: str) -> Stat:
    """One /proc/<pid>/stat line; the command name may hold spaces and parentheses."""
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(")")[2].split()
    # proc(5) counts from 1; `fields` starts at field 3 (state).
    return Stat(
        pid=int(pid),
        parent=int(fields[1]),
        own=int(fields[11]) + int(fields[12]),
        reaped=int(fields[13]) + int(fields[14]),
    )


def descent(root: int, stats: dict[int, Stat]) -> list[int]:
    """`root` and every process below it, parents first."""
    children: dict[int, list[int]] = {}
    for stat in stats.values():
        children.setdefault(stat.parent, []).append(stat.pid)
    found = [root] if root in stats else []
    for pid in found:
        found += children.get(pid, ())
    return found


def tree(root: int) -> dict[int, Stat]:
    """The live processes of a system, as they are now."""
    stats: dict[int, Stat] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                stat = parse_stat((entry / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
            stats[stat.pid] = stat
    return {pid: stats[pid] for pid in descent(root, stats)}


def cpu_seconds(root: int) -> float:
    """User + system seconds of the tree so far, dead and reaped children included."""
    return sum(stat.own + stat.reaped for stat in tree(root).values()) / TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Resident memory of one process, shared pages included (what a limit is charged for)."""
    pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
