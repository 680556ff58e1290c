"""10,000 routes: what they cost to load, to hold and to edit.

Called by `run.py`. Twice the same snapshot: in a probe process, which counts what an edit
rebuilds and how long the loop was away; and in the data plane as a user starts it, for cold
start, memory, and the time from SIGHUP until an edit serves.
"""

from __future__ import annotations

import http.client
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.console import Console

from benchmark import cpu, snapshots, tools
from benchmark.processes import START_SECONDS, Cores, Running, StartFailed, pinned
from benchmark.report import Scale
from benchmark.sites import Site
from benchmark.systems import portico_command
from portico_ir import codec
from portico_ir.model import RestSegments, RoutesUnit, Snapshot

HERE = Path(__file__).parent
EDITS = 6
EDIT_PATIENCE_S = 10.0
SHAPES: dict[str, Callable[[int], Snapshot]] = {
    "100x100": snapshots.many_apis,
    "1x10000": snapshots.one_api,
}


class _Step(msgspec.Struct, frozen=True):
    seconds: float
    pause_ms: float
    units: int
    routes: int


class _Probe(msgspec.Struct, frozen=True):
    first: _Step
    edit: _Step


def measure(
    site: Callable[[str, int], Site], upstream_port: int, cores: Cores, console: Console
) -> dict[str, Scale]:
    """Both shapes."""
    found: dict[str, Scale] = {}
    for name, make in SHAPES.items():
        place = site(f"scale-{name}", upstream_port)
        before = make(upstream_port)
        after = snapshots.one_edit(before, upstream_port)
        (place.directory / "before.json").write_bytes(codec.encode(before))
        (place.directory / "after.json").write_bytes(codec.encode(after))
        scale = found[name] = Scale()
        try:
            _probe(scale, place, cores)
            _serve(scale, place, cores, _edited_path(before))
        except (StartFailed, OSError, http.client.HTTPException) as error:
            scale.note = str(error)
        if not scale.note:
            console.print(f"  scale {name}: measured", highlight=False)
    return found


def _probe(scale: Scale, place: Site, cores: Cores) -> None:
    documents = [str(place.directory / name) for name in ("before.json", "after.json")]
    command = [tools.PYTHON, "-P", str(HERE / "scale_probe.py"), *documents]
    done = subprocess.run(pinned(cores.proxy, command), capture_output=True, text=True)
    if done.returncode:
        raise StartFailed(f"the probe failed:\n{done.stderr.strip()[-2000:]}")
    probe = msgspec.json.decode(done.stdout, type=_Probe)
    scale.decode_build_s = probe.first.seconds
    scale.build_pause_ms = probe.first.pause_ms
    scale.edit_s = probe.edit.seconds
    scale.edit_pause_ms = probe.edit.pause_ms
    scale.units_rebuilt = probe.edit.units
    scale.routes_rebuilt = probe.edit.routes


def _serve(scale: Scale, place: Site, cores: Cores, path: str) -> None:
    """Cold start, memory and edits of the real processes."""
    documents = [(place.directory / name).read_bytes() for name in ("before.json", "after.json")]
    served = place.directory / "snapshot.json"
    served.write_bytes(documents[0])
    started = time.monotonic()
    running = Running("portico", portico_command(served, place), cores.proxy, place.directory)
    try:
        running.wait_until_listening(place.port)
        client = http.client.HTTPConnection("127.0.0.1", place.port, timeout=EDIT_PATIENCE_S)
        _length(client, path, until=started + START_SECONDS)
        scale.cold_start_s = time.monotonic() - started
        memory = [_worker_bytes(running.pid)]
        edits: list[_Edit] = []
        for number in range(EDITS):
            served.write_bytes(documents[(number + 1) % 2])
            running.tell(signal.SIGHUP)
            edits.append(_watched_edit(client, path))
            memory.append(_worker_bytes(running.pid))
        scale.edit_serves_s = statistics.median(edit.seconds for edit in edits)
        scale.edit_longest_request_ms = max(edit.longest_s for edit in edits) * 1e3
        quiet = [_longest_request(client, path, edit.seconds) for edit in edits]
        scale.quiet_longest_request_ms = max(quiet) * 1e3
        scale.worker_mb = max(memory) / 1e6
    finally:
        running.end()


class _Edit(NamedTuple):
    seconds: float
    longest_s: float


def _watched_edit(client: http.client.HTTPConnection, path: str) -> _Edit:
    """Requests one after another until the answer is another one."""
    before = _length(client, path)
    started = now = time.monotonic()
    longest = 0.0
    serves = False
    while not serves:
        serves = _length(client, path) != before
        sent, now = now, time.monotonic()
        longest = max(longest, now - sent)
        if now > started + EDIT_PATIENCE_S:
            raise StartFailed("an edit does not serve after SIGHUP")
    return _Edit(now - started, longest)


def _longest_request(client: http.client.HTTPConnection, path: str, seconds: float) -> float:
    """As long as an edit took, without one."""
    started = now = time.monotonic()
    longest = 0.0
    while now < started + seconds:
        _length(client, path)
        sent, now = now, time.monotonic()
        longest = max(longest, now - sent)
    return longest


def _length(client: http.client.HTTPConnection, path: str, until: float = 0.0) -> int:
    """Bytes of the route's answer; with `until`, asked again while it is not 200."""
    while True:
        client.request("GET", path, headers={"Host": snapshots.scale_host()})
        response = client.getresponse()
        length = len(response.read())
        if response.status == 200:
            return length
        if time.monotonic() > until:
            raise StartFailed(f"GET {path} answers {response.status}")
        time.sleep(0.01)


def _edited_path(snapshot: Snapshot) -> str:
    """A request path of the route that `one_edit` edits."""
    unit = codec.decode_unit(snapshot.units[snapshots.edited_unit(snapshot)])
    assert isinstance(unit, RoutesUnit)
    match = unit.routes[0].match
    assert isinstance(match, RestSegments)
    return match.path.replace("{thingId}", "7")


def _worker_bytes(supervisor: int) -> int:
    """The largest process below the supervisor."""
    below = [pid for pid in cpu.tree(supervisor) if pid != supervisor]
    return max((cpu.resident_bytes(pid) for pid in below), default=0)
