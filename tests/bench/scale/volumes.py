"""What ten thousand Routes cost: memory, starts, status writes, and `kubectl wait` on all of them.

Scenarios of `make bench-scale`, in the large world. Every wait has a bound; what takes longer is
a row without a value.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from portico_processes import DidNotHappen, wait_until
from route_watch import RouteWatch
from scale.bed import NAMESPACE, PATIENCE_S, PODS, Bed
from scale.edits import PAUSE_S
from scale.measures import Row, slope
from scale.sizes import Size
from scale.world import PART, PARTS

QUIET_S = 5.0
"""So long nobody may write after a scale-up; a late write is one all the same."""
SAMPLES = 50
_MB = 1e6


def applied(bed: Bed, size: Size) -> list[Row]:
    """All of them applied, then `kubectl wait` for all of them; from the last write's answer.

    Several at once, each for its part: kubectl looks at one object after the other, and spends a
    tenth of a second on each whatever its state, because so often its informer looks whether its
    cache is filled (client-go's WaitForCacheSync). One alone would take 17 minutes for 10,000.
    """
    answered = bed.world.populate(size.many)
    total = size.many.total
    costs = bed.costs()
    row = Row(f"kubectl wait ({PARTS} at once) on {total:,} applied Routes", 90, "s")
    watching = RouteWatch(bed.plane, NAMESPACE)
    try:
        with ThreadPoolExecutor(PARTS) as pool:
            said = [pool.submit(_kubectl_wait, bed, part) for part in range(PARTS)]
            told = watching.until(lambda: len(watching.programmed) >= total, PATIENCE_S)
            programmed = time.monotonic() - answered
            met = sum(each.result() for each in said)
        elapsed = time.monotonic() - answered
    finally:
        watching.close()
    row.samples = met
    row.detail = {"operator_cpu_s": costs.each(1)["operator_cpu_ms"] / 1e3}
    if told:
        row.detail["all_programmed_s"] = programmed
    if met == total:
        row.value = elapsed
    else:
        row.note = f"{met:,} of {total:,} after {elapsed:.0f} s"
    return [row]


def _kubectl_wait(bed: Bed, part: int) -> int:
    """How many Routes of this part it says have met the condition."""
    arguments = ("wait", "--for=condition=Programmed", "routes.portico.dev", "-n", NAMESPACE)
    limit = ("-l", f"{PART}={part}", "--timeout=180s")
    return bed.plane.kubectl(*arguments, *limit, check=False).stdout.count("condition met")


def memory(bed: Bed, size: Size) -> list[Row]:
    """Of the operator, when the large world has come to rest."""
    shape = size.ensure_many(bed)
    bed.settle()
    row = Row(f"operator memory, {shape.total:,} Routes", 400, "MB")
    row.value = bed.operator.peak_bytes() / _MB
    pods = max(pod.resident_bytes() for pod in bed.pods())
    row.detail = {"resident_mb": bed.operator.resident_bytes() / _MB, "worker_mb": pods / _MB}
    row.note = "the value is the peak"
    return [row]


def flat(bed: Bed, size: Size) -> list[Row]:
    """The same over thousands of edits: megabytes that a thousand of them add.

    As many edits again come before: they fill the holes and the spare room of a heap that has
    only held a world so far, in steps (30 MB over 14,000 edits, then 0.05 MB per 1,000 up to
    30,000). What goes on growing after them is a leak.
    """
    shape = size.ensure_many(bed)
    bed.settle()
    edits = size.memory_edits
    points: list[tuple[float, float]] = []
    began = time.monotonic()
    for number in range(2 * edits):
        bed.world.edit(number % shape.apis, number * 7 % shape.routes)
        if number % max(1, edits // SAMPLES) == 0:
            points.append((number / 1000, bed.operator.resident_bytes() / _MB))
    seconds = time.monotonic() - began
    bed.settle()
    points.append((2 * edits / 1000, bed.operator.resident_bytes() / _MB))
    first, later = points[:SAMPLES], points[SAMPLES:]
    row = Row(f"operator memory over {edits:,} edits, MB per 1,000", 1.0, "MB")
    row.value, row.samples = slope(later), len(later)
    row.detail = {
        "before_mb": first[0][1],
        "first_mb": later[0][1],
        "last_mb": later[-1][1],
        "edits_per_s": 2 * edits / seconds,
    }
    row.note = f"after {edits:,} edits that fill the heap's holes"
    return [row]


def starts(bed: Bed, size: Size) -> list[Row]:
    """An operator that starts, and a pod that connects: from the process's start to serving."""
    shape = size.ensure_many(bed)
    return [_operator_start(bed, shape.total), _pod_start(bed, shape.total)]


def _operator_start(bed: Bed, total: int) -> Row:
    """With pods that have nothing, so that all of it has to travel."""
    row = Row(f"operator start to all served, {total:,} Routes", 15, "s")
    bed.operator.end()
    bed.fleet.operators.remove(bed.operator)
    for pod in bed.pods():
        pod.kill()
    for name in PODS:
        bed.forget(name)
        bed.start_pod(name).saw("listening")
    bed.start_operator()
    try:
        bed.served()
        row.value = time.monotonic() - bed.operator.started
    except DidNotHappen as why:
        row.note = str(why)
    row.detail = {
        "operator_cpu_s": bed.operator.cpu_seconds(),
        "pod_cpu_s": max(pod.cpu_seconds() for pod in bed.pods()),
    }
    bed.fleet.ready(*PODS)
    return row


def _pod_start(bed: Bed, total: int) -> Row:
    row = Row(f"data plane start to serving, {total:,} Routes", 3, "s")
    bed.settle()
    questions = bed.world.samples(20)
    pod = bed.start_pod("pod-late")
    try:
        wait_until(lambda: pod.is_ready, "the pod to be ready", PATIENCE_S)
        assert all(pod.get(host, path)[0] == 200 for host, path in questions)
        row.value = time.monotonic() - pod.started
        row.detail = {"cpu_s": pod.cpu_seconds(), "worker_mb": pod.resident_bytes() / _MB}
    except DidNotHappen as why:
        row.note = str(why)
    pod.end()
    bed.forget("pod-late")
    return row


def status_writes(bed: Bed, size: Size) -> list[Row]:
    """How often the status of a Route is written for one edit, its own and its neighbours'."""
    shape = size.ensure_many(bed)
    bed.settle()
    row = Row("status writes per Route and edit (most)", 1, "writes")
    watching = RouteWatch(bed.plane, NAMESPACE)
    try:
        chosen = [(n % shape.apis, n // shape.apis) for n in range(size.edits)]
        for api, number in chosen:
            bed.world.edit(api, number)
            time.sleep(PAUSE_S)
        names = {bed.world.route_name(*place) for place in chosen}
        complete = watching.until(lambda: names <= watching.statuses.keys(), PATIENCE_S)
        time.sleep(QUIET_S)
    finally:
        watching.close()
    others = sum(count for name, count in watching.statuses.items() if name not in names)
    row.samples = len(names)
    row.detail = {"in_all": sum(watching.statuses.values()), "of_others": others}
    if not complete:
        row.note = f"only {len(watching.statuses)} of {len(names)} were written"
    else:
        row.value = max(watching.statuses.values()) + (others > 0)
    return [row]


def scale_up(bed: Bed, size: Size) -> list[Row]:
    """Another pod: nothing about any Route has changed."""
    size.ensure_many(bed)
    bed.settle()
    row = Row("writes on Routes at a scale-up of the data plane", 0, "writes")
    watching = RouteWatch(bed.plane, NAMESPACE)
    try:
        bed.start_pod("pod-more")
        bed.fleet.ready(*PODS, "pod-more")
        time.sleep(QUIET_S)
        row.value = sum(watching.statuses.values())
    finally:
        watching.close()
        bed.fleet.enlist(*PODS)
        bed.fleet.pods["pod-more"].end()
        bed.forget("pod-more")
    return [row]
