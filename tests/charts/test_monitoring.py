"""The dashboard and the alerts ask for metrics and labels that exist, and for nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import yaml
from prometheus_client import Metric

from helm import CHART, ROOT, Release
from portico_dataplane.telemetry import exposition
from portico_dataplane.telemetry.meters import StageMeters
from portico_dataplane.telemetry.readings import ConfigReading, ProcessReading, Scrape
from portico_operator.metrics import Metrics

OF_PROMETHEUS = frozenset({"namespace", "pod", "job", "instance", "le", "process"})
"""Labels that a scrape adds, a histogram's own, and the one that tells both planes apart."""
FUNCTIONS = frozenset(
    {
        *("sum", "rate", "increase", "max", "min", "time", "topk", "absent"),
        *("histogram_quantile", "label_values"),
    }
)
APP = "operator/portico_operator/app.py"
OPERATORS = frozenset({"by", "and"})


def families() -> Iterator[Metric]:
    """Everything that a data plane and an operator export once they have done something."""
    meters = StageMeters()
    for route in ("", "GET /"):
        meters.meter("default", "petstore", "rest", "$default", route).record(200, 3.0, 2.0, 50)
    scrape = Scrape(
        series=meters.snapshot(),
        gauges={**dict.fromkeys(exposition._GAUGES, 1.0), "upstream_connections_idle": 1.0},
        counters={
            **dict.fromkeys(exposition._COUNTERS, 1.0),
            **{f"{family}.completed": 1.0 for family in exposition._LABELLED},
        },
        expiries={"default/shop": 2e9},
        processes={"supervisor": ProcessReading(gc_collections=(1,))},
        config=ConfigReading(digests=("ab",), loaded_at=1.0),
        now=2.0,
    )
    yield from exposition.ScrapeCollector(scrape).collect()
    operator = Metrics()
    operator.propagated("portico", 0.1)
    operator.compiled(0.1, 10)
    operator.status_written(succeeded=True)
    for name in re.findall(r'\bwatch\(\s*"(\w+)"', (ROOT / APP).read_text()):
        operator.watch(name, "Read from the app when asked for.", lambda: 1.0)
    yield from operator.registry.collect()


LABELS: dict[str, frozenset[str]] = {}
for _family in families():
    for _sample in _family.samples:
        LABELS[_sample.name] = LABELS.get(_sample.name, frozenset()) | set(_sample.labels)


class Query(NamedTuple):
    """One expression, and where it stands."""

    place: str
    expression: str


def dashboard() -> Iterator[Query]:
    for path in sorted((CHART / "dashboards").glob("*.json")):
        found = json.loads(path.read_text())
        for panel in found["panels"]:
            for target in panel.get("targets", ()):
                yield Query(f"{path.name}: {panel['title']}", target["expr"])
        for variable in found["templating"]["list"]:
            if variable["type"] == "query":
                # Grafana's function, whose last argument is a label.
                yield Query(f"{path.name}: ${variable['name']}", variable["definition"])


