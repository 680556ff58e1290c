"""Bodies: where one ends. Our own chunked decoder, because it must say where it stopped.

Used in both directions: `http/connection.py` for clients, `http/upstream.py` for backends.
Promises: never looks past the end of the body; strict (RFC 9112 §7.1); extension and trailer
bytes are counted against a limit, trailers are dropped. No I/O.
"""

from __future__ import annotations

import math
import re
from typing import Final

# RFC 9112 §7.1: hex digits, then optional extensions. 15 digits stay far below 2^63.
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*[\t\x20-\x7e\x80-\xff]*")
# RFC 9110 §6.5.1: fields that frame or route a message do not belong in trailers.
_FORBIDDEN_TRAILERS: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade"}
)

_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILERS: Final = 3
_END: Final = 4


class MalformedBody(ValueError):
    """The chunked framing is broken, or its overhead is beyond the limit."""


class LengthBody:
    """Cuts one body of known length out of pieces of any size."""

    __slots__ = ("left", "rest")

    def __init__(self, length: int) -> None:
        self.left = length
        """Bytes to come."""
        self.rest = b""
        """After the end: the bytes behind the body, which belong to the next message."""

    @property
    def complete(self) -> bool:
        """Whether all of it has been read."""
        return self.left == 0

    def feed(self, data: bytes) -> bytes:
        """The part of `data` that is body."""
        left = self.left - len(data)
        if left >= 0:
            self.left = left
            return data
        self.rest = data[left:]
        self.left = 0
        return data[:left]


class ChunkedBody:
    """Decodes one chunked body from pieces of any size."""

    left: Final = math.inf
    """Bytes to come: nobody knows."""

    __slots__ = ("_left", "_overhead", "_partial", "_state", "rest")

    OVERHEAD_LIMIT: Final = 16 * 1024
    """Bytes of chunk extensions and trailers; sizes themselves are not counted."""

    def __init__(self) -> None:
        self._state = _SIZE
        self._left = 0
        self._partial = b""
        self._overhead = 0
        self.rest = b""
        """After the end: the bytes behind the body, which belong to the next message."""

    @property
    def complete(self) -> bool:
        """Whether the last chunk and the trailers have been read."""
        return self._state == _END

    def feed(self, data: bytes) -> bytes:
        """The payload in `data`; raises `MalformedBody`."""
        if self._partial:
            data = self._partial + data
            self._partial = b""
        at = 0
        size = len(data)
        pieces: list[bytes] = []
        while at < size:
            if self._state == _DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left == 0:
                    self._state = _DATA_END
            elif self._state == _DATA_END:
                if size - at < 2:
                    self._keep(data[at:])
                    break
                if data[at : at + 2] != b"\r\n":
                    raise MalformedBody("no line end after a chunk")
                at += 2
                self._state = _SIZE
            elif self._state == _END:
                self.rest = data[at:]
                break
            else:
                end = data.find(b"\n", at)
                if end == -1:
                    self._keep(data[at:])
                    break
                if end == at or data[end - 1] != 0x0D:
                    raise MalformedBody("a line ends in a bare LF")
                self._line(data[at : end - 1])
                at = end + 1
        if len(pieces) == 1:
            return pieces[0]
        return b"".join(pieces)

    def _keep(self, partial: bytes) -> None:
        if len(partial) > self.OVERHEAD_LIMIT:
            raise MalformedBody("a chunk size line or trailer is too long")
        self._partial = partial

    def _line(self, line: bytes) -> None:
        if self._state == _SIZE:
            match = _SIZE_LINE.fullmatch(line)
            if match is None:
                raise MalformedBody("a chunk size is not a hexadecimal number")
            digits = match.group(1)
            self._count(len(line) - len(digits))
            self._left = int(digits, 16)
            self._state = _DATA if self._left else _TRAILERS
            return
        if not line:
            self._state = _END
            return
        self._count(len(line))
        match = _TRAILER.fullmatch(line)
        if match is None:
            raise MalformedBody("a trailer is not a header line")
        if match.group(1).lower() in _FORBIDDEN_TRAILERS:
            raise MalformedBody("a framing field in the trailers")

    def _count(self, extra: int) -> None:
        self._overhead += extra
        if self._overhead > self.OVERHEAD_LIMIT:
            raise MalformedBody("too many bytes of chunk extensions or trailers")


def chunk(data: bytes) -> bytes:
    """`data` as one chunk; `data` must not be empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"
