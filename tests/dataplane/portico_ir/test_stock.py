"""Stock: what is handed out is neither made nor lost, whoever holds it and for how long."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_ir.leases import Ask, Tokens
from portico_ir.stock import BACK_MS, LATE_MS, LEAST_MS, NEVER_MS, RETURN_MS, Offer, Stock

LIMIT = Tokens(10, 100)


def ask(
    *,
    spent: float = 0,
    held: float = 0,
    demand: float = 0,
    want: float = 0,
    waiting: int = 0,
    rate: float = 0,
) -> Ask:
    return Ask("c", LIMIT, spent, held, demand, want, 0, waiting, rate)


def turn(stock: Stock, holder: str, said: Ask, now: float, leaves: int = 6, own: int = 2) -> Offer:
    """One holder settles and is offered something."""
    stock.accrue(now)
    share = stock.settle(holder, said, own, now)
    return stock.offer(share, said, leaves, now + 2000)


def test_a_slice_of_what_is_left() -> None:
    stock = Stock(0, 100, 0, 100)
    offer = turn(stock, "a", ask(want=1000), 0)
    assert offer.tokens == 16  # 100 × 2 workers ÷ (2 × 6 workers)
    assert (stock.free, stock.held) == (84, 16)
    assert offer.credit == 28
    assert offer.more


def test_no_more_than_is_wanted() -> None:
    assert turn(Stock(0, 100, 0, 100), "a", ask(want=3.2), 0).tokens == 4


def test_near_the_end_only_requests_that_wait_get_tokens() -> None:
    stock = Stock(0, 11, 0, 100)
    assert turn(stock, "a", ask(want=50), 0).tokens == 0
    assert turn(stock, "a", ask(want=50, waiting=3), 0).tokens == 3
    assert stock.free == 8


def test_many_that_wait_get_as_many() -> None:
    assert turn(Stock(0, 100, 0, 100), "a", ask(want=60, waiting=60), 0).tokens == 60


def test_the_last_token() -> None:
    stock = Stock(0, 1, 0, 100)
    offer = turn(stock, "a", ask(want=8, waiting=1), 0)
    assert (offer.tokens, offer.more, offer.credit) == (1, False, 0)
    assert offer.recheck_ms == NEVER_MS
    other = turn(stock, "b", ask(want=8, waiting=1), 0)
    assert (other.tokens, other.more) == (0, False)
    # The first may not need it after all.
    assert other.recheck_ms == RETURN_MS


def test_what_is_not_kept_comes_back() -> None:
    stock = Stock(0, 100, 0, 100)
    turn(stock, "a", ask(want=16), 0)
    turn(stock, "a", ask(spent=4, held=2), 1000)
    assert (stock.free, stock.held) == (94, 2)
    stock.forget("a")
    assert stock.free == 96


def test_who_spends_more_than_he_has_is_in_debt() -> None:
    stock = Stock(0, 20, 0, 100)
    turn(stock, "a", ask(want=2), 0)
    turn(stock, "a", ask(spent=30), 10)
    assert stock.free == -10


def test_a_holder_that_was_not_known_keeps_what_it_has() -> None:
    stock = Stock(0, 100, 0, 100)
    turn(stock, "a", ask(spent=7, held=5), 0)
    assert (stock.free, stock.held) == (95, 5)


def test_a_lease_that_runs_out_comes_back() -> None:
    stock = Stock(0, 100, 0, 100)
    turn(stock, "a", ask(want=16), 0)
    stock.expire(2000)
    assert stock.held == 16
    stock.expire(2001)
    assert (stock.held, stock.free) == (0, 100)


def test_it_fills_up_to_its_brim() -> None:
    stock = Stock(0, 0, 10, 100)
    stock.accrue(1000)
    assert stock.free == 10
    stock.accrue(60_000)
    assert stock.free == 100
    stock.accrue(59_000)  # a clock that goes back takes nothing away
    assert stock.free == 100


def test_what_holders_have_takes_room() -> None:
    stock = Stock(0, 100, 10, 100)
    turn(stock, "a", ask(want=16), 0)
    stock.accrue(60_000)
    assert stock.free == 84


def test_tokens_for_those_who_wait_take_none() -> None:
    stock = Stock(0, 5, 10, 5)
    turn(stock, "a", ask(want=1, waiting=1), 0)
    stock.accrue(60_000)
    assert stock.free == 5


def test_under_contention_the_rate_is_shared_by_demand() -> None:
    stock = Stock(0, 0, 500, 100)
    first = turn(stock, "a", ask(demand=3000, want=3000), 0)
    assert first.rate == 500  # nobody else is there yet
    assert turn(stock, "b", ask(demand=1000, want=1000), 10).rate == 0
    assert turn(stock, "a", ask(spent=5, demand=3000, want=3000), 20).rate == 375
    second = turn(stock, "b", ask(demand=1000, want=1000), 30)
    assert second.rate == 125
    assert stock.lent == 500
    assert second.cap == 12.5  # a quarter of half the bucket


def test_with_enough_for_all_nobody_gets_the_whole_rate() -> None:
    stock = Stock(0, 0, 1000, 10)
    assert turn(stock, "a", ask(demand=100, want=100), 0).rate == 200
    assert turn(stock, "b", ask(demand=20, want=20), 0).rate == 0  # too little to be worth it


def test_who_comes_back_goes_on_with_what_he_had() -> None:
    """The stock has lost its shares: nobody takes what those have who have not come back yet."""
    stock = Stock(0, 0, 100, 100)
    said = ask(demand=80, want=500, rate=30)
    assert turn(stock, "a", said, 0).rate == 30
    assert turn(stock, "a", said, 100).rate == 30
    assert turn(stock, "b", ask(demand=160, want=500, rate=60), 200).rate == 60
    assert turn(stock, "new", ask(demand=80, want=500), 300).rate <= 10
    assert turn(stock, "a", said, 900).rate == 30
    assert turn(stock, "a", said, BACK_MS + 1).rate == pytest.approx(25)  # 80 of 320


def test_what_was_spent_unheard_leaves_no_debt() -> None:
    stock = Stock(0, 0, 100, 100)
    turn(stock, "a", ask(demand=80, want=500, rate=30), 0)
    turn(stock, "a", ask(spent=1_000, demand=80, want=500, rate=30), 50)
    assert stock.free == 0
    for now in (800, BACK_MS + 1):
        turn(stock, "a", ask(demand=80, want=500, rate=30), now)
    before = stock.free
    turn(stock, "a", ask(spent=1_000, demand=80, want=500, rate=30), BACK_MS + 50)
    assert stock.free < before - 900  # it has been heard all the time


def test_the_same_after_a_silence_or_an_answer_that_was_lost() -> None:
    for again, silence in ((True, 400), (False, LATE_MS + 1)):
        stock = Stock(0, 0, 100, 100)
        turn(stock, "a", ask(demand=80, want=500), 0)
        now = BACK_MS + 1
        turn(stock, "a", ask(demand=80, want=500), now)
        stock.accrue(now + silence)
        stock.settle("a", ask(demand=80), 2, now + silence, again)
        stock.accrue(now + silence + 50)
        stock.settle("a", ask(spent=1_000, demand=80), 2, now + silence + 50)
        assert stock.free >= 0


def test_a_rate_that_was_lowered_is_made_good() -> None:
    stock = Stock(0, 0, 500, 100)
    turn(stock, "a", ask(demand=3000, want=3000), 0)
    stock.rate = 100
    stock.accrue(1000)
    assert stock.free == -400  # the holder does not know yet
    offer = turn(stock, "a", ask(spent=500, demand=3000, want=3000), 1000)
    assert offer.rate == 100


def test_what_a_holder_let_run_over_is_not_lost() -> None:
    stock = Stock(0, 0, 500, 100)
    turn(stock, "a", ask(demand=3000, want=3000), 0)
    turn(stock, "a", ask(spent=20, held=0), 100)  # 50 came in there
    assert stock.free == 30


def test_the_only_holder_gets_everything() -> None:
    stock = Stock(0, 42, 7, 100)
    share = stock.settle("a", ask(), 1, 0)
    offer = stock.all_of_it(share)
    assert (offer.tokens, offer.rate, offer.cap) == (42, 7, 100)
    stock.accrue(5000)
    assert stock.free == 0


@pytest.mark.parametrize(
    ("free", "rate", "wait"),
    [(0.0, 2.0, 500.0), (0.9, 1000.0, LEAST_MS), (0.0, 0.1, 1000.0)],
)
def test_when_to_look_again(free: float, rate: float, wait: float) -> None:
    stock = Stock(0, free, rate, 100)
    assert turn(stock, "a", ask(want=1, waiting=1), 0).recheck_ms == pytest.approx(wait)


HOLDERS = ("a", "b", "c")
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(HOLDERS),
        st.floats(0, 700),
        st.floats(0, 1),
        st.floats(0, 1),
        st.floats(0, 3000),
        st.floats(0, 300),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(EVENTS, st.floats(0, 500), st.integers(1, 200))
def test_nothing_is_made(
    events: list[tuple[str, float, float, float, float, float, int]], rate: float, burst: int
) -> None:
    """However holders behave, no more is spent than the bucket holds and takes in."""
    stock = Stock(0, burst, rate, burst)
    held = dict.fromkeys(HOLDERS, (0.0, 0.0, 0.0, 0.0))
    now = spent_by_all = 0.0
    for holder, wait, using, keeping, demand, want, waiting in events:
        now += wait
        tokens, lent, cap, since = held[holder]
        tokens = max(tokens, min(cap, tokens + lent * (now - since) / 1000))
        spent = math.floor(tokens * using)
        kept = (tokens - spent) * keeping
        spent_by_all += spent
        offer = turn(
            stock,
            holder,
            ask(spent=spent, held=kept, demand=demand, want=want, waiting=waiting),
            now,
        )
        held[holder] = (kept + offer.tokens, offer.rate, offer.cap, now)
        there = stock.free + sum(tokens for tokens, *_ in held.values())
        # What holders let run over is theirs to give back within a round, not more.
        most = burst + rate * now / 1000
        assert spent_by_all + there <= most + 1e-6
        assert stock.lent <= rate + 1e-6
