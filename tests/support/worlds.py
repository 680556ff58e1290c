"""Worlds from YAML texts, and what compiling them gives in a form that reads well.

Used by the compiler's tests and the golden cases.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from portico_compiler import (
    Compiled,
    Memo,
    ObjectRef,
    Problem,
    Settings,
    SourceDocument,
    World,
    compile,  # noqa: A004
)
from portico_ir import codec
from portico_ir.model import ApiUnit, Route, RoutesUnit, Unit

FILE = "case.yaml"


def world(text: str, **settings: Any) -> tuple[World, list[Problem]]:
    """The World of a YAML text with one or more documents."""
    return of_raws(list(yaml.safe_load_all(text)), **settings)


def of_raws(raws: list[Any], **settings: Any) -> tuple[World, list[Problem]]:
    """The World of documents that are already read."""
    documents = [SourceDocument(raw, FILE, number) for number, raw in enumerate(raws)]
    return World.from_documents(documents, Settings(**settings))


def compiled(text: str, memo: Memo | None = None, **settings: Any) -> Compiled:
    """A YAML text, compiled; everything in it must be an object."""
    made, problems = world(text, **settings)
    assert not problems
    return compile(made, memo)


def units(result: Compiled) -> dict[str, Unit]:
    """The units of a snapshot, decoded."""
    return {unit_id: codec.decode_unit(raw) for unit_id, raw in result.snapshot.units.items()}


def routes(result: Compiled, stage: str = "$default") -> dict[str, Route]:
    """Route key to route, of all APIs, as that stage serves them."""
    decoded = units(result)
    found: dict[str, Route] = {}
    for unit in decoded.values():
        for served in unit.stages if isinstance(unit, ApiUnit) else ():
            for shard in served.shards if served.name == stage else ():
                routes_unit = decoded[shard]
                assert isinstance(routes_unit, RoutesUnit)
                found |= {route.key: route for route in routes_unit.routes}
    return found


def api(result: Compiled) -> ApiUnit:
    """The one API of a snapshot."""
    (found,) = (unit for unit in units(result).values() if isinstance(unit, ApiUnit))
    return found


def condition(result: Compiled, kind: str, name: str, type_: str) -> tuple[str, str, str]:
    """Status, reason and message of a condition; ("", "", "") when it is not there."""
    for found in result.report.conditions[ObjectRef(kind, "default", name)]:
        if found.type == type_:
            return found.status, found.reason, found.message
    return "", "", ""


def snapshot_document(result: Compiled) -> dict[str, Any]:
    """The snapshot as plain data, units decoded, without digests."""
    return {
        "units": {key: json.loads(bytes(raw)) for key, raw in result.snapshot.units.items()},
        "endpoints": json.loads(codec.encode(result.snapshot.endpoints)),
    }


def status_document(result: Compiled, refused: list[Problem]) -> dict[str, Any]:
    """Problems, conditions, addresses and the route table as plain data."""
    report = result.report
    return {
        "problems": [str(problem) for problem in (*refused, *report.problems)],
        "conditions": {
            str(ref): {
                str(condition.type): " ".join(
                    text for text in (condition.status, condition.reason, condition.message) if text
                )
                for condition in conditions
            }
            for ref, conditions in report.conditions.items()
        },
        "addresses": {str(ref): list(urls) for ref, urls in sorted(report.addresses.items())},
        "routes": [
            f"{row.stage} {row.key} -> {row.target}"
            + ("" if row.accepted else f"  500: {row.message}")
            for row in report.routes
        ],
    }
