"""When a route answers on every pod: tight polling over connections that stay open.

Called by the scenarios after each write. A route that is not there yet is refused by the pod
itself, which costs it 20 µs and no backend. Polling begins when half of the fastest time so far
has passed, so that it takes hardly any CPU from those it watches; then every pod is asked once a
millisecond. What is found is an upper bound.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping, Sequence

PAUSE_S = 0.001
FIRST_S = 0.010
"""Before the first look at the first edit: the operator's hold-off alone takes longer."""
PATIENCE_S = 30.0


class NotServed(Exception):
    """A route did not answer on every pod in time; says where."""


class Asking:
    """A connection to one pod that is opened again when it was closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def status(self, host: str, path: str) -> int:
        """Status of a GET; 0 when the pod does not answer."""
        try:
            return self._exchange(host, path)
        except OSError:
            self.close()
            return 0

    def _exchange(self, host: str, path: str) -> int:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=5)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        lower = head.lower()
        length = int(lower.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        while len(body) < length:
            body += self._more()
        if b"connection: close" in lower:
            self.close()
        return int(head.split(b" ", 2)[1])

    def _more(self) -> bytes:
        assert self._socket is not None
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("closed")
        return data

    def close(self) -> None:
        """Until the next question."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


class Probe:
    """Asks all pods."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._pods = {name: Asking(port) for name, port in ports.items()}
        self._fastest = 2 * FIRST_S

    def served(self, host: str, path: str, since: float) -> float:
        """Seconds from `since` (monotonic) until the path answered 200 on all."""
        waiting = dict(self._pods)
        time.sleep(max(0.0, since + self._fastest / 2 - time.monotonic()))
        while True:
            for name in [n for n, pod in waiting.items() if pod.status(host, path) == 200]:
                del waiting[name]
            now = time.monotonic()
            if not waiting:
                self._fastest = min(self._fastest * 1.05, now - since)
                return now - since
            if now - since > PATIENCE_S:
                raise NotServed(f"{path} of {host} is not served by {', '.join(waiting)}")
            time.sleep(PAUSE_S)

    def forget_speed(self) -> None:
        """Another world: what was fast there says nothing here."""
        self._fastest = 2 * FIRST_S

    def all_serve(self, questions: Sequence[tuple[str, str]]) -> bool:
        """Whether every pod answers all of these (host, path) with 200 now."""
        return all(
            pod.status(host, path) == 200 for pod in self._pods.values() for host, path in questions
        )

    def close(self) -> None:
        """Every connection."""
        for pod in self._pods.values():
            pod.close()
