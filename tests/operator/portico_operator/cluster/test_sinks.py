"""StoreSink: a core kind into the store."""

from __future__ import annotations

from fake_kube import error, item
from portico_compiler import ObjectRef
from portico_operator.cluster.sinks import StoreSink
from portico_operator.store import Scope, Store

SCOPE = Scope("Secret", "n")


class Bed:
    def __init__(self) -> None:
        self.store = Store()
        self.store.expect((SCOPE,))
        self.changes = 0
        self.sink = StoreSink(self.store, SCOPE, self._changed)

    def _changed(self) -> None:
        self.changes += 1


def test_contents_that_nothing_names_get_no_further() -> None:
    bed = Bed()
    bed.sink.event("ADDED", item("key", 5, data={"v": "c2VjcmV0"}))
    kept = bed.store.get(ObjectRef("Secret", "n", "key"))
    assert kept is not None
    assert "data" not in kept.object.body


def test_events_change_the_store() -> None:
    bed = Bed()
    bed.sink.listed([bed.sink.read(item("a", 5))], 10)
    bed.sink.event("MODIFIED", item("a", 11))
    bed.sink.event("DELETED", item("a", 12))
    assert bed.changes == 3
    assert len(bed.store) == 0
    bed.sink.event("BOOKMARK", {"metadata": {"resourceVersion": "90"}})
    bed.sink.event("ADDED", {})
    assert bed.changes == 3
    assert bed.store.sequence == 90


def test_what_may_not_be_read_counts_as_empty_only_before_a_list() -> None:
    bed = Bed()
    bed.sink.absent(error(403))
    assert not bed.store.missing()
    assert bed.changes == 1
    bed.sink.listed([bed.sink.read(item("a", 5))], 10)
    bed.sink.absent(error(403))
    assert len(bed.store) == 1
