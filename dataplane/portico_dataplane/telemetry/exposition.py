"""The text a Prometheus server scrapes: one collector over the numbers of all workers.

Called by the admin port with a `Scrape`, in a thread (10,000 label sets are 400,000 lines).
Names follow Prometheus: base units, `_total` for counters. Numbers by route are families of
their own, so that a sum over a stage's family counts each request once.
"""

from __future__ import annotations

import gzip
import platform
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from portico_dataplane.telemetry.meters import LATENCY_BOUNDS_MS, Series, read
from portico_dataplane.telemetry.readings import (
    CONNECTIONS,
    HANDSHAKES,
    PREFACES,
    SHED,
    ProcessReading,
    Scrape,
)

_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"
_LE: Final = (*(repr(bound / 1000) for bound in LATENCY_BOUNDS_MS), "+Inf")
_CODES: Final = ("aborted", *(f"{digit}xx" for digit in range(1, 10)))
_ALWAYS: Final = frozenset({"2xx", "4xx", "5xx"})
"""Shown at 0 too: a rate needs a first sample before the first error."""

_GAUGES: Final = {
    "requests_in_flight": "Requests that have begun and not ended.",
    "client_connections": "Open connections from clients.",
    "tls_connections": "Those of them that came through a TLS handshake.",
    "tls_handshakes_in_progress": "Connections whose TLS handshake is not over.",
    "workers_ready": "Worker processes that serve.",
    "workers": "Worker processes that should serve.",
}
_COUNTERS: Final = {
    "log_lines": "Access log lines written.",
    "log_lines_dropped": "Access log lines dropped because their reader was too slow.",
    "worker_restarts": "Worker processes replaced after they died.",
    "config_reloads": "Snapshots taken over.",
    "config_reload_failures": "Snapshots that could not be read; the last good one served on.",
}

_LABELLED: Final = {
    HANDSHAKES: ("result", "TLS handshakes: completed, or why they failed."),
    PREFACES: ("cause", "Connections without a PROXY header from a trusted address."),
    CONNECTIONS: ("cause", "Connections turned away: too many of one client, or in total."),
    SHED: ("cause", "Requests answered 503 because the worker, or a share of it, is full."),
}


class Exposition(NamedTuple):
    """An answer to a scrape."""

    body: bytes
    content_type: str
    gzipped: bool


def render(scrape: Scrape, accept: str, accept_encoding: str) -> Exposition:
    """Prometheus text or OpenMetrics, as `Accept` asks; gzip where it is taken."""
    openmetrics = _weight(accept, "application/openmetrics-text")
    # Ours to decide: prometheus_client raises for some values and echoes others.
    wanted = openmetrics > 0 and openmetrics >= _weight(accept, "text/plain")
    encode, content_type = choose_encoder(_OPENMETRICS if wanted else "")
    body = encode(ScrapeCollector(scrape))
    gzipped = _weight(accept_encoding, "gzip") > 0
    return Exposition(gzip.compress(body, 4) if gzipped else body, content_type, gzipped)


def _weight(header: str, name: str) -> float:
    """How much an Accept or Accept-Encoding wants `name` (RFC 9110 §12.4.2); 0: not at all."""
    for part in header.split(","):
        value, *parameters = part.split(";")
        if value.strip().lower() != name:
            continue
        for parameter in parameters:
            key, _, weight = parameter.strip().partition("=")
            if key.lower() == "q":
                return float(weight) if re.fullmatch(r"[01](\.[0-9]{0,3})?", weight) else 0.0
        return 1.0
    return 0.0


class ScrapeCollector(Collector):
    """One scrape as prometheus_client's metric families."""

    def __init__(self, scrape: Scrape) -> None:
        self._scrape = scrape

    def collect(self) -> Iterable[Metric]:
        """Every family, each once."""
        scrape = self._scrape
        stages = {labels: cells for labels, cells in scrape.series.items() if not labels[4]}
        routes = {labels: cells for labels, cells in scrape.series.items() if labels[4]}
        yield from _requests("portico", stages, ("namespace", "api", "kind", "stage"))
        if routes:
            names = ("namespace", "api", "kind", "stage", "route")
            yield from _requests("portico_route", routes, names)
        yield from _gauges(scrape.gauges)
        for name, help_text in _COUNTERS.items():
            if name in scrape.counters:
                yield CounterMetricFamily(f"portico_{name}", help_text, scrape.counters[name])
        yield from _labelled(scrape.counters)
        yield from _expiries(scrape.expiries)
        yield from _config(scrape)
        yield from _processes(scrape.processes)


