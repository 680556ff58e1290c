"""What a run found: the machine, the table for people, the JSON for machines.

Called by `run.py` at the end. The JSON holds every round, so that a doubt about a median can
be settled without another run.
"""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from benchmark.load import OpenLoop
from benchmark.ratios import Ratio, Verdict, ratio


class Round(msgspec.Struct, frozen=True):
    """One system's stretch at full speed."""

    number: int
    system: str
    cpu_us: float
    """User + system time of all its processes ÷ requests."""
    rate: float
    requests: int
    p50_us: int
    p99_us: int
    fault: str = ""
    """Not empty: left out, and why."""


class LatencyRound(msgspec.Struct, frozen=True):
    """One system's stretch at the fixed rate."""

    number: int
    system: str
    measured: OpenLoop
    fault: str = ""


class Case(msgspec.Struct):
    """One body size, all rounds."""

    rounds: list[Round]
    cpu_us: dict[str, float] = {}
    """Median by system."""
    rate: dict[str, float] = {}
    ratios: dict[str, Ratio] = {}
    """`a/b` to the CPU cost of a in units of b's."""


class Latency(msgspec.Struct):
    """p99 at half load, all rounds."""

    rate: float
    """Requests per second offered: half of what the slower of the two can do."""
    rounds: list[LatencyRound]
    p99_us: dict[str, float] = {}
    added_p99_us: dict[str, float] = {}
    """Median over rounds of the system's p99 minus the direct one's."""
    ratios: dict[str, Ratio] = {}


class Scale(msgspec.Struct):
    """One snapshot of 10,000 routes."""

    decode_build_s: float | None = None
    build_pause_ms: float | None = None
    """Longest turn of the event loop while it was built."""
    edit_s: float | None = None
    edit_pause_ms: float | None = None
    units_rebuilt: int | None = None
    """By an edit of one route."""
    routes_rebuilt: int | None = None
    cold_start_s: float | None = None
    """Command to the first 200 of a route."""
    edit_serves_s: float | None = None
    """SIGHUP to the edited answer, supervisor and worker on one core; median."""
    edit_longest_request_ms: float | None = None
    """Of those sent one after another meanwhile."""
    quiet_longest_request_ms: float | None = None
    """The same for as long without an edit: what the machine alone does."""
    worker_mb: float | None = None
    """The most, edits included."""
    note: str = ""
    """Why something was not measured."""


SCALE_ROWS: Final = (
    ("decode + build, s", "decode_build_s", ".2f"),
    ("longest pause while building, ms CPU", "build_pause_ms", ".1f"),
    ("one edit: build, s", "edit_s", ".3f"),
    ("one edit: longest pause, ms CPU", "edit_pause_ms", ".1f"),
    ("one edit: units rebuilt", "units_rebuilt", "d"),
    ("one edit: routes rebuilt", "routes_rebuilt", "d"),
    ("one edit: SIGHUP to serving, s", "edit_serves_s", ".3f"),
    ("one edit: longest request, ms", "edit_longest_request_ms", ".1f"),
    ("no edit: longest request, ms", "quiet_longest_request_ms", ".1f"),
    ("worker, MB resident", "worker_mb", ".0f"),
    ("cold start to serving, s", "cold_start_s", ".2f"),
)
"""What is told of `Scale`: title, field, format."""


class Results(msgspec.Struct):
    """`build/bench/results.json`."""

    taken: str
    machine: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, str]
    cases: dict[str, Case] = {}
    latency: Latency | None = None
    scale: dict[str, Scale] = {}
    figures: dict[str, float] = {}
    verdicts: list[Verdict] = []


