"""StatusQueue: who has a turn, in which order, and at what cost."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from portico_compiler import ObjectRef
from portico_operator.status_queue import DECIDED, OVERDUE, Awaited, StatusQueue


def ref(name: object) -> ObjectRef:
    return ObjectRef("Route", "n", str(name))


def at(serial: int) -> Awaited:
    return Awaited("portico", serial)


def popped(queue: StatusQueue) -> list[str]:
    found = []
    while (each := queue.pop()) is not None:
        found.append(each[0].name)
    return found


def test_the_newest_change_first_and_what_is_decided_before_the_rest() -> None:
    queue = StatusQueue()
    queue.offer(ref("old"), DECIDED, 1.0)
    queue.offer(ref("late"), OVERDUE, 9.0)
    queue.offer(ref("new"), DECIDED, 3.0)
    queue.offer(ref("b"), DECIDED, 2.0)
    queue.offer(ref("a"), DECIDED, 2.0)
    assert popped(queue) == ["new", "a", "b", "old", "late"]


def test_a_place_that_was_bettered_counts_once() -> None:
    queue = StatusQueue()
    queue.offer(ref("a"), OVERDUE, 1.0)
    queue.offer(ref("b"), DECIDED, 0.0)
    queue.offer(ref("a"), DECIDED, 1.0)
    queue.offer(ref("a"), DECIDED, 1.0)
    assert queue.backlog == 2
    assert popped(queue) == ["a", "b"]


def test_what_is_held_waits_for_its_publication_or_its_time() -> None:
    queue = StatusQueue()
    queue.hold(ref("a"), at(3), 5.0)
    queue.hold(ref("b"), at(4), math.inf)
    assert queue.pop() is None
    assert sorted(queue.awaited()) == [at(3), at(4)]
    assert queue.held(at(3), 0) == [ref("a")]
    queue.offer(ref("a"), OVERDUE, 1.0)
    assert queue.held(at(3), OVERDUE) == []
    assert queue.held(at(3), DECIDED) == [ref("a")], "what is decided has another place"
    queue.hold(ref("a"), at(3), 5.0)
    assert queue.next_time() == 5.0
    assert list(queue.due(4.9)) == []
    assert list(queue.due(5.0)) == [ref("a")]
    assert queue.holds(ref("a")), "it waits on for its publication"
    queue.drop(ref("a"))
    assert not queue.holds(ref("a"))
    assert queue.awaited() == [at(4)]
    assert queue.next_time() == math.inf


def test_holding_anew_forgets_place_time_and_publication() -> None:
    queue = StatusQueue()
    queue.hold(ref("a"), at(3), 5.0)
    queue.offer(ref("a"), OVERDUE, 1.0)
    queue.hold(ref("a"), at(4), 9.0)
    assert queue.pop() is None
    assert queue.awaited() == [at(4)]
    assert list(queue.due(8.0)) == []
    assert list(queue.due(9.0)) == [ref("a")]


def test_a_failed_one_comes_again_and_keeps_what_it_waits_for() -> None:
    queue = StatusQueue()
    queue.hold(ref("a"), at(3), math.inf)
    queue.later(ref("a"), 7.0)
    assert queue.next_time() == 7.0
    assert queue.held(at(3), 0) == [ref("a")]
    assert list(queue.due(7.0)) == [ref("a")]
    queue.offer(ref("a"), DECIDED, 1.0)
    assert queue.next_time() == -math.inf


def test_nobody_is_left_when_it_is_cleared() -> None:
    queue = StatusQueue()
    queue.hold(ref("a"), at(3), 5.0)
    queue.offer(ref("b"), DECIDED, 1.0)
    queue.clear()
    assert (queue.pop(), queue.awaited(), queue.backlog) == (None, [], 0)
    assert queue.next_time() == math.inf


def test_what_was_given_up_is_cleared_away() -> None:
    """An API server that is away for an hour while people go on editing."""
    queue = StatusQueue()
    for number in range(10_000):
        queue.hold(ref(number % 7), at(number + 1), float(number))
        queue.offer(ref(number % 7), DECIDED, float(number))
    assert max(len(queue._line), len(queue._timers)) < 100
    assert len(popped(queue)) == 7


steps = st.tuples(
    st.sampled_from(["hold", "offer", "later", "drop", "pop"]),
    st.integers(0, 4),
    st.integers(1, 3),
    st.integers(0, 9),
)


@given(st.lists(steps, max_size=40))
def test_everybody_waits_for_one_thing_and_nobody_is_lost(
    taken: list[tuple[str, int, int, int]],
) -> None:
    queue = StatusQueue()
    waiting: dict[ObjectRef, tuple[str, int]] = {}
    for step, name, serial, time in taken:
        who = ref(name)
        if step == "hold":
            queue.hold(who, at(serial), time)
            waiting[who] = ("time", time)
        elif step == "offer":
            queue.offer(who, DECIDED, time)
            waiting[who] = ("turn", time)
        elif step == "later":
            queue.later(who, time)
            waiting[who] = ("time", time)
        elif step == "drop":
            queue.drop(who)
            waiting.pop(who, None)
        else:
            first = queue.pop()
            turns = {each: when for each, (what, when) in waiting.items() if what == "turn"}
            assert (first is None) == (not turns)
            if first is not None:
                assert turns[first[0]] == max(turns.values())
                del waiting[first[0]]
    assert queue.backlog == len(waiting)
    timers = sorted(who for who, (what, _) in waiting.items() if what == "time")
    assert sorted(queue.due(99)) == timers
