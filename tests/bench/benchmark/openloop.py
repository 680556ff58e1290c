"""An open-loop load generator: requests leave at their time, whether or not answers came.

Run by `load.open_loop` as a process of its own on the load core. A closed loop would wait for
a slow answer and thereby not send the requests that would have been slow too; here latency
counts from the time at which a request was meant to leave. A timerfd gives the beat, because
epoll counts in milliseconds and a beat is shorter; the collector is off while it runs.
Arguments: port host path rate seconds connections body-length. Prints one line of JSON.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import socket
import sys
import time
from collections import deque

WARM_UP_SECONDS = 0.5
PATIENCE_SECONDS = 5.0
_TFD_NONBLOCK = 0o4000
_TFD_TIMER_ABSTIME = 1
_CLOCK_MONOTONIC = 1


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


def _spec(nanoseconds: int) -> _TimeSpec:
    return _TimeSpec(*divmod(nanoseconds, 1_000_000_000))


def periodic_timer(first_ns: int, interval_ns: int) -> int:
    """A descriptor that becomes readable at every beat; reading it says how many passed."""
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = int(library.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK))
    spec = _TimerSpec(_spec(interval_ns), _spec(first_ns))
    failed = descriptor < 0 or library.timerfd_settime(
        descriptor, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None
    )
    if failed:
        raise OSError(ctypes.get_errno(), "no timerfd")
    return descriptor


def percentile(ordered: list[int], share: float) -> float:
    """Nearest rank; 0 for nothing."""
    if not ordered:
        return 0.0
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))])


class Generator:
    """One run at one rate."""

    def __init__(self, port: int, head: bytes, connections: int, body_length: int) -> None:
        self.head = head
        self.body_length = body_length
        self.poll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.idle: deque[int] = deque()
        self.pending: dict[int, int] = {}
        """Descriptor to the time at which its request was meant to leave."""
        self.partial: dict[int, bytes] = {}
        self.latencies: list[int] = []
        self.lags: list[int] = []
        self.errors = 0
        for _ in range(connections):
            connection = socket.create_connection(("127.0.0.1", port), timeout=5)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            descriptor = connection.fileno()
            self.sockets[descriptor] = connection
            self.idle.append(descriptor)
            self.poll.register(descriptor, select.EPOLLIN)

    def run(self, rate: float, seconds: float) -> None:
        interval = round(1e9 / rate)
        total = int((seconds + WARM_UP_SECONDS) * rate)
        start = time.monotonic_ns() + 10_000_000
        timer = periodic_timer(start, interval)
        self.poll.register(timer, select.EPOLLIN)
        sent = due = 0
        deadline = start + int((seconds + WARM_UP_SECONDS + PATIENCE_SECONDS) * 1e9)
        now = time.monotonic_ns
        while (sent < total or self.pending) and self.sockets and now() < deadline:
            for descriptor, _ in self.poll.poll(0.1):
                if descriptor == timer:
                    due = min(total, due + int.from_bytes(os.read(timer, 8), sys.byteorder))
                else:
                    self.receive(descriptor)
            while sent < due and self.idle:
                descriptor = self.idle.popleft()
                intended = start + sent * interval
                sent += 1
                self.pending[descriptor] = intended
                self.lags.append(now() - intended)
                try:
                    self.sockets[descriptor].send(self.head)
                except OSError:
                    self.drop(descriptor)
        self.unfinished = total - sent + len(self.pending)
        self.warm = int(WARM_UP_SECONDS * rate)
        os.close(timer)

    def receive(self, descriptor: int) -> None:
        try:
            data = self.sockets[descriptor].recv(65536)
        except OSError:
            data = b""
        if not data or descriptor not in self.pending:
            self.drop(descriptor)
            return
        if descriptor in self.partial:
            data = self.partial.pop(descriptor) + data
        head, found, body = data.partition(b"\r\n\r\n")
        if not found or len(body) < self.body_length:
            self.partial[descriptor] = data
            return
        self.latencies.append(time.monotonic_ns() - self.pending.pop(descriptor))
        if not head.startswith(b"HTTP/1.1 200 ") or len(body) != self.body_length:
            self.errors += 1
        self.idle.append(descriptor)

    def drop(self, descriptor: int) -> None:
        """A connection that broke: an error, and not used again."""
        self.errors += 1
        self.pending.pop(descriptor, None)
        if descriptor in self.idle:
            self.idle.remove(descriptor)
        self.poll.unregister(descriptor)
        self.sockets.pop(descriptor).close()


def main(arguments: list[str]) -> None:
    port, host, path, rate, seconds, connections, body_length = arguments
    head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")
    generator = Generator(int(port), head, int(connections), int(body_length))
    gc.collect()
    gc.disable()
    generator.run(float(rate), float(seconds))
    counted = sorted(generator.latencies[generator.warm :])
    lags = sorted(generator.lags[generator.warm :])
    result = {
        "rate": float(rate),
        "requests": len(counted),
        "errors": generator.errors,
        "unfinished": generator.unfinished,
        "p50_us": percentile(counted, 0.50) / 1e3,
        "p99_us": percentile(counted, 0.99) / 1e3,
        "max_us": percentile(counted, 1.0) / 1e3,
        "lag_p99_us": percentile(lags, 0.99) / 1e3,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
