"""Whom a pod follows."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.feed.choice import Choosable, Held, Patience, best, is_ahead, may_follow
from portico_ir.model import IR_VERSION
from portico_ir.stream import is_forward


def offer(content: str, version: int = IR_VERSION, **marks: int) -> Choosable:
    """An operator that has looked no further than its newest changes."""
    changed = texts(marks)
    return Choosable(version, content, changed, changed)


def looked(known: Choosable, **marks: int) -> Choosable:
    """The same, after lists and bookmarks."""
    return known._replace(marks=known.marks | texts(marks))


def held(content: str, **marks: int) -> Held:
    return Held(content, texts(marks))


def texts(marks: dict[str, int]) -> dict[str, str]:
    return {kind: str(mark) for kind, mark in marks.items()}


def first(keys: Sequence[str]) -> str:
    return sorted(keys)[0]


def test_a_pod_that_serves_nothing_follows_anybody() -> None:
    assert may_follow(offer("a"), None)
    assert best([("x", offer("a", Route=1))], None, first) == "x"
    assert best([], None, first) is None


def test_never_to_one_that_is_behind_in_any_kind() -> None:
    mine = held("a", Route=5, Service=5)
    assert not may_follow(offer("b", Route=9, Service=4), mine)
    assert may_follow(offer("b", Route=5, Service=5), mine)
    assert may_follow(offer("b", Route=6, Service=5, Secret=1), mine)
    assert may_follow(offer("b", Route=6), mine), "a kind that is no longer served"
    assert best([("x", offer("b", Route=4, Service=9))], mine, first) is None


def test_a_quiet_kind_makes_nobody_look_behind() -> None:
    """One replica has listed later than the other: nothing has changed since."""
    elder = looked(offer("a", Route=5, Stage=2), Route=7)
    younger = looked(offer("b", Route=6, Stage=2), Route=9, Stage=9)
    assert may_follow(elder, held("b", Route=6, Stage=2))
    assert may_follow(younger, held("a", Route=5, Stage=2))
    assert not is_ahead(younger, elder)
    assert not is_ahead(elder, younger)
    # Of two that differ over one world (two versions), neither is left for the other's bookmarks.
    patience = Patience(0)
    assert not patience.is_over(elder, [younger], held("a", Route=5, Stage=2), 9)
    assert not patience.is_over(younger, [elder], held("b", Route=6, Stage=2), 9)


def test_one_that_has_looked_far_enough_may_be_followed_though_nothing_changed_there() -> None:
    """A deletion leaves nothing behind: who listed after it has not seen it, and has it."""
    after_deletion = held("a", Route=8)
    assert not may_follow(offer("b", Route=5), after_deletion)
    assert may_follow(looked(offer("b", Route=5), Route=9), after_deletion)


def test_ahead_is_who_has_a_change_that_the_other_has_not_seen() -> None:
    behind, ahead = offer("a", Route=5, Stage=1), offer("b", Route=6, Stage=1)
    assert is_ahead(ahead, behind)
    assert not is_ahead(ahead, looked(behind, Route=6))
    assert not is_ahead(behind, ahead)
    other_kind = offer("c", Route=4, Stage=9)
    assert not is_ahead(ahead, other_kind), "each has what the other has not seen"
    assert not is_ahead(other_kind, ahead)


def test_to_one_that_offers_the_same_whatever_its_marks() -> None:
    assert may_follow(offer("a", Route=1), held("a", Route=5))


def test_the_highest_marks_win() -> None:
    offers = [("x", offer("a", Route=5)), ("y", offer("b", Route=6)), ("z", offer("a", Route=4))]
    assert best(offers, None, first) == "y"


def test_marks_that_cannot_be_compared_leave_the_choice_open() -> None:
    offers = [("x", offer("a", Route=5, Service=6)), ("y", offer("b", Route=6, Service=5))]
    assert best(offers, None, first) == "x"
    assert best(offers, None, lambda keys: keys[-1]) == "y"


def test_a_circle_leaves_nobody_without_an_operator() -> None:
    one, two, three = offer("a", R=2, T=1), offer("b", R=1, S=2), offer("c", S=1, T=2)
    assert is_ahead(one, two)
    assert is_ahead(two, three)
    assert is_ahead(three, one)
    assert best([("x", one), ("y", two), ("z", three)], None, first) == "x"


def test_another_version_only_when_there_is_no_other() -> None:
    offers = [("new", offer("b", version=9, Route=9)), ("mine", offer("a", Route=1))]
    assert best(offers, None, first) == "mine"
    assert best(offers[:1], None, first) == "new"


def test_it_stays_unless_the_other_is_ahead_for_a_while() -> None:
    patience, mine = Patience(3.0), held("a", Route=5)
    followed, ahead = offer("a", Route=5), offer("b", Route=6)
    assert not patience.is_over(followed, [ahead], mine, 10)
    assert not patience.is_over(followed, [ahead], mine, 12.9)
    assert patience.is_over(followed, [ahead], mine, 13)
    patience.reset()
    assert not patience.is_over(followed, [ahead], mine, 14)
    # It caught up in between: the time begins anew.
    assert not patience.is_over(offer("b", Route=6), [ahead], mine, 15)
    assert not patience.is_over(followed, [ahead], mine, 17.5)


def test_two_builds_of_one_world_are_no_reason_to_move() -> None:
    patience = Patience(0)
    assert not patience.is_over(offer("a", Route=5), [offer("b", Route=5)], held("a", Route=5), 9)
    assert not patience.is_over(offer("a", Route=5), [offer("a", Route=9)], held("a", Route=5), 9)


def test_one_that_offers_what_cannot_be_read_is_left() -> None:
    patience = Patience(0)
    unreadable, old = offer("b", version=0, Route=6), offer("a", Route=6)
    assert patience.is_over(unreadable, [old], held("a", Route=5), 0)
    assert not patience.is_over(unreadable, [offer("c", Route=4)], held("a", Route=5), 0)


marks = st.dictionaries(st.sampled_from(["Route", "Service"]), st.integers(1, 4), max_size=2)
offers = st.builds(
    lambda content, changed, found: looked(
        offer(content, **changed),
        **{kind: max(mark, changed.get(kind, 0)) for kind, mark in found.items()},
    ),
    st.sampled_from("abc"),
    marks,
    marks,
)


@given(st.lists(offers, max_size=5), offers)
def test_whoever_is_chosen_is_no_step_back_and_nobody_is_ahead(
    found: list[Choosable], serving: Choosable
) -> None:
    mine = Held(serving.content, serving.changed)
    chosen = best(list(enumerate(found)), mine, lambda keys: keys[0])
    good = [each for each in found if may_follow(each, mine)]
    if chosen is None:
        assert not good
        return
    each = found[chosen]
    assert each.content == mine.content or is_forward(each.marks, mine.changed)
    leading = [one for one in good if not any(is_ahead(other, one) for other in good)]
    assert each in leading or not leading
