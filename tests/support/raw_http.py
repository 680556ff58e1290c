"""A client that sends exactly these bytes and says exactly what came back.

Used by rules, fuzz and fault tests, where an HTTP library would tidy up what is being tested.
Blocking on purpose: the gateway runs on a loop in a thread of its own (`engine.py`), and every
wait here is for an event, with a time limit that only a failure reaches.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple, Self

PATIENCE = 10.0
"""Seconds after which something that should have happened is called a hang."""


class NotHttp(AssertionError):
    """What came back is no response; the message shows the bytes."""


class Cut(AssertionError):
    """The connection ended before the response did."""

    def __init__(self, what: str, received: bytes) -> None:
        super().__init__(f"connection ended {what}; received {received[:400]!r}")
        self.received = received


class Hang(AssertionError):
    """Nothing happened for `PATIENCE` seconds."""


class Answer(NamedTuple):
    """One response."""

    version: bytes
    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    framing: str
    """`length`, `chunked`, `close` or `none` (HEAD, 1xx, 204, 304)."""
    raw: bytes
    """Every byte of it."""

    def all(self, name: str) -> list[bytes]:
        """Values of the headers of that name, in order."""
        wanted = name.lower().encode()
        return [value for key, value in self.headers if key.lower() == wanted]

    def get(self, name: str) -> bytes | None:
        """The one value of that header; None without; two are a failure."""
        values = self.all(name)
        assert len(values) < 2, f"{name} stands twice: {values}"
        return values[0] if values else None

    @property
    def closes(self) -> bool:
        """Whether it announces that the connection ends."""
        tokens = b",".join(self.all("connection")).lower().split(b",")
        if self.version == b"HTTP/1.0":
            return b"keep-alive" not in [token.strip() for token in tokens]
        return b"close" in [token.strip() for token in tokens]


class RawClient:
    """One connection to a gateway."""

    def __init__(self, port: int, *, patience: float = PATIENCE, receive_buffer: int = 0) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(patience)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self.ended = ""
        """`fin` or `reset` once the gateway's side has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- sending --------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """All of it. A gateway that has closed meanwhile is no error here: what it answered
        is still to be read."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def send_pieces(self, pieces: Iterable[bytes]) -> None:
        """Each in a segment of its own, as far as a loopback allows to say."""
        for piece in pieces:
            self.send(piece)

    def half_close(self) -> None:
        """FIN, and go on reading."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def reset(self) -> None:
        """RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    # --- receiving ------------------------------------------------------------------------

    def read_answer(self, method: str = "GET", *, interim: bool = False) -> Answer:
        """The next final response (or, with `interim`, whatever response is next)."""
        while True:
            answer = self._read_one(method)
            if interim or answer.status >= 200 or answer.status == 101:
                return answer

    def read_to_end(self) -> bytes:
        """Everything until the gateway closes; `ended` says how."""
        while self._more():
            pass
        rest = bytes(self._received)
        self._received.clear()
        return rest

    def read_exactly(self, count: int) -> bytes:
        """The next `count` bytes, past any framing (tunnels)."""
        while len(self._received) < count:
            self._demand("in the middle of a tunnel")
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def wait_for(self, mark: bytes) -> None:
        """Until these bytes have come, without taking them."""
        self._until(mark, 0, f"before {mark!r}")

    def expect_end(self) -> None:
        """The gateway closes and says nothing more before."""
        rest = self.read_to_end()
        assert not rest, f"more came before the end: {rest[:400]!r}"

    @property
    def pending(self) -> bytes:
        """Read from the socket and not yet taken."""
        return bytes(self._received)

    def _more(self) -> bool:
        if self.ended:
            return False
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            got = bytes(self._received[:400])
            raise Hang(f"no answer and no close; so far {got!r}") from None
        except ConnectionResetError:
            self.ended = "reset"
            return False
        if not data:
            self.ended = "fin"
            return False
        self._received += data
        return True

    def _demand(self, where: str) -> None:
        if not self._more():
            raise Cut(where, bytes(self._received))

    def _until(self, mark: bytes, start: int, where: str) -> int:
        while (found := self._received.find(mark, start)) == -1:
            self._demand(where)
        return found

    def _read_one(self, method: str) -> Answer:
        end = self._until(b"\r\n\r\n", 0, "before a head")
        version, status, reason, headers = parse_head(bytes(self._received[:end]))
        at = end + 4
        answer = Answer(version, status, reason, headers, b"", "none", b"")
        if method == "HEAD" or status < 200 or status in (204, 304):
            return self._take(answer, b"", "none", at)
        coding = answer.get("transfer-encoding")
        length = answer.get("content-length")
        if coding is not None:
            if coding != b"chunked" or length is not None:
                raise NotHttp(f"ambiguous framing of a response: {headers}")
            body, at = self._chunked(at)
            return self._take(answer, body, "chunked", at)
        if length is not None:
            if not length.isdigit():
                raise NotHttp(f"Content-Length: {length!r}")
            stop = at + int(length)
            while len(self._received) < stop:
                self._demand("in the middle of a body")
            return self._take(answer, bytes(self._received[at:stop]), "length", stop)
        while self._more():
            pass
        if self.ended == "reset":
            raise Cut("by a reset in a body that ends with the connection", bytes(self._received))
        return self._take(answer, bytes(self._received[at:]), "close", len(self._received))

    def _chunked(self, at: int) -> tuple[bytes, int]:
        pieces = []
        while True:
            end = self._until(b"\r\n", at, "in a chunk size")
            size = int(bytes(self._received[at:end]), 16)
            at = end + 2
            if size == 0:
                break
            while len(self._received) < at + size + 2:
                self._demand("in a chunk")
            pieces.append(bytes(self._received[at : at + size]))
            if self._received[at + size : at + size + 2] != b"\r\n":
                raise NotHttp("a chunk is longer than its size")
            at += size + 2
        if self._until(b"\r\n", at, "before the last line") != at:
            raise NotHttp(f"a response has trailers: {bytes(self._received[at : at + 100])!r}")
        return b"".join(pieces), at + 2

    def _take(self, answer: Answer, body: bytes, framing: str, stop: int) -> Answer:
        raw = bytes(self._received[:stop])
        del self._received[:stop]
        return answer._replace(body=body, framing=framing, raw=raw)


def parse_head(head: bytes) -> tuple[bytes, int, bytes, list[tuple[bytes, bytes]]]:
    """Version, status, reason and headers of a response head without its empty line."""
    first, *lines = head.split(b"\r\n")
    parts = first.split(b" ", 2)
    if len(parts) != 3 or parts[0] not in (b"HTTP/1.1", b"HTTP/1.0") or len(parts[1]) != 3:
        raise NotHttp(f"no status line: {first!r}")
    if not parts[1].isdigit():
        raise NotHttp(f"no status: {first!r}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.strip() != name or b"\r" in value or b"\n" in value:
            raise NotHttp(f"no header line: {line!r}")
        headers.append((name, value.strip(b" \t")))
    return parts[0], int(parts[1]), parts[2], headers


class Recorded(RawClient):
    """Answers in bytes that were read before."""

    def __init__(self, data: bytes) -> None:
        self._received = bytearray(data)
        self.ended = "fin"

    def answers(self) -> list[Answer]:
        """All of them, interim ones included; `NotHttp` or `Cut` for anything else."""
        found = []
        while self._received:
            found.append(self.read_answer(interim=True))
        return found
