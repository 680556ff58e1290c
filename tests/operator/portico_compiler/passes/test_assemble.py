"""The snapshot adds up: digests, the gateway unit, the one API that takes unknown hosts."""

from __future__ import annotations

from typing import Any

import worlds
from manifests import manifest
from portico_compiler import Compiled, compile  # noqa: A004
from portico_ir import codec
from portico_ir.model import IR_VERSION, GatewayUnit


def compiled(*names: str, **settings: Any) -> Compiled:
    world, _ = worlds.of_raws([manifest("RestApi", name) for name in names], **settings)
    return compile(world)


def gateway(result: Compiled) -> GatewayUnit:
    unit = worlds.units(result)["gateway"]
    assert isinstance(unit, GatewayUnit)
    return unit


def test_the_manifest_adds_up() -> None:
    result = compiled("a", "b", build="1.2.3", marks={"Route": "17"})
    found = result.snapshot.manifest
    assert found.ir_version == IR_VERSION
    assert (found.build, found.marks) == ("1.2.3", {"Route": "17"})
    assert set(found.units) == set(result.snapshot.units)
    for unit_id, raw in result.snapshot.units.items():
        assert found.units[unit_id] == codec.digest(raw)


def test_an_empty_world_has_a_gateway() -> None:
    assert set(compiled().snapshot.units) == {"gateway"}


def test_just_one_api_takes_unknown_hosts_where_that_is_wanted() -> None:
    assert gateway(compiled("a", sole_api_fallback=True)).sole_api == "api/default/RestApi/a"
    assert gateway(compiled("a")).sole_api == ""
    assert gateway(compiled("a", "b", sole_api_fallback=True)).sole_api == ""
    assert gateway(compiled(sole_api_fallback=True)).sole_api == ""
