"""CEL for APIs, Stages and classes stands beside the module whose twin it is."""

from __future__ import annotations

from crd_rows import ROWS
from portico_compiler.crds import apis
from portico_compiler.rules import RULES

TWINS = {
    rule.__name__
    for rules in RULES.values()
    for rule in rules
    if rule.__module__ == "portico_compiler.rules.apis"
}


def test_every_twin_is_of_the_module_of_the_same_name() -> None:
    assert {cel.twin for cels in apis.RULES.values() for cel in cels} - {""} <= TWINS


def test_each_of_them_is_broken_by_a_row() -> None:
    broken = {row.twin for row in ROWS}
    for cels in apis.RULES.values():
        assert {cel.twin for cel in cels} - {""} <= broken


def test_a_message_is_a_text_or_says_that_it_is_computed() -> None:
    for cels in apis.RULES.values():
        for cel in cels:
            computed = cel.message.startswith(("'", '"', "self.", "(")) and " + " in cel.message
            assert cel.computed == computed, cel.message
