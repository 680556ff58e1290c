"""The stated accuracy, in virtual time: real leases, brokers and ledger in a fleet that is made up.

design.md §7: a quota is overshot by 1 % or one lease per worker at most, whichever is larger, and
its last token can be spent; a bucket gives what it takes in, wherever requests come. The same with
real processes and real stores is `make bench-accuracy`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lease_world
from lease_world import Fleet, Worker, ideal
from portico_dataplane.effects.lessee import WAIT_S

QUOTA = 10_000
RATE, BURST = 500.0, 100.0
UNEVEN = (400.0, 200.0, 100.0, 50.0, 20.0, 5.0)
FEW = (250.0, 250.0, 100.0, 100.0, 50.0, 50.0)
"""Not many more than a bucket takes in: what is lost is missing."""
Request = Callable[[Worker], None]
Act = Callable[[Fleet], object]


def nothing(fleet: Fleet) -> None:
    """All goes well."""


def quota(worker: Worker) -> None:
    worker.quota(QUOTA)


def run(
    request: Request = quota,
    loads: Sequence[float] = UNEVEN,
    seconds: float = 30,
    act: Act = nothing,
    keeps: bool = True,
) -> Fleet:
    """A fleet of 3 pods × 2 workers under load."""
    fleet = Fleet(3, 2, keeps=keeps)
    for worker, rate in zip(fleet.workers, loads, strict=True):
        fleet.load(worker, rate, seconds, request)
    act(fleet)
    fleet.loop.run(seconds + 2)
    return fleet


def counted(fleet: Fleet) -> int:
    """What the store believes."""
    usage = fleet.store.ledger.usage
    return usage.total("plan", 0, 10**9)


def away(begin: float, end: float, *, empty: bool) -> Act:
    def act(fleet: Fleet) -> None:
        fleet.loop.call_later(begin, setattr, fleet.store, "down", True)
        fleet.loop.call_later(end, lambda: fleet.store.restart(empty=empty))

    return act


# --- quotas -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loads", [UNEVEN, (2000, 0, 0, 0, 0, 0), (100, 100, 100, 100, 100, 100), (900, 1, 1, 1, 1, 1)]
)
def test_a_quota_is_met_exactly(loads: Sequence[float]) -> None:
    fleet = run(loads=loads, seconds=25)
    assert fleet.accepted == QUOTA
    assert counted(fleet) == QUOTA


@pytest.mark.parametrize("limit", [1, 2, 5, 11, 12, 13, 100])
def test_small_quotas_too(limit: int) -> None:
    fleet = run(lambda worker: worker.quota(limit), [20] * 6, 5)
    assert fleet.accepted == limit


@pytest.mark.parametrize("limit", [10, 100, 1000])
def test_a_spike_meets_it_at_once(limit: int) -> None:
    fleet = Fleet(3, 2)
    for worker in fleet.workers:
        for _ in range(limit):
            worker.quota(limit)
    fleet.loop.run(0.05)
    assert fleet.accepted == limit


def test_one_worker_may_use_all_of_it_at_once() -> None:
    fleet = Fleet(3, 2)
    for _ in range(300):
        fleet.workers[0].quota(200)
    fleet.loop.run(0.05)
    assert fleet.accepted == 200


def test_what_idle_workers_hold_comes_back() -> None:
    fleet = Fleet(3, 2)
    for worker in fleet.workers:
        fleet.load(worker, 200, 1, quota)
    fleet.loop.run(1)
    first = fleet.accepted
    fleet.load(fleet.workers[0], 3000, 6, quota)
    fleet.loop.run(7)
    assert first < QUOTA
    assert fleet.accepted == QUOTA


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.parametrize("end", [8.0, 20.0])
def test_the_store_is_away_for_a_while(keeps: bool, empty: bool, end: float) -> None:
    fleet = run(act=away(4, end, empty=empty), keeps=keeps, seconds=40)
    assert fleet.accepted == QUOTA
    assert counted(fleet) == QUOTA


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("duration", [0.3, 1.2, 3.0])
def test_a_store_that_lost_all_when_little_was_left(keeps: bool, duration: float) -> None:
    """Nobody is given what others have used and not handed in again."""
    for limit, early in ((2_000, 0.1), (2_000, 0.6), (5_000, 1.1)):
        fleet = Fleet(3, 2, keeps=keeps)
        for worker, rate in zip(fleet.workers, FEW, strict=True):
            fleet.load(worker, rate, limit / 800 + 8, lambda w, limit=limit: w.quota(limit))  # type: ignore[misc]
        begin = max(0.5, limit / 800 - duration - early)
        away(begin, begin + duration, empty=True)(fleet)
        fleet.loop.run(limit / 800 + 12)
        assert fleet.accepted == limit
        assert counted(fleet) == limit


def test_who_keeps_goes_on_and_who_refuses_does_not() -> None:
    def accepted(keeps: bool) -> int:
        fleet = run(act=away(2, 60, empty=True), keeps=keeps, seconds=10)
        return sum(7 < at < 10 for at in fleet.times())

    assert accepted(True) > 1000
    assert accepted(False) == 0


def test_pods_that_never_saw_the_store_live_on_their_part() -> None:
    fleet = run(act=away(0, 100, empty=True), seconds=30)
    # Nobody has told them of each other: each counts by itself.
    assert [pod.accepted <= QUOTA for pod in fleet.pods] == [True] * 3


def test_a_dead_pod_costs_what_it_did_not_live_to_report() -> None:
    loads = (400, 400, 100, 100, 100, 100)
    fleet = run(loads=loads, act=lambda f: f.loop.call_later(5, f.pods[0].kill))
    # It reports twice a second: of its 800 requests a second it owes one second's at most.
    assert QUOTA <= fleet.accepted <= QUOTA + 800
    assert counted(fleet) == QUOTA


def test_a_pod_that_is_cut_off_hands_in_later() -> None:
    def act(fleet: Fleet) -> None:
        fleet.loop.call_later(3, setattr, fleet.pods[0], "cut_off", True)
        fleet.loop.call_later(9, setattr, fleet.pods[0], "cut_off", False)

    fleet = run(act=act)
    assert counted(fleet) == fleet.accepted
    assert fleet.accepted <= QUOTA * 1.1  # its share of what was left when it was last told


def test_clocks_that_are_off_make_no_difference() -> None:
    def act(fleet: Fleet) -> None:
        fleet.pods[1].skew_ms = 5_000
        fleet.pods[2].skew_ms = -5_000

    assert run(act=act).accepted == QUOTA


def test_a_quota_begins_again_at_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    noon = lease_world.BEGIN_MS
    monkeypatch.setattr(lease_world, "BEGIN_MS", noon + 12 * 3_600_000 - 10_000)
    fleet = run(lambda worker: worker.quota(3000), [200] * 6, 20, lambda f: None)
    times = fleet.times()
    assert sum(at <= 10 for at in times) == 3000
    assert sum(at > 10 for at in times) == 3000


@pytest.mark.parametrize("limit", [12_000, 7_000, 100])
def test_a_plan_that_changes_under_load(limit: int) -> None:
    now = [QUOTA]
    before: list[int] = []

    def change(fleet: Fleet) -> None:
        before.append(fleet.accepted)
        now[0] = limit

    fleet = run(lambda w: w.quota(now[0]), act=lambda f: f.loop.call_later(6, change, f))
    assert fleet.accepted == max(limit, before[0])
    assert counted(fleet) == fleet.accepted


def test_another_period_of_the_same_days() -> None:
    period = ["DAY"]
    fleet = run(
        lambda w: w.quota(QUOTA, period[0]),
        act=lambda f: f.loop.call_later(6, period.__setitem__, 0, "MONTH"),
    )
    assert fleet.accepted == QUOTA


# --- buckets ----------------------------------------------------------------------------------


def bucket(
    loads: Sequence[float],
    rate: float = RATE,
    burst: float = BURST,
    seconds: float = 30,
    act: Act = nothing,
    keeps: bool = True,
) -> tuple[Fleet, float]:
    """The fleet, and what it accepted of what one bucket for all would have."""
    arrivals: list[float] = []

    def request(worker: Worker) -> None:
        arrivals.append(worker.loop.now)
        worker.bucket(rate, burst)

    fleet = run(request, loads, seconds, act, keeps)
    return fleet, fleet.accepted / ideal(arrivals, rate, burst)


@pytest.mark.parametrize(
    ("loads", "within"),
    [
        ((800, 800, 300, 300, 50, 50), 0.005),
        ((1500, 1500, 500, 500, 100, 100), 0.005),
        ((2000, 0, 0, 0, 0, 0), 0.005),  # a single hot worker may use all of it
        ((120, 90, 80, 80, 70, 70), 0.015),  # about as much as it takes in
        ((80, 80, 80, 80, 80, 80), 0.02),
        ((10, 10, 10, 10, 10, 10), 0.001),  # plenty: nobody is refused
    ],
)
def test_a_bucket_gives_what_it_takes_in(loads: Sequence[float], within: float) -> None:
    assert abs(bucket(loads)[1] - 1) <= within


@pytest.mark.parametrize(
    ("rate", "burst", "load", "within"),
    [
        (1, 5, 5, 0.0),
        (0.1, 1, 5, 0.0),
        (1, 1, 0.15, 0.06),
        (10, 10, 1.5, 0.06),
        (100, 10, 15, 0.04),
        (10_000, 100, 100, 0.0),
        (20, 1000, 50, 0.01),
    ],
)
def test_small_buckets_and_large_ones(
    rate: float, burst: float, load: float, within: float
) -> None:
    fleet, ratio = bucket([load] * 6, rate, burst, 60)
    assert abs(ratio - 1) <= within + 1 / fleet.accepted


def test_a_hot_spot_that_moves() -> None:
    fleet = Fleet(3, 2)
    arrivals: list[float] = []

    def request(worker: Worker) -> None:
        arrivals.append(worker.loop.now)
        worker.bucket(RATE, BURST)

    for turn in range(12):
        fleet.load(fleet.workers[turn % 6], 2000, 3, request, start=3.0 * turn)
    fleet.loop.run(38)
    most = ideal(arrivals, RATE, BURST)
    # Each of eleven moves costs what comes in until it is noticed.
    assert most - 11 * RATE * 0.25 <= fleet.accepted <= most * 1.005


def test_a_spike_gets_the_burst_and_no_more() -> None:
    fleet = Fleet(3, 2)
    for worker in fleet.workers:
        for _ in range(300):
            worker.bucket(0.001, BURST)
    fleet.loop.run(0.05)
    assert fleet.accepted == BURST


def test_a_store_that_is_away_leaves_shares_as_they_are() -> None:
    loads = (800, 800, 300, 300, 50, 50)
    for empty in (True, False):
        assert abs(bucket(loads, act=away(10, 20, empty=empty))[1] - 1) <= 0.02


@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.parametrize("duration", [0.7, 1.8, 6.0])
@pytest.mark.parametrize("loads", [FEW, (500, 0, 200, 0, 100, 0), (400, 100, 150, 50, 80, 20)])
def test_a_store_that_is_back_takes_nothing_from_anybody(
    loads: Sequence[float], duration: float, empty: bool
) -> None:
    fleet, ratio = bucket(loads, seconds=20, act=away(4, 4 + duration, empty=empty))
    # Shares stay as they were: what nobody had just then is nobody's until the store is back.
    assert 0.98 - 0.08 * duration / 20 <= ratio <= 1.02
    # At once, not only in the long run: no second is poor after it has answered again.
    end = math.ceil(4 + duration) + 1
    seconds = Counter(int(at) for at in fleet.times())
    assert min(seconds[at] for at in range(end, 20)) >= 0.85 * RATE


def test_a_bucket_that_refuses_while_the_store_is_away() -> None:
    loads = (800, 800, 300, 300, 50, 50)
    fleet, _ = bucket(loads, act=away(10, 20, empty=False), keeps=False)
    times = fleet.times()
    assert not [at for at in times if 13 < at < 20]
    after = sum(at > 22 for at in times)
    assert after == pytest.approx(RATE * 8, rel=0.05)


def test_a_dead_pod_s_share_is_gone_for_a_term() -> None:
    fleet, _ = bucket(
        (800, 800, 300, 300, 50, 50), act=lambda f: f.loop.call_later(10, f.pods[0].kill)
    )
    times = fleet.times()
    assert sum(13 < at < 30 for at in times) == pytest.approx(RATE * 17, rel=0.02)
    assert len(times) <= RATE * 30 + BURST


@pytest.mark.parametrize("rate", [100.0, 1500.0])
def test_a_bucket_that_changes_under_load(rate: float) -> None:
    now = [RATE]
    fleet = run(
        lambda w: w.bucket(now[0], BURST),
        (800, 800, 300, 300, 50, 50),
        20,
        lambda f: f.loop.call_later(10, now.__setitem__, 0, rate),
    )
    times = fleet.times()
    assert sum(11 < at < 20 for at in times) == pytest.approx(rate * 9, rel=0.04)


# --- what it costs ----------------------------------------------------------------------------


def test_a_request_waits_in_two_cases_only_and_never_long() -> None:
    fleet = run(lambda worker: worker.quota(10**9), seconds=20)
    assert fleet.refused == 0
    # The first use in each of six workers, and after its lease has gone back unused.
    assert fleet.waited <= 0.01 * fleet.accepted
    assert max(worker.longest for worker in fleet.workers) < WAIT_S


def test_asking_takes_one_operation_for_many_requests() -> None:
    fleet, _ = bucket((2000, 1000, 800, 600, 400, 200))
    assert fleet.store.operations <= (fleet.accepted + fleet.refused) / 100
    plenty = run(lambda worker: worker.quota(10**9), (2000, 1000, 800, 600, 400, 200), 20)
    assert plenty.store.operations <= plenty.accepted / 100


@pytest.mark.parametrize(("load", "most"), [(1_000, 1.0), (2_000, 0.5), (5_000, 0.2)])
def test_three_counters_of_a_request_share_their_operations(load: int, most: float) -> None:
    """Operations for each 100 requests; what one request passes is asked for in one exchange."""

    def request(worker: Worker) -> None:
        worker.bucket(1_000_000, 1_000_000, "plan")
        worker.quota(10**9)
        worker.bucket(1_000_000, 1_000_000, "route")

    fleet = run(request, [load / 6] * 6, 10)
    assert fleet.store.operations <= most * fleet.accepted / 3 / 100
    assert fleet.refused == 0


def test_a_fleet_that_rests_asks_nothing() -> None:
    fleet = run(lambda worker: worker.bucket(RATE, BURST), [10] * 6, 3)
    fleet.loop.run(5)
    before = fleet.store.operations
    fleet.loop.run(600)
    assert fleet.store.operations == before
    assert fleet.store.ledger.usage.on(0) == {}


# --- wherever requests come ---------------------------------------------------------------------

LOADS = st.lists(st.sampled_from([0.0, 3.0, 40.0, 150.0, 600.0]), min_size=6, max_size=6).filter(
    lambda loads: sum(loads) >= 600
)


@settings(max_examples=15)
@given(LOADS, st.integers(1, 1000), st.sampled_from([50, 997, 3_000]))
def test_the_last_token_can_be_spent_and_none_beyond(
    loads: list[float], seed: int, limit: int
) -> None:
    fleet = Fleet(3, 2, seed=seed)
    for worker, rate in zip(fleet.workers, loads, strict=True):
        fleet.load(worker, rate, limit / 600 + 4, lambda w: w.quota(limit))
    fleet.loop.run(limit / 600 + 6)
    # One per cent, or one lease (of one token, near the end) for each worker.
    assert limit <= fleet.accepted <= limit + max(limit // 100, len(fleet.workers))
    assert counted(fleet) == fleet.accepted


@settings(max_examples=15)
@given(LOADS, st.integers(1, 1000))
def test_a_bucket_is_within_two_percent(loads: list[float], seed: int) -> None:
    arrivals: list[float] = []

    def request(worker: Worker) -> None:
        arrivals.append(worker.loop.now)
        worker.bucket(RATE, BURST)

    fleet = Fleet(3, 2, seed=seed)
    for worker, rate in zip(fleet.workers, loads, strict=True):
        fleet.load(worker, rate, 20, request)
    fleet.loop.run(22)
    assert fleet.accepted == pytest.approx(ideal(arrivals, RATE, BURST), rel=0.02)


@settings(max_examples=15)
@given(LOADS, st.integers(1, 1000), st.floats(1, 4), st.floats(0.3, 6), st.booleans())
def test_a_quota_within_one_percent_though_the_store_was_away(
    loads: list[float], seed: int, begin: float, duration: float, empty: bool
) -> None:
    fleet = Fleet(3, 2, seed=seed)
    for worker, rate in zip(fleet.workers, loads, strict=True):
        fleet.load(worker, rate, 22, lambda w: w.quota(5_000))
    away(begin, begin + duration, empty=empty)(fleet)
    fleet.loop.run(24)
    assert 5_000 <= fleet.accepted <= 5_050
    assert counted(fleet) == fleet.accepted


# --- whatever happens -------------------------------------------------------------------------

EVENTS = st.lists(
    st.tuples(
        st.floats(0, 12),
        st.sampled_from(["load", "down", "up", "empty", "cut", "join", "kill"]),
        st.integers(0, 5),
        st.floats(1, 400),
        st.floats(0.1, 5),
    ),
    min_size=1,
    max_size=12,
)


def happen(fleet: Fleet, event: tuple[float, str, int, float, float], request: Request) -> None:
    _, what, number, rate, seconds = event
    pod = fleet.pods[number % len(fleet.pods)]
    match what:
        case "load":
            fleet.load(fleet.workers[number], rate, seconds, request)
        case "down":
            fleet.store.down = True
        case "up":
            fleet.store.restart(empty=False)
        case "empty":
            fleet.store.restart(empty=True)
        case "cut":
            pod.cut_off = True
        case "join":
            pod.cut_off = False
        case "kill":
            pod.kill()
        case _:
            pytest.fail(what)


def schedule(events: list[tuple[float, str, int, float, float]], request: Request) -> Fleet:
    fleet = Fleet(3, 2)
    for worker in fleet.workers:
        fleet.load(worker, 20, 12, request)
    for event in events:
        fleet.loop.call_later(event[0], happen, fleet, event, request)
    fleet.loop.run(13)
    for pod in fleet.pods:
        pod.cut_off = False
    fleet.store.down = False
    fleet.loop.run(8)
    return fleet


@settings(max_examples=25)
@given(EVENTS)
def test_usage_is_neither_lost_nor_doubled(
    events: list[tuple[float, str, int, float, float]],
) -> None:
    """Whatever happens to store and network; a pod that dies takes its last second with it."""
    calm = [event for event in events if event[1] != "kill"]
    fleet = schedule(calm, lambda worker: worker.quota(1000))
    assert counted(fleet) == fleet.accepted


@settings(max_examples=25)
@given(EVENTS)
def test_a_quota_is_not_overshot_while_the_store_is_there(
    events: list[tuple[float, str, int, float, float]],
) -> None:
    calm = [event for event in events if event[1] in ("load", "up")]
    assert schedule(calm, lambda worker: worker.quota(300)).accepted <= 300


@settings(max_examples=25)
@given(EVENTS)
def test_nobody_waits_longer_than_he_may(
    events: list[tuple[float, str, int, float, float]],
) -> None:
    fleet = schedule(events, lambda worker: worker.quota(500))
    assert max(worker.longest for worker in fleet.workers) <= WAIT_S + 1e-9
