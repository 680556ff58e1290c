"""Metrics: what is counted can be read."""

from __future__ import annotations

from portico_operator.metrics import Metrics


def test_everything_is_in_the_exposition() -> None:
    metrics = Metrics()
    metrics.compiled(0.02, 7)
    metrics.blocked(True)
    metrics.failed()
    metrics.propagated("portico", 0.04)
    metrics.status_written(True)
    metrics.status_written(False)
    metrics.watch("portico_example", "An example.", lambda: 5.0)
    text = metrics.exposition().decode()
    for line in (
        "portico_objects 7.0",
        "portico_compile_blocked 1.0",
        "portico_compile_failures_total 1.0",
        'portico_propagation_seconds_bucket{le="0.05",portico_class="portico"} 1.0',
        'portico_status_writes_total{outcome="failed"} 1.0',
        "portico_example 5.0",
    ):
        assert line in text


def test_two_operators_in_one_process_do_not_meet() -> None:
    Metrics()
    Metrics()
