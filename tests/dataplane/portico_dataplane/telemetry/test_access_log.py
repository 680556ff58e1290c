"""Lines come out whole and in order, or are counted as dropped; nobody waits for a reader."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.messages import Outcome, Request
from portico_dataplane.telemetry.access_log import BatchedLines, as_text, dev_line
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, ApiUnit, Broken, RestSegments, Route, Stage


async def test_one_delivery_per_interval() -> None:
    batches: list[tuple[bytes, int]] = []
    delivered = asyncio.Event()

    def deliver(text: bytes, lines: int) -> int:
        batches.append((text, lines))
        delivered.set()
        return 0

    sink = BatchedLines(deliver)
    for number in range(100):
        sink.write(str(number))
    await delivered.wait()

    assert batches == [("".join(f"{number}\n" for number in range(100)).encode(), 100)]
    assert (sink.written, sink.dropped) == (100, 0)


async def test_what_waits_is_bounded() -> None:
    sink = BatchedLines(lambda text, lines: 0, max_chars=100)
    for _ in range(50):
        sink.write("123456789")

    assert sink.dropped == 40
    sink.flush()
    assert sink.written == 10
    sink.write("room again")
    sink.flush()
    assert sink.written == 11


async def test_one_line_longer_than_the_bound_is_dropped_alone() -> None:
    sink = BatchedLines(lambda text, lines: 0, max_chars=100)
    sink.write("x" * 101)
    sink.write("short")
    sink.flush()

    assert (sink.written, sink.dropped) == (1, 1)


async def test_what_is_dropped_further_on_is_counted_here() -> None:
    sink = BatchedLines(lambda text, lines: lines)
    sink.write("a")
    sink.write("b")
    sink.flush()

    assert (sink.written, sink.dropped) == (0, 2)


async def test_flushing_leaves_no_timer() -> None:
    calls = 0

    def deliver(text: bytes, lines: int) -> int:
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
