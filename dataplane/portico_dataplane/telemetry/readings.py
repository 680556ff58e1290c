"""What processes report about themselves, and the ledger that adds it up.

A worker sends `Readings` over the channel; the supervisor keeps the newest of each worker
and the totals of dead ones, so that no counter goes backwards when a worker is replaced.
`exposition.py` turns a `Scrape` into text. Plain data throughout.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from portico_dataplane.telemetry.meters import Series, merge

SUPERVISOR: Final = "supervisor"
HANDSHAKES: Final = "tls_handshakes"
PREFACES: Final = "proxy_protocol_refused"
CONNECTIONS: Final = "connections_refused"
SHED: Final = "requests_shed"
"""Counters with a label: `tls_handshakes.completed`, `proxy_protocol_refused.untrusted`."""


class ProcessReading(msgspec.Struct, frozen=True, kw_only=True):
    """A process as the system and the interpreter see it."""

    cpu_seconds: float = 0.0
    """User and system time since its start; over replacements of a worker, their sum."""
    resident_bytes: int = 0
    open_fds: int = 0
    started_at: float = 0.0
    """Unix time."""
    loop_lag_s: float = 0.0
    """Longest wait of a due callback in the last seconds."""
    gc_collections: tuple[int, ...] = ()
    """By generation."""


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """One worker at one moment. Counters count from the worker's start."""

    series: Series = {}
    gauges: dict[str, float] = {}
    """Added over workers: `requests_in_flight`, `client_connections`, …"""
    counters: dict[str, float] = {}
    """Added over workers and over their dead predecessors: `log_lines_dropped`, …"""
    process: ProcessReading = ProcessReading()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigReading:
    """Which configuration serves, and since when."""

    digests: tuple[str, ...] = ()
    """Of every worker that serves; more than one only while a change spreads."""
    loaded_at: float = 0.0
    """Unix time of the last change that every worker acknowledged; 0: none yet."""
    refused_units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """Everything one scrape shows."""

    series: Series = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)
    expiries: dict[str, float] = field(default_factory=dict)
    """Domain (`namespace/name`) to the Unix time at which its certificate ends."""
    processes: dict[str, ProcessReading] = field(default_factory=dict)
    """By name: `supervisor`, `worker-0`, …"""
    config: ConfigReading = ConfigReading()
    now: float = 0.0
    """Unix time of the scrape."""


class Ledger:
    """Adds up workers, dead ones included."""

    def __init__(self, max_label_sets: int) -> None:
        self._bound = 2 * max_label_sets  # stages and routes
        self._live: dict[str, Readings] = {}
        self._series: Series = {}
        self._counters: dict[str, float] = {}
        self._dead: dict[str, ProcessReading] = {}

    def report(self, worker: str, readings: Readings) -> None:
        """The newest readings of a worker replace its former ones."""
        self._live[worker] = readings

    def retire(self, worker: str) -> None:
        """The worker is dead: what it counted last is kept, what it gauged is gone."""
        last = self._live.pop(worker, None)
        if last is None:
            return
        self._series = merge((self._series, last.series))
        self._counters = _sums((self._counters, last.counters))
        self._dead[worker] = _added(self._dead.get(worker), last.process)
        self._bound_dead()

    def series(self) -> Series:
        """Requests, over all workers that ever were."""
        return merge((self._series, *(part.series for part in self._live.values())))

    def counters(self) -> dict[str, float]:
        """Other counters, likewise."""
        return _sums((self._counters, *(part.counters for part in self._live.values())))

    def gauges(self) -> dict[str, float]:
        """Sums over the living."""
        return _sums(part.gauges for part in self._live.values())

    def processes(self) -> dict[str, ProcessReading]:
        """Each worker under its name; CPU time includes its predecessors'."""
        return {
            name: _added(self._dead.get(name), part.process) for name, part in self._live.items()
        }

    def _bound_dead(self) -> None:
        # Series of dead workers that no living one knows belong to APIs long gone; they go
        # first when a fleet that changes for months would exceed the bound.
        if len(self._series) <= self._bound:
            return
        for labels in list(self._series):
            if not any(labels in part.series for part in self._live.values()):
                del self._series[labels]


def engine_gauges(gauges: dict[str, float]) -> dict[str, float]:
    """The engine's gauges under the names they are shown by, those that can be added up."""
    return {
        _SHOWN_AS.get(name, name): value
        for name, value in gauges.items()
        if name not in _TOLD_OTHERWISE
    }


_SHOWN_AS: Final = {"in_flight": "requests_in_flight"}
_TOLD_OTHERWISE: Final = frozenset({"refused_units", "config_timestamp"})
"""Part of `ConfigReading`: the sum over workers of either would mean nothing."""


def take_process(loop_lag_s: float) -> ProcessReading:
    """This process now."""
    times = os.times()
    return ProcessReading(
        cpu_seconds=times.user + times.system,
        resident_bytes=_resident_bytes(),
        open_fds=_open_fds(),
        started_at=_STARTED_AT,
        loop_lag_s=loop_lag_s,
        gc_collections=tuple(stats["collections"] for stats in gc.get_stats()),
    )


_STARTED_AT: Final = time.time()


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return 0


def _open_fds() -> int:
    try:
        # Since Linux 6.2 the size of the directory is the count; a listing of 20,000
        # connections would hold up the loop.
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


def _added(dead: ProcessReading | None, live: ProcessReading) -> ProcessReading:
    if dead is None:
        return live
    return msgspec.structs.replace(
        live,
        cpu_seconds=dead.cpu_seconds + live.cpu_seconds,
        gc_collections=tuple(
            a + b for a, b in zip(dead.gc_collections, live.gc_collections, strict=True)
        ),
    )


def _sums(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return total
