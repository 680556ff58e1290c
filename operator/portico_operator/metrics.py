"""Metrics of the operator, for Prometheus.

Made by `app` with a registry of its own; the reconciler, status and delivery count into it.
Promises: no label takes a value that users choose, so the number of series is fixed.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

_PROPAGATION_BUCKETS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
_COMPILE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Counts of one operator; implements what reconciler and delivery call."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._propagation = Histogram(
            "portico_propagation_seconds",
            "From a change's event until every live data-plane pod has acknowledged it.",
            ["portico_class"],
            buckets=_PROPAGATION_BUCKETS,
            registry=registry,
        )
        self._compiles = Histogram(
            "portico_compile_seconds",
            "How long compiling took.",
            buckets=_COMPILE_BUCKETS,
            registry=registry,
        )
        self._objects = Gauge(
            "portico_objects", "Objects in the last compiled world.", registry=registry
        )
        self._blocked = Gauge(
            "portico_compile_blocked",
            "1 while a required kind is not served or not listed.",
            registry=registry,
        )
        self._failures = Counter(
            "portico_compile_failures", "Compiles that ended in a bug.", registry=registry
        )
        self._writes = Counter(
            "portico_status_writes", "Status writes by outcome.", ["outcome"], registry=registry
        )

    # --- reconciler.Measures ------------------------------------------------------------

    def compiled(self, seconds: float, objects: int) -> None:
        """A compile of so many objects."""
        self._compiles.observe(seconds)
        self._objects.set(objects)

    def blocked(self, is_blocked: bool) -> None:
        """Whether a kind that must be known is not."""
        self._blocked.set(is_blocked)

    def failed(self) -> None:
        """The compiler raised."""
        self._failures.inc()

    # --- delivery and status ------------------------------------------------------------

    def propagated(self, class_name: str, seconds: float) -> None:
        """Every live pod has acknowledged a change that was made so long ago."""
        self._propagation.labels(class_name).observe(seconds)

    def status_written(self, succeeded: bool) -> None:
        """A status write ended."""
        self._writes.labels("written" if succeeded else "failed").inc()

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A number that is read when asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)
