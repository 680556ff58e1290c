"""Store: forward only, whatever order lists and events come in."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from portico_compiler import ObjectRef, Settings
from portico_ir.secrets import Redacted
from portico_operator.objects import ClusterObject, read
from portico_operator.store import ALL, Scope, Store

ROUTES = Scope("Route", ALL)


def raw(
    name: str, version: int, kind: str = "Route", namespace: str = "default", **more: Any
) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "generation": more.pop("generation", version),
    }
    return {"metadata": metadata | more.pop("metadata", {}), "spec": {}} | more


def thing(name: str, version: int, kind: str = "Route", **more: Any) -> ClusterObject:
    return read(kind, raw(name, version, kind, **more))


def ref(name: str, kind: str = "Route", namespace: str = "default") -> ObjectRef:
    return ObjectRef(kind, namespace, name)


def names(store: Store) -> set[str]:
    return {object_.ref.name for object_ in store.freeze(Settings()).objects}


# --- what is missing ------------------------------------------------------------------------


def test_nothing_is_whole_before_every_list() -> None:
    store = Store()
    store.expect((ROUTES, Scope("RestApi", ALL)))
    assert store.missing() == [Scope("RestApi", ALL), ROUTES]
    store.listed(ROUTES, (), 5)
    assert store.missing() == [Scope("RestApi", ALL)]
    store.listed(Scope("RestApi", ALL), (), 5)
    assert not store.missing()


def test_an_empty_list_is_news_the_first_time() -> None:
    store = Store()
    assert store.listed(ROUTES, (), 5)
    assert not store.listed(ROUTES, (), 6)


def test_a_kind_that_goes_is_missing_again_and_keeps_its_objects() -> None:
    store = Store()
    store.expect((ROUTES,))
    store.listed(ROUTES, [thing("a", 3)], 5)
    store.unknown(ROUTES)
    assert store.missing() == [ROUTES]
    assert names(store) == {"a"}


# --- order ----------------------------------------------------------------------------------


def test_older_events_change_nothing() -> None:
    store = Store()
    assert store.put(thing("a", 5))
    assert not store.put(thing("a", 5))
    assert not store.put(thing("a", 4))
    assert store.put(thing("a", 6))


def test_a_deleted_object_does_not_come_back_from_the_past() -> None:
    store = Store()
    store.put(thing("a", 5))
    assert store.delete(ref("a"), 7)
    assert not store.put(thing("a", 6))
    assert names(store) == set()
    assert store.put(thing("a", 8))


def test_a_late_deletion_does_not_take_the_successor() -> None:
    store = Store()
    store.put(thing("a", 9))
    assert not store.delete(ref("a"), 7)
    assert names(store) == {"a"}


def test_an_event_for_what_the_list_lacked_is_stale() -> None:
    """kopf's own first pass lags behind our list by seconds at 10,000 objects."""
    store = Store()
    store.listed(ROUTES, (), 10)
    assert not store.put(thing("a", 9))
    assert not store.put(thing("a", 10))
    assert store.put(thing("a", 11))


def test_a_list_removes_what_it_lacks_unless_that_is_newer() -> None:
    store = Store()
    store.put(thing("old", 5))
    store.put(thing("new", 15))
    assert store.listed(ROUTES, (), 10)
    assert names(store) == {"new"}


def test_lists_cover_their_namespace_only() -> None:
    store = Store()
    store.put(thing("a", 5, namespace="one"))
    store.put(thing("b", 5, namespace="two"))
    store.listed(Scope("Route", "one"), (), 10)
    assert names(store) == {"b"}


def test_tombstones_end_with_the_next_list() -> None:
    store = Store()
    store.listed(ROUTES, (), 1)
    for number in range(100):
        store.put(thing(f"r{number}", 2 + number))
        store.delete(ref(f"r{number}"), 200 + number)
    assert len(store._gone) == 100
    store.listed(ROUTES, (), 400)
    assert not store._gone
    assert not store.put(thing("r3", 203))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int, int | None]]:
    """What happens to a few objects: (name, version, generation or None for deleted)."""
    events: list[tuple[str, int, int | None]] = []
    alive: dict[str, int] = {}
    for version in range(1, draw(st.integers(1, 25))):
        name = draw(st.sampled_from("abc"))
        if name in alive and draw(st.booleans()):
            del alive[name]
            events.append((name, version, None))
        else:
            alive[name] = version
            events.append((name, version, version))
    return events


