"""What a reader does costs lines and no requests; the lines that come are whole and in order."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from portico_dataplane.telemetry.line_writer import LineWriter


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


def test_the_writer_writes_lines_in_order(pipe: tuple[int, int]) -> None:
    reader, fd = pipe
    writer = LineWriter(fd)
    assert writer.put(b"one\ntwo\n", 2) == 0
    assert writer.put(b"three\n", 1) == 0
    writer.close(10)
    os.close(fd)

    assert read_all(reader) == b"one\ntwo\nthree\n"
    assert writer.dropped == 0


def test_a_reader_that_never_reads_costs_lines_and_no_time(pipe: tuple[int, int]) -> None:
    _, fd = pipe
    writer = LineWriter(fd, max_bytes=200_000)
    line = b"x" * 999 + b"\n"
    lost = sum(writer.put(line * 10, 10) for _ in range(100))

    assert lost >= 800  # what the bound does not hold; the rest waits
    writer.close(0)
    assert lost + writer.dropped <= 1000


def test_a_reader_that_comes_back_gets_whole_lines(pipe: tuple[int, int]) -> None:
    reader, fd = pipe
    writer = LineWriter(fd, max_bytes=200_000)
    lines = [f"{n:0>999}\n".encode() for n in range(100)]
    taken = sum(10 - writer.put(line * 10, 10) for line in lines)
    received: list[bytes] = []
    thread = threading.Thread(target=lambda: received.append(read_all(reader)))
    thread.start()
    writer.close(10)
    os.close(fd)
    thread.join()

    came = received[0].split(b"\n")[:-1]
    assert len(came) == taken
    assert {len(line) for line in came} == {999}
    assert came == sorted(came)


def test_a_reader_that_went_away_is_no_error(pipe: tuple[int, int]) -> None:
    reader, fd = pipe
    os.close(reader)
    writer = LineWriter(fd)
    writer.put(b"lost\n", 1)
    writer.close(10)

    assert writer.dropped == 1
    assert writer.put(b"lost too\n", 1) == 1


def test_a_nonblocking_file_is_waited_for(pipe: tuple[int, int]) -> None:
    reader, fd = pipe
    os.set_blocking(fd, False)
    writer = LineWriter(fd)
    line = b"y" * 99_999 + b"\n"
    for _ in range(10):
        assert writer.put(line, 1) == 0
    received: list[bytes] = []
    thread = threading.Thread(target=lambda: received.append(read_all(reader)))
    thread.start()
    writer.close(10)
    os.close(fd)
    thread.join()

    assert received[0] == line * 10
