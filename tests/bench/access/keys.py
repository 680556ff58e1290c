"""What an API key costs a request, and what very many of them cost a worker's memory."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
from typing import Final

from access.stretches import HEADERS, Row, microseconds
from benchmark.cpu import resident_bytes
from benchmark.snapshots import snapshot
from portico_dataplane.app import Gateway
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.verdicts import CONTINUE
from portico_dataplane.policies.require_key import RequireKeyPolicy
from portico_dataplane.settings import Settings
from portico_dataplane.telemetry.meters import StageMeters
from portico_ir.access import ApiKey, Plan, PlanStage
from portico_ir.model import ApiKind, GatewayUnit, KeysUnit, PlansUnit, Snapshot, Unit
from portico_ir.policies import RequireKey
from sample_requests import make_request

SIZES: Final = (1, 1_000, 100_000)
MOST_MB: Final = 40.0
FLATNESS: Final = 1.5
"""A look-up among the most keys costs at most so many times one among one: the table outgrows the
processor's caches, and nothing else."""
IN_A_UNIT: Final = 1_000
PROBES: Final = 1_000
"""Different keys that are asked for in turn."""


class _NoLines:
    def write(self, line: str) -> None:
        """Nothing is served."""


def _value(number: int) -> str:
    return f"benchmark-key-{number:026d}"


def _snapshot(count: int) -> Snapshot:
    stage = PlanStage(api="uid", stage="$default")
    plan = Plan(id="gold", name="default/gold", stages=(stage,))
    units: dict[str, Unit] = {"gateway": GatewayUnit(), "plans": PlansUnit(plans=(plan,))}
    for first in range(0, count, IN_A_UNIT):
        keys = {
            hashlib.sha256(_value(number).encode()).hexdigest(): ApiKey(
                id=f"{number:010d}", plans=("gold",), customer=f"customer-{number}"
            )
            for number in range(first, min(first + IN_A_UNIT, count))
        }
        units[f"keys/{first // IN_A_UNIT}"] = KeysUnit(keys=keys)
    return snapshot(units)


def _resident_mb() -> float:
    gc.collect()
    return resident_bytes(os.getpid()) / 1_000_000


async def _rows() -> list[Row]:
    gateway = Gateway(Settings(), meters=StageMeters(), lines=_NoLines())
    await gateway.start(())
    found: list[Row] = []
    try:
        await gateway.apply(_snapshot(1))
        before = _resident_mb()
        for count in SIZES:
            await gateway.apply(_snapshot(count))
            found.append(Row(f"key, one of {count:,}", _look_up(gateway, count)))
        # Pages that building has used stay with the process: what a worker has after a start.
        memory = _resident_mb() - before
    finally:
        await gateway.stop()
    ratio = found[-1].value / found[0].value
    found.append(Row(f"key, {SIZES[-1]:,} : {SIZES[0]}", ratio, FLATNESS, "x"))
    found.append(Row(f"{SIZES[-1]:,} keys in a worker", memory, MOST_MB, "MB"))
    return found


def _look_up(gateway: Gateway, count: int) -> float:
    policy = RequireKeyPolicy(RequireKey(), "uid", "$default", gateway.directory)
    requests = []
    for number in range(PROBES):
        value = _value(number * max(1, count // PROBES) % count)
        request = make_request(ApiKind.REST, headers=[*HEADERS, (b"x-api-key", value.encode())])
        request.caller = Caller()
        requests.append(request)

    def act() -> None:
        for request in requests:
            policy.on_request(request)

    assert all(policy.on_request(request) is CONTINUE for request in requests)
    return microseconds(act) / PROBES


def rows() -> list[Row]:
    """By the number of keys; memory at last."""
    return asyncio.run(_rows())