@given(histories(), st.data())
def test_any_interleaving_ends_in_the_truth(
    history: list[tuple[str, int, int | None]], data: st.DataObject
) -> None:
    """Events in order per object, lists of any moment in between, both possibly late."""
    store = Store()
    queues = {n: [e for e in history if e[0] == n] for n in "abc"}
    seen_list = 0
    for _ in range(200):
        waiting = [n for n in queues if queues[n]]
        if not waiting:
            break
        if data.draw(st.integers(0, 4)) == 0:
            moment = data.draw(st.integers(seen_list, len(history)))
            seen_list = moment
            state: dict[str, tuple[int, int]] = {}
            for name, version, generation in history[:moment]:
                if generation is None:
                    state.pop(name, None)
                else:
                    state[name] = (version, generation)
            items = [thing(n, v, generation=g) for n, (v, g) in state.items()]
            store.listed(ROUTES, items, moment)
            continue
        name = data.draw(st.sampled_from(waiting))
        # Watches repeat themselves: the same event may come twice.
        _, version, generation = queues[name][0]
        if data.draw(st.booleans()):
            queues[name].pop(0)
        if generation is None:
            store.delete(ref(name), version)
        else:
            store.put(thing(name, version, generation=generation))
    for name, queue in queues.items():
        for _, version, generation in queue:
            if generation is None:
                store.delete(ref(name), version)
            else:
                store.put(thing(name, version, generation=generation))
    truth: dict[str, int] = {}
    for name, version, generation in history:
        if generation is None:
            truth.pop(name, None)
        else:
            truth[name] = version
    found = {o.ref.name: store.get(o.ref) for o in store.freeze(Settings()).objects}
    assert {n: o.version for n, o in found.items() if o} == truth


# --- content --------------------------------------------------------------------------------


def test_a_status_write_is_no_news_for_a_world() -> None:
    store = Store()
    store.put(thing("a", 5, generation=1))
    before = store.freeze(Settings()).objects[0]
    assert not store.put(thing("a", 6, generation=1, status={"observedGeneration": 1}))
    assert store.freeze(Settings()).objects[0] is before
    kept = store.get(ref("a"))
    assert kept is not None
    assert kept.version == 6
    assert kept.status == b'{"observedGeneration":1}'


def test_labels_are_content() -> None:
    store = Store()
    store.put(thing("a", 5, generation=1))
    assert store.put(thing("a", 6, generation=1, metadata={"labels": {"x": "y"}}))


def test_recreated_under_the_same_generation_is_news() -> None:
    store = Store()
    store.put(thing("a", 5, generation=1))
    assert store.put(thing("a", 9, generation=1, metadata={"uid": "another"}))


def test_changes_are_handed_out_once() -> None:
    store = Store()
    store.put(thing("a", 5))
    store.put(thing("b", 6))
    store.delete(ref("b"), 7)
    assert store.take_changed() == {ref("a"), ref("b")}
    assert store.take_changed() == set()


def test_deletions_are_told_by_kind_until_believed() -> None:
    store = Store()
    store.put(thing("a", 5))
    store.delete(ref("a"), 6)
    assert store.deleted_kinds() == {"Route"}
    store.believe_deletions({"Route"})
    assert not store.deleted_kinds()


# --- marks ----------------------------------------------------------------------------------


def test_marks_grow_with_events_lists_and_bookmarks() -> None:
    store = Store()
    store.put(thing("a", 5))
    store.delete(ref("a"), 6)
    assert store.freeze(Settings()).settings.marks == {"Route": "6"}
    store.listed(ROUTES, (), 9)
    store.advanced(ROUTES, 12)
    store.advanced(ROUTES, 11)
    assert store.freeze(Settings()).settings.marks == {"Route": "12"}


def test_endpoints_move_no_mark_of_a_manifest() -> None:
    store = Store()
    store.put(thing("s", 70, "EndpointSlice"))
    assert store.freeze(Settings()).settings.marks == {}
    assert store.sequence == 70


# --- the slow re-list -------------------------------------------------------------------------


def test_compared_names_what_a_watch_missed() -> None:
    store = Store()
    store.listed(ROUTES, [thing("same", 3), thing("behind", 4), thing("gone", 5)], 10)
    versions = {ref("same"): 3, ref("behind"): 14, ref("new"): 15}
    behind, went = store.compared(ROUTES, versions, 20)
    assert set(behind) == {ref("behind"), ref("new")}
    assert went
    assert names(store) == {"same", "behind"}
    assert store.freeze(Settings()).settings.marks == {"Route": "10"}


def test_compared_without_a_difference_is_as_good_as_a_list() -> None:
    store = Store()
    store.listed(ROUTES, [thing("same", 3)], 10)
    assert store.compared(ROUTES, {ref("same"): 3}, 20) == ([], False)
    assert store.freeze(Settings()).settings.marks == {"Route": "20"}


# --- what is referred to ----------------------------------------------------------------------


