"""Collection: what was kept is frozen once a burst, and still freed by its references."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from portico_operator.collection import GROWTH, OLD, THAW_S, Collection


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Thing:
    other: object = None


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def frozen(thing: Thing) -> bool:
    return not any(each is thing for each in gc.get_objects())


def test_what_is_there_at_the_first_publication_is_frozen() -> None:
    thing = Thing()
    Collection(Clock()).published(3)
    assert frozen(thing)


def test_an_edit_freezes_nothing_and_a_burst_does() -> None:
    collection = Collection(Clock())
    collection.published(3)
    thing = Thing()
    collection.published(3 + GROWTH - 1)
    assert not frozen(thing)
    collection.published(3 + GROWTH)
    assert frozen(thing)


def test_what_is_frozen_is_freed_with_its_last_reference() -> None:
    collection = Collection(Clock())
    thing = Thing()
    collection.published(1)
    watched = weakref.ref(thing)
    del thing
    assert watched() is None


def test_cycles_that_were_frozen_are_found_once_a_day() -> None:
    clock = Clock()
    collection = Collection(clock)
    thing = Thing()
    thing.other = thing
    watched = weakref.ref(thing)
    collection.published(1)
    del thing
    collection.published(1)
    assert watched() is not None
    clock.now = THAW_S
    collection.published(1)
    assert watched() is None


def test_garbage_that_grew_old_goes_without_a_look_at_what_is_frozen() -> None:
    collection = Collection(Clock())
    collection.start()
    kept = Thing()
    collection.published(3)
    ring, frozen_ring = Thing(), kept
    ring.other, frozen_ring.other = ring, frozen_ring
    watched, others = weakref.ref(ring), weakref.ref(frozen_ring)
    for _ in range(OLD):
        gc.collect(1)
    del ring, frozen_ring, kept
    assert watched() is not None
    collection.published(3)
    assert watched() is None
    assert others() is not None
