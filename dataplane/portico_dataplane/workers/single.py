"""The admin port's view of a gateway that runs in this process, without supervisor or workers.

Made by `portico dev`, which tells it what became of each configuration. Promises: the same
probes, metrics and `/config` as the supervisor's, under the same names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from portico_dataplane.admin import ConfigView, WorkerView
from portico_dataplane.telemetry.access_log import BatchedLines
from portico_dataplane.telemetry.expiry import Expiries
from portico_dataplane.telemetry.loop_lag import LoopLag
from portico_dataplane.telemetry.meters import StageMeters
from portico_dataplane.telemetry.readings import ConfigReading, Scrape, engine_gauges, take_process
from portico_ir.model import EndpointSet, Snapshot


class SingleProcess:
    """Implements `admin.AdminSource`."""

    def __init__(
        self,
        gauges: Callable[[], dict[str, float]],
        meters: StageMeters,
        lines: BatchedLines,
        flush: Callable[[str], object],
        counters: Callable[[], dict[str, float]] = dict,
    ) -> None:
        self._gauges = gauges
        self._counters = counters
        self._expiries = Expiries()
        self._flush = flush
        self._meters = meters
        self._lines = lines
        self._lag = LoopLag()
        self._snapshot: Snapshot | None = None
        self._digest = ""
        self._refused: Mapping[str, str] = {}
        self._loaded_at = 0.0
        self._reloads = 0
        self._failures = 0
        self._draining = False

    def start(self) -> None:
        """Begin measuring the running loop."""
        self._lag.start()

    def stop(self) -> None:
        """End measuring."""
        self._lag.stop()

    def applied(self, snapshot: Snapshot, digest: str, refused: Mapping[str, str]) -> None:
        """This configuration serves now."""
        self._snapshot, self._digest, self._refused = snapshot, digest, refused
        self._loaded_at = time.time()
        self._reloads += 1

    def endpoints(self, endpoints: EndpointSet) -> None:
        """Addresses changed."""
        if self._snapshot is not None:
            self._snapshot = replace(self._snapshot, endpoints=endpoints)

    def reload_failed(self) -> None:
        """A configuration could not be read; the last good one serves on."""
        self._failures += 1

    def draining(self) -> None:
        """The end is near: no longer ready."""
        self._draining = True

    # admin.AdminSource

    def unready(self) -> str:
        """Why traffic should go elsewhere; empty: ready."""
        if self._draining:
            return "draining"
        return "" if self._digest else "no configuration serves yet"

    async def scrape(self) -> Scrape:
        """Numbers of this moment."""
        return Scrape(
            series=self._meters.snapshot(),
            gauges={
                **engine_gauges(self._gauges()),
                "workers": 1,
                "workers_ready": int(bool(self._digest)),
            },
            counters={
                "log_lines": self._lines.written,
                "log_lines_dropped": self._lines.dropped,
                "worker_restarts": 0,
                "config_reloads": self._reloads,
                "config_reload_failures": self._failures,
                **self._counters(),
            },
            expiries=await self._expiries.read(self._snapshot),
            processes={"worker-0": take_process(self._lag.longest_s())},
            config=ConfigReading(
                digests=(self._digest,) if self._digest else (),
                loaded_at=self._loaded_at,
                refused_units=len(self._refused),
            ),
            now=time.time(),
        )

    def config(self) -> ConfigView:
        """Configuration of this moment."""
        worker = WorkerView(
            name="worker-0",
            pid=None,
            serves=bool(self._digest),
            digest=self._digest,
            refused=dict(self._refused),
        )
        return ConfigView(
            digest=self._digest,
            loaded_at=self._loaded_at,
            snapshot=self._snapshot,
            workers=(worker,),
        )

    def flush(self, authorizer: str) -> None:
        """Forget what an authorizer has answered."""
        self._flush(authorizer)
