"""Where access log lines go: one bounded writer, so that a slow reader costs lines, not requests.

Requests write into `BatchedLines`; it hands batches on, in a worker over the channel to the
supervisor, in a single process straight to the thread that alone touches the file
(`line_writer.py`). Promises: `write` never blocks and never grows without bound; what is dropped
is counted; `flush` brings out what was taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from portico_dataplane.core.messages import Outcome, Request

Deliver = Callable[[bytes, int], int]
"""Takes a batch, as it is written, and the number of its lines; returns how many of them it had to
drop."""


class BatchedLines:
    """Implements `ports.LineSink` on the event loop: one delivery per interval, not per line."""

    def __init__(
        self, deliver: Deliver, *, max_chars: int = 4 * 1024 * 1024, interval_s: float = 0.02
    ) -> None:
        self._deliver = deliver
        self._max_chars = max_chars
        self._interval = interval_s
        self._lines: list[str] = []
        self._chars = 0
        self._timer: asyncio.TimerHandle | None = None
        self.written = 0
        """Lines handed on."""
        self.dropped = 0
        """Lines lost, here or further on."""

    def write(self, line: str) -> None:
        """Take one line without its newline; dropped and counted when too much waits."""
        self._chars += len(line) + 1
        if self._chars > self._max_chars:
            self._chars -= len(line) + 1
            self.dropped += 1
            return
        self._lines.append(line)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._interval, self.flush)

    def flush(self) -> None:
        """Hand on what waits, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._lines:
            return
        lines, self._lines, self._chars = self._lines, [], 0
        # Here, not where it is written: one process writes what all workers have to say.
        dropped = self._deliver(as_text(lines), len(lines))
        self.dropped += dropped
        self.written += len(lines) - dropped


def as_text(lines: list[str]) -> bytes:
    """Lines as bytes, each ended; a break inside one cannot forge another (AWS: single line)."""
    text = "\n".join(lines) + "\n"
    if text.count("\n") != len(lines) or "\r" in text:
        text = "\n".join(" ".join(line.splitlines()) for line in lines) + "\n"
    return text.encode("utf-8", "backslashreplace")


def dev_line(request: Request, outcome: Outcome) -> str:
    """The short line of `portico dev`: what came, what it got, where it went, why it failed."""
    query = f"?{request.query}" if request.query else ""
    parts = [str(outcome.status or "---"), f"{request.method} {request.raw_path}{query}"]
    # A request that was refused on its way has no route, no stage, or not even an API.
    api = getattr(request, "api", None)
    stage = getattr(request, "stage", None)
    route = getattr(request, "route", None)
    if api is not None and api.name:
        named = f"/{stage.name}" if stage is not None and stage.name else ""
        parts.append(f"{api.name}{named}")
    if route is not None and route.key:
        parts.append(f"[{route.key}]")
    parts.append(f"{_size(outcome.response_length)} {outcome.response_latency_ms:.1f}ms")
    if outcome.integration_latency_ms >= 0:
        parts.append(f"(backend {outcome.integration_status or '---'}")
        parts[-1] += f" {outcome.integration_latency_ms:.1f}ms)"
    if outcome.error is not None:
        parts.append(outcome.error.value)
    if outcome.integration_error:
        parts.append(outcome.integration_error)
    if not outcome.status:
        parts.append("client left")
    return " ".join(parts)


def _size(count: int) -> str:
    if count < 10_000:
        return f"{count}B"
    if count < 10_000_000:
        return f"{count / 1000:.0f}kB"
    return f"{count / 1_000_000:.0f}MB"
