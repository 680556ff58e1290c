"""Pieces of CEL come out as CEL reads them."""

from __future__ import annotations

from portico_compiler.crds.expression import Cel, between, choice, raw, texts


def test_a_text_keeps_its_backslashes_and_quotes() -> None:
    assert raw(r"^\*$") == r"r'^\*$'"
    assert raw("it's") == 'r"it\'s"'


def test_texts_are_a_list() -> None:
    assert texts(["a", "$b"]) == "['a', '$b']"


def test_a_choice_asks_for_all_but_the_last() -> None:
    assert choice("self.k", {"a": "1", "b": "2"}) == "(self.k == 'a' ? 1 : 2)"


def test_bounds_are_two_rules_where_there_are_two() -> None:
    assert [cel.rule for cel in between("t", "0s", "24h")] == [
        "duration(self) <= duration('24h')",
        "duration(self) > duration('0s')",
    ]
    assert len(between("t", "", "1h")) == 1


def test_an_entry_has_one_kind_of_message() -> None:
    plain = Cel("t", "true", "no", ".a").entry()
    assert plain == {
        "rule": "true",
        "message": "no",
        "fieldPath": ".a",
        "reason": "FieldValueInvalid",
    }
    computed = Cel("t", "true", "'no'", computed=True).entry()
    assert computed["messageExpression"] == "'no'"
    assert "message" not in computed
    assert "fieldPath" not in computed
