"""Findings: what is other than before, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from portico_compiler import Condition, ObjectRef
from portico_compiler.problems import ConditionType
from portico_operator.findings import NOTHING, Findings, compared
from portico_operator.status import Identity

A, B, FOREIGN = (ObjectRef("Route", "n", name) for name in ("a", "b", "foreign"))
GOOD = (Condition(ConditionType.ACCEPTED, "True", "Accepted", "", 1),)
BAD = (Condition(ConditionType.ACCEPTED, "False", "InvalidValue", "no", 1),)
BEFORE = Findings(
    conditions={A: GOOD, B: GOOD, FOREIGN: GOOD},
    identities={A: Identity("id")},
    not_deployed={},
    classes={A: "portico", B: "portico"},
    serials={},
)


def test_the_first_time_everything_of_ours_is_new() -> None:
    news = compared(NOTHING, BEFORE)
    assert (news.moved, news.gone) == ({A, B}, frozenset())
    assert news.findings is BEFORE


def test_the_same_again_is_no_news() -> None:
    again = BEFORE._replace(conditions=dict(BEFORE.conditions), serials={A: 7})
    assert compared(BEFORE, again)[1:] == (frozenset(), frozenset())


@pytest.mark.parametrize(
    "change",
    [
        {"conditions": {A: BAD, B: GOOD, FOREIGN: GOOD}},
        {"classes": {A: "other", B: "portico"}},
        {"not_deployed": {A: "no Stage serves it"}},
        {"identities": {A: Identity("id", ("http://x/",))}},
    ],
)
def test_what_moves(change: dict[str, Any]) -> None:
    news = compared(BEFORE, BEFORE._replace(**change))
    assert (news.moved, news.gone) == ({A}, frozenset())
    # And back.
    assert compared(BEFORE._replace(**change), BEFORE).moved == {A}


def test_what_another_operator_writes_of_is_not_ours() -> None:
    foreign = BEFORE._replace(
        conditions={**BEFORE.conditions, FOREIGN: BAD},
        identities={**BEFORE.identities, FOREIGN: Identity("x")},
        not_deployed={FOREIGN: "no"},
    )
    assert compared(BEFORE, foreign)[1:] == (frozenset(), frozenset())


def test_what_went_or_became_another_operators_is_gone() -> None:
    less = BEFORE._replace(conditions={A: GOOD, FOREIGN: GOOD}, classes={A: "portico"})
    assert compared(BEFORE, less)[1:] == (frozenset(), {B})
