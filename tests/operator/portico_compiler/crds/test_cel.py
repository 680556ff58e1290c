"""No rule of the compiler is without its twin, and none without a row that breaks it."""

from __future__ import annotations

import pytest

from crd_rows import GOOD, ROWS, Row
from portico_compiler import validation
from portico_compiler.crds import cel
from portico_compiler.crds.schema import document
from portico_compiler.manifests.kinds import KINDS
from portico_compiler.rules import RULES

TWINS = {rule.__name__ for rules in RULES.values() for rule in rules}
SAID = {entry.twin for entries in cel.RULES.values() for entry in entries} - {""}


def test_every_rule_has_a_twin_or_a_reason() -> None:
    assert SAID | set(cel.WITHOUT_CEL) == TWINS
    assert not SAID & set(cel.WITHOUT_CEL)


def test_every_twin_has_a_row_that_breaks_it() -> None:
    assert {row.twin for row in ROWS} >= SAID


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.twin}-{row.kind}")
def test_a_row_breaks_its_own_rule(row: Row) -> None:
    content = validation.read(row.kind, {"spec": row.spec}).content
    broken = {rule.__name__ for rule in RULES[row.kind] if list(rule(content))}
    assert broken == {row.twin}


@pytest.mark.parametrize(("kind", "spec"), GOOD)
def test_what_is_right_breaks_none(kind: str, spec: dict[str, object]) -> None:
    assert not validation.read(kind, {"spec": spec}).faults


def test_every_rule_stands_somewhere() -> None:
    """A place that no struct has would be a rule that nobody asks."""
    texts = [repr(document(kind.name)) for kind in KINDS.values() if kind.ours]
    for place, entries in cel.RULES.items():
        for entry in entries:
            assert any(repr(entry.rule) in text for text in texts), place
