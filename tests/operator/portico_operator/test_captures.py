"""When a deployment is taken, and which revisions may go."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_compiler import ObjectRef
from portico_compiler.passes.captures import Candidate
from portico_compiler.revisions.content import Captured
from portico_compiler.revisions.packing import ApiOrigin, DeploymentOrigin, Origin
from portico_operator.captures import CaptureBoard, Kept, unneeded

API = ObjectRef("RestApi", "ns", "shop")
ORIGIN = Origin(ApiOrigin(kind="RestApi", name="shop", uid="u"), DeploymentOrigin(name="v1"))
BORN = 100
FRESH = {"RestApi": BORN, "Route": BORN, "Authorizer": BORN}


def candidate(digest: str, name: str = "v1", at_once: bool = False) -> Candidate:
    state = Captured(digest.encode(), digest, 1, 0) if digest else None
    ref = ObjectRef("ApiDeployment", "ns", name)
    return Candidate(ref, API, f"{name}-x", ORIGIN, state, at_once)


class Board(CaptureBoard):
    """With ApiDeployments that were made at one version."""

    def note(
        self, now: float, *candidates: Candidate, lists: Mapping[str, int] = FRESH
    ) -> list[str]:
        self.noted(candidates, lists, lambda _: BORN, now)
        return self.at(now)

    def at(self, now: float) -> list[str]:
        return [c.deployment.name for c in self.due(now)]


def test_it_is_taken_when_it_was_the_same_for_two_seconds() -> None:
    board = Board()
    assert board.note(0.0, candidate("a")) == []
    assert board.next_time(0.0) == 2.0
    assert board.note(1.0, candidate("a")) == []
    assert board.at(1.99) == []
    assert board.at(2.0) == ["v1"]


@pytest.mark.parametrize("between", ["b", ""])
def test_any_change_begins_anew(between: str) -> None:
    board = Board()
    board.note(0.0, candidate("a"))
    board.note(1.5, candidate(between))
    assert board.note(1.6, candidate("a")) == []
    assert board.at(3.5) == []
    assert board.at(3.6) == ["v1"]


def test_what_waits_is_never_taken() -> None:
    board = Board()
    board.note(0.0, candidate(""))
    assert board.at(1e9) == []
    assert board.next_time(0.0) == math.inf


def test_what_was_asked_for_is_taken_at_once_however_old_the_lists_are() -> None:
    board = Board()
    assert board.note(0.0, candidate("a", at_once=True), lists={}) == ["v1"]
    assert board.stale(0.0) == frozenset()


@pytest.mark.parametrize("kind", ["RestApi", "Route", "Authorizer"])
def test_lists_that_are_older_than_it_are_asked_for(kind: str) -> None:
    board = Board()
    old = FRESH | {kind: BORN - 1}
    board.note(0.0, candidate("a"), lists=old)
    assert board.stale(1.0) == frozenset()  # it has not settled: nobody need list
    assert board.at(2.0) == []
    assert board.stale(2.0) == {kind}
    assert board.note(2.1, candidate("a"), lists=FRESH) == ["v1"]
    assert board.stale(2.1) == frozenset()


def test_its_own_version_is_the_first_that_was_seen() -> None:
    """Later ones are those of its status, which we write ourselves."""
    board = CaptureBoard()
    board.noted([candidate("a")], FRESH, lambda _: BORN, 0.0)
    board.noted([candidate("a")], FRESH, lambda _: BORN + 50, 1.0)
    assert len(board.due(2.0)) == 1


def test_one_that_is_made_anew_is_another_one() -> None:
    board = Board()
    board.note(0.0, candidate("a"))
    later = candidate("a")._replace(revision="v1-y")
    assert board.note(2.0, later) == []
    assert board.at(4.0) == ["v1"]


def test_what_is_written_is_not_written_again_at_once() -> None:
    board = Board()
    board.note(0.0, candidate("a", at_once=True))
    (one,) = board.due(0.0)
    board.taken(one, 0.0)
    assert board.at(1.0) == []
    board.note(1.0)  # a compile has seen it
    assert board.next_time(1.0) == math.inf


def test_what_fails_is_tried_again_later_each_time() -> None:
    board = Board()
    now, pauses = 0.0, []
    board.note(now, candidate("a", at_once=True))
    for _ in range(8):
        (one,) = board.due(now)
        board.failed(one, now)
        pauses.append(board.next_time(now) - now)
        now = board.next_time(now)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    board.failed(candidate("a", "gone"), now)
    board.taken(candidate("a", "gone"), now)


@given(st.lists(st.tuples(st.floats(0.01, 3.0), st.sampled_from(["", "a", "b"])), max_size=20))
def test_nothing_is_ever_taken_that_was_not_the_same_for_two_seconds(
    moves: list[tuple[float, str]],
) -> None:
    board, now, since, last = Board(), 0.0, 0.0, ""
    for pause, digest in moves:
        now += pause
        if digest != last:
            since, last = now, digest
        due = board.note(now, candidate(digest))
        assert bool(due) == (bool(digest) and now - since >= 2.0)


# --- what may go ----------------------------------------------------------------------------------

MINE = Kept("ns", "v1-x", "uid-1", "v1-x", API, "u")


def gone(
    *kept: Kept, named: frozenset[tuple[str, str]] = frozenset(), uid: str = "u"
) -> list[Kept]:
    return unneeded(kept, named, lambda ref: uid if ref == API else "")


def test_what_nobody_names_goes_with_all_its_parts() -> None:
    part = MINE._replace(name="v1-x-abc-1")
    assert gone(MINE, part) == [MINE, part]
    assert gone(MINE, part, named=frozenset({("ns", "v1-x")})) == []
    assert gone(MINE, named=frozenset({("other", "v1-x")})) == [MINE]


@pytest.mark.parametrize(
    "kept",
    [
        MINE._replace(api=None, api_uid=""),
        MINE._replace(api_uid=""),
        MINE._replace(api_uid="of another cluster"),
        MINE._replace(api=API._replace(name="other")),
    ],
)
def test_what_is_somebody_else_s_stays(kept: Kept) -> None:
    assert gone(kept) == []


def test_what_a_deleted_api_leaves_is_the_garbage_collector_s() -> None:
    assert gone(MINE, uid="") == []
