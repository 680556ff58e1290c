"""Election: two candidates with clocks of their own, and never two that lead."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portico_operator.election import Election, Record, Terms, Write

TERMS = Terms(10.0, 2.0, 2.0)


class Server:
    """A Lease with optimistic concurrency."""

    def __init__(self) -> None:
        self.record: Record | None = None
        self._version = 0

    def write(self, wanted: Write) -> Record | None:
        now = "" if self.record is None else self.record.version
        if wanted.version != now:
            return None
        self._version += 1
        self.record = Record(wanted.holder, wanted.transitions, TERMS.duration, str(self._version))
        return self.record


def step(one: Election, server: Server, now: float) -> None:
    one.observed(server.record, now)
    wanted = one.wanted(now)
    if wanted is not None:
        written = server.write(wanted)
        if written is not None:
            one.written(written, now)


def test_the_first_takes_it_and_the_second_waits() -> None:
    server, first, second = Server(), Election("a", TERMS), Election("b", TERMS)
    step(first, server, 0.0)
    step(second, server, 1000.0)
    assert first.leads(0.0)
    assert not second.leads(1000.0)


def test_takeover_after_silence_as_the_other_sees_it() -> None:
    server, first, second = Server(), Election("a", TERMS), Election("b", TERMS)
    step(first, server, 0.0)
    step(second, server, 500.0)
    step(second, server, 509.9)
    assert not second.leads(509.9)
    step(second, server, 510.0)
    assert second.leads(510.0)
    assert server.record is not None
    assert server.record.transitions == 1


def test_renewals_keep_it() -> None:
    server, first, second = Server(), Election("a", TERMS), Election("b", TERMS)
    for tick in range(50):
        step(first, server, float(tick * 2))
        step(second, server, 7000.0 + tick * 2)
        assert first.leads(float(tick * 2))
        assert not second.leads(7000.0 + tick * 2)


def test_a_holder_stops_before_others_may_start() -> None:
    server, first = Server(), Election("a", TERMS)
    step(first, server, 0.0)
    assert first.leads(TERMS.duration - TERMS.margin - 0.001)
    assert not first.leads(TERMS.duration - TERMS.margin)


def test_a_released_lease_is_taken_at_once() -> None:
    server, first, second = Server(), Election("a", TERMS), Election("b", TERMS)
    step(first, server, 0.0)
    wanted = first.release()
    assert wanted is not None
    server.write(wanted)
    assert not first.leads(0.0)
    step(second, server, 3.0)
    assert second.leads(3.0)


def test_who_does_not_hold_it_releases_nothing() -> None:
    server, first, second = Server(), Election("a", TERMS), Election("b", TERMS)
    step(first, server, 0.0)
    step(second, server, 0.0)
    assert second.release() is None


def test_seeing_another_holder_ends_leading_at_once() -> None:
    first = Election("a", TERMS)
    first.written(Record("a", 0, 10.0, "1"), 0.0)
    assert first.leads(0.0)
    first.observed(Record("b", 1, 10.0, "2"), 0.1)
    assert not first.leads(0.1)


def test_a_lease_that_is_deleted_is_its_holder_s_to_make_again() -> None:
    """The holder leads until it looks: nobody else may begin before it has."""
    server, first, second = Server(), Election("a", TERMS), Election("b", TERMS)
    step(first, server, 0.0)
    step(second, server, 1.0)
    server.record = None
    step(second, server, 2.0)
    assert first.leads(2.0)
    assert server.record is None
    step(first, server, 3.0)
    step(second, server, 3.0)
    assert first.leads(3.0)
    assert not second.leads(3.0)


def test_a_lease_that_is_deleted_with_its_holder_is_taken_in_the_end() -> None:
    server, first, second = Server(), Election("a", TERMS), Election("b", TERMS)
    step(first, server, 0.0)
    step(second, server, 1.0)
    server.record = None
    step(second, server, 5.0)
    step(second, server, 14.9)
    assert not second.leads(14.9)
    step(second, server, 15.0)
    assert second.leads(15.0)


def test_a_write_may_take_until_others_may_start() -> None:
    one = Election("a", TERMS)
    assert one.time_left(0.0) == 0
    one.written(Record("a", 0, TERMS.duration, "1"), 5.0)
    assert one.time_left(6.0) == TERMS.duration - 1.0
    last = 5.0 + TERMS.duration - TERMS.margin
    assert one.time_left(last - 0.001) > TERMS.margin
    assert one.time_left(last) == 0
    one.written(Record("b", 1, TERMS.duration, "2"), 6.0)
    assert one.time_left(6.0) == 0


def test_a_senseless_duration_of_another_is_taken_as_ours() -> None:
    for duration in (0.0, -5.0, 1e9):
        one = Election("a", TERMS)
        one.observed(Record("b", 3, duration, "7"), 0.0)
        assert one.wanted(9.0) is None
        assert one.wanted(10.0) == Write("a", 4, "7", True)


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.floats(0, 6), st.booleans()), max_size=120),
    st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3),
)
def test_never_two_leaders(moves: list[tuple[int, float, bool]], skews: list[float]) -> None:
    """Any order of steps, pauses and lost answers, with clocks that differ by days."""
    server = Server()
    candidates = [Election(name, TERMS) for name in "abc"]
    now = 0.0
    for who, pause, lost in moves:
        now += pause
        clock = now + skews[who]
        one = candidates[who]
        one.observed(server.record, clock)
        wanted = one.wanted(clock)
        if wanted is not None:
            written = server.write(wanted)
            if written is not None and not lost:
                one.written(written, clock)
        leading = [c for c, skew in zip(candidates, skews, strict=True) if c.leads(now + skew)]
        assert len(leading) <= 1
