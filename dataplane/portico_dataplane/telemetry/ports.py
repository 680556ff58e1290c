"""What the request path tells telemetry. Kept tiny because it is called for every request.

Implemented by `telemetry/meters.py` and `telemetry/access_log.py`; tests pass their own.
Meters live outside a Runtime, under names that survive a compile, so that counters do not
restart when configuration changes.
"""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """Counters of one (API, stage) or one (API, stage, route)."""

    def record(
        self, status: int, latency_ms: float, integration_latency_ms: float, sent: int
    ) -> None:
        """One finished request; `integration_latency_ms` < 0 when nothing was called."""
        ...


class Meters(Protocol):
    """Where meters come from; asked while building, never per request."""

    def meter(self, namespace: str, api: str, kind: str, stage: str, route: str) -> Meter:
        """The meter of these labels; `route` is empty for the stage's own. Those of the same
        labels count together. Beyond a bound of label sets, one that is labelled `other`."""
        ...


class LineSink(Protocol):
    """Where access log lines go; bounded, never blocks, counts what it drops."""

    def write(self, line: str) -> None:
        """Take one line without its newline."""
        ...
