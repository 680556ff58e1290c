"""Certificates of domains: read once a version, judged by the day, said where they are named."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

import worlds
from manifests import manifest
from pki import Authority, Pair
from portico_compiler import Memo, Reason, compile  # noqa: A004
from portico_compiler.passes import pem
from portico_ir.domains import DomainUnit

CA = Authority()
DAY = "20261123"
NOON = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
MIDNIGHT = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)


def secret(name: str, pair: Pair) -> dict[str, Any]:
    data = {"tls.crt": pair.chain, "tls.key": pair.key}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def domain(*hosts: str, **spec: Any) -> dict[str, Any]:
    return manifest(
        "DomainName", "d", {"domainNames": list(hosts), "certificateRef": {"name": "tls"}, **spec}
    )


def judged(pair: Pair, *hosts: str, today: str = DAY) -> tuple[DomainUnit, list[Reason]]:
    world, _ = worlds.of_raws([domain(*hosts), secret("tls", pair)], today=today)
    result = compile(world)
    unit = worlds.units(result)["domain/default/d"]
    assert isinstance(unit, DomainUnit)
    return unit, [problem.reason for problem in result.report.problems]


@pytest.mark.parametrize(
    ("until", "reasons"),
    [
        (NOON, []),  # it is good for a part of the day
        (MIDNIGHT, [Reason.CERTIFICATE_EXPIRED]),
        (NOON - datetime.timedelta(days=1), [Reason.CERTIFICATE_EXPIRED]),
    ],
)
def test_an_expired_certificate_is_shown_all_the_same(
    until: datetime.datetime, reasons: list[Reason]
) -> None:
    unit, found = judged(CA.server("a.example", until=until), "a.example")
    assert found == reasons
    assert unit.certificate is not None
    assert not unit.broken
    assert judged(CA.server("a.example", until=until), "a.example", today="")[1] == []


def test_hosts_without_a_name_are_told() -> None:
    unit, found = judged(CA.server("a.example"), "a.example", "b.example")
    assert found == [Reason.HOST_NOT_COVERED]
    assert unit.hosts == ("a.example", "b.example")
    assert not unit.broken


def test_without_a_day_no_key_leaves() -> None:
    """`portico compile` writes Secrets only where it is asked to."""
    unit, _ = judged(CA.server("a.example"), "a.example", today="")
    assert unit.certificate is None
    assert not unit.broken


def test_a_replaced_certificate_makes_another_unit() -> None:
    memo = Memo()

    def unit(pair: Pair) -> tuple[str, str]:
        world, _ = worlds.of_raws([domain("a.example"), secret("tls", pair)], today=DAY)
        snapshot = compile(world, memo).snapshot
        digest = snapshot.manifest.units["domain/default/d"]
        return digest, snapshot.manifest.units["gateway"]

    first = CA.server("a.example")
    before, again, after = unit(first), unit(first), unit(CA.server("a.example"))
    assert before == again
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_a_certificate_is_read_once_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []
    real = pem.pair

    def counted(chain: bytes, key: bytes) -> pem.Pair | str:
        calls.append(chain)
        return real(chain, key)

    monkeypatch.setattr(pem, "pair", counted)
    memo = Memo()
    raws = [domain("a.example"), secret("tls", CA.server("a.example"))]
    for _ in range(3):
        compile(worlds.of_raws(raws, today=DAY)[0], memo)
    assert len(calls) == 1
