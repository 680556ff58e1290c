"""Manifests in, Snapshot and Report out: a function, no I/O, no clock, no chance.

Public, and all that other packages use:
`World`, `Settings`, `Object`, `SourceDocument`, `ObjectRef` (what goes in; `World.from_documents`
makes one from YAML documents), `compile` with `Memo` (pass the same Memo again and an edit costs
what it touches), `Compiled`, `Report`, `Condition`, `RouteRow` (what comes out), `Problem`,
`Reason`, `Severity`, `Source` (what is wrong). `manifests.kinds.KINDS` is the table of kinds.
User errors are Problems; nothing here raises for what a user wrote.
"""

from __future__ import annotations

from portico_compiler.compiler import Compiled, Memo, compile  # noqa: A004
from portico_compiler.conditions import Condition, Report, RouteRow
from portico_compiler.problems import ObjectRef, Problem, Reason, Severity, Source
from portico_compiler.world import Object, Settings, SourceDocument, World

__all__ = [
    "Compiled",
    "Condition",
    "Memo",
    "Object",
    "ObjectRef",
    "Problem",
    "Reason",
    "Report",
    "RouteRow",
    "Settings",
    "Severity",
    "Source",
    "SourceDocument",
    "World",
    "compile",
]
