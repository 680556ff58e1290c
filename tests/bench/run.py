"""`make bench`: Portico beside nginx, HAProxy, Envoy and Caddy in one run, as design.md §10 says.

Systems take turns round by round, the others stopped; each is one worker on one core, load and
upstream on another. CPU per request is compared by the median of per-round ratios. Writes
build/bench/results.json, prints the tables, exits 1 when an enforced bound is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from benchmark import compiled, cpu, load, page, report, scale, tools
from benchmark.peers import upstream_command
from benchmark.processes import Cores, Running, StartFailed, free_port, resumed
from benchmark.ratios import (
    COMPILED,
    FULL,
    FULL_COMPILED,
    INTERPRETED,
    SECURE,
    SECURE_COMPILED,
    bounds,
    failed,
    judge,
)
from benchmark.sites import CASES, CONNECTIONS, Site, body_of
from benchmark.systems import DEFAULT_SYSTEMS, REGISTRY

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "build" / "bench"
PARTS = (*CASES, "latency", "scale")
DIRECT = "direct"
WARM_UP_SECONDS = 1
OTHERS = ("envoy", "haproxy", "nginx", "caddy")
PAIRS = [(ours, other) for ours in (INTERPRETED, COMPILED) for other in OTHERS]
PAIRS += [(ours, "envoy-full") for ours in (FULL, FULL_COMPILED)]
PAIRS += [(ours, f"{other}-tls") for ours in (SECURE, SECURE_COMPILED) for other in OTHERS]
PAIRS += [(COMPILED, INTERPRETED), ("portico-2", INTERPRETED), ("haproxy", "envoy")]


class Bench:
    """The upstream, the systems, and the turns they take."""

    def __init__(self, stack: contextlib.ExitStack, console: Console, names: list[str]) -> None:
        self.console = console
        self.cores = Cores()
        # This process idles while others are measured; it must do so away from their core.
        os.sched_setaffinity(0, {self.cores.load})
        self._stack = stack
        needs_envoy = any(name.startswith("envoy") for name in names)
        programs = ["nginx", "wrk", *(p for n in names if (p := REGISTRY[n].program))]
        tools.require(ROOT, list(dict.fromkeys(programs)))
        self._envoy = tools.envoy(ROOT, PLACE / "venv") if needs_envoy else None
        site = self.site("upstream", 0)
        self.upstream_port = site.port
        upstream = Running("upstream", upstream_command(site), self.cores.load, site.directory)
        stack.callback(upstream.end)
        upstream.wait_until_listening(site.port)
        self.ports: dict[str, int] = {DIRECT: site.port}
        self.running: dict[str, Running] = {}
        self.versions: dict[str, str] = {}

    def site(self, name: str, upstream_port: int) -> Site:
        directory = PLACE / "sites" / name
        directory.mkdir(parents=True, exist_ok=True)
        return Site(directory, free_port(), free_port(), upstream_port, self._envoy)

    def start(self, name: str) -> None:
        """Start a system, check its answers to every case, then hold it."""
        site = self.site(name, self.upstream_port)
        system = REGISTRY[name]
        self.versions[name] = system.version(site)
        running = Running(name, system.command(site), self.cores.proxy, site.directory)
        self._stack.callback(running.end)
        running.wait_until_listening(site.port)
        wrong = [fault for case in system.cases if (fault := load.wrong_answer(site.port, case))]
        if wrong:
            raise StartFailed(f"{name} answers wrongly: {'; '.join(wrong)}")
        running.hold()
        self.ports[name] = site.port
        self.running[name] = running

    def full_speed(self, name: str, case: str, number: int, seconds: int) -> report.Round:
        """One turn of one system."""
        running, port = self.running[name], self.ports[name]
        with resumed(running):
            load.wrk(port, case, WARM_UP_SECONDS, self.cores.load, scripts=PLACE)
            before = cpu.cpu_seconds(running.pid)
            stretch = load.wrk(port, case, seconds, self.cores.load, scripts=PLACE)
            used = cpu.cpu_seconds(running.pid) - before
        return report.Round(
            number=number,
            system=name,
            cpu_us=used * 1e6 / max(1, stretch.requests),
            rate=stretch.rate,
            requests=stretch.requests,
            p50_us=stretch.p50_us,
            p99_us=stretch.p99_us,
            fault=stretch.fault(body_of(case)),
        )

    def case(self, case: str, rounds: int, seconds: int) -> report.Case:
        """All turns with one body size."""
        names = [name for name in self.running if case in REGISTRY[name].cases]
        found = report.Case(rounds=[])
        for number in range(rounds):
            # Another one goes first each time, so that no place in the order is anyone's.
            turn = names[number % len(names) :] + names[: number % len(names)]
            for name in turn:
                entry = self.full_speed(name, case, number, seconds)
                found.rounds.append(entry)
                self.console.print(
                    f"  {case} round {number + 1}/{rounds} {name}: {entry.cpu_us:.1f} µs, "
                    f"{entry.rate:,.0f}/s {entry.fault}",
                    highlight=False,
                )
        report.summarise_case(found, PAIRS)
        return found

    def half_load(self, rounds: int, seconds: int, rates: dict[str, float]) -> report.Latency:
        """p99 at half of what the slower of ours and HAProxy can do."""
        ours = judged(list(self.running))
        compared = [name for name in self.running if name in ("haproxy", ours)]
        for name in compared:
            if name not in rates:
                rates[name] = self.full_speed(name, "small", 0, seconds).rate
        direct_rate = load.wrk(self.ports[DIRECT], "small", 1, self.cores.load).rate
        rate = min([direct_rate, *(rates[name] for name in compared)]) / 2
        found = report.Latency(rate=rate, rounds=[])
        turn = [DIRECT, *compared]
        for number in range(rounds):
            for name in turn:
                with resumed(self.running.get(name)):
                    measured = load.open_loop(self.ports[name], rate, seconds, self.cores.load)
                fault = measured.fault()
                found.rounds.append(report.LatencyRound(number, name, measured, fault))
                self.console.print(
                    f"  latency round {number + 1}/{rounds} {name}: p50 {measured.p50_us:.0f} "
                    f"p99 {measured.p99_us:.0f} µs {fault}",
                    highlight=False,
                )
            turn = [*turn[1:], turn[0]]
        report.summarise_latency(found, DIRECT, ours, "haproxy")
        return found


def chosen(text: str, known: tuple[str, ...]) -> list[str]:
    """A comma-separated choice; unknown names are wrong usage."""
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"choose from {', '.join(known)}")
    return names


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5, help="turns of each system (5)")
    parser.add_argument("--seconds", type=positive, default=3, help="length of a turn (3)")
    parser.add_argument(
        "--only",
        type=lambda text: chosen(text, PARTS),
        default=list(PARTS),
        help=f"parts, comma-separated, of {','.join(PARTS)} (all)",
    )
    parser.add_argument(
        "--systems",
        type=lambda text: chosen(text, tuple(REGISTRY)),
        default=list(DEFAULT_SYSTEMS),
        help=f"of {','.join(REGISTRY)} ({','.join(DEFAULT_SYSTEMS)})",
    )
    parser.add_argument("--output", type=Path, default=PLACE / "results.json")
    told = f"write {page.PAGE} and its plots into this folder"
    parser.add_argument("--page", type=Path, metavar="FOLDER", help=told)
    return parser.parse_args(argv)


def judged(systems: list[str]) -> str:
    """Whose figures the bounds are put on."""
    return COMPILED if COMPILED in systems else INTERPRETED


def buildable(systems: list[str], console: Console) -> tuple[list[str], str]:
    """The systems without what cannot be built here, and why; what can be is built."""
    ours = (COMPILED, FULL_COMPILED, SECURE_COMPILED)
    wanted = any(name in systems for name in ours)
    why = compiled.prepare(console) if wanted else ""
    lacking = ours if why else ()
    return [name for name in systems if name not in lacking], why


def measure(options: argparse.Namespace, console: Console) -> report.Results:
    """Everything that was asked for."""
    results = report.Results(report.now(), report.machine(), {}, {})
    with contextlib.ExitStack() as stack:
        parts = options.only
        systems, lacking = buildable(options.systems, console)
        bench = Bench(stack, console, systems)
        results.settings = {
            "rounds": str(options.rounds),
            "seconds": str(options.seconds),
            "connections": str(CONNECTIONS),
            "proxy core": str(bench.cores.proxy),
            "load core": str(bench.cores.load),
        }
        if bench.cores.shared:
            console.print("[red]one core only: proxy and load share it, numbers mean little[/]")
        if set(parts) - {"scale"}:
            for name in systems:
                bench.start(name)
        results.versions = bench.versions
        for case in CASES:
            if case in parts:
                results.cases[case] = bench.case(case, options.rounds, options.seconds)
        if "latency" in parts:
            small = results.cases.get("small")
            rates = dict(small.rate) if small else {}
            results.latency = bench.half_load(options.rounds, options.seconds, rates)
        if "scale" in parts:
            results.scale = scale.measure(bench.site, bench.upstream_port, bench.cores, console)
    results.figures = report.figures(results)
    ours = results.settings["judged"] = judged(systems)
    if lacking:
        results.settings["not compiled"] = lacking
    results.verdicts = judge(bounds(ours), results.figures)
    return results


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    terminal = sys.stdout.isatty()
    # In a pipe rich would assume 80 columns and cut names short.
    console = Console(width=None if terminal else 110)
    # A terminated run must still end what it stopped and started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        results = measure(options, console)
    except (tools.Missing, StartFailed) as error:
        console.print(f"[red]{error}[/]", highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    report.write(results, options.output)
    report.show(results, console)
    if options.page:
        for name, text in page.files(results).items():
            (options.page / name).write_text(text)
    console.print(f"written: {options.output}", highlight=False)
    compared = {results.settings["judged"], "envoy"} <= set(options.systems)
    asked = {part for part in options.only if compared or part == "scale"}
    for bound in failed(results.verdicts, asked):
        console.print(f"[red]gate: {bound.title}[/]")
    return 1 if failed(results.verdicts, asked) else 0


if __name__ == "__main__":
    sys.exit(main())
