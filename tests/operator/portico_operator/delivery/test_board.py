"""What is due on a stream: the latest, once, and small where it can be."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from portico_ir.model import IR_VERSION, Endpoint, Manifest
from portico_ir.stream import (
    Addresses,
    Advance,
    FromOperator,
    Hello,
    Offer,
    decode_from_operator,
    manifest_of,
)
from portico_operator.delivery.board import ADVANCE_S, MOST_INLINE, Board, Position

ONE = (Endpoint(host="10.0.0.1", port=80),)
TWO = (Endpoint(host="10.0.0.2", port=80),)


def manifest(content: str, mark: int = 1) -> Manifest:
    return Manifest(ir_version=IR_VERSION, units={"api": content}, marks={"Route": str(mark)})


def board() -> Board:
    return Board("portico", "build", IR_VERSION)


def due(position: Position, on: Board, now: float = 0.0) -> list[Any]:
    return [decode_from_operator(frame) for frame in position.due(on, now)]


def kinds(frames: list[FromOperator]) -> list[type]:
    return [type(frame) for frame in frames]


def following(on: Board, content: str = "") -> Position:
    position = Position()
    position.greeted(on)
    position.follow(on=True, content=content)
    return position


def test_nothing_is_due_before_anything_was_published() -> None:
    empty = board()
    assert due(following(empty), empty) == []
    assert following(empty).wait(empty, 0) is None


def test_the_hello_says_what_could_be_had() -> None:
    on = board()
    on.publish(manifest("a"))
    hello = decode_from_operator(on.hello())
    assert isinstance(hello, Hello)
    assert (hello.digest, hello.content, hello.marks) == (on.digest, on.content, {"Route": "1"})
    assert hello.changed == {"Route": "1"}


def test_who_follows_gets_addresses_then_the_manifest_once() -> None:
    on = board()
    on.publish(manifest("a"))
    on.set_endpoints({"u": ONE})
    position = following(on)
    frames = due(position, on)
    assert kinds(frames) == [Addresses, Offer]
    assert manifest_of(frames[1]) == manifest("a")
    assert due(position, on) == []
    assert position.wait(on, 0) is None


def test_states_that_were_missed_are_not_sent() -> None:
    on = board()
    on.publish(manifest("a"))
    position = following(on)
    due(position, on)
    for number in range(50):
        on.publish(manifest(f"b{number}", number))
        on.set_endpoints({"u": ONE if number % 2 else TWO, f"v{number}": ONE})
    frames = due(position, on)
    assert kinds(frames) == [Addresses, Offer]
    assert manifest_of(frames[1]) == manifest("b49", 49)


def test_who_does_not_follow_hears_only_how_new_it_is() -> None:
    on = board()
    on.publish(manifest("a"))
    position = Position()
    position.greeted(on)
    assert due(position, on) == []
    on.publish(manifest("b", 2))
    on.set_endpoints({"u": ONE})
    assert kinds(due(position, on)) == [Advance]
    assert due(position, on, 10) == []


def test_marks_alone_are_told_at_intervals() -> None:
    on = board()
    on.publish(manifest("a"))
    position = following(on)
    due(position, on, 0)
    on.publish(manifest("a", 2))
    assert kinds(due(position, on, 1)) == [Advance]
    on.advance({"Route": "3", "Service": "9"})
    assert due(position, on, 1.1) == []
    wait = position.wait(on, 1.1)
    assert wait is not None
    assert 0 < wait <= ADVANCE_S
    (advance,) = due(position, on, 1.1 + wait)
    assert advance.marks == {"Route": "3", "Service": "9"}
    assert advance.changed == {"Route": "2"}
    on.advance({"Route": "2"})  # what is known already
    assert due(position, on, 10) == []


def test_what_makes_pods_do_the_same_is_no_news() -> None:
    on = board()
    assert on.publish(manifest("a"))
    digest = on.digest
    assert not on.publish(manifest("a", 2))
    assert on.digest == digest
    assert on.marks == on.changed == {"Route": "2"}


def test_a_pod_that_serves_it_is_not_sent_it_again() -> None:
    on = board()
    on.publish(manifest("a"))
    on.set_endpoints({"u": ONE})
    position = following(on, on.content)
    assert kinds(due(position, on)) == [Addresses, Advance]


def test_bytes_are_made_once_for_all() -> None:
    on = board()
    on.publish(manifest("a"))
    on.set_endpoints({"u": ONE})
    first, second = following(on).due(on, 0), following(on).due(on, 0)
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_following_anew_sends_the_whole_state() -> None:
    on = board()
    on.publish(manifest("a"))
    on.set_endpoints({"u": ONE})
    position = following(on)
    due(position, on)
    position.follow(on=False, content="")
    on.set_endpoints({"u": TWO})
    assert Addresses not in kinds(due(position, on))
    position.follow(on=True, content=on.content)
    (addresses, _) = due(position, on, 1)
    assert addresses.since is None


def test_upstreams_that_left_are_forgotten_in_time() -> None:
    on = board()
    on.publish(manifest("a"))
    on.set_endpoints({f"u{number}": ONE for number in range(3_000)})
    position = following(on)
    due(position, on)
    on.set_endpoints({})
    (frame,) = due(position, on)
    assert frame.since is None, "more left than are remembered"
    assert frame.upstreams == {}
    assert len(on._removed) <= 1_000


upstreams = st.dictionaries(
    st.sampled_from("abcdef"), st.sampled_from([(), ONE, TWO, ONE + TWO]), max_size=5
)


@given(st.lists(st.tuples(upstreams, st.booleans()), max_size=12))
def test_deltas_add_up_to_the_state_whatever_was_missed(
    steps: list[tuple[dict[str, tuple[Endpoint, ...]], bool]],
) -> None:
    on = board()
    on.publish(manifest("a"))
    position = following(on)
    have: dict[str, tuple[Endpoint, ...]] = {}
    sequence: int | None = None
    for state, looks in [*steps, (dict[str, tuple[Endpoint, ...]](), True)]:
        on.set_endpoints(state)
        for frame in due(position, on) if looks else []:
            if isinstance(frame, Addresses):
                assert frame.since in (None, sequence)
                have = {} if frame.since is None else have
                have = {u: e for u, e in have.items() if u not in frame.removed} | frame.upstreams
                sequence = frame.sequence
        if looks:
            assert have == state


def carried(frames: list[Any]) -> dict[str, bytes]:
    (offer,) = [frame for frame in frames if isinstance(frame, Offer)]
    return {known: bytes(raw) for known, raw in offer.units.items()}


def test_what_is_new_goes_with_the_manifest_to_those_who_have_the_one_before() -> None:
    on = board()
    on.publish(manifest("a"), {"api": b"[1]"})
    here, late = following(on), following(on)
    # Who comes without anything has more to fetch than this: all of it compressed.
    assert carried(due(here, on)) == {}
    on.publish(manifest("b"), {"api": b"[2]"})
    assert carried(due(here, on)) == {"b": b"[2]"}
    on.publish(manifest("c"), {"api": b"[3]"})
    assert carried(due(here, on)) == {"c": b"[3]"}
    assert carried(due(late, on)) == {}  # it has seen neither a nor b


def test_what_is_large_is_fetched() -> None:
    on = board()
    on.publish(manifest("a"), {"api": b"[1]"})
    here = following(on)
    due(here, on)
    on.publish(manifest("b"), {"api": b'"%b"' % (b"x" * MOST_INLINE)})
    assert carried(due(here, on)) == {}


def test_a_unit_that_stayed_does_not_go_again() -> None:
    def two(first: str, second: str) -> Manifest:
        return Manifest(ir_version=IR_VERSION, units={"api": first, "routes": second})

    on = board()
    on.publish(two("a", "r"), {"api": b"[1]", "routes": b"[0]"})
    here = following(on)
    due(here, on)
    on.publish(two("b", "r"), {"api": b"[2]", "routes": b"[0]"})
    assert carried(due(here, on)) == {"b": b"[2]"}
