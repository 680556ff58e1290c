"""The benchmark's arithmetic and parsing, so that it cannot rot between runs."""

from __future__ import annotations

import os
from xml.etree import ElementTree

import pytest

from benchmark import cpu, full, load, openloop, page, report, snapshots
from benchmark.ratios import COMPILED, INTERPRETED, Bound, bounds, failed, judge, ratio
from benchmark.report import Results, Round, Scale, figures, summarise_case
from benchmark.sites import BODIES, CASES
from benchmark.systems import DEFAULT_SYSTEMS, REGISTRY
from portico_ir import codec, invariants
from portico_ir.model import RoutesUnit, Snapshot, Unit

WRK_LINE = (
    '@@{"requests":1000,"microseconds":2000000,"received":200000,"connect":0,"read":0,"write":0,'
    '"status":0,"timeout":0,"p50_us":90,"p99_us":400}'
)


def test_stat_line_with_spaces_and_parentheses_in_the_name() -> None:
    line = "42 (a (b) c) S 7 42 42 0 -1 0 1 2 3 4 100 20 30 4 20 0 1 0 99 0 0"
    assert cpu.parse_stat(line) == cpu.Stat(pid=42, parent=7, own=120, reaped=34)


def test_descent_takes_grandchildren_and_nobody_else() -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 20: 1}
    stats = {pid: cpu.Stat(pid, parent, 0, 0) for pid, parent in parents.items()}
    assert cpu.descent(10, stats) == [10, 11, 12]
    assert cpu.descent(99, stats) == []


def test_own_cpu_and_memory_are_read() -> None:
    assert os.getpid() in cpu.tree(os.getpid())
    assert cpu.cpu_seconds(os.getpid()) > 0
    assert cpu.resident_bytes(os.getpid()) > 1024 * 1024


def test_ratio_is_the_median_of_rounds_not_the_ratio_of_medians() -> None:
    ours = {0: 50.0, 1: 60.0, 2: 90.0}
    theirs = {0: 100.0, 1: 200.0, 2: 100.0}
    found = ratio(ours, theirs)
    assert found is not None
    assert found.per_round == [0.5, 0.3, 0.9]
    assert found.median == 0.5


def test_ratio_leaves_out_rounds_that_one_side_lacks() -> None:
    found = ratio({0: 1.0, 2: 3.0}, {1: 5.0, 2: 6.0})
    assert found is not None
    assert found.per_round == [0.5]
    assert ratio({0: 1.0}, {1: 1.0}) is None
    assert ratio({}, {}) is None


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [({"x": 0.6}, "hold"), ({"x": 0.61}, "miss"), ({}, "not measured")],
)
def test_a_bound_holds_up_to_its_limit(figures: dict[str, float], verdict: str) -> None:
    assert judge([Bound("x", "small", "x", 0.6)], figures)[0].verdict == verdict


def test_a_gate_that_was_asked_for_and_not_measured_fails_the_run() -> None:
    gate = Bound("x", "small", "x", 0.6, enforced=True)
    goal = Bound("x", "small", "x", 0.5)
    assert failed(judge([gate, goal], {"x": 0.55}), {"small"}) == []
    assert failed(judge([gate, goal], {"x": 0.7}), {"small"}) == [gate]
    assert failed(judge([gate, goal], {}), {"small"}) == [gate]
    assert failed(judge([gate, goal], {}), {"scale"}) == []


def test_wrk_summary() -> None:
    stretch = load.parse_wrk(f"Running 2s test\n  2 threads\n{WRK_LINE}\n")
    assert stretch.rate == 500
    assert stretch.fault(BODIES["small"]) == ""
    with pytest.raises(ValueError, match="no summary"):
        load.parse_wrk("unable to connect")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ('"read":0>"read":2', "socket errors"),
        ('"timeout":0>"timeout":1', "socket errors"),
        ('"status":0>"status":3', "3 answers were errors"),
        ('"requests":1000>"requests":0', "no request"),
        ('"received":200000>"received":5000', "shorter"),
    ],
)
def test_a_stretch_with_any_error_is_not_counted(change: str, fault: str) -> None:
    old, _, new = change.partition(">")
    stretch = load.parse_wrk(WRK_LINE.replace(old, new))
    assert fault in stretch.fault(BODIES["small"])


def test_invalid_rounds_are_left_out_of_medians_and_ratios() -> None:
    def entry(number: int, system: str, cpu_us: float, fault: str = "") -> report.Round:
        return report.Round(number, system, cpu_us, 1000, 3000, 1, 1, fault)

    case = report.Case(
        rounds=[
            entry(0, "portico", 50),
            entry(0, "envoy", 100),
            entry(1, "portico", 1, "socket errors"),
            entry(1, "envoy", 120),
            entry(2, "portico", 60),
            entry(2, "envoy", 100),
        ]
    )
    report.summarise_case(case, [("portico", "envoy"), ("portico", "haproxy")])
    assert case.cpu_us == {"portico": 55, "envoy": 100}
    assert case.ratios["portico/envoy"].per_round == [0.5, 0.6]
    assert "portico/haproxy" not in case.ratios


