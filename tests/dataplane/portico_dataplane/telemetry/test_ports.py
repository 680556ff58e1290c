"""What is passed where a port is wanted does what the port says."""

from __future__ import annotations

from portico_dataplane.telemetry.access_log import BatchedLines
from portico_dataplane.telemetry.meters import StageMeters, read
from portico_dataplane.telemetry.ports import LineSink, Meters


def test_the_meters_of_a_process() -> None:
    implementation = StageMeters()
    port: Meters = implementation
    meter = port.meter("default", "petstore", "rest", "prod", "")
    meter.record(200, 1.0, -1.0, 54)

    ((_, cells),) = implementation.snapshot().items()
    assert read(cells).sent == 54


async def test_the_lines_of_a_process() -> None:
    taken: list[bytes] = []

    def deliver(text: bytes, lines: int) -> int:
        taken.append(text)
        return 0

    implementation = BatchedLines(deliver)
    port: LineSink = implementation
    port.write("one")
    implementation.flush()

    assert taken == [b"one\n"]