def machine() -> dict[str, str]:
    """What the numbers depend on."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": f"{os.getloadavg()[0]:.2f}",
    }


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def summarise_case(case: Case, against: list[tuple[str, str]]) -> None:
    """Medians and ratios from the rounds that count."""
    valid: dict[str, dict[int, Round]] = {}
    for entry in case.rounds:
        if not entry.fault:
            valid.setdefault(entry.system, {})[entry.number] = entry
    cost = {name: {n: r.cpu_us for n, r in rounds.items()} for name, rounds in valid.items()}
    case.cpu_us = {name: statistics.median(by.values()) for name, by in cost.items()}
    case.rate = {
        name: statistics.median(entry.rate for entry in rounds.values())
        for name, rounds in valid.items()
    }
    for ours, theirs in against:
        found = ratio(cost.get(ours, {}), cost.get(theirs, {}))
        if found:
            case.ratios[f"{ours}/{theirs}"] = found


def summarise_latency(latency: Latency, direct: str, ours: str, theirs: str) -> None:
    """Added p99 by system and the ratio of the two, from the rounds that count."""
    p99: dict[str, dict[int, float]] = {}
    for entry in latency.rounds:
        if not entry.fault:
            p99.setdefault(entry.system, {})[entry.number] = entry.measured.p99_us
    latency.p99_us = {name: statistics.median(by.values()) for name, by in p99.items()}
    base = p99.get(direct, {})
    added = {
        # A microsecond at least: what is added cannot be less than nothing.
        name: {n: max(1.0, value - base[n]) for n, value in by.items() if n in base}
        for name, by in p99.items()
        if name != direct
    }
    latency.added_p99_us = {
        name: statistics.median(by.values()) for name, by in added.items() if by
    }
    found = ratio(added.get(ours, {}), added.get(theirs, {}))
    if found:
        latency.ratios[f"{ours}/{theirs}"] = found


def figures(results: Results) -> dict[str, float]:
    """Everything a bound may be put on, by name."""
    found: dict[str, float] = {}
    for name, case in results.cases.items():
        for pair, value in case.ratios.items():
            found[f"cpu {name} {pair}"] = value.median
    if results.latency:
        for pair, value in results.latency.ratios.items():
            found[f"added p99 {pair}"] = value.median
    for name, scale in results.scale.items():
        pauses = [p for p in (scale.build_pause_ms, scale.edit_pause_ms) if p is not None]
        measured = {
            "build s": scale.decode_build_s,
            "pause ms": max(pauses, default=None),
            "worker MB": scale.worker_mb,
            "units rebuilt": scale.units_rebuilt,
            "cold start s": scale.cold_start_s,
        }
        found |= {f"{name} {k}": float(v) for k, v in measured.items() if v is not None}
    return found


def write(results: Results, path: Path) -> None:
    """The JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def show(results: Results, console: Console) -> None:
    """The tables."""
    about = results.machine
    console.print(
        f"{about['cpu']}, {about['cores']} cores, {about['kernel']}, "
        f"load before {about['load_before']}"
    )
    for name, version in results.versions.items():
        console.print(f"  {name}: {version}", highlight=False, soft_wrap=True)
    if results.cases:
        console.print(_throughput(results))
        faults = [r for case in results.cases.values() for r in case.rounds if r.fault]
        for entry in faults:
            console.print(f"[red]round {entry.number} of {entry.system}: {entry.fault}[/red]")
    if results.latency:
        console.print(_latency(results.latency))
    if results.scale:
        console.print(_scale(results.scale))
    console.print(_verdicts(results.verdicts))
    if why := results.settings.get("not compiled"):
        console.print(f"judged on the interpreted system: {why}", highlight=False)
    absent = [entry.bound.title for entry in results.verdicts if entry.measured is None]
    if absent:
        console.print(f"not measured: {'; '.join(absent)}", highlight=False)


def _throughput(results: Results) -> Table:
    table = Table(title="CPU µs/request (median) · requests/s", title_justify="left")
    table.add_column("system", no_wrap=True)
    for name in results.cases:
        table.add_column(f"{name} µs", justify="right")
        table.add_column(f"{name} /s", justify="right")
    systems = list(dict.fromkeys(r.system for c in results.cases.values() for r in c.rounds))
    for system in systems:
        cells = [system]
        for case in results.cases.values():
            known = system in case.cpu_us
            cells.append(f"{case.cpu_us[system]:.1f}" if known else "invalid")
            cells.append(f"{case.rate[system]:,.0f}" if known else "")
        table.add_row(*cells)
    table.add_section()
    pairs = list(dict.fromkeys(p for c in results.cases.values() for p in c.ratios))
    for pair in pairs:
        cells = [f"{pair} ×"]
        for case in results.cases.values():
            found = case.ratios.get(pair)
            spread = f"{min(found.per_round):.2f}-{max(found.per_round):.2f}" if found else ""
            cells += [f"{found.median:.2f}" if found else "", spread]
        table.add_row(*cells)
    return table


def _latency(latency: Latency) -> Table:
    title = f"Latency µs at {latency.rate:,.0f} requests/s (half load, open loop)"
    table = Table(title=title, title_justify="left")
    for column in ("system", "p50", "p99", "p99 added", "generator late p99"):
        table.add_column(column, justify="left" if column == "system" else "right")
    for system in dict.fromkeys(entry.system for entry in latency.rounds):
        rounds = [r for r in latency.rounds if r.system == system and not r.fault]
        if not rounds:
            faults = next(r.fault for r in latency.rounds if r.system == system)
            table.add_row(system, "invalid", faults, "", "")
            continue
        added = latency.added_p99_us.get(system)
        table.add_row(
            system,
            f"{statistics.median(r.measured.p50_us for r in rounds):.0f}",
            f"{latency.p99_us[system]:.0f}",
            f"{added:.0f}" if added is not None else "",
            f"{statistics.median(r.measured.lag_p99_us for r in rounds):.0f}",
        )
    table.add_section()
    for pair, found in latency.ratios.items():
        spread = f"{min(found.per_round):.2f}-{max(found.per_round):.2f}"
        table.add_row(f"{pair} ×", "", spread, f"{found.median:.2f}", "")
    return table


def _scale(scale: dict[str, Scale]) -> Table:
    table = Table(title="10,000 routes", title_justify="left")
    table.add_column("")
    for name in scale:
        table.add_column(name, justify="right")
    for title, field, form in SCALE_ROWS:
        values = [getattr(entry, field) for entry in scale.values()]
        table.add_row(title, *("-" if v is None else format(v, form) for v in values))
    for name, entry in scale.items():
        if entry.note:
            table.add_row(f"{name}: {entry.note}")
    return table


def _verdicts(verdicts: list[Verdict]) -> Table:
    table = Table(title="Bounds (design.md §10)", title_justify="left")
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("at most", justify="right")
    table.add_column("")
    colours = {"hold": "green", "miss": "red"}
    for entry in verdicts:
        if entry.measured is None:
            continue
        kind = " (gate)" if entry.bound.enforced else " (goal)"
        table.add_row(
            entry.bound.title,
            f"{entry.measured:.2f}",
            f"{entry.bound.limit:g}",
            f"[{colours[entry.verdict]}]{entry.verdict}[/]{kind}",
        )
    return table
