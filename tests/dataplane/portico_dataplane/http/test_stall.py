"""Stall: slow is good enough, nothing at all is not."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator

import pytest

from fake_upstreams import Wire
from portico_dataplane.http.stall import Stall, reset


@pytest.fixture
def wire() -> Wire:
    wire = Wire()
    wire.unsent = 100
    return wire


def test_nothing_is_expected_of_who_was_not_watched(wire: Wire) -> None:
    stall = Stall(wire, 10.0, 0.0)
    assert stall.due == math.inf
    assert not stall.stalled(1e9)


def test_nothing_is_expected_where_nothing_is_unsent(wire: Wire) -> None:
    stall = Stall(wire, 10.0, 0.0)
    wire.unsent = 0
    stall.watch(5.0)
    assert stall.due == math.inf
    assert not stall.stalled(1e9)


def test_who_takes_nothing_has_stalled_in_time_and_not_before(wire: Wire) -> None:
    stall = Stall(wire, 10.0, 0.0)
    stall.watch(5.0)
    assert stall.due == 15.0
    assert not stall.stalled(14.9)
    assert stall.stalled(15.0)


@pytest.mark.parametrize("unsent", [100, 101, 5000])
def test_more_unsent_than_before_is_nothing_taken(wire: Wire, unsent: int) -> None:
    stall = Stall(wire, 10.0, 0.0)
    stall.watch(0.0)
    wire.unsent = unsent
    assert stall.stalled(10.0)


def test_any_byte_is_another_while(wire: Wire) -> None:
    stall = Stall(wire, 10.0, 0.0)
    stall.watch(0.0)
    for now in (10.0, 20.0, 30.0):
        wire.unsent -= 1
        assert not stall.stalled(now)
        assert stall.due == now + 10.0
    assert stall.stalled(40.0)


def test_all_of_it_is_the_end_of_waiting(wire: Wire) -> None:
    stall = Stall(wire, 10.0, 0.0)
    stall.watch(0.0)
    wire.unsent = 0
    assert not stall.stalled(10.0)
    assert stall.due == math.inf


def test_who_keeps_up_rests(wire: Wire) -> None:
    stall = Stall(wire, 10.0, 0.0)
    stall.watch(0.0)
    stall.rest()
    assert not stall.stalled(1e9)
    stall.watch(50.0)
    assert stall.stalled(60.0)


def test_a_rate_is_over_the_whole_while(wire: Wire) -> None:
    """Settings: `min_write_rate` bytes per second of `write_timeout_s`."""
    stall = Stall(wire, 10.0, 5.0)
    wire.unsent = 200
    stall.watch(0.0)
    wire.unsent -= 50
    assert not stall.stalled(10.0)
    wire.unsent -= 49
    assert stall.stalled(20.0)


def test_the_last_few_bytes_need_no_rate(wire: Wire) -> None:
    stall = Stall(wire, 10.0, 5.0)
    wire.unsent = 3
    stall.watch(0.0)
    wire.unsent = 0
    assert not stall.stalled(10.0)


class Wired(Wire):
    """A transport over a real socket, whose other end a test may read."""

    def __init__(self) -> None:
        super().__init__()
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            server.bind(("127.0.0.1", 0))
            server.listen()
            self.sock = socket.create_connection(server.getsockname())
            self.other, _ = server.accept()
        self.sock.setblocking(False)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.sock if name == "socket" else default


@pytest.fixture
def wired() -> Iterator[Wired]:
    wired = Wired()
    with wired.sock, wired.other:
        yield wired


def fill(wired: Wired) -> None:
    """Have the system take all that it takes."""
    try:
        while True:
            wired.sock.send(b"x" * 65536)
    except BlockingIOError:
        pass


def test_what_the_system_has_taken_is_not_sent(wired: Wired) -> None:
    """It takes the next bytes only when a third of its buffer is free again: until then what is
    unsent here stands still, although the other side reads."""
    fill(wired)
    stall = Stall(wired, 10.0, 240.0)
    wired.unsent = 100_000
    stall.watch(0.0)
    read = 0
    while read < 65_536:
        read += len(wired.other.recv(65_536))
    assert not stall.stalled(10.0)
    assert stall.stalled(20.0)


def test_a_socket_that_is_closed_is_no_error(wired: Wired) -> None:
    fill(wired)
    stall = Stall(wired, 10.0, 0.0)
    wired.unsent = 100
    stall.watch(0.0)
    wired.sock.close()
    stall.stalled(10.0)
    assert stall.due == 20.0


def test_what_is_cut_is_not_sent_on(wired: Wired) -> None:
    """A system that is merely told to close goes on sending what it has."""
    fill(wired)
    reset(wired)
    assert wired.ended == "abort"
    wired.sock.close()
    with pytest.raises(ConnectionResetError):
        while wired.other.recv(65_536):
            pass


def test_cutting_what_is_gone_is_no_error(wired: Wired) -> None:
    wired.sock.close()
    reset(wired)
    assert wired.ended == "abort"
