"""Statuses: what Programmed says, in which order of importance."""

from __future__ import annotations

import pytest

from portico_compiler import Condition, ObjectRef
from portico_compiler.problems import ConditionType
from portico_operator.rollout import NOBODY, LivePod, Standing
from portico_operator.status import (
    Identity,
    Programmed,
    compose,
    has_identity,
    is_news,
    parsed,
    programmed,
)

GOOD = (Condition(ConditionType.ACCEPTED, "True", "Accepted", "", 1),)
BAD = (Condition(ConditionType.ACCEPTED, "False", "InvalidValue", "no", 1),)
PODS = tuple(LivePod(f"u{n}", f"pod-{n}") for n in range(8))


def fleet(*at: int, streams: bool = True) -> Standing:
    entries = tuple((number, pod, streams) for number, pod in zip(at, PODS, strict=False))
    return Standing(len(at), min(at), entries, {})


@pytest.mark.parametrize(
    ("conditions", "standing", "refusals", "idle", "reason"),
    [
        (BAD, fleet(1), [("p", "r")], "no Stage", "NotAccepted"),
        (GOOD, fleet(1), [("p", "r")], "no Stage", "NotDeployed"),
        (GOOD, NOBODY, [], "", "NoDataPlane"),
        (GOOD, fleet(1), [("p", "r")], "", "Refused"),
        (GOOD, fleet(1, 0), [], "", "Pending"),
        (GOOD, fleet(0, streams=False), [], "", "Unreachable"),
        (GOOD, fleet(1, 1), [], "", "Programmed"),
        (GOOD, fleet(5), [], "", "Programmed"),
    ],
)
def test_programmed(
    conditions: tuple[Condition, ...],
    standing: Standing,
    refusals: list[tuple[str, str]],
    idle: str,
    reason: str,
) -> None:
    found = programmed(conditions, 1, standing, refusals, idle)
    assert found.reason == reason
    assert (found.status == "True") == (reason == "Programmed")


def test_pods_are_named_up_to_a_point() -> None:
    message = programmed(GOOD, 1, fleet(*[0] * 8), [], "").message
    assert "pod-0" in message
    assert "and 3 more" in message


def test_messages_fit_kubernetes() -> None:
    state = Programmed("False", "Refused", "x" * 100_000)
    status = compose(GOOD, state, 1, Identity(), None, {}, "now")
    assert len(status["conditions"][-1]["message"]) <= 32_768


def test_counts_alone_are_no_news() -> None:
    state = Programmed("True", "Programmed", "")
    one = compose(GOOD, state, 1, Identity(), {"pods": 1}, {}, "now")
    two = compose(GOOD, state, 1, Identity(), {"pods": 2}, one, "later")
    assert not is_news(two, one)
    assert is_news(two, {})
    assert {c["lastTransitionTime"] for c in two["conditions"]} == {"now"}


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"3"])
def test_a_status_that_is_none(text: bytes) -> None:
    assert parsed(text) == {}


def test_odd_conditions_of_others_are_passed_over() -> None:
    observed = {"conditions": [3, {"type": 4}, {"type": "Accepted"}]}
    state = Programmed("True", "Programmed", "")
    status = compose(GOOD, state, 1, Identity("id", ("http://x/",)), None, observed, "now")
    assert status["apiId"] == "id"
    assert status["addresses"] == ["http://x/"]
    assert len(status["conditions"]) == 2


def test_who_shows_pods() -> None:
    assert has_identity(ObjectRef("Stage", "n", "s"))
    assert not has_identity(ObjectRef("Route", "n", "r"))