def route_to(name: str, version: int, **service: str) -> ClusterObject:
    spec = {"integration": {"service": {"name": "pets", "port": 80, **service}}}
    return thing(name, version, spec=spec)


def test_services_are_wanted_where_something_refers_to_them() -> None:
    store = Store()
    store.put(route_to("a", 5))
    assert store.wanted() == {Scope("Service", "default"), Scope("EndpointSlice", "default")}
    store.delete(ref("a"), 6)
    assert store.wanted() == frozenset()


def test_another_namespace_counts_only_when_it_grants() -> None:
    store = Store()
    store.put(route_to("a", 5, namespace="other"))
    assert store.wanted() == frozenset()
    store.put(thing("grant", 6, "ReferenceGrant", namespace="other"))
    assert store.wanted() == {Scope("Service", "other"), Scope("EndpointSlice", "other")}


def test_an_edit_moves_what_is_wanted() -> None:
    store = Store()
    store.put(route_to("a", 5))
    store.put(thing("a", 6, spec={"integration": {"url": "http://x.example"}}))
    assert store.wanted() == frozenset()


def test_secrets_keep_their_contents_while_referred_to() -> None:
    store = Store()
    key = ("default", "key")

    def secret(version: int) -> ClusterObject:
        data = {"value": "c2VjcmV0"}
        return read("Secret", raw("key", version, "Secret", data=data), store.needs_secret)

    store.put(secret(5))
    kept = store.get(ref("key", "Secret"))
    assert kept is not None
    assert "data" not in kept.object.body
    api_key = thing("k", 6, "ApiKey", spec={"secretRef": {"name": "key"}})
    store.put(api_key)
    assert store.take_unread_secrets() == {key}
    assert store.put(secret(5))
    kept = store.get(ref("key", "Secret"))
    assert kept is not None
    assert kept.object.body["data"] == {"value": Redacted("c2VjcmV0")}
    store.delete(ref("k", "ApiKey"), 9)
    kept = store.get(ref("key", "Secret"))
    assert kept is not None
    assert "data" not in kept.object.body


def test_forgetting_a_scope_drops_its_objects() -> None:
    store = Store()
    scope = Scope("Service", "default")
    store.expect((scope,))
    store.put(thing("pets", 5, "Service"))
    assert store.forget(scope)
    assert not store.missing()
    assert len(store) == 0


def test_revisions_are_kept_but_no_part_of_a_world() -> None:
    store = Store()
    store.put(thing("r", 5, "ControllerRevision"))
    assert len(store) == 1
    assert names(store) == set()


# --- labels of namespaces -------------------------------------------------------------------


def a_class(version: int, *selectors: dict[str, Any] | None) -> ClusterObject:
    allowed = [
        {"domains": ["a.b"]} | ({} if selector is None else {"namespaceSelector": selector})
        for selector in selectors
    ]
    return thing("public", version, "PorticoClass", namespace="", spec={"allowedDomains": allowed})


def test_namespaces_are_wanted_only_while_something_chooses_by_their_labels() -> None:
    store = Store()
    store.expect((Scope("DomainName", ALL), ROUTES))
    store.put(a_class(1, None))
    assert store.wanted() == frozenset()
    store.put(a_class(2, {"matchLabels": {}}))
    assert store.wanted() == {Scope("Namespace", ALL)}
    store.put(a_class(3))
    assert store.wanted() == frozenset()


def test_with_namespaces_served_only_those_are_wanted() -> None:
    store = Store()
    store.expect(Scope("DomainName", namespace) for namespace in ("shop", "pets"))
    store.put(a_class(1, {}))
    assert store.wanted() == {Scope("Namespace", "shop"), Scope("Namespace", "pets")}


def test_labels_reach_the_world_as_long_as_they_are_wanted() -> None:
    store = Store()
    store.expect((Scope("DomainName", ALL),))
    store.put(a_class(1, {}))
    shop = raw("shop", 2, namespace="", metadata={"labels": {"team": "a"}})
    assert store.listed(Scope("Namespace", ALL), [read("Namespace", shop)], 3)
    world = store.freeze(Settings())
    assert world.namespaces == {"shop": {"team": "a"}}
    assert [o.ref.kind for o in world.objects] == ["PorticoClass"]
    shop["metadata"] |= {"resourceVersion": "4", "labels": {"team": "b"}}
    assert store.put(read("Namespace", shop))
    assert store.freeze(Settings()).namespaces == {"shop": {"team": "b"}}
    shop["metadata"] |= {"resourceVersion": "5", "annotations": {"x": "y"}}
    assert not store.put(read("Namespace", shop)), "nothing that counts has changed"
    store.put(a_class(6))
    assert store.freeze(Settings()).namespaces == {}
