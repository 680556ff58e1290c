"""Whether the other side still takes what is written to it.

Held by `http/connection.py` for a client's answers and by `http/tunnel.py` for a backend: while
somebody is behind, nobody reads from the one who talks to it, so that only time tells. Slow is
good enough, down to a rate below which it is an attack (slow read) or as good as gone. What counts
is what the other side has acknowledged: a kernel takes megabytes at once, then nothing for long.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import socket
import struct
import termios
from typing import Final

_COUNT: Final = struct.Struct("i")
_AT_ONCE: Final = struct.pack("ii", 1, 0)


class Stall:
    """Looks after what one transport has not sent yet."""

    __slots__ = ("_enough", "_seconds", "_transport", "_unsent", "due")

    def __init__(self, transport: asyncio.Transport, seconds: float, rate: float) -> None:
        """Every `seconds`, `rate` bytes for each of them must have been taken, and at least one."""
        self._transport = transport
        self._seconds = seconds
        self._enough = max(1.0, rate * seconds)
        self._unsent = 0
        self.due = math.inf
        """When to look again, monotonic; infinity: nothing is expected to be taken."""

    def watch(self, now: float) -> None:
        """What is unsent now must shrink in time; nothing to do where nothing is."""
        unsent = self._transport.get_write_buffer_size()
        self.due = now + self._seconds if unsent else math.inf
        self._unsent = unsent + _in_kernel(self._transport) if unsent else 0

    def rest(self) -> None:
        """The other side keeps up."""
        self.due = math.inf

    def stalled(self, now: float) -> bool:
        """Whether too little was taken since the last look, and it is time; looks on."""
        if now < self.due:
            return False
        before = self._unsent
        self.watch(now)
        return self._unsent > 0 and before - self._unsent < self._enough


def _in_kernel(transport: asyncio.Transport) -> int:
    """Bytes that the system has taken and the other side has not acknowledged."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return 0
    try:
        taken = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, _COUNT.pack(0))
    except (OSError, ValueError):
        return 0  # closed, or a system that does not say
    count: int = _COUNT.unpack(taken)[0]
    return count


def reset(transport: asyncio.Transport) -> None:
    """Cut it, and have the system forget what it has taken: it would go on sending megabytes to
    somebody who does not read them."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        except OSError:
            pass  # it is gone already
    transport.abort()
