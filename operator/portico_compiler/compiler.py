"""placeholder"""

from __future__ import annotations

from typing import NamedTuple

from portico_compiler.conditions import Report
from portico_compiler.world import World
from portico_ir import codec
from portico_ir.model import IR_VERSION, Manifest, Snapshot


class Memo:
    """What earlier compiles worked out."""


class Compiled(NamedTuple):
    """What compiling yields."""

    snapshot: Snapshot
    report: Report


def compile(world: World, memo: Memo | None = None) -> Compiled:
    snapshot = Snapshot(manifest=Manifest(ir_version=IR_VERSION, units={}))
    codec.encode(snapshot)
    return Compiled(snapshot, Report(list, [], {}, list))
