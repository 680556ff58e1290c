"""Slots count what was recorded, within a bound, and add up."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.holds import Token
from portico_dataplane.telemetry.meters import (
    CELLS,
    LATENCY_BOUNDS_MS,
    OTHER,
    StageMeter,
    StageMeters,
    merge,
    other,
    read,
)


def recorded(*requests: tuple[int, float, float, int]) -> StageMeters:
    meters = StageMeters()
    meter = meters.meter("default", "petstore", "rest", "prod", "")
    for request in requests:
        meter.record(*request)
    return meters


def test_a_request_is_counted_once_everywhere() -> None:
    ((labels, cells),) = recorded((201, 3.0, 2.0, 54)).snapshot().items()
    reading = read(cells)

    assert labels == ("default", "petstore", "rest", "prod", "")
    assert list(reading.by_class) == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert reading.latency[-1] == reading.integration[-1] == 1
    assert reading.latency_sum == pytest.approx(0.003)
    assert reading.integration_sum == pytest.approx(0.002)
    assert reading.sent == 54


def test_a_request_that_called_nothing_has_no_integration_latency() -> None:
    ((_, cells),) = recorded((403, 1.0, -1.0, 10)).snapshot().items()

    assert read(cells).integration[-1] == 0
    assert read(cells).integration_sum == 0


@pytest.mark.parametrize("status", [0, 100, 199, 204, 302, 404, 599, 600, 999])
def test_every_status_has_a_class(status: int) -> None:
    ((_, cells),) = recorded((status, 1.0, -1.0, 0)).snapshot().items()

    assert read(cells).by_class[status // 100] == 1


@given(st.lists(st.floats(min_value=0, max_value=100_000), min_size=1))
def test_buckets_are_cumulative_and_their_bounds_inclusive(latencies: list[float]) -> None:
    ((_, cells),) = recorded(*((200, value, value, 1) for value in latencies)).snapshot().items()
    reading = read(cells)

    for bound, count in zip(LATENCY_BOUNDS_MS, reading.latency, strict=False):
        assert count == sum(value <= bound for value in latencies)
    assert reading.latency[-1] == len(latencies)
    assert reading.integration == reading.latency


def test_the_same_labels_count_together() -> None:
    meters = StageMeters()
    for route in ("", "", "GET /"):
        meters.meter("n", "a", "rest", "s", route).record(200, 1, -1, 0)

    counted = {labels[4]: read(cells).by_class[2] for labels, cells in meters.snapshot().items()}
    assert counted == {"": 2, "GET /": 1}


def test_counters_outlive_the_runtime_that_counted() -> None:
    meters = StageMeters()
    meters.meter("n", "a", "rest", "s", "").record(200, 1, -1, 0)
    gc.collect()  # the Runtime that held the meter is gone
    meters.meter("n", "a", "rest", "s", "").record(200, 1, -1, 0)

    ((_, cells),) = meters.snapshot().items()
    assert read(cells).by_class[2] == 2


def test_label_sets_beyond_the_bound_are_other() -> None:
    meters = StageMeters(max_label_sets=3)
    held = [meters.meter("n", f"a{i}", "rest", "s", "") for i in range(10)]
    for meter in held:
        meter.record(200, 1, -1, 0)

    series = meters.snapshot()
    assert len(series) == 3
    assert read(series[other(by_route=False)]).by_class[2] == 8


def test_routes_do_not_crowd_out_stages() -> None:
    meters = StageMeters(max_label_sets=2)
    held = [meters.meter("n", "a", "rest", "s", f"GET /{i}") for i in range(10)]
    stage = meters.meter("n", "b", "rest", "s", "")
    stage.record(500, 1, -1, 0)

    assert ("n", "b", "rest", "s", "") in meters.snapshot()
    assert sum(labels[4] != "" for labels in meters.snapshot()) == 2
    for meter in held:
        meter.record(200, 1, -1, 0)
    assert read(meters.snapshot()[other(by_route=True)]).by_class[2] == 9


def test_series_nobody_counts_any_more_make_room() -> None:
    meters = StageMeters(max_label_sets=3)
    meters.meter("n", "deleted", "rest", "s", "").record(200, 1, -1, 0)
    kept = meters.meter("n", "kept", "rest", "s", "")
    gc.collect()
    new = meters.meter("n", "new", "rest", "s", "")
    new.record(200, 1, -1, 0)
    kept.record(200, 1, -1, 0)

    assert {labels[1] for labels in meters.snapshot()} == {"kept", "new"}


def test_other_is_never_given_up() -> None:
    meters = StageMeters(max_label_sets=1)
    meters.meter("n", "a", "rest", "s", "").record(200, 1, -1, 0)
    gc.collect()
    meters.meter("n", "b", "rest", "s", "").record(200, 1, -1, 0)

    assert read(meters.snapshot()[other(by_route=False)]).by_class[2] == 2
    assert OTHER in other(by_route=True)[4]


def test_a_snapshot_is_a_copy() -> None:
    meters = StageMeters()
    meter = meters.meter("n", "a", "rest", "s", "")
    before = meters.snapshot()
    meter.record(200, 1, -1, 0)

    assert read(before["n", "a", "rest", "s", ""]).by_class[2] == 0


requests = st.tuples(
    st.integers(0, 999),
    st.floats(0, 60_000, allow_nan=False).map(round),
    st.floats(-1, 60_000, allow_nan=False).map(round),
    st.integers(0, 10**9),
)


@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), requests))))
def test_merging_workers_is_counting_in_one(
    workers: list[list[tuple[str, tuple[int, int, int, int]]]],
) -> None:
    one = StageMeters()
    parts = []
    for worker in workers:
        meters = StageMeters()
        for api, request in worker:
            meters.meter("n", api, "http", "s", "").record(*request)
            one.meter("n", api, "http", "s", "").record(*request)
        parts.append(meters.snapshot())

    assert merge(parts) == one.snapshot()


def test_merging_leaves_its_parts_alone() -> None:
    part = recorded((200, 1, 1, 1)).snapshot()
    total = merge([part, part])

    assert next(iter(part.values()))[2] == 1
    assert next(iter(total.values()))[2] == 2
    assert next(iter(merge([part]).values())) is not next(iter(part.values()))


def test_recording_allocates_nothing_that_stays() -> None:
    meter = StageMeter([0] * CELLS, Token())
    meter.record(200, 1.5, 1.5, 54)

    assert not hasattr(meter, "__dict__")
