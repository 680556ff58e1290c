"""Where the data plane's time goes: `python tests/bench/hotspots.py [--how calls|perf|syscalls]`.

For whoever works on the hot path. `calls` runs the gateway under cProfile in a process of its
own (Python functions; small ones look dearer than they are, and what uvloop and the kernel do in
`transport.write` counts as the caller's own), `perf` samples the worker of a real
data plane (C functions and kernel), `syscalls` counts its system calls. wrk loads it meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import pstats
import signal
import subprocess
import sys
import time
from pathlib import Path

import uvloop

from benchmark import cpu, load, tools
from benchmark.peers import upstream_command
from benchmark.processes import Cores, Running, StartFailed, free_port, pinned
from benchmark.sites import BODIES, Site
from benchmark.systems import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "build" / "bench" / "hotspots"


async def _serve(snapshot: Path, port: int, profile: cProfile.Profile) -> None:
    from benchmark.scale_probe import NoLines
    from portico_dataplane.app import Gateway
    from portico_dataplane.settings import Settings
    from portico_dataplane.telemetry.meters import StageMeters
    from portico_ir import codec

    settings = Settings(host="127.0.0.1", port=port)
    gateway = Gateway(settings, meters=StageMeters(), lines=NoLines())
    await gateway.start()
    applied = await gateway.apply(codec.decode_snapshot(snapshot.read_bytes()))
    if applied.refused:
        raise SystemExit(f"refused: {applied.refused}")
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, profile.enable)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    profile.disable()
    await gateway.stop()


def serve(snapshot: str, port: str, output: str) -> None:
    """The profiled process: SIGUSR1 begins, SIGTERM ends and writes."""
    profile = cProfile.Profile()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Path(snapshot), int(port), profile))
    profile.dump_stats(output)


def calls(options: argparse.Namespace, site: Site, cores: Cores) -> None:
    """Python functions by their own time, per request."""
    REGISTRY["portico"].command(site)  # writes the snapshot
    output = site.directory / "calls.pstats"
    arguments = [str(site.directory / "snapshot.json"), str(site.port), str(output)]
    command = [tools.PYTHON, __file__, "serve", *arguments]
    running = Running("portico", command, cores.proxy, site.directory)
    try:
        running.wait_until_listening(site.port)
        load.wrk(site.port, options.case, 1, cores.load)
        running.tell(signal.SIGUSR1)
        stretch = load.wrk(site.port, options.case, options.seconds, cores.load)
    finally:
        running.end()
    print(f"{stretch.requests} requests {stretch.fault(BODIES[options.case])}")
    stats = pstats.Stats(str(output))
    # pstats keeps its table untyped: (calls, primitive calls, own, cumulative, callers).
    table = stats.stats.items()  # type: ignore[attr-defined]
    rows = [(own, total, count, where) for where, (_, count, own, total, _) in table]
    print(f"{'own µs':>8} {'all µs':>8} {'calls':>7}  per request")
    for own, total, count, (file, line, name) in sorted(rows, reverse=True)[: options.top]:
        per = 1e6 / stretch.requests
        place = file.replace(str(ROOT) + "/", "").partition("site-packages/")[2] or file
        place = place.replace(str(ROOT) + "/", "")
        each = count / stretch.requests
        print(f"{own * per:8.2f} {total * per:8.2f} {each:7.2f}  {place}:{line} {name}")


def attached(options: argparse.Namespace, site: Site, cores: Cores) -> None:
    """perf or strace beside the worker of a real data plane."""
    program = tools.program("perf" if options.how == "perf" else "strace")
    if program is None:
        raise tools.Missing(f"{options.how} needs {'perf' if options.how == 'perf' else 'strace'}")
    running = Running("portico", REGISTRY["portico"].command(site), cores.proxy, site.directory)
    try:
        running.wait_until_listening(site.port)
        load.wrk(site.port, options.case, 1, cores.load)
        worker = next(pid for pid in cpu.tree(running.pid) if pid != running.pid)
        data = str(site.directory / "perf.data")
        perf = ["record", "-q", "-e", "cpu-clock", "-F", "1999", "-o", data, "-p", str(worker)]
        arguments = perf if options.how == "perf" else ["-c", "-p", str(worker)]
        watching = pinned(cores.load, [program, *arguments])
        with subprocess.Popen(watching, stderr=subprocess.PIPE, text=True) as watcher:
            time.sleep(0.5)
            stretch = load.wrk(site.port, options.case, options.seconds, cores.load)
            watcher.send_signal(signal.SIGINT)
            _, said = watcher.communicate()
    finally:
        running.end()
    print(f"{stretch.requests} requests {stretch.fault(BODIES[options.case])}")
    if options.how == "perf":
        shown = ["report", "-q", "--stdio", "--sort", "dso,symbol", "-i", data]
        done = subprocess.run([program, *shown], capture_output=True, text=True)
        said = "\n".join(line for line in done.stdout.splitlines() if line.strip())
    print("\n".join(said.splitlines()[: options.top]))


def main(argv: list[str]) -> int:
    if argv[:1] == ["serve"]:
        serve(*argv[1:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--how", choices=["calls", "perf", "syscalls"], default="calls")
    parser.add_argument("--case", choices=list(BODIES), default="small")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--top", type=int, default=45, help="lines to print")
    options = parser.parse_args(argv)
    cores = Cores()
    (PLACE / "upstream").mkdir(parents=True, exist_ok=True)
    (PLACE / "portico").mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            tools.require(ROOT, ["nginx", "wrk"])
            back = Site(PLACE / "upstream", free_port(), 0, 0, None)
            upstream = Running("upstream", upstream_command(back), cores.load, back.directory)
            stack.callback(upstream.end)
            upstream.wait_until_listening(back.port)
            site = Site(PLACE / "portico", free_port(), free_port(), back.port, None)
            (calls if options.how == "calls" else attached)(options, site, cores)
        except (tools.Missing, StartFailed) as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
