"""Who is admitted when a worker is nearly full: nobody's slowness costs others their place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.load import API, IN_FLIGHT, LAG, TARGET, Load, Share


def filled(load: Load, *shares: Share) -> list[int]:
    """What each share holds when all of them ask in turn until none gets another."""
    while sum(load.admit(share, 0.0) for share in shares):
        pass
    return [share.held for share in shares]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_n_hot_apis_have_one_part_of_n_and_one_each(count: int) -> None:
    load = Load(1000, 0.5)
    held = filled(load, *(Share() for _ in range(count)))
    fair = 1000 / (count + 1)
    assert all(abs(one - fair) <= 1 for one in held)
    # And the part that is left is for whoever is not hot.
    assert load.admit(Share(), 0.0)


def test_an_api_that_was_alone_gives_way_as_its_requests_end() -> None:
    load = Load(100, 0.5)
    first, second = Share(), Share()
    assert filled(load, first) == [50]
    filled(load, second)
    assert second.held == 25
    for _ in range(20):
        load.leave(first)
        filled(load, first, second)
    assert abs(first.held - second.held) <= 10


def test_the_bound_is_never_passed() -> None:
    load = Load(3, 0.5)
    assert [load.admit(Share(), 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert load.shed == {IN_FLIGHT: 2, API: 0, TARGET: 0, LAG: 0}


def test_one_place_is_a_place() -> None:
    load, share = Load(1, 0.5), Share()
    assert load.admit(share, 0.0)
    assert load.burden(Share())
    assert not load.admit(share, 0.0)
    load.leave(share)
    load.leave(None)
    assert load.held == 0


def test_a_slow_backend_leaves_room_for_the_others_of_its_api() -> None:
    """Two backends of one API: one answers nothing, the other must still be reached."""
    load, api, slow, good = Load(900, 0.5), Share(), Share(), Share()
    while load.admit(api, 0.0):
        if not load.burden(slow):
            load.leave(api)  # it is answered 503
            break
    assert 299 <= slow.held <= 301
    assert load.shed[TARGET] == 1
    for _ in range(100):
        assert load.admit(api, 0.0)
        assert load.burden(good)


def test_a_late_loop_takes_nothing_on() -> None:
    load, share = Load(100, 0.5), Share()
    assert load.admit(share, 0.5)
    assert not load.admit(share, 0.51)
    assert load.shed[LAG] == 1
    assert load.admit(share, 0.0)  # and takes on again at once when it is on time


def test_lateness_may_not_matter() -> None:
    assert Load(100, 0.0).admit(Share(), 1e9)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=200), st.integers(1, 20))
def test_what_is_held_is_what_was_admitted(events: list[tuple[bool, int]], bound: int) -> None:
    load = Load(bound, 0.5)
    shares = [Share() for _ in range(4)]
    for arrives, number in events:
        share = shares[number]
        if arrives:
            load.admit(share, 0.0)
        elif share.held:
            load.leave(share)
        assert load.held == sum(one.held for one in shares) <= bound
        assert min(one.held for one in shares) >= 0
