"""Frames arrive whole and in order, or the channel ends; both over a real socketpair."""

from __future__ import annotations

import asyncio
import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.settings import Settings
from portico_dataplane.telemetry.readings import Readings
from portico_dataplane.workers.channel import (
    MAX_FRAME,
    Announce,
    Applied,
    Apply,
    Asks,
    Begin,
    Channel,
    Drain,
    Endpoints,
    Failed,
    FrameError,
    FrameReader,
    Grants,
    Lines,
    Order,
    Pull,
    Pulled,
    Report,
    Serving,
    Started,
    Units,
    frame,
    orders,
    reports,
)
from portico_ir.leases import Ask, Grant, Requests, Tokens

LABELS = ("n", "a", "rest", "$default", "GET /")

ORDERS: list[Order] = [
    Begin(Settings(port=1, access_log="dev"), 3, [4, 5]),
    Units({"digest": b"\x00\xff"}),
    Apply(7, b"{}", b"{}"),
    Endpoints(b"{}"),
    Pull(9),
    Announce(),
    Grants([Grant("b", 2.0, 0.5), Grant("q", period=7, ends_ms=1.5)], 6),
    Drain(1.5),
]
REPORTS: list[Report] = [
    Started(42),
    Applied(7, "digest", {"unit": "reason"}),
    Serving(),
    Pulled(9, Readings(series={LABELS: [1, 2.5]}, gauges={"g": 1.0})),
    Lines("one\nzwei ü\n".encode(), 2),
    Asks([Ask("b", Tokens(1, 2), 3.0), Ask("q", Requests("p", "k", 5))]),
    Failed("why"),
]


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(st.lists(st.integers(1, 20)))
def test_frames_do_not_depend_on_how_they_are_cut(sizes: list[int]) -> None:
    reader = FrameReader()
    decoder = msgspec.msgpack.Decoder(Order)
    bodies = [
        body for piece in cut(b"".join(map(frame, ORDERS)), sizes) for body in reader.feed(piece)
    ]
    reader.end()

    assert [decoder.decode(body) for body in bodies] == ORDERS


@given(st.integers(1))
def test_a_stream_that_ends_inside_a_frame_is_an_error(missing: int) -> None:
    data = frame(ORDERS[0])
    reader = FrameReader()
    reader.feed(data[: len(data) - 1 - missing % (len(data) - 1)])

    with pytest.raises(FrameError, match="inside a frame"):
        reader.end()


def test_an_oversize_frame_is_refused_before_it_is_received() -> None:
    reader = FrameReader(max_frame=100)

    with pytest.raises(FrameError, match="101 bytes is longer than 100"):
        reader.feed((101).to_bytes(4, "big"))


def test_a_frame_of_the_largest_size_is_taken() -> None:
    assert FrameReader(max_frame=3).feed(b"\0\0\0\3abc") == [b"abc"]


def test_an_oversize_message_is_not_sent() -> None:
    with pytest.raises(FrameError, match="is longer than"):
        frame(Lines(b"x" * MAX_FRAME, 1))


class Pair:
    """A channel with both of its sides, and what each received."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.reports: list[Report] = []
        self.ends: dict[str, Exception | None] = {}
        self.changed = asyncio.Event()
        self.supervisor: Channel[Report]
        self.worker: Channel[Order]

    async def open(self) -> Pair:
        ours, theirs = socket.socketpair()
        self.supervisor = reports(self._report, lambda e: self._end("supervisor", e))
        self.worker = orders(self._order, lambda e: self._end("worker", e))
        await self.supervisor.open(ours)
        await self.worker.open(theirs)
        return self

    def _report(self, report: Report) -> None:
        self.reports.append(report)
        self.changed.set()

    def _order(self, order: Order) -> None:
        self.orders.append(order)
        self.changed.set()

    def _end(self, side: str, error: Exception | None) -> None:
        self.ends[side] = error
        self.changed.set()

    async def until(self, count: int, of: list[Order] | list[Report] | dict[str, object]) -> None:
        async with asyncio.timeout(10):
            while len(of) < count:
                self.changed.clear()
                await self.changed.wait()


async def test_both_ways_in_order() -> None:
    pair = await Pair().open()
    for order in ORDERS:
        pair.supervisor.send(order)
    for report in REPORTS:
        pair.worker.send(report)
    await pair.until(len(ORDERS), pair.orders)
    await pair.until(len(REPORTS), pair.reports)

    assert pair.orders == ORDERS
    assert pair.reports == REPORTS
    pair.supervisor.close()
    await pair.until(2, pair.ends)  # type: ignore[arg-type]
    assert pair.ends == {"supervisor": None, "worker": None}


async def test_closing_sends_what_is_queued() -> None:
    pair = await Pair().open()
    lines = Lines((b"x" * 999 + b"\n") * 3000, 3000)
    pair.worker.send(lines)
    pair.worker.close()
    await pair.until(2, pair.ends)  # type: ignore[arg-type]

    assert pair.reports == [lines]
    pair.worker.send(Serving())  # to nobody: no error
    assert pair.worker.buffered == 0


async def test_a_side_that_says_what_the_other_may_say_ends_the_channel() -> None:
    pair = await Pair().open()
    pair.worker.send(Pull(1))
    await pair.until(2, pair.ends)  # type: ignore[arg-type]

    assert pair.reports == []
    assert isinstance(pair.ends["supervisor"], msgspec.ValidationError)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\xff\xff\xff\xff", FrameError),  # oversize
        (b"\x00\x00\x00\x02\xc1\xc1", msgspec.DecodeError),  # not msgpack
        (frame(Lines(b"a\n", 1))[:-1], FrameError),  # truncated
    ],
)
async def test_bytes_that_are_no_frames_end_the_channel(data: bytes, error: type) -> None:
    ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    received: list[Report] = []
    ours, theirs = socket.socketpair()
    await reports(received.append, ended.set_result).open(ours)
    theirs.sendall(data)
    theirs.close()
    async with asyncio.timeout(10):
        cause = await ended

    assert isinstance(cause, error)
    assert received == []


async def test_buffered_counts_what_the_other_side_has_not_taken() -> None:
    ours, theirs = socket.socketpair()
    gone = asyncio.Event()
    channel = reports(lambda report: None, lambda error: gone.set())
    await channel.open(ours)
    channel.send(Units({"d": bytes(4_000_000)}))

    assert channel.buffered > 1_000_000
    theirs.close()
    await gone.wait()
