"""Statuses: what Programmed says, in which order of importance."""

from __future__ import annotations

import pytest

from portico_compiler import Condition, ObjectRef
from portico_compiler.problems import ConditionType
from portico_operator.delivery.fleet import (
    NOBODY,
    PROGRAMMED,
    LivePod,
    Programming,
    Refusal,
    Standing,
)
from portico_operator.status import (
    Identity,
    compose,
    has_identity,
    is_news,
    parsed,
    programmed,
)

GOOD = (Condition(ConditionType.ACCEPTED, "True", "Accepted", "", 1),)
BAD = (Condition(ConditionType.ACCEPTED, "False", "InvalidValue", "no", 1),)
UNIT = ("api/x",)


def fleet(*at: int, streams: bool = True, refuses: bool = False) -> Standing:
    refused = {"api/x": Refusal("r")} if refuses else {}
    return Standing(LivePod(f"p{n}", serial, streams, refused) for n, serial in enumerate(at))


@pytest.mark.parametrize(
    ("conditions", "standing", "units", "idle", "reason"),
    [
        (BAD, fleet(1, refuses=True), UNIT, "no Stage", "NotAccepted"),
        (BAD, NOBODY, (), "", "NotAccepted"),
        (GOOD, fleet(1, refuses=True), UNIT, "no Stage", "NotDeployed"),
        (GOOD, NOBODY, (), "no Stage", "NotDeployed"),
        (GOOD, NOBODY, (), "", "NoDataPlane"),
        (GOOD, None, (), "", "NoDataPlane"),
        (GOOD, fleet(1, refuses=True), UNIT, "", "Refused"),
        (GOOD, fleet(1, refuses=True), (), "", "Programmed"),
        (GOOD, fleet(1, 0), (), "", "Pending"),
        (GOOD, fleet(0, streams=False), (), "", "Unreachable"),
        (GOOD, fleet(1, 1), (), "", "Programmed"),
        (GOOD, fleet(5), (), "", "Programmed"),
    ],
)
def test_programmed(
    conditions: tuple[Condition, ...],
    standing: Standing | None,
    units: tuple[str, ...],
    idle: str,
    reason: str,
) -> None:
    found = programmed(conditions, 1, standing, units, idle)
    assert found.reason == reason
    assert found.is_true == (reason == "Programmed")


def test_messages_fit_kubernetes() -> None:
    state = Programming(False, "Refused", "x" * 100_000)
    status = compose(GOOD, state, 1, Identity(), None, {}, "now")
    assert len(status["conditions"][-1]["message"]) <= 32_768


def test_counts_alone_are_no_news() -> None:
    one = compose(GOOD, PROGRAMMED, 1, Identity(), {"pods": 1}, {}, "now")
    two = compose(GOOD, PROGRAMMED, 1, Identity(), {"pods": 2}, one, "later")
    assert not is_news(two, one)
    assert is_news(two, {})
    assert {c["lastTransitionTime"] for c in two["conditions"]} == {"now"}


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"3"])
def test_a_status_that_is_none(text: bytes) -> None:
    assert parsed(text) == {}


def test_odd_conditions_of_others_are_passed_over() -> None:
    observed = {"conditions": [3, {"type": 4}, {"type": "Accepted"}]}
    status = compose(GOOD, PROGRAMMED, 1, Identity("id", ("http://x/",)), None, observed, "now")
    assert status["apiId"] == "id"
    assert status["addresses"] == ["http://x/"]
    assert len(status["conditions"]) == 2


def test_who_shows_pods() -> None:
    assert has_identity(ObjectRef("Stage", "n", "s"))
    assert not has_identity(ObjectRef("Route", "n", "r"))
