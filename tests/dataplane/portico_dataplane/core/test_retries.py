"""Retries: RFC 9110 §9.2.2 and the budget."""

from __future__ import annotations

import pytest

from portico_dataplane.core.retries import RetryBudget, may_retry


@pytest.mark.parametrize(
    ("written", "method", "replayable", "attempts", "expected"),
    [
        (False, "POST", True, 1, True),
        (False, "POST", True, 3, False),
        (True, "POST", True, 1, False),
        (True, "PATCH", True, 1, False),
        (True, "GET", True, 1, True),
        (True, "PUT", True, 2, True),
        (True, "DELETE", True, 1, True),
        (True, "PUT", False, 1, False),
        (False, "PUT", False, 1, False),
    ],
)
def test_the_rule(
    written: bool, method: str, replayable: bool, attempts: int, expected: bool
) -> None:
    got = may_retry(written=written, method=method, replayable=replayable, attempts=attempts)
    assert got is expected


def test_the_budget_is_a_share_of_requests() -> None:
    budget = RetryBudget()
    while budget.spend():
        pass
    for _ in range(4):
        budget.earn()
    assert not budget.spend()
    budget.earn()
    assert budget.spend()
    assert not budget.spend()


def test_the_budget_saves_only_so_much() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.earn()
    spent = 0
    while budget.spend():
        spent += 1
    assert spent <= 21
