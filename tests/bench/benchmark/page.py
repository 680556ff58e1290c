"""docs/performance.md [pure]: what a run measured, as a page with tables and plots.

Called by `run.py --page`. Results in, texts by file name out. Promises: every figure comes from
the run, those that speak against us too; a plot's colours can be told apart on light and dark.
"""

from __future__ import annotations

import html
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from benchmark.report import SCALE_ROWS, Latency, Results, Scale

PAGE: Final = "performance.md"
_OURS, _THEIRS, _TEXT = "#1f6feb", "#8c959f", "#768390"
_BAR, _GAP, _LEFT, _WIDTH = 18, 8, 190, 720
_TITLES: Final = {
    "small": "54 bytes of JSON, plain pass-through",
    "10k": "10 KB, plain pass-through",
    "1m": "1 MB, plain pass-through",
    "tls": "54 bytes over TLS 1.3",
    "full": "the full chain: 1,000 routes, API key, plan and route buckets, quota, metrics, log",
}


def files(results: Results) -> dict[str, str]:
    """By name: the page, and the plots that it shows."""
    plots = {
        f"performance-{name}.svg": plot(f"CPU µs a request: {_title(name)}", case.cpu_us)
        for name, case in results.cases.items()
        if case.cpu_us
    }
    parts = [_head(results)]
    parts += [_case(results, name, f"performance-{name}.svg" in plots) for name in results.cases]
    if results.latency:
        parts.append(_latency(results.latency))
    if results.scale:
        parts.append(_scale(results.scale))
    parts.append(_verdicts(results))
    return {PAGE: "\n".join(parts), **plots}


def plot(title: str, values: Mapping[str, float]) -> str:
    """An SVG of horizontal bars, the least on top."""
    ordered = sorted(values.items(), key=lambda item: item[1])
    most = max((value for _, value in ordered), default=0.0) or 1.0
    height = 32 + len(ordered) * (_BAR + _GAP)
    bars: list[str] = []
    for index, (name, value) in enumerate(ordered):
        top = 30 + index * (_BAR + _GAP)
        length = max(1.0, value / most * (_WIDTH - _LEFT - 80))
        colour = _OURS if name.startswith("portico") else _THEIRS
        middle = top + _BAR - 5
        bars += [
            f'<text x="{_LEFT - 8}" y="{middle}" text-anchor="end">{html.escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{length:.1f}" height="{_BAR}" fill="{colour}"/>',
            f'<text x="{_LEFT + length + 6:.1f}" y="{middle}">{value:.1f}</text>',
        ]
    inside = "\n".join(bars)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="sans-serif" font-size="13" fill="{_TEXT}">\n'
        f"<title>{html.escape(title)}</title>\n"
        f'<text x="8" y="18" font-weight="bold">{html.escape(title)}</text>\n{inside}\n</svg>\n'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown: the first column to the left, numbers to the right."""
    marks = ["---", *("--:" for _ in head[1:])]
    lines = [head, marks, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _title(case: str) -> str:
    return _TITLES.get(case, case)


def _head(results: Results) -> str:
    about, settings = results.machine, results.settings
    told = {**about, **settings}
    versions = table(("system", "version"), sorted(results.versions.items()))
    return f"""# Performance

Made by `make bench ARGS="--page docs"` on {results.taken}; nothing here is written by hand. Every
system is one worker on one core, load and upstream are on another; they take turns round by round.
CPU is user and system time of all of a system's processes, by request. Ratios are medians of
per-round ratios: they hold still where absolute numbers wander from machine to machine.

{table(("circumstance", "value"), told.items())}
{versions}"""


def _case(results: Results, name: str, has_plot: bool) -> str:
    case = results.cases[name]
    systems = sorted(case.cpu_us, key=case.cpu_us.__getitem__)
    rows = [(s, f"{case.cpu_us[s]:.1f}", f"{case.rate[s]:,.0f}") for s in systems]
    ratios = [
        (f"{pair} ×", f"{r.median:.2f}", f"{min(r.per_round):.2f}-{max(r.per_round):.2f}")
        for pair, r in case.ratios.items()
    ]
    invalid = sorted({r.system for r in case.rounds} - set(systems))
    picture = f"![CPU by request](performance-{name}.svg)\n\n" if has_plot else ""
    left_out = f"\nWithout a valid round: {', '.join(invalid)}.\n" if invalid else ""
    return (
        f"\n## {_title(name)[0].upper()}{_title(name)[1:]}\n\n{picture}"
        f"{table(('system', 'CPU µs a request', 'requests/s'), rows)}{left_out}\n"
        + (table(("CPU against", "median", "over rounds"), ratios) if ratios else "")
    )


def _latency(latency: Latency) -> str:
    rows: list[tuple[str, ...]] = []
    for system in dict.fromkeys(entry.system for entry in latency.rounds):
        rounds = [r for r in latency.rounds if r.system == system and not r.fault]
        if rounds:
            added = latency.added_p99_us.get(system)
            p50 = statistics.median(r.measured.p50_us for r in rounds)
            p99 = f"{latency.p99_us[system]:.0f}"
            rows.append((system, f"{p50:.0f}", p99, "" if added is None else f"{added:.0f}"))
    rows += [(f"{pair} ×", "", "", f"{r.median:.2f}") for pair, r in latency.ratios.items()]
    return (
        f"\n## Latency at half load\n\n{latency.rate:,.0f} requests a second, open loop: half of "
        "what the slower can do.\n\n"
        f"{table(('system', 'p50 µs', 'p99 µs', 'p99 added µs'), rows)}"
    )


def _scale(scale: Mapping[str, Scale]) -> str:
    rows: list[tuple[str, ...]] = []
    for title, field, form in SCALE_ROWS:
        values = [getattr(entry, field) for entry in scale.values()]
        rows.append((title, *("-" if v is None else format(v, form) for v in values)))
    notes = "".join(f"\n{name}: {entry.note}\n" for name, entry in scale.items() if entry.note)
    return f"\n## 10,000 routes\n\n{table(('', *scale), rows)}{notes}"


def _verdicts(results: Results) -> str:
    rows = [
        (
            entry.bound.title,
            "" if entry.measured is None else f"{entry.measured:.2f}",
            f"{entry.bound.limit:g}",
            f"{'gate' if entry.bound.enforced else 'goal'}: "
            + (f"**{entry.verdict}**" if entry.verdict == "miss" else entry.verdict),
        )
        for entry in results.verdicts
    ]
    return (
        "\n## What was promised, and what holds\n\nA gate fails `make bench`; a goal is where we "
        f"want to be.\n\n{table(('what', 'measured', 'at most', ''), rows)}"
    )
