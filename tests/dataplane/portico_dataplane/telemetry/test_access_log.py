"""Lines come out whole and in order, or are counted as dropped; nobody waits for a reader."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.messages import Outcome, Request
from portico_dataplane.telemetry.access_log import BatchedLines, LineWriter, as_text, dev_line
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, ApiUnit, Broken, RestSegments, Route, Stage


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            pass


def read_all(fd: int) -> bytes:
    with os.fdopen(fd, "rb", closefd=False) as file:
        return file.read()


async def test_one_delivery_per_interval() -> None:
    batches: list[list[str]] = []
    delivered = asyncio.Event()

    def deliver(lines: list[str]) -> int:
        batches.append(lines)
        delivered.set()
        return 0

    sink = BatchedLines(deliver)
    for number in range(100):
        sink.write(str(number))
    await delivered.wait()

    assert batches == [[str(number) for number in range(100)]]
    assert (sink.written, sink.dropped) == (100, 0)


async def test_what_waits_is_bounded() -> None:
    sink = BatchedLines(lambda lines: 0, max_chars=100)
    for _ in range(50):
        sink.write("123456789")

    assert sink.dropped == 40
    sink.flush()
    assert sink.written == 10
    sink.write("room again")
    sink.flush()
    assert sink.written == 11


async def test_one_line_longer_than_the_bound_is_dropped_alone() -> None:
    sink = BatchedLines(lambda lines: 0, max_chars=100)
    sink.write("x" * 101)
    sink.write("short")
    sink.flush()

    assert (sink.written, sink.dropped) == (1, 1)


async def test_what_is_dropped_further_on_is_counted_here() -> None:
    sink = BatchedLines(len)
    sink.write("a")
    sink.write("b")
    sink.flush()

    assert (sink.written, sink.dropped) == (0, 2)


async def test_flushing_leaves_no_timer() -> None:
    calls = 0

    def deliver(lines: list[str]) -> int:
        nonlocal calls
        calls += 1
        return 0

    sink = BatchedLines(deliver, interval_s=0)
    sink.write("a")
    sink.flush()
    sink.flush()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert calls == 1


def test_the_writer_writes_lines_in_order(pipe: tuple[int, int]) -> None:
    reader, fd = pipe
    writer = LineWriter(fd)
    assert writer.put(["one", "two"]) == 0
    assert writer.put(["three"]) == 0
    writer.close(10)
    os.close(fd)

    assert read_all(reader) == b"one\ntwo\nthree\n"
    assert writer.dropped == 0


def test_a_reader_that_never_reads_costs_lines_and_no_time(pipe: tuple[int, int]) -> None:
    _, fd = pipe
    writer = LineWriter(fd, max_chars=200_000)
    line = "x" * 999
    lost = sum(writer.put([line] * 10) for _ in range(100))

    assert lost >= 800  # what the bound does not hold; the rest waits
    writer.close(0)
    assert lost + writer.dropped <= 1000


def test_a_reader_that_comes_back_gets_whole_lines(pipe: tuple[int, int]) -> None:
    reader, fd = pipe
    writer = LineWriter(fd, max_chars=200_000)
    taken = sum(10 - writer.put([f"{n:0>999}"] * 10) for n in range(100))
    received: list[bytes] = []
    thread = threading.Thread(target=lambda: received.append(read_all(reader)))
    thread.start()
    writer.close(10)
    os.close(fd)
    thread.join()

    lines = received[0].split(b"\n")[:-1]
    assert len(lines) == taken
    assert {len(line) for line in lines} == {999}
    assert lines == sorted(lines)


def test_a_reader_that_went_away_is_no_error(pipe: tuple[int, int]) -> None:
    reader, fd = pipe
    os.close(reader)
    writer = LineWriter(fd)
    writer.put(["lost"])
    writer.close(10)

    assert writer.dropped == 1
    assert writer.put(["lost too"]) == 1


def test_a_nonblocking_file_is_waited_for(pipe: tuple[int, int]) -> None:
    reader, fd = pipe
    os.set_blocking(fd, False)
    writer = LineWriter(fd)
    line = "y" * 99_999
    for _ in range(10):
        assert writer.put([line]) == 0
    received: list[bytes] = []
    thread = threading.Thread(target=lambda: received.append(read_all(reader)))
    thread.start()
    writer.close(10)
    os.close(fd)
    thread.join()

    assert received[0] == (line.encode() + b"\n") * 10


@given(st.lists(st.text(), min_size=1))
def test_a_line_is_one_line_whatever_it_holds(lines: list[str]) -> None:
    text = as_text(lines)

    assert text.count(b"\n") == len(lines)
    assert b"\r" not in text


def test_what_cannot_be_encoded_is_still_written() -> None:
    assert as_text(["\ud800 ü"]) == b"\\ud800 \xc3\xbc\n"


# --- the short line ---------------------------------------------------------------------------


def request() -> Request:
    made = Request()
    made.method, made.raw_path, made.query = "GET", "/prod/pets/1", "a=b"
    return made


def outcome(status: int, **fields: object) -> Outcome:
    made = Outcome()
    made.status = status
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_a_request_refused_before_routing_has_a_line() -> None:
    line = dev_line(request(), outcome(403, error=ErrorKind.UNKNOWN_HOST, response_length=23))

    assert line == "403 GET /prod/pets/1?a=b 23B 0.0ms UNKNOWN_HOST"


def test_a_served_request_says_where_it_went() -> None:
    asked = request()
    asked.query = ""
    asked.api = ApiUnit(uid="u", api_id="a", kind=ApiKind.REST, name="petstore", namespace="d")
    asked.stage = Stage(name="prod")
    asked.route = Route(
        key="GET /pets/{petId}",
        match=RestSegments(method="GET", path="/pets/{petId}"),
        integration=Broken(reason=""),
    )
    line = dev_line(
        asked,
        outcome(
            200,
            response_length=123_456,
            response_latency_ms=3.14,
            integration_latency_ms=2.5,
            integration_status=200,
        ),
    )

    assert line == (
        "200 GET /prod/pets/1 petstore/prod [GET /pets/{petId}] 123kB 3.1ms (backend 200 2.5ms)"
    )


def test_a_failure_says_why() -> None:
    line = dev_line(
        request(),
        outcome(504, error=ErrorKind.INTEGRATION_FAILURE, integration_error="refused"),
    )

    assert line.endswith("INTEGRATION_FAILURE refused")


def test_a_client_that_left_has_no_status() -> None:
    assert dev_line(request(), outcome(0)).startswith("--- GET ")
