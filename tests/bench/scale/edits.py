"""How long an edit takes until all pods serve it: in small and large worlds, and under churn.

Scenarios of `make bench-scale`. t0 is the API server's answer to the write. Between two edits is
a pause, as between two edits of people, or of the next in a queue of machines.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator

from portico_processes import OperatorProcess
from scale.bed import PODS, Bed
from scale.measures import Row, timed
from scale.probe import Probe
from scale.sizes import Size
from scale.world import Shape

PAUSE_S = 0.05
CHURN_PER_S = 20
CHURN_SAMPLES = 3
"""Times as many as of other rows: of a hundred the p99 is the second worst, and under churn chance
has more to say."""


def empty(bed: Bed, size: Size) -> list[Row]:
    """One API with one Route."""
    bed.world.populate(Shape(1, 1))
    return [_propagation(bed, "an edit, empty cluster", 100, size.edits)]


def one_api(bed: Bed, size: Size) -> list[Row]:
    """One API with many Routes."""
    shape = size.one_api
    bed.world.populate(shape)
    return [_propagation(bed, f"an edit, one API × {shape.routes:,}", 250, size.edits)]


def many_apis(bed: Bed, size: Size) -> list[Row]:
    """Many APIs with many Routes each."""
    shape = size.ensure_many(bed)
    name = f"an edit, {shape.apis} APIs × {shape.routes}"
    return [_propagation(bed, name, 250, size.edits)]


def churn(bed: Bed, size: Size) -> list[Row]:
    """The same, while others edit, too."""
    size.ensure_many(bed)
    with churning(bed, CHURN_PER_S) as made:
        name = f"an edit, under churn of {CHURN_PER_S} edits/s"
        row = _propagation(bed, name, 300, CHURN_SAMPLES * size.edits)
    row.detail["churn_per_s"] = made()
    return [row]


def second_operator(bed: Bed, size: Size) -> list[Row]:
    """The same, while another replica starts, lists the world and takes over streams."""
    size.ensure_many(bed)
    bed.settle()
    seconds: list[float] = []
    starts = 0
    costs = bed.costs()
    with bed.probe() as probe:
        while len(seconds) < size.edits:
            starts += 1
            second = bed.fleet.operator("two", port=bed.second_port)
            try:
                while not _has_taken_over(second):
                    seconds.append(_edit(bed, probe))
                for _ in range(3):
                    seconds.append(_edit(bed, probe))
            finally:
                second.end()
                bed.fleet.operators.remove(second)
    row = timed("an edit, while a second operator starts", 300, seconds, costs.each(len(seconds)))
    row.detail["starts"] = starts
    return [row]


def _has_taken_over(second: OperatorProcess) -> bool:
    """Pods have a stream to it, too."""
    return len(second.logged("pod connected")) >= len(PODS)


def _propagation(bed: Bed, name: str, goal_ms: float, edits: int) -> Row:
    bed.served()
    bed.settle()
    with bed.probe() as probe:
        # The first two pay for what is made once: connections, code that was never run.
        for _ in range(2):
            _edit(bed, probe)
        costs = bed.costs()
        seconds = [_edit(bed, probe) for _ in range(edits)]
    return timed(name, goal_ms, seconds, costs.each(edits))


def _edit(bed: Bed, probe: Probe) -> float:
    """One, somewhere; seconds until it serves on every pod."""
    shape = bed.world.shape
    time.sleep(PAUSE_S * random.uniform(0.5, 1.5))
    host, path, answered = bed.world.edit(
        random.randrange(shape.apis), random.randrange(shape.routes)
    )
    return probe.served(host, path, answered)


@contextlib.contextmanager
def churning(bed: Bed, per_second: float) -> Iterator[Callable[[], float]]:
    """Edits elsewhere, so many a second; gives how many a second they have been."""
    over = threading.Event()
    began = time.monotonic()
    done = 0

    def churn() -> None:
        nonlocal done
        shape = bed.world.shape
        while not over.wait(max(0.0, began + done / per_second - time.monotonic())):
            bed.world.retarget(random.randrange(shape.apis), random.randrange(shape.routes))
            done += 1

    thread = threading.Thread(target=churn, name="churn", daemon=True)
    thread.start()
    try:
        yield lambda: done / (time.monotonic() - began)
    finally:
        over.set()
        thread.join()
