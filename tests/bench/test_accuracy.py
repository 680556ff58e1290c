"""What `make bench-accuracy` makes of its numbers, and its load against a server of this test."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import accuracy_run
from accuracy.measures import Answers, Row, as_json, exactly, markdown, within
from accuracy.scenarios import SCENARIOS

FOLDER = Path(__file__).parent / "accuracy"


def answers(passed: int, refused: int = 0, seconds: float = 10.0) -> Answers:
    """So many, at even distances, of two pods in turn."""
    every = seconds / (passed + refused)
    given: dict[str, list[tuple[float, int]]] = {"pod-0": [], "pod-1": []}
    for number in range(passed + refused):
        status = 200 if number < passed else 429
        given[f"pod-{number % 2}"].append((number * every, status))
    return Answers(given, seconds)


@pytest.mark.parametrize(
    ("row", "passed"),
    [
        (Row("a", value=100, low=100, high=101), True),
        (Row("a", value=101, low=100, high=101), True),
        (Row("a", value=99, low=100, high=101), False),
        (Row("a", value=102, low=100, high=101), False),
        (Row("a", value=1), False),  # none was allowed
        (Row("a", low=0, high=10, note="it hung"), False),
    ],
)
def test_a_row_is_within_both_bounds_or_failed(row: Row, passed: bool) -> None:
    assert row.passed is passed


@pytest.mark.parametrize(
    ("served", "passed"), [(9_999, False), (10_000, True), (10_100, True), (10_101, False)]
)
def test_a_quota_is_never_undershot(served: int, passed: bool) -> None:
    assert exactly("q", answers(served, 50), 10_000).passed is passed


@pytest.mark.parametrize(
    ("served", "passed"), [(4_800, False), (4_790, True), (4_610, True), (4_600, False)]
)
def test_a_bucket_is_held_against_what_one_for_all_would_do(served: int, passed: bool) -> None:
    # 8,000 in 10 s; 4,700 of them at 460 a second with 100 at once
    assert within("b", answers(served, 8_000 - served), 460, 100).passed is passed


def test_what_became_of_requests() -> None:
    seen = Answers({"pod-0": [(0.0, 200), (2.0, 0)], "pod-1": [(1.0, 429), (3.0, 200)]}, 4.0)
    assert (seen.passed(), seen.passed(0, 3.0), seen.passed(3.0)) == (2, 1, 1)
    assert (seen.asked(), seen.asked(1.0, 3.0)) == (4, 2)
    assert (seen.of(429), seen.of(0)) == (1, 1)
    assert (seen.last_passed(), seen.first_passed(0.5)) == (3.0, 2.5)
    assert seen.strange() == [0]
    assert seen.longest_pause() == 1.0


def test_the_table_is_written_for_people_and_programs() -> None:
    rows = [Row("a quota", "redis", 10_050, 10_000, 10_100, detail={"refused": 7.5}, note="so")]
    text = markdown(rows, {"processors": "2 × this"})
    assert "| a quota | redis | 10,050 requests | 10,000 to 10,100 | pass |" in text
    assert "refused 7.5, so" in text
    assert "processors 2 × this." in text
    (entry,) = json.loads(as_json(rows, {}))["rows"]
    assert (entry["store"], entry["passed"], entry["low"]) == ("redis", True, 10_000)


def test_scenarios_that_there_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        accuracy_run.arguments(["--only", "quota,nonsense"])
    assert ended.value.code == 2
    assert "not a scenario: nonsense" in capsys.readouterr().err
    given = accuracy_run.arguments(["--only", "quota", "--quick", "--store", "redis"])
    assert (given.only, given.quick, given.store) == (["quota"], True, ["redis"])


def test_every_case_that_was_promised_is_run() -> None:
    promised = "quota bucket hot away-keep away-refuse pod-killed clock changed operations"
    assert set(SCENARIOS) == set(promised.split())


def test_a_clock_that_is_wrong_by_so_much() -> None:
    environ = {**os.environ, "PYTHONPATH": str(FOLDER / "clock"), "CLOCK_OFF_S": "3600"}
    command = [sys.executable, "-c", "import time; print(time.time(), time.time_ns())"]
    said = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    seconds, nanoseconds = (float(part) for part in said.stdout.split())
    assert seconds - time.time() > 3000
    assert nanoseconds / 1e9 == pytest.approx(seconds, abs=600)


class Pod(http.server.BaseHTTPRequestHandler):
    """Serves five, and refuses then."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        served = getattr(self.server, "served", 0) + 1
        self.server.served = served  # type: ignore[attr-defined]
        status = 200 if served <= 5 else 429
        self.wfile.write(b"HTTP/1.1 %d x\r\nContent-Length: 2\r\n\r\nok" % status)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def pod() -> Iterator[http.server.ThreadingHTTPServer]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pod)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_the_load_goes_on_until_it_is_told(pod: http.server.ThreadingHTTPServer) -> None:
    target = {"name": "p", "port": pod.server_address[1], "rate": 400.0, "connections": 1}
    head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    given = {"head": head, "seconds": 0, "seed": 1, "targets": [target]}
    command = [sys.executable, str(FOLDER / "load.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(given) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "begun\n"
        while getattr(pod, "served", 0) < 9:
            time.sleep(0.005)
        process.stdin.write("0\n")
        process.stdin.flush()
        seen = Answers(**json.loads(process.stdout.read()))
    assert seen.passed() == 5
    assert seen.of(429) >= 4
    assert seen.of(0) == 0
