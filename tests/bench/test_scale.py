"""What `make bench-scale` makes of its numbers, and its probe against servers of this test."""

from __future__ import annotations

import http.server
import json
import math
import threading
import time
from collections.abc import Iterator

import pytest

import scale_run
from scale.measures import Row, as_json, markdown, percentile, slope, timed
from scale.probe import Asking, Probe
from scale.sizes import FULL


def test_percentiles_are_samples() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.50) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0
    assert math.isnan(percentile([], 0.99))


def test_a_slope_is_that_of_the_line() -> None:
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)
    assert slope([(0.0, 1.0), (1.0, 1.0)]) == 0.0
    assert slope([(0.0, 9.0)]) == 0.0


@pytest.mark.parametrize(
    ("row", "passed"),
    [
        (Row("a", 100, "ms", value=110), True),
        (Row("a", 100, "ms", value=110.2), False),
        (Row("a", 0, "failed", value=0), True),
        (Row("a", 0, "failed", value=1), False),
        (Row("a", 1, "writes", value=1.05), False),
        (Row("a", 100, "ms", note="it hung"), False),
    ],
)
def test_a_gate_is_a_goal_and_a_tenth_but_counts_have_none(row: Row, passed: bool) -> None:
    assert row.passed is passed


def test_the_slowest_hundredth_counts() -> None:
    row = timed("edit", 100, [0.010] * 98 + [0.090, 0.500], {})
    assert (row.p50, row.value, row.samples) == (10.0, 90.0, 100)
    assert row.detail["max_ms"] == 500.0
    assert not timed("edit", 100, [], {}).passed


def test_the_table_is_written_for_people_and_programs() -> None:
    rows = [Row("an edit", 100, "ms", value=42.0, p50=21.5, samples=9, detail={"max_ms": 50.5})]
    text = markdown(rows, {"processors": "2 × this"})
    assert "| an edit | 21.5 | 42 ms | 100 | pass | 9 | max_ms 50.5 |" in text
    assert "processors 2 × this" in text
    (entry,) = json.loads(as_json(rows, {}))["rows"]
    assert (entry["name"], entry["passed"], entry["gate"]) == ("an edit", True, pytest.approx(110))


def test_the_size_is_what_was_promised() -> None:
    assert FULL.many.total == 10_000
    assert FULL.one_api.total == 2_000
    assert FULL.edits >= 100


def test_scenarios_that_there_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        scale_run.arguments(["--only", "empty,nonsense"])
    assert ended.value.code == 2
    assert "not a scenario: nonsense" in capsys.readouterr().err
    assert scale_run.arguments(["--only", "empty", "--quick"]).only == ["empty"]


class Pod(http.server.BaseHTTPRequestHandler):
    """Refuses what its server does not serve yet."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        served: set[str] = getattr(self.server, "served", set())
        status = 200 if self.path in served else 403
        self.wfile.write(b"HTTP/1.1 %d x\r\nContent-Length: 2\r\n\r\nok" % status)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def pods() -> Iterator[list[http.server.ThreadingHTTPServer]]:
    made = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pod) for _ in range(2)]
    threads = [threading.Thread(target=pod.serve_forever, args=(0.01,)) for pod in made]
    for thread in threads:
        thread.start()
    yield made
    for pod, thread in zip(made, threads, strict=True):
        pod.shutdown()
        pod.server_close()
        thread.join()


def test_served_is_when_the_last_one_serves(
    pods: list[http.server.ThreadingHTTPServer],
) -> None:
    probe = Probe({str(number): pod.server_address[1] for number, pod in enumerate(pods)})
    pods[0].served = {"/a"}  # type: ignore[attr-defined]
    since = time.monotonic()
    late = threading.Timer(0.1, lambda: setattr(pods[1], "served", {"/a"}))
    late.start()
    assert probe.served("h", "/a", since) >= 0.1
    assert probe.all_serve([("h", "/a")])
    assert not probe.all_serve([("h", "/b")])
    late.join()
    probe.close()


def test_a_pod_that_is_away_answers_nothing(
    pods: list[http.server.ThreadingHTTPServer],
) -> None:
    asking = Asking(1)
    assert asking.status("h", "/a") == 0
    asking.close()
