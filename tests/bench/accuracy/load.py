"""The load of `make bench-accuracy`: requests to several pods, each at a rate of its own.

Run by `bed` as a process of its own; reads what to do as JSON from its input, says when it has
begun, goes on until a second line says for how many seconds more, and writes what became of every
request. An open loop: requests leave at random times, whether or not answers came, so that what is
refused is not asked for less often. A rate of 0 is a closed loop. A pod that is gone is not asked
again.
"""

from __future__ import annotations

import gc
import json
import random
import re
import select
import socket
import sys
import time
from collections import deque
from typing import Any

PATIENCE_S = 5.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Target:
    """One pod."""

    def __init__(self, name: str, port: int, rate: float, head: bytes, connections: int) -> None:
        self.name = name
        self.rate = rate
        self.head = head
        self.idle: deque[socket.socket] = deque()
        self.pending: dict[int, tuple[socket.socket, float]] = {}
        """Descriptor to its connection and to when the request left."""
        self.partial: dict[int, bytes] = {}
        self.late = 0
        """Requests that no connection was free for."""
        self.answers: list[tuple[float, int]] = []
        """When it really left, by the monotonic clock, and its status; 0: none came."""
        for _ in range(connections):
            made = socket.create_connection(("127.0.0.1", port), timeout=5)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setblocking(False)
            self.idle.append(made)

    def send(self) -> None:
        """A request that is meant to leave now."""
        if not self.idle:
            if self.pending:
                self.late += 1
            return
        connection = self.idle.popleft()
        self.pending[connection.fileno()] = connection, time.monotonic()
        try:
            connection.send(self.head)
        except OSError:
            self._over(connection.fileno(), 0)

    def receive(self, descriptor: int) -> None:
        """Something has come."""
        if descriptor not in self.pending:
            self.idle = deque(one for one in self.idle if one.fileno() != descriptor)
            return  # closed while nothing was asked
        try:
            data = self.pending[descriptor][0].recv(65536)
        except OSError:
            data = b""
        if not data:
            self._over(descriptor, 0)
            return
        data = self.partial.pop(descriptor, b"") + data
        head, found, body = data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or len(body) < (int(length[1]) if length else 0):
            self.partial[descriptor] = data
        else:
            self._over(descriptor, int(head[9:12]))

    def _over(self, descriptor: int, status: int) -> None:
        connection, at = self.pending.pop(descriptor)
        self.answers.append((at, status))
        if not status:
            connection.close()
            return
        self.idle.append(connection)
        if self.late:
            self.late -= 1
            self.send()

    def cut(self) -> None:
        """What has not been answered by now never is."""
        self.answers += [(at, 0) for _, at in self.pending.values()]


class Run:
    """All of them."""

    def __init__(self, given: dict[str, Any]) -> None:
        head = given["head"].encode("latin-1")
        self.seconds = float(given["seconds"])
        """At least."""
        self.open = True
        """Nobody has said yet when to end."""
        self.began = 0.0
        self.targets = [Target(**each, head=head) for each in given["targets"]]
        self.poll = select.epoll()
        self.poll.register(sys.stdin, select.EPOLLIN)
        self.of: dict[int, Target] = {}
        for target in self.targets:
            for connection in target.idle:
                self.of[connection.fileno()] = target
                self.poll.register(connection, select.EPOLLIN)
        self.chance = random.Random(given["seed"])

    def run(self) -> None:
        self.began = began = time.monotonic()
        print("begun", flush=True)
        due = [self._pause(target) for target in self.targets]
        while (now := time.monotonic() - began) < self.seconds or self.open:
            for number, target in enumerate(self.targets):
                if not target.rate:
                    while target.idle:
                        target.send()
                while due[number] <= now:
                    target.send()
                    due[number] += self._pause(target)
            self._look(max(0.0, min(0.05, min(due) - now)))
        end = time.monotonic() + PATIENCE_S
        while any(target.pending for target in self.targets) and time.monotonic() < end:
            self._look(0.05)
        for target in self.targets:
            target.cut()

    def told(self) -> dict[str, Any]:
        """What became of every request."""
        return {
            "seconds": self.seconds,
            "answers": {
                target.name: [(at - self.began, status) for at, status in target.answers]
                for target in self.targets
            },
        }

    def _pause(self, target: Target) -> float:
        return self.chance.expovariate(target.rate) if target.rate else float("inf")

    def _look(self, patience: float) -> None:
        for descriptor, _ in self.poll.poll(patience):
            if descriptor in self.of:
                self.of[descriptor].receive(descriptor)
            else:
                more = float(sys.stdin.readline() or 0)
                self.seconds = max(self.seconds, time.monotonic() - self.began + more)
                self.open = False
                self.poll.unregister(sys.stdin)


def main() -> None:
    run = Run(json.loads(sys.stdin.readline()))
    gc.collect()
    gc.disable()
    run.run()
    print(json.dumps(run.told()))


if __name__ == "__main__":
    main()
