"""An upstream that records exactly what it is sent and answers exactly what a test says.

Used by rules, fuzz and fault tests. Plain sockets and a thread per connection, so that nothing
between the wire and the record can tidy up. What the gateway sends is read strictly: anything
that is not one well-formed request after another is kept as `garbage`.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self

from raw_http import PATIENCE, Hang

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Close:
    """Step: FIN."""


class Reset:
    """Step: RST."""


class Hold:
    """Step: keep the connection, answer nothing, until the gateway ends it."""


class Body:
    """Step: read the body now (where `answer_early` has not)."""


@dataclass
class Wait:
    """Step: wait for a test's word."""

    event: threading.Event = field(default_factory=threading.Event)


@dataclass
class Read:
    """Step: read this many bytes more, whatever they are (`Exchange.extra`)."""

    count: int


CLOSE, RESET, HOLD, BODY = Close(), Reset(), Hold(), Body()
Step = bytes | Close | Reset | Hold | Body | Wait | Read
Script = Iterable[Step]


@dataclass
class Exchange:
    """One request as it arrived."""

    connection: int
    """Which connection of this upstream, from 1."""
    raw_head: bytes
    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    raw_body: bytes = b""
    """With its framing."""
    size: int = 0
    """Bytes of body so far, kept or not."""
    complete: bool = False
    """The whole body arrived."""
    extra: bytes = b""
    """Read by `Read` steps."""
    ended: str = ""
    """`fin` or `reset` when the gateway ended the connection during this exchange."""

    def all(self, name: str) -> list[bytes]:
        """Values of the headers of that name, in order."""
        wanted = name.lower().encode()
        return [value for key, value in self.headers if key.lower() == wanted]

    @property
    def method(self) -> bytes:
        return self.line.split(b" ")[0]

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]


class Gone(Exception):
    """The gateway ended the connection."""


