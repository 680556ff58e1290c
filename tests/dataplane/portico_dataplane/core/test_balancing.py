"""Shares, turns and passive ejection: design §6.6."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.balancing import (
    EJECT_AFTER,
    EJECT_AFTER_ERRORS,
    EJECT_BASE_S,
    EJECT_CAP_S,
    PROBE_S,
    Balancer,
    WeightedChoice,
)
from portico_ir.model import Endpoint


def at(number: int) -> Endpoint:
    return Endpoint(host=f"10.0.0.{number}", port=80)


def balancer_of(count: int) -> Balancer:
    return Balancer(at(number) for number in range(1, count + 1))


def picked(balancer: Balancer, times: int, now: float = 0.0) -> list[int]:
    """Last number of each address picked."""
    found = []
    for _ in range(times):
        endpoint = balancer.pick(now)
        assert endpoint is not None
        found.append(int(endpoint.host.rpartition(".")[2]))
    return found


def all_fail(balancer: Balancer) -> bool:
    return balancer.all_failing


def eject(balancer: Balancer, number: int, now: float = 0.0) -> None:
    for _ in range(EJECT_AFTER):
        balancer.failed(at(number), now)


# --- weights --------------------------------------------------------------------------------


def test_weights_are_spread_instead_of_in_runs() -> None:
    choice = WeightedChoice([5, 1, 1])
    assert [choice.pick() for _ in range(7)] == [0, 0, 1, 0, 2, 0, 0]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([], None), ([0], None), ([0, 0], None), ([3], 0), ([0, 7, 0], 1)],
)
def test_nothing_to_choose(weights: list[int], expected: int | None) -> None:
    choice = WeightedChoice(weights)
    assert [choice.pick() for _ in range(3)] == [expected] * 3


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_every_round_gives_exactly_the_shares(weights: list[int]) -> None:
    choice = WeightedChoice(weights)
    for _ in range(2):
        shares = Counter(choice.pick() for _ in range(sum(weights)))
        assert [shares[index] for index in range(len(weights))] == weights


# --- turns ----------------------------------------------------------------------------------


def test_addresses_take_turns() -> None:
    assert picked(balancer_of(3), 7) == [1, 2, 3, 1, 2, 3, 1]


def test_without_addresses_there_is_none() -> None:
    balancer = Balancer()
    assert balancer.pick(0) is None
    assert not all_fail(balancer)
    assert repr(balancer) == "<Balancer empty>"


def test_repeats_count_once() -> None:
    assert Balancer([at(1), at(1), at(2)]).endpoints == (at(1), at(2))


# --- ejection -------------------------------------------------------------------------------


def test_one_failure_is_chance() -> None:
    balancer = balancer_of(2)
    balancer.failed(at(1), 0)
    assert picked(balancer, 4) == [1, 2, 1, 2]
    assert repr(balancer) == "<Balancer 10.0.0.1:80 failed 1, 10.0.0.2:80>"


def test_failures_in_a_row_eject_for_a_while() -> None:
    balancer = balancer_of(3)
    eject(balancer, 2, now=100)
    assert repr(balancer) == (
        "<Balancer 10.0.0.1:80, 10.0.0.2:80 ejected until 105 after 2, 10.0.0.3:80>"
    )
    assert picked(balancer, 4, now=104.9) == [1, 3, 1, 3]
    assert picked(balancer, 3, now=105) == [1, 2, 3]


def test_a_success_between_forgets_the_failures() -> None:
    balancer = balancer_of(2)
    for _ in range(10):
        balancer.failed(at(1), 0)
        balancer.succeeded(at(1))
    assert repr(balancer) == "<Balancer 10.0.0.1:80, 10.0.0.2:80>"


def test_each_ejection_lasts_longer_up_to_a_cap() -> None:
    balancer = balancer_of(2)
    now, lasted = 0.0, []
    eject(balancer, 1)
    for _ in range(7):
        start = now
        while picked(balancer, 2, now) == [2, 2]:
            now += 1
        lasted.append(now - start)
        balancer.failed(at(1), now)  # back on trial: one more failure is enough
    assert lasted == [5, 10, 20, 40, 60, 60, 60]
    balancer.succeeded(at(1))
    eject(balancer, 1, now)
    assert picked(balancer, 2, now + EJECT_BASE_S) != [2, 2]
    assert EJECT_CAP_S == 60


def test_failures_of_requests_under_way_do_not_prolong() -> None:
    balancer = balancer_of(2)
    eject(balancer, 1)
    for _ in range(50):
        balancer.failed(at(1), 1)
    assert picked(balancer, 2, now=4.9) == [2, 2]
    assert sorted(picked(balancer, 2, now=5)) == [1, 2]


@pytest.mark.parametrize("count", [2, 3, 4, 5, 10])
def test_never_more_than_half_are_ejected(count: int) -> None:
    balancer = balancer_of(count)
    for number in range(1, count):  # all but one fail
        eject(balancer, number)
    assert len(set(picked(balancer, 3 * count))) == count - count // 2
    assert not all_fail(balancer)


def test_a_sole_address_is_always_tried() -> None:
    balancer = balancer_of(1)
    eject(balancer, 1)
    assert picked(balancer, 2) == [1, 1]
    assert all_fail(balancer)


def test_when_all_fail_all_are_tried() -> None:
    balancer = balancer_of(4)
    for number in range(1, 5):
        eject(balancer, number)
    assert all_fail(balancer)
    assert sorted(picked(balancer, 4)) == [1, 2, 3, 4]
    # One comes back: the others are ejected again as they go on failing.
    balancer.succeeded(at(3))
    for number in (1, 2, 4):
        balancer.failed(at(number), 1)
    assert not all_fail(balancer)
    assert sorted(set(picked(balancer, 8, now=1))) == [3, 4]


def test_an_update_keeps_what_is_known_and_the_turn() -> None:
    balancer = balancer_of(4)
    eject(balancer, 2)
    assert picked(balancer, 1) == [1]
    balancer.update([at(4), at(2), at(3)])  # the order in which endpoints arrive means nothing
    assert "10.0.0.2:80 ejected" in repr(balancer)
    assert picked(balancer, 1) == [3]
    balancer.update([at(9)])
    assert picked(balancer, 2) == [9, 9]
    balancer.update([at(2), at(9)])
    assert "ejected" not in repr(balancer)  # it went and came back: another pod, perhaps
    balancer.update([])
    assert balancer.pick(0) is None


def test_what_an_update_took_away_is_not_remembered() -> None:
    balancer = balancer_of(2)
    balancer.update([at(1)])
    balancer.failed(at(2), 0)
    balancer.succeeded(at(2))
    assert repr(balancer) == "<Balancer 10.0.0.1:80>"


EVENT = st.tuples(st.sampled_from(["fail", "error", "fine", "pick", "without"]), st.integers(1, 5))


@given(st.lists(EVENT, max_size=80))
def test_at_least_half_are_ever_in_use(events: list[tuple[str, int]]) -> None:
    balancer = balancer_of(5)
    for now, (what, number) in enumerate(events):
        if what == "fail":
            balancer.failed(at(number), now)
        elif what == "error":
            errs(balancer, number, now=now)
        elif what == "fine":
            balancer.succeeded(at(number))
        elif what == "without":
            balancer.update(one for one in map(at, range(1, 6)) if one != at(number))
            balancer.update(map(at, range(1, 6)))
        assert len(set(picked(balancer, 10, now))) >= 3


# --- answers 5xx, and finding out whether an address is back ---------------------------------


def errs(balancer: Balancer, number: int, times: int = EJECT_AFTER_ERRORS, now: float = 0) -> None:
    for _ in range(times):
        balancer.answered(at(number), 503, now)


def test_answers_5xx_in_a_row_eject() -> None:
    balancer = balancer_of(3)
    errs(balancer, 2, EJECT_AFTER_ERRORS - 1)
    assert "10.0.0.2:80 failed 4 answers 5xx" in repr(balancer)
    assert set(picked(balancer, 6)) == {1, 2, 3}
    errs(balancer, 2, 1)
    assert "10.0.0.2:80 ejected until 5 after 5 answers 5xx" in repr(balancer)
    assert set(picked(balancer, 6)) == {1, 3}


@pytest.mark.parametrize("status", [200, 302, 404, 429])
def test_any_other_answer_between_forgets_them(status: int) -> None:
    balancer = balancer_of(2)
    for _ in range(10):
        errs(balancer, 1, EJECT_AFTER_ERRORS - 1)
        balancer.answered(at(1), status, 0)
    assert repr(balancer) == "<Balancer 10.0.0.1:80, 10.0.0.2:80>"


def test_when_all_answer_5xx_none_is_better() -> None:
    """A route that fails everywhere must not halve the Service."""
    balancer = balancer_of(2)
    for now in range(40):
        for number in (1, 2):
            balancer.answered(at(number), 500, now)
    assert sorted(picked(balancer, 4, now=40)) == [1, 1, 2, 2]


def test_what_answers_5xx_can_be_reached() -> None:
    """So nothing stands in for it, and nobody waits for new addresses."""
    balancer = balancer_of(2)
    eject(balancer, 1)
    eject(balancer, 2)
    assert balancer.none_works
    errs(balancer, 1, 1)
    assert not balancer.none_works


def test_what_an_address_answers_may_not_matter() -> None:
    balancer = Balancer([at(1), at(2)], most_errors=0)
    errs(balancer, 1, 100)
    assert repr(balancer) == "<Balancer 10.0.0.1:80, 10.0.0.2:80>"
    eject(balancer, 1)
    assert set(picked(balancer, 4)) == {2}


def test_an_answer_of_an_address_that_left_is_nothing() -> None:
    balancer = balancer_of(2)
    balancer.update([at(1)])
    errs(balancer, 2)
    assert repr(balancer) == "<Balancer 10.0.0.1:80>"


def test_one_request_finds_out() -> None:
    """Half open: the others stay away until it has told, or has had time enough to."""
    balancer = balancer_of(2)
    eject(balancer, 1)
    assert picked(balancer, 6, now=5) == [1, 2, 2, 2, 2, 2]
    balancer.answered(at(1), 200, 5.5)
    assert sorted(picked(balancer, 4, now=5.5)) == [1, 1, 2, 2]


@pytest.mark.parametrize("what", ["failed", "answered"])
def test_a_trial_that_fails_ejects_for_longer(what: str) -> None:
    balancer = balancer_of(2)
    if what == "failed":
        eject(balancer, 1)
    else:
        errs(balancer, 1)
    assert 1 in picked(balancer, 2, now=5)
    if what == "failed":
        balancer.failed(at(1), 6)
    else:
        errs(balancer, 1, 1, now=6)
    assert set(picked(balancer, 4, now=15.9)) == {2}
    assert 1 in picked(balancer, 2, now=16)


def test_a_trial_that_never_ends_is_tried_again() -> None:
    balancer = balancer_of(2)
    eject(balancer, 1)
    assert picked(balancer, 4, now=5).count(1) == 1
    assert picked(balancer, 4, now=5 + PROBE_S - 0.1).count(1) == 0
    assert picked(balancer, 4, now=5 + PROBE_S).count(1) == 1


def test_what_was_known_of_a_sole_address_is_old() -> None:
    """Nobody tells of its successes: with one address there is no choice to make."""
    balancer = balancer_of(1)
    eject(balancer, 1)
    balancer.update([at(1), at(2)])
    assert repr(balancer) == "<Balancer 10.0.0.1:80, 10.0.0.2:80>"
