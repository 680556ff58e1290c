"""A worker process without an engine: speaks the channel as its first argument says.

For tests of the supervisor's side. It writes down what it is told as access log lines, so
that a test sees what went over the channel and in which order.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import msgspec

from portico_dataplane.telemetry.meters import CELLS
from portico_dataplane.telemetry.readings import ProcessReading, Readings
from portico_dataplane.workers.channel import (
    Announce,
    Applied,
    Apply,
    Asks,
    Begin,
    Drain,
    Endpoints,
    Failed,
    Fallback,
    Flush,
    FrameReader,
    Grants,
    Lines,
    Order,
    Pull,
    Pulled,
    Report,
    Serving,
    Started,
    Units,
    frame,
)
from portico_ir.codec import decode_endpoints, digest
from portico_ir.leases import Ask, Tokens

COMMAND = (sys.executable, str(Path(__file__).resolve()))
"""To be followed by a mode."""

LABELS = ("default", "petstore", "rest", "$default", "")


class FakeWorker:
    """`serve`, or one of the ways to go wrong."""

    def __init__(self, mode: str, sock: socket.socket) -> None:
        self.mode = mode
        self.sock = sock
        self.count = 0

    def say(self, report: Report) -> None:
        self.sock.sendall(frame(report))

    def note(self, text: str) -> None:
        self.say(Lines(f"{os.getpid()} {text}\n".encode(), 1))

    def run(self) -> None:
        reader = FrameReader()
        decoder = msgspec.msgpack.Decoder(Order)
        self.say(Started(os.getpid()))
        while data := self.sock.recv(1 << 20):
            for body in reader.feed(data):
                self.do(decoder.decode(body))

    def do(self, order: Order) -> None:
        match order:
            case Begin():
                self.note(f"begin {order.worker} {len(order.sockets)} sockets")
                if self.mode == "garbage":
                    self.sock.sendall(b"\xff" * 8)
                if self.mode == "ask":
                    self.say(Asks([Ask("bucket", Tokens(1, 2), want=1.0)]))
                if self.mode == "fail":
                    self.say(Failed("the engine is broken"))
                    sys.exit(1)
            case Units():
                self.note(
                    f"units {' '.join(sorted(unit.decode() for unit in order.units.values()))}"
                )
            case Apply():
                self.note(f"apply {decode_endpoints(order.endpoints).sequence}")
                refused = {"api/x": "why"} if self.mode == "refuse" else {}
                self.say(Serving())
                self.say(Applied(order.serial, digest(order.manifest), refused))
            case Endpoints():
                self.note(f"endpoints {decode_endpoints(order.endpoints).sequence}")
            case Fallback():
                self.note(f"fallback {order.allowed}")
            case Flush():
                self.note(f"flush {order.authorizer}")
            case Grants():
                self.note(f"grants {' '.join(grant.id for grant in order.grants)}")
            case Pull():
                if self.mode != "hang":
                    self.count += 1
                    self.say(Pulled(order.serial, self.readings()))
            case Announce():
                self.note("announce")
            case Drain():
                self.note(f"drain {order.seconds}")
                if self.mode != "stay":
                    self.say(Pulled(0, self.readings()))
                    sys.exit(0)

    def readings(self) -> Readings:
        """One request more at each asking."""
        cells: list[float] = [0] * CELLS
        cells[2] = self.count
        return Readings(
            series={LABELS: cells},
            gauges={"requests_in_flight": 1},
            counters={"log_lines_dropped": 1},
            process=ProcessReading(cpu_seconds=1.0, gc_collections=(1, 0, 0)),
        )


def main() -> None:
    mode, fd = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if mode == "die":
        sys.exit(3)
    FakeWorker(mode, socket.socket(fileno=fd)).run()


if __name__ == "__main__":
    main()