def test_added_latency_is_against_the_direct_one_of_the_same_round() -> None:
    def entry(number: int, system: str, p99: float) -> report.LatencyRound:
        measured = load.OpenLoop(1000, 3000, 0, 0, p99 / 2, p99, p99 * 2, 0)
        return report.LatencyRound(number, system, measured)

    rounds = [entry(0, "direct", 100), entry(0, "haproxy", 200), entry(0, "portico", 250)]
    rounds += [entry(1, "direct", 500), entry(1, "haproxy", 600), entry(1, "portico", 800)]
    latency = report.Latency(rate=1000, rounds=rounds)
    report.summarise_latency(latency, "direct", "portico", "haproxy")
    assert latency.added_p99_us == {"haproxy": 100, "portico": 225}
    assert latency.ratios["portico/haproxy"].per_round == [1.5, 3.0]


def test_percentiles() -> None:
    ordered = list(range(100))
    assert openloop.percentile(ordered, 0.99) == 99
    assert openloop.percentile(ordered, 0.5) == 50
    assert openloop.percentile(ordered, 1.0) == 99
    assert openloop.percentile([], 0.99) == 0


def test_bodies_are_as_documented() -> None:
    assert {name: len(body) for name, body in BODIES.items()} == {
        "small": 54,
        "10k": 10 * 1024,
        "1m": 1024 * 1024,
    }
    assert set(DEFAULT_SYSTEMS) <= set(REGISTRY)
    assert {bound.part for bound in bounds(INTERPRETED)} == {*CASES, "latency", "scale"}


def test_the_compiled_system_is_judged_where_there_is_one_and_the_other_is_listed() -> None:
    both = {"cpu small portico-compiled/envoy": 0.4, "cpu small portico/envoy": 0.7}
    assert failed(judge(bounds(COMPILED), both), {"small"}) == []
    assert [
        entry.verdict
        for entry in judge(bounds(COMPILED), both)
        if entry.bound.figure == "cpu small portico/envoy"
    ] == ["miss"]
    gates = failed(judge(bounds(INTERPRETED), both), {"small"})
    assert [gate.figure for gate in gates] == ["cpu small portico/envoy"]
    assert {COMPILED, INTERPRETED} <= set(DEFAULT_SYSTEMS)


def units_of(document: Snapshot) -> dict[str, Unit]:
    return {unit_id: codec.decode_unit(raw) for unit_id, raw in document.units.items()}


@pytest.mark.parametrize(
    ("document", "apis"),
    [(snapshots.many_apis(9000), 100), (snapshots.one_api(9000), 1)],
    ids=["100x100", "1x10000"],
)
def test_scale_snapshots_are_valid_and_an_edit_touches_one_unit(
    document: Snapshot, apis: int
) -> None:
    units = units_of(codec.decode_snapshot(codec.encode(document)))
    assert invariants.check(units) == []
    shards = [unit for unit in units.values() if isinstance(unit, RoutesUnit)]
    assert sum(len(shard.routes) for shard in shards) == 10_000
    assert len({shard.api for shard in shards}) == apis
    edited = snapshots.one_edit(document, 9000)
    before, after = document.manifest.units, edited.manifest.units
    assert [unit_id for unit_id in after if after[unit_id] != before[unit_id]] == [
        snapshots.edited_unit(document)
    ]
    assert invariants.check(units_of(edited)) == []


def test_plain_snapshot_is_valid() -> None:
    document = snapshots.plain(9000, BODIES)
    assert invariants.check(units_of(document)) == []


def test_the_full_chain_may_be_built_and_says_what_its_name_says() -> None:
    found = full.snapshot(9, "small")
    units = {unit_id: codec.decode_unit(raw) for unit_id, raw in found.units.items()}
    assert invariants.check(units) == []
    routes = [r for unit in units.values() if isinstance(unit, RoutesUnit) for r in unit.routes]
    assert len(routes) == len({full.path(n) for n in range(full.ROUTES)}) == 1000
    assert len({full.key(n) for n in range(full.KEYS)}) == 1000
    script = full.wrk_script("", "h")
    assert script.count("wrk.format(") == 1000
    assert len({n * 7 % full.KEYS for n in range(full.ROUTES)}) == 1000


def measured() -> Results:
    rounds = [
        Round(n, system, cost, 1e6 / cost, 1000, 100, 200)
        for n in range(3)
        for system, cost in (("envoy", 90.0), ("portico", 40.0 + n), ("a<b", 10.0))
    ]
    case = report.Case(rounds=[*rounds, Round(0, "broken", 1, 1, 1, 1, 1, fault="no")])
    summarise_case(case, [("portico", "envoy")])
    results = Results("now", {"cpu": "any"}, {"envoy": "1"}, {"rounds": "3"}, {"small": case})
    results.scale = {"1x10000": Scale(worker_mb=77.0, note="no time")}
    results.figures = figures(results)
    results.verdicts = judge(bounds("portico"), results.figures)
    return results


def test_the_page_tells_what_was_measured_and_what_was_missed() -> None:
    made = page.files(measured())
    assert made.keys() == {page.PAGE, "performance-small.svg"}
    text = made[page.PAGE]
    assert "| portico | 41.0 |" in text
    assert "| portico/envoy × | 0.46 | 0.44-0.47 |" in text
    assert "Without a valid round: broken." in text
    assert "| worker, MB resident | 77 |" in text
    assert "not measured" in text
    assert "performance-small.svg" in text


def test_a_plot_is_a_picture_with_a_bar_each() -> None:
    found = ElementTree.fromstring(page.plot("t & u", {"portico": 4.0, "a<b": 8.0}))
    space = "{http://www.w3.org/2000/svg}"
    bars = found.findall(f"{space}rect")
    assert [round(float(bar.get("width", 0)) / float(bars[0].get("width", 1))) for bar in bars] == [
        1,
        2,
    ]
    assert len({bar.get("fill") for bar in bars}) == 2