def alerts() -> Iterator[dict[str, Any]]:
    for path in sorted((CHART / "alerts").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def parts(expression: str) -> tuple[set[str], set[str]]:
    """Metrics and labels that an expression names."""
    labels: set[str] = set()
    text = re.sub(r'"[^"]*"', '""', expression.replace("ERROR_RATIO", "0.05"))
    for inside in re.findall(r"\{([^}]*)\}", text):
        labels.update(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", inside))
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    for inside in re.findall(r"\bby\s*\(([^)]*)\)", text):
        labels.update(name.strip() for name in inside.split(","))
    text = re.sub(r"\bby\s*\([^)]*\)", " ", text)
    if "label_values" in text:
        text, _, label = text.rpartition(",")
        labels.add(label.strip(" )"))
    names = set(re.findall(r"(?<![\w.])[a-zA-Z_][a-zA-Z0-9_]*", text))
    return names - FUNCTIONS - OPERATORS, labels


QUERIES = [*dashboard(), *(Query(rule["alert"], rule["expr"]) for rule in alerts())]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.place)
def test_queries_name_what_is_exported(query: Query) -> None:
    metrics, labels = parts(query.expression)
    assert metrics
    assert metrics <= LABELS.keys()
    known = OF_PROMETHEUS.union(*(LABELS[name] for name in metrics))
    assert labels <= known
    for opening, closing in ("()", "{}", "[]"):
        assert query.expression.count(opening) == query.expression.count(closing)


def test_a_query_that_names_something_else_would_be_seen() -> None:
    """The reading above finds what is wrong, and does not merely find nothing."""
    metrics, labels = parts('sum by (pot) (rate(portico_request_total{cod="5xx"}[5m])) > 0.05')
    assert metrics == {"portico_request_total"}
    assert labels == {"pot", "cod"}


def test_counters_are_asked_for_a_rate_and_gauges_are_not() -> None:
    for query in QUERIES:
        for function, name in re.findall(r"(\w+)\(([a-z_]+)(?:\{[^}]*\})?[\[)]", query.expression):
            if name in LABELS and function in {"rate", "increase"}:
                assert name.endswith(("_total", "_bucket", "_count", "_sum", "_denials")), query


@pytest.mark.parametrize("rule", list(alerts()), ids=lambda rule: rule["alert"])
def test_alerts_say_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description"}
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        metrics, grouped = parts(rule["expr"])
        own = OF_PROMETHEUS.union(*(LABELS[name] for name in metrics))
        by = re.search(r"\bby\s*\(", rule["expr"])
        assert label in (grouped if by else own), f"{label} is not in the result"


def test_panels_do_not_lie_on_each_other() -> None:
    for path in (CHART / "dashboards").glob("*.json"):
        taken: set[tuple[int, int]] = set()
        ids = [panel["id"] for panel in json.loads(path.read_text())["panels"]]
        assert len(ids) == len(set(ids))
        for panel in json.loads(path.read_text())["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not taken & cells, panel["title"]
            assert at["x"] + at["w"] <= 24
            taken |= cells


# --- as rendered ----------------------------------------------------------------------------

Render = Callable[[Release], list[dict[str, Any]]]
ON = Release(
    sets=(
        "metrics.serviceMonitor.enabled=true",
        "metrics.prometheusRule.enabled=true",
        "metrics.prometheusRule.errorRatio=0.02",
        "metrics.grafanaDashboard.enabled=true",
    )
)


def test_all_of_it_is_off_by_default(render: Render) -> None:
    rendered = render(Release())
    assert not [one for one in rendered if "monitoring.coreos.com" in one["apiVersion"]]
    assert not [one for one in rendered if "dashboard" in one["metadata"]["name"]]


def test_rules_are_rendered_as_they_are(render: Render) -> None:
    (found,) = [one for one in render(ON) if one["kind"] == "PrometheusRule"]
    rendered = [rule for group in found["spec"]["groups"] for rule in group["rules"]]
    expected = [{**rule, "expr": rule["expr"].replace("ERROR_RATIO", "0.02")} for rule in alerts()]
    assert rendered == expected
    assert "ERROR_RATIO" not in str(found)


def test_the_dashboard_is_rendered_as_it_is(render: Render) -> None:
    (found,) = [one for one in render(ON) if one["metadata"]["name"].endswith("-dashboard")]
    files = {path.name: path.read_text() for path in (CHART / "dashboards").glob("*.json")}
    assert {name: json.loads(text) for name, text in found["data"].items()} == {
        name: json.loads(text) for name, text in files.items()
    }


def test_monitors_choose_the_metrics_services_and_no_other(render: Render) -> None:
    rendered = render(ON)
    services = [one for one in rendered if one["kind"] == "Service"]
    monitors = [one for one in rendered if one["kind"] == "ServiceMonitor"]
    assert len(monitors) == 2
    chosen = []
    for monitor in monitors:
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [one for one in services if wanted <= one["metadata"]["labels"].items()]
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
        chosen.append(service["metadata"]["name"])
    assert chosen == ["portico-operator-metrics", "portico-dataplane-metrics"]
