"""What a scrape shows is what Prometheus reads: checked with its own parsers."""

from __future__ import annotations

import gzip
from collections.abc import Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from portico_dataplane.telemetry.exposition import render
from portico_dataplane.telemetry.meters import StageMeters
from portico_dataplane.telemetry.readings import ConfigReading, ProcessReading, Scrape

OPENMETRICS = "application/openmetrics-text; version=1.0.0,text/plain;q=0.5"


def scrape() -> Scrape:
    meters = StageMeters()
    stage = meters.meter("default", "petstore", "rest", "$default", "")
    route = meters.meter("default", "petstore", "rest", "$default", 'GET /"odd"\\{x}')
    for status in (200, 200, 404, 0):
        stage.record(status, 3.0, 2.0 if status == 200 else -1.0, 50)
    route.record(200, 3.0, 2.0, 50)
    return Scrape(
        series=meters.snapshot(),
        gauges={
            "requests_in_flight": 3,
            "upstream_connections_idle": 2,
            "upstream_connections_active": 1,
            "client_connections": 4,
            "workers": 2,
            "workers_ready": 1,
            "something new": 7,
        },
        counters={
            "log_lines": 10,
            "log_lines_dropped": 1,
            "worker_restarts": 2,
            "tls_handshakes.completed": 5,
            "tls_handshakes.timeout": 6,
            "proxy_protocol_refused.missing": 8,
            "connections_refused.client": 9,
            "requests_shed.api": 0,
        },
        expiries={"default/shop": 2e9},
        processes={
            "supervisor": ProcessReading(cpu_seconds=1.5, open_fds=9),
            "worker-0": ProcessReading(resident_bytes=1000, gc_collections=(3, 2, 1)),
        },
        config=ConfigReading(digests=("ab" * 32,), loaded_at=1000.0, refused_units=1),
        now=1030.0,
    )


def samples(accept: str = "") -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    body = render(scrape(), accept, "").body.decode()
    families: Iterable[Metric] = parse_openmetrics(body) if accept else parse_text(body)  # type: ignore[no-untyped-call]
    found = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} is shown twice"
            found[key] = sample.value
    return found


STAGE = {"namespace": "default", "api": "petstore", "kind": "rest", "stage": "$default"}
ROUTE = {**STAGE, "route": 'GET /"odd"\\{x}'}


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("portico_requests_total", {**STAGE, "code": "2xx"}, 2),
        ("portico_requests_total", {**STAGE, "code": "4xx"}, 1),
        ("portico_requests_total", {**STAGE, "code": "5xx"}, 0),
        ("portico_requests_total", {**STAGE, "code": "aborted"}, 1),
        ("portico_request_duration_seconds_bucket", {**STAGE, "le": "0.0025"}, 0),
        ("portico_request_duration_seconds_bucket", {**STAGE, "le": "0.005"}, 4),
        ("portico_request_duration_seconds_count", STAGE, 4),
        ("portico_request_duration_seconds_sum", STAGE, 0.012),
        ("portico_integration_duration_seconds_count", STAGE, 2),
        ("portico_response_bytes_total", STAGE, 200),
        ("portico_route_requests_total", {**ROUTE, "code": "2xx"}, 1),
        ("portico_route_request_duration_seconds_count", ROUTE, 1),
        ("portico_requests_in_flight", {}, 3),
        ("portico_client_connections", {}, 4),
        ("portico_upstream_connections", {"state": "idle"}, 2),
        ("portico_upstream_connections", {"state": "active"}, 1),
        ("portico_something_new", {}, 7),
        ("portico_config_info", {"digest": "ab" * 32}, 1),
        ("portico_config_last_success_timestamp_seconds", {}, 1000),
        ("portico_config_age_seconds", {}, 30),
        ("portico_config_refused_units", {}, 1),
        ("portico_log_lines_dropped_total", {}, 1),
        ("portico_worker_restarts_total", {}, 2),
        ("portico_workers_ready", {}, 1),
        ("portico_tls_handshakes_total", {"result": "completed"}, 5),
        ("portico_tls_handshakes_total", {"result": "timeout"}, 6),
        ("portico_proxy_protocol_refused_total", {"cause": "missing"}, 8),
        ("portico_connections_refused_total", {"cause": "client"}, 9),
        ("portico_requests_shed_total", {"cause": "api"}, 0),
        (
            "portico_certificate_expiry_timestamp_seconds",
            {"namespace": "default", "domain": "shop"},
            2e9,
        ),
        ("process_cpu_seconds_total", {"process": "supervisor"}, 1.5),
        ("process_resident_memory_bytes", {"process": "worker-0"}, 1000),
        ("process_open_fds", {"process": "supervisor"}, 9),
        ("python_gc_collections_total", {"process": "worker-0", "generation": "1"}, 2),
    ],
)
def test_shows(accept: str, name: str, labels: dict[str, str], value: float) -> None:
    assert samples(accept)[name, frozenset(labels.items())] == pytest.approx(value)


def test_a_sum_over_the_stages_family_counts_each_request_once() -> None:
    total = sum(value for (name, _), value in samples().items() if name == "portico_requests_total")

    assert total == 4


def test_before_a_first_configuration_there_is_no_age() -> None:
    body = render(Scrape(), "", "").body.decode()

    assert "portico_config_age_seconds" not in body
    assert "portico_config_info{" not in body
    assert list(parse_text(body))


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text", "application/openmetrics-text"),
        ("application/openmetrics-text; version=x.y", "application/openmetrics-text"),
        ("application/openmetrics-text; version", "application/openmetrics-text"),
        ("application/openmetrics-text; q=0", "text/plain"),
        ("application/openmetrics-text; q=much", "text/plain"),
        ("application/openmetrics-text; q=0.5, text/plain", "text/plain"),
        ("application/openmetrics-text, text/plain; q=0.9", "application/openmetrics-text"),
        (";;;,,,", "text/plain"),
    ],
)
def test_the_format_is_what_accept_asks_for(accept: str, content_type: str) -> None:
    shown = render(scrape(), accept, "")

    assert shown.content_type.startswith(content_type)
    assert shown.body.endswith(b"# EOF\n") == ("openmetrics" in shown.content_type)


@pytest.mark.parametrize(
    ("accept_encoding", "gzipped"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("", False),
    ],
)
def test_gzip_where_it_is_taken(accept_encoding: str, gzipped: bool) -> None:
    shown = render(scrape(), "", accept_encoding)

    assert shown.gzipped == gzipped
    plain = gzip.decompress(shown.body) if gzipped else shown.body
    assert plain == render(scrape(), "", "").body
