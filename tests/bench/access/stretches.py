"""How the rows of `make bench-access` are measured: CPU time, the least of many short stretches,
because everything else a machine does only adds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

STRETCHES: Final = 60
STRETCH_S: Final = 0.005
HEADERS: Final = (
    (b"Accept", b"*/*"),
    (b"Accept-Encoding", b"gzip, deflate, br"),
    (b"Accept-Language", b"en-GB,en;q=0.9"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
    (b"Referer", b"https://app.example.test/"),
)
"""A browser's, of every request that is measured."""


class Row(NamedTuple):
    """One number."""

    name: str
    """What was done."""
    value: float
    """In `unit`."""
    goal: float = 0.0
    """At most; 0: none."""
    unit: str = "µs"
    """Microseconds of CPU, unless it says otherwise."""


def microseconds(act: Callable[[], object]) -> float:
    """CPU time of one, in the quietest stretch."""
    times = 1
    while (spent := _stretch(act, times)) < STRETCH_S:
        times = max(2 * times, int(times * STRETCH_S / max(spent, 1e-6)))
    return min(_stretch(act, times) for _ in range(STRETCHES)) / times * 1e6


def _stretch(act: Callable[[], object], times: int) -> float:
    start = time.thread_time()
    for _ in range(times):
        act()
    return time.thread_time() - start
