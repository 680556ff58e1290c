"""When certificates end, as the admin port shows it."""

from __future__ import annotations

import datetime

from engine import snapshot
from pki import Authority
from portico_dataplane.telemetry import expiry
from portico_dataplane.telemetry.expiry import Expiries
from portico_ir.model import GatewayUnit, Snapshot, Unit
from secure_engine import domain

CA = Authority()
SOON = datetime.datetime(2027, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)


def holding(**more: Unit) -> Snapshot:
    units: dict[str, Unit] = {"gateway": GatewayUnit()}
    units |= {f"domain/test/{name}": unit for name, unit in more.items()}
    return snapshot(units, {})


async def test_each_domain_with_a_certificate_has_an_end() -> None:
    a = domain("a.test", pair=CA.server("a.test", until=SOON))
    broken = domain("b.test", pair=CA.server("b.test")._replace(chain="nonsense"))
    expiries = Expiries()
    assert await expiries.read(None) == {}
    now = holding(a=a, b=broken, c=domain("c.test"))
    assert await expiries.read(now) == {"test/a": SOON.timestamp()}


async def test_a_certificate_is_read_once(monkeypatch: object) -> None:
    a = domain("a.test", pair=CA.server("a.test", until=SOON))
    expiries = Expiries()
    reads: list[int] = []
    read = expiry._read

    def counted(units: dict[str, bytes]) -> dict[str, float | None]:
        reads.append(len(units))
        return read(units)

    expiry._read = counted  # type: ignore[assignment]
    try:
        for _ in range(3):
            await expiries.read(holding(a=a))
        later = domain("a.test", pair=CA.server("a.test"))
        found = await expiries.read(holding(a=later))
    finally:
        expiry._read = read
    assert reads == [1, 1]
    assert found["test/a"] > SOON.timestamp()
    assert await expiries.read(holding()) == {}
    assert expiries._known == {}