def _requests(prefix: str, series: Series, names: tuple[str, ...]) -> Iterator[Metric]:
    requests = Metric(f"{prefix}_requests", "Requests by class of their status.", "counter")
    total = Metric(
        f"{prefix}_request_duration_seconds",
        "Head received to last byte of the answer sent (AWS Latency).",
        "histogram",
    )
    integration = Metric(
        f"{prefix}_integration_duration_seconds",
        "Request sent to the backend to its response head (AWS IntegrationLatency).",
        "histogram",
    )
    sent = Metric(f"{prefix}_response_bytes", "Bytes of response bodies sent.", "counter")
    for values, cells in sorted(series.items()):
        labels = dict(zip(names, values, strict=False))
        reading = read(cells)
        for code, count in zip(_CODES, reading.by_class, strict=True):
            if count or code in _ALWAYS:
                requests.add_sample(f"{prefix}_requests_total", {**labels, "code": code}, count)
        _histogram(total, labels, reading.latency, reading.latency_sum)
        _histogram(integration, labels, reading.integration, reading.integration_sum)
        sent.add_sample(f"{prefix}_response_bytes_total", labels, reading.sent)
    yield from (requests, total, integration, sent)


def _histogram(
    family: Metric, labels: dict[str, str], buckets: tuple[float, ...], total: float
) -> None:
    for le, count in zip(_LE, buckets, strict=True):
        family.add_sample(f"{family.name}_bucket", {**labels, "le": le}, count)
    family.add_sample(f"{family.name}_count", labels, buckets[-1])
    family.add_sample(f"{family.name}_sum", labels, total)


def _gauges(gauges: dict[str, float]) -> Iterator[Metric]:
    upstream = GaugeMetricFamily(
        "portico_upstream_connections", "Open connections to backends.", labels=("state",)
    )
    for name, value in sorted(gauges.items()):
        if name.startswith("upstream_connections_"):
            upstream.add_metric((name.removeprefix("upstream_connections_"),), value)
        else:
            help_text = _GAUGES.get(name, name.replace("_", " ").capitalize() + ".")
            safe = re.sub(r"[^a-zA-Z0-9_]", "_", name)
            yield GaugeMetricFamily(f"portico_{safe}", help_text, value)
    if upstream.samples:
        yield upstream


def _labelled(counters: dict[str, float]) -> Iterator[Metric]:
    """Counters whose names end in the value of a label."""
    for family, (label, help_text) in _LABELLED.items():
        metric = CounterMetricFamily(f"portico_{family}", help_text, labels=(label,))
        for name, value in sorted(counters.items()):
            if name.startswith(f"{family}."):
                metric.add_metric((name.partition(".")[2],), value)
        if metric.samples:
            yield metric


def _expiries(expiries: dict[str, float]) -> Iterator[Metric]:
    if not expiries:
        return
    metric = GaugeMetricFamily(
        "portico_certificate_expiry_timestamp_seconds",
        "When the certificate of a DomainName ends, Unix time.",
        labels=("namespace", "domain"),
    )
    for domain, at in sorted(expiries.items()):
        namespace, _, name = domain.partition("/")
        metric.add_metric((namespace, name), at)
    yield metric


def _config(scrape: Scrape) -> Iterator[Metric]:
    config = scrape.config
    info = InfoMetricFamily(
        "portico_config",
        "Configuration that serves; two while a change spreads over workers.",
        labels=(),
    )
    for digest in config.digests:
        info.add_metric((), {"digest": digest})
    yield info
    yield GaugeMetricFamily(
        "portico_config_refused_units",
        "Units that serve in their previous version because the new one was refused.",
        config.refused_units,
    )
    if config.loaded_at:
        yield GaugeMetricFamily(
            "portico_config_last_success_timestamp_seconds",
            "When every worker had last taken over a configuration.",
            config.loaded_at,
        )
        yield GaugeMetricFamily(
            "portico_config_age_seconds",
            "Time since then.",
            max(0.0, scrape.now - config.loaded_at),
        )


def _processes(processes: dict[str, ProcessReading]) -> Iterator[Metric]:
    by_process = ("process",)
    cpu = CounterMetricFamily(
        "process_cpu_seconds", "User and system CPU time spent.", labels=by_process
    )
    resident = GaugeMetricFamily(
        "process_resident_memory_bytes", "Resident memory size.", labels=by_process
    )
    fds = GaugeMetricFamily("process_open_fds", "Open file descriptors.", labels=by_process)
    started = GaugeMetricFamily(
        "process_start_time_seconds", "Start of the process, Unix time.", labels=by_process
    )
    lag = GaugeMetricFamily(
        "portico_event_loop_lag_seconds",
        "Longest wait of a due callback in the last seconds.",
        labels=by_process,
    )
    collections = CounterMetricFamily(
        "python_gc_collections",
        "Runs of the garbage collector.",
        labels=("process", "generation"),
    )
    for name, process in sorted(processes.items()):
        cpu.add_metric((name,), process.cpu_seconds)
        resident.add_metric((name,), process.resident_bytes)
        fds.add_metric((name,), process.open_fds)
        started.add_metric((name,), process.started_at)
        lag.add_metric((name,), process.loop_lag_s)
        for generation, count in enumerate(process.gc_collections):
            collections.add_metric((name, str(generation)), count)
    yield from (cpu, resident, fds, started, lag, collections)
    yield InfoMetricFamily(
        "python",
        "The interpreter.",
        {"implementation": platform.python_implementation(), "version": platform.python_version()},
    )
