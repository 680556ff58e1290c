"""The thread that writes access log lines: nobody else touches the file.

Made by whoever owns the file: the supervisor, or `portico dev`. Promises: `put` never blocks, and
what waits is bounded; a reader that is slow or gone costs lines, which are counted, and no
requests; `close` brings out what was taken.
"""

from __future__ import annotations

import os
import select
import threading


class LineWriter:
    """A thread that writes lines to a file descriptor; what it cannot place in time is dropped."""

    def __init__(self, fd: int, *, max_bytes: int = 16 * 1024 * 1024) -> None:
        self._fd = fd
        self._max_bytes = max_bytes
        self._waiting: list[tuple[bytes, int]] = []
        """Batches, and how many lines each has."""
        self._bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._broken = False
        self.dropped = 0
        """Lines lost after they had been taken: the reader went away, or `close` gave up."""
        # A daemon: a reader that never reads must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def put(self, text: bytes, lines: int) -> int:
        """Take a batch; returns how many lines were dropped instead (all or none)."""
        with self._changed:
            if self._closing or self._broken or self._bytes + len(text) > self._max_bytes:
                return lines
            self._waiting.append((text, lines))
            self._bytes += len(text)
            self._changed.notify()
        return 0

    def close(self, timeout_s: float) -> None:
        """Write what was taken, for at most so long; blocks, so call it last or in a thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        with self._changed:
            self.dropped += sum(lines for _, lines in self._waiting)
            self._waiting.clear()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closing:
                        return
                    self._changed.wait()
                batches, self._waiting = self._waiting, []
            text = b"".join([text for text, _ in batches])
            written = self._write_all(text)
            with self._changed:
                self._bytes -= len(text)
                if not written:
                    self._broken = True
                    self.dropped += sum(lines for _, lines in (*batches, *self._waiting))
                    self._waiting.clear()
                    return

    def _write_all(self, data: bytes) -> bool:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                # Somebody else made the shared terminal or pipe non-blocking.
                select.select((), (self._fd,), ())
            except OSError:
                return False
        return True