class Upstream:
    """Listens on a free port of the loopback. `scripts` maps a target to what answers it."""

    def __init__(self, default: Script = (OK,)) -> None:
        self.default = default
        self.scripts: dict[bytes, Script | Callable[[Exchange], Script]] = {}
        """By target (path and query) as it arrives here. A step list, or what returns one."""
        self.answer_early: set[bytes] = set()
        """Targets whose script starts before the body has been read."""
        self.exchanges: list[Exchange] = []
        self.garbage: list[bytes] = []
        """Bytes that are no request."""
        self.connections = 0
        self.keeps_bodies = True
        """False: bodies are counted and dropped (for those larger than memory should be)."""
        self._changed = threading.Condition()
        self._open: dict[socket.socket, _Stream] = {}
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="upstream", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and cut every connection."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Begin a new record, when what has arrived so far is in the old one; connections stay.

        A head that the gateway sent, and gave up before it was read here, is an old one."""
        until = time.monotonic() + PATIENCE
        while self._unread():
            if time.monotonic() > until:
                raise Hang("the upstream does not come to read what has arrived")
            time.sleep(0.0005)
        with self._changed:
            self.exchanges.clear()
            self.garbage.clear()

    def wait_for(self, holds: Callable[[], bool], what: str) -> None:
        """Until `holds()` is true of the record."""
        with self._changed:
            if not self._changed.wait_for(holds, PATIENCE):
                raise Hang(f"the upstream waited for {what}; it has {self.exchanges}")

    def _unread(self) -> bool:
        """Whether a request may have arrived that is not in the record."""
        streams = list(self._open.values())
        if not all(one.waits or one.parked for one in streams):
            return True
        unread = [one.sock for one in streams if not one.recorded]
        with contextlib.suppress(OSError, ValueError):  # one was closed meanwhile
            return bool(select.select([self._listener, *unread], [], [], 0)[0])
        return not self._closing

    # --- one connection -------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._closing:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            stream = self._open[sock] = _Stream(sock)
            number = self.connections
            threading.Thread(
                target=self._serve, args=(stream, number), name=f"upstream-{number}", daemon=True
            ).start()

    def _serve(self, stream: _Stream, number: int) -> None:
        sock = stream.sock
        exchange: Exchange | None = None
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                exchange, stream.recorded = None, False
                exchange = self._read_head(stream, number)
                stream.recorded = True
                early = exchange.target in self.answer_early
                if not early:
                    self._read_body(stream, exchange)
                script = self.scripts.get(exchange.target, self.default)
                for step in script(exchange) if callable(script) else script:
                    if not self._take(step, stream, exchange):
                        return
                if early and not exchange.complete:
                    self._read_body(stream, exchange)
        except Gone as gone:
            if exchange is not None:
                exchange.ended = str(gone)
            elif stream.buffered:
                self.garbage.append(bytes(stream.buffered))
        except ValueError:
            self.garbage.append(bytes(stream.buffered) or b"?")
        except OSError:
            pass  # closed under our hands by a test
        finally:
            self._open.pop(sock, None)
            sock.close()
            self._notify()

    def _read_head(self, stream: _Stream, number: int) -> Exchange:
        raw = stream.until(b"\r\n\r\n")
        line, *lines = raw[:-4].split(b"\r\n")
        headers = []
        for one in lines:
            name, colon, value = one.partition(b":")
            if not colon or not name or name != name.strip() or b"\n" in one or b"\r" in one:
                raise ValueError(one)
            headers.append((name, value.strip(b" \t")))
        if len(line.split(b" ")) != 3 or b"\n" in line:
            raise ValueError(line)
        exchange = Exchange(number, raw, line, headers)
        with self._changed:
            self.exchanges.append(exchange)
            self._changed.notify_all()
        return exchange

    def _read_body(self, stream: _Stream, exchange: Exchange) -> None:
        lengths, codings = exchange.all("content-length"), exchange.all("transfer-encoding")
        if len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]):
            raise ValueError("ambiguous framing")
        pieces: list[tuple[bytes, bytes]] = []
        try:
            for raw, payload in _chunks(stream) if codings else _exactly(stream, lengths):
                exchange.size += len(payload)
                if self.keeps_bodies:
                    pieces.append((raw, payload))
        finally:
            exchange.raw_body = b"".join(raw for raw, _ in pieces)
            exchange.body = b"".join(payload for _, payload in pieces)
        exchange.complete = True
        self._notify()

    def _take(self, step: Step, stream: _Stream, exchange: Exchange) -> bool:
        """Whether the connection goes on."""
        if isinstance(step, bytes):
            stream.sock.sendall(step)
        elif isinstance(step, Wait):
            stream.parked = True
            if not step.event.wait(PATIENCE):
                raise Hang("nobody let the upstream go on")
            stream.parked = False
        elif isinstance(step, Body):
            self._read_body(stream, exchange)
        elif isinstance(step, Read):
            while len(exchange.extra) < step.count:
                exchange.extra += stream.some(step.count - len(exchange.extra))
                self._notify()
        elif isinstance(step, Hold):
            while True:
                exchange.extra += stream.some(65536)
                self._notify()
        else:
            if isinstance(step, Reset):
                linger = struct.pack("ii", 1, 0)
                stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return False
        return True

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


class _Stream:
    """A socket with what was read too far."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffered = bytearray()
        self.waits = False
        """For bytes."""
        self.parked = False
        """It waits for a test's word."""
        self.recorded = False
        """What it reads is part of a request that is in the record."""

    def _fill(self) -> None:
        self.waits = True
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            raise Gone("reset") from None
        finally:
            self.waits = False
        if not data:
            raise Gone("fin")
        self.buffered += data

    def until(self, mark: bytes) -> bytes:
        start = 0
        while (found := self.buffered.find(mark, start)) == -1:
            start = max(0, len(self.buffered) - len(mark))
            self._fill()
        taken = bytes(self.buffered[: found + len(mark)])
        del self.buffered[: found + len(mark)]
        return taken

    def some(self, most: int) -> bytes:
        if not self.buffered:
            self._fill()
        taken = bytes(self.buffered[:most])
        del self.buffered[:most]
        return taken


def _exactly(stream: _Stream, lengths: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """A body of known length, or none."""
    left = int(lengths[0]) if lengths else 0
    while left:
        piece = stream.some(left)
        left -= len(piece)
        yield piece, piece


def _chunks(stream: _Stream) -> Iterator[tuple[bytes, bytes]]:
    """Raw bytes and payload, chunk by chunk; the last line included."""
    while True:
        line = stream.until(b"\r\n")
        size = int(line, 16)
        if size == 0:
            last = stream.until(b"\r\n")
            if last != b"\r\n":
                raise ValueError("trailers")
            yield line + last, b""
            return
        data = b""
        while len(data) < size:
            data += stream.some(size - len(data))
        if stream.until(b"\r\n") != b"\r\n":
            raise ValueError("a chunk is longer than its size")
        yield line + data + b"\r\n", data
