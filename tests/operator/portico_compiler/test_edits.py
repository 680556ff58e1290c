"""Edits: few, each in its place; otherwise nothing is said."""

from __future__ import annotations

from portico_compiler.edits import MOST, edits, other
from portico_compiler.inventory import Document
from portico_compiler.passes.accept import decode
from portico_compiler.problems import ObjectRef
from portico_compiler.world import Object


def document(name: str) -> Document:
    ref = ObjectRef("Service", "n", name)
    return decode(Object(ref=ref, body={}, resource_version="1", uid="u"))


def test_what_is_other() -> None:
    a, b, c = (document(name) for name in "abc")
    newer, d = document("b"), document("d")
    found = edits([a, b, c], [a, newer, c, d])
    assert found is not None
    assert (found.replaced, found.added) == ([(b, newer)], [d])
    assert found.now == [newer, d]
    assert edits([a, b], [a, b]) == ([], [])
    assert other([a, b, c], [a, newer]) == [1]


def test_what_went_or_moved_is_not_compared() -> None:
    a, b, c = (document(name) for name in "abc")
    assert edits([a, b, c], [a, b]) is None
    assert edits([a, b, c], [a, c, b]) is None
    assert edits([a, b], [a, c]) is None


def test_many_are_not_compared() -> None:
    before = [document(f"x{number}") for number in range(MOST + 1)]
    later = [document(f"x{number}") for number in range(MOST + 1)]
    assert edits(before, later) is None
    assert edits([], before) is None
    assert edits(before[:1], before) is not None
