"""The ledger: counters never go backwards, whatever becomes of workers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.telemetry.meters import CELLS, Labels
from portico_dataplane.telemetry.readings import (
    Ledger,
    ProcessReading,
    Readings,
    take_process,
)


def labels(api: str) -> Labels:
    return ("n", api, "rest", "s", "")


def readings(count: float, api: str = "a") -> Readings:
    cells = [0.0] * CELLS
    cells[2] = count
    return Readings(
        series={labels(api): cells},
        gauges={"requests_in_flight": 1},
        counters={"log_lines_dropped": count},
        process=ProcessReading(cpu_seconds=count, gc_collections=(1, 2, 3)),
    )


def test_workers_add_up() -> None:
    ledger = Ledger(100)
    ledger.report("worker-0", readings(3))
    ledger.report("worker-1", readings(4))

    assert ledger.series()[labels("a")][2] == 7
    assert ledger.counters() == {"log_lines_dropped": 7}
    assert ledger.gauges() == {"requests_in_flight": 2}


def test_newer_readings_of_a_worker_replace_older_ones() -> None:
    ledger = Ledger(100)
    ledger.report("worker-0", readings(3))
    ledger.report("worker-0", readings(5))

    assert ledger.series()[labels("a")][2] == 5


def test_a_replaced_worker_starts_from_its_predecessors_totals() -> None:
    ledger = Ledger(100)
    ledger.report("worker-0", readings(3))
    ledger.retire("worker-0")
    assert ledger.series()[labels("a")][2] == 3
    assert ledger.gauges() == {}
    assert ledger.processes() == {}
    ledger.report("worker-0", readings(1))

    assert ledger.series()[labels("a")][2] == 4
    assert ledger.counters() == {"log_lines_dropped": 4}
    assert ledger.processes()["worker-0"].cpu_seconds == 4
    assert ledger.processes()["worker-0"].gc_collections == (2, 4, 6)


def test_a_worker_that_died_before_it_said_anything_changes_nothing() -> None:
    ledger = Ledger(100)
    ledger.retire("worker-0")

    assert ledger.series() == {}


@given(st.lists(st.one_of(st.just(None), st.integers(0, 5))))
def test_counters_only_rise(steps: list[int | None]) -> None:
    """None: the worker dies; a number: it counted so many more."""
    ledger = Ledger(100)
    count = 0
    shown = 0.0
    for step in steps:
        if step is None:
            ledger.retire("worker-0")
            count = 0
        else:
            count += step
            ledger.report("worker-0", readings(count))
        now = ledger.counters().get("log_lines_dropped", 0.0)
        assert now >= shown
        shown = now


def test_series_of_dead_workers_are_bounded() -> None:
    ledger = Ledger(max_label_sets=5)
    for number in range(50):
        ledger.report("worker-0", readings(1, api=f"a{number}"))
        ledger.report("worker-1", readings(1, api="kept"))
        ledger.retire("worker-0")

    assert len(ledger.series()) <= 11
    assert labels("kept") in ledger.series()


def test_this_process_can_be_read() -> None:
    process = take_process(0.25)

    assert process.cpu_seconds > 0
    assert process.resident_bytes > 1_000_000
    assert process.open_fds >= 3
    assert process.started_at > 1_600_000_000
    assert len(process.gc_collections) == 3
    assert process.loop_lag_s == 0.25
