"""Store: forward only, whatever order lists and events come in."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from portico_compiler import ObjectRef, Settings
from portico_ir.secrets import Redacted
from portico_operator import establishment
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


def marks(store: Store) -> dict[str, str]:
    """The newest changes in a World."""
    return dict(store.freeze(Settings()).settings.marks)


def test_what_was_seen_grows_with_events_lists_and_bookmarks() -> None:
    store = Store()
    assert store.seen() == {}
    store.put(thing("a", 5))
    store.delete(ref("a"), 6)
    assert store.seen() == {"Route": "6"}
    store.listed(ROUTES, (), 9)
    assert store.seen() == {"Route": "9"}
    store.advanced(ROUTES, 12)
    store.advanced(ROUTES, 11)
    assert store.seen() == {"Route": "12"}
    store.compared(ROUTES, {}, 20)
    assert store.seen() == {"Route": "20"}
    store.compared(ROUTES, {ref("b"): 25}, 30)
    assert store.seen() == {"Route": "20"}, "an object is still to be fetched"


def test_the_marks_of_a_world_are_those_of_its_changes() -> None:
    """Else a replica that listed later would look newer, and the elder one behind."""
    store = Store()
    store.listed(ROUTES, [thing("a", 5)], 9)
    assert marks(store) == {"Route": "5"}
    store.advanced(ROUTES, 12)
    assert marks(store) == {"Route": "5"}
    store.put(thing("a", 15))
    assert marks(store) == {"Route": "15"}
    store.put(thing("a", 16, generation=15))
    assert (marks(store), store.seen()) == ({"Route": "15"}, {"Route": "16"}), "a status"
    store.delete(ref("a"), 17)
    assert marks(store) == {"Route": "17"}
    store.put(thing("b", 18))
    store.listed(ROUTES, (), 25)
    assert marks(store) == {"Route": "25"}, "gone at some time until then"
    store.put(thing("c", 30))
    store.compared(ROUTES, {}, 35)
    assert marks(store) == {"Route": "35"}


def test_one_namespace_that_is_listed_says_nothing_of_another() -> None:
    store = Store()
    store.listed(Scope("Secret", "a"), (), 10)
    store.listed(Scope("Secret", "b"), (), 90)
    assert store.seen() == {"Secret": "10"}
    store.advanced(Scope("Secret", "a"), 95)
    assert store.seen() == {"Secret": "90"}


def test_endpoints_move_no_mark_of_a_manifest() -> None:
    store = Store()
    store.put(thing("s", 70, "EndpointSlice"))
    store.listed(Scope("EndpointSlice", "n"), (), 80)
    assert marks(store) == store.seen() == {}
    assert store.sequence == 80


# --- the slow re-list -------------------------------------------------------------------------


def test_compared_names_what_a_watch_missed() -> None:
    store = Store()
    store.listed(ROUTES, [thing("same", 3), thing("behind", 4), thing("gone", 5)], 10)
    versions = {ref("same"): 3, ref("behind"): 14, ref("new"): 15}
    behind, went = store.compared(ROUTES, versions, 20)
    assert set(behind) == {ref("behind"), ref("new")}
    assert went
    assert names(store) == {"same", "behind"}
    assert store.seen() == {"Route": "10"}


def test_compared_without_a_difference_is_as_good_as_a_list() -> None:
    store = Store()
    store.listed(ROUTES, [thing("same", 3)], 10)
    assert store.compared(ROUTES, {ref("same"): 3}, 20) == ([], False)
    assert store.seen() == {"Route": "20"}


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


def test_config_maps_keep_their_contents_while_referred_to() -> None:
    store = Store()
    holder = ref("clients", "ConfigMap")

    def held() -> dict[str, str] | None:
        kept = store.get(holder)
        assert kept is not None
        assert ("data" in kept.object.body) == ("binaryData" in kept.object.body)
        return kept.object.body.get("data")

    def put(version: int) -> dict[str, str] | None:
        data: dict[str, Any] = {"data": {"ca.crt": "PEM"}, "binaryData": {"b": "QQ=="}}
        store.put(read("ConfigMap", raw("clients", version, "ConfigMap", **data), store.needs))
        return held()

    assert put(5) is None
    asked = {"mutualTlsAuthentication": {"truststoreRef": {"name": "clients"}}}
    store.put(thing("shop", 6, "DomainName", spec=asked))
    assert store.take_unread() == {holder}  # of Secrets there is none of that name
    assert Scope("ConfigMap", "default") in store.wanted()
    assert Scope("Secret", "default") in store.wanted()
    assert put(5) == {"ca.crt": "PEM"}
    store.delete(ref("shop", "DomainName"), 9)
    assert held() is None
    assert Scope("ConfigMap", "default") not in store.wanted()


def test_secrets_keep_their_contents_while_referred_to() -> None:
    store = Store()
    key = ref("key", "Secret")

    def secret(version: int) -> ClusterObject:
        data = {"value": "c2VjcmV0"}
        return read("Secret", raw("key", version, "Secret", data=data), store.needs)

    store.put(secret(5))
    kept = store.get(ref("key", "Secret"))
    assert kept is not None
    assert "data" not in kept.object.body
    without = kept.object.resource_version
    api_key = thing("k", 6, "ApiKey", spec={"secretRef": {"name": "key"}})
    store.put(api_key)
    assert store.take_unread() == {key}
    assert store.put(secret(5))
    kept = store.get(ref("key", "Secret"))
    assert kept is not None
    assert kept.object.body["data"] == {"value": Redacted("c2VjcmV0")}
    # What the compiler's memos compare: a document of the empty one must not stay.
    assert kept.object.resource_version != without
    store.delete(ref("k", "ApiKey"), 9)
    kept = store.get(ref("key", "Secret"))
    assert kept is not None
    assert "data" not in kept.object.body
    assert kept.object.resource_version == without


def test_forgetting_a_scope_drops_its_objects() -> None:
    store = Store()
    scope = Scope("Service", "default")
    store.expect((scope,))
    store.put(thing("pets", 5, "Service"))
    assert store.forget(scope)
    assert not store.missing()
    assert len(store) == 0


# --- deployments ----------------------------------------------------------------------------


def test_revisions_are_wanted_beside_the_api_that_is_deployed() -> None:
    store = Store()
    away = {"apiRef": {"name": "shop", "namespace": "apis"}}
    store.put(thing("v1", 5, "ApiDeployment", spec=away))
    assert store.wanted() == frozenset()  # nothing of ours is there, and nobody grants
    store.put(thing("shop", 6, "RestApi", namespace="apis"))
    assert store.wanted() == {Scope("ControllerRevision", "apis")}


def test_what_a_revision_holds_is_wanted_before_it_is_served() -> None:
    """Its content is compressed; without this its Services would be missing at first."""
    store = Store()
    store.put(thing("prod", 4, "Stage", spec={"deploymentRef": {"name": "v1"}}))
    data = {"services": ["", "granting"], "secrets": [{"name": "ca"}], "content": "…"}
    store.put(thing("v1-x", 5, "ControllerRevision", data=data))
    services = {Scope("Service", "default"), Scope("EndpointSlice", "default")}
    revisions = {Scope("ControllerRevision", "default")}
    assert store.wanted() == services | revisions | {Scope("Secret", "default")}
    assert store.needs("Secret", "default", "ca")
    store.put(thing("g", 6, "ReferenceGrant", namespace="granting"))
    assert Scope("Service", "granting") in store.wanted()
    store.delete(ref("v1-x", "ControllerRevision"), 7)
    assert store.wanted() == revisions
    assert names(store) == {"prod", "g"}


def test_what_a_stage_serves_is_part_of_the_world_and_no_user_s_change() -> None:
    store = Store()
    store.put(thing("prod", 5, "Stage", generation=1))
    store.take_changed()
    said = {"serving": {"revision": "v1-x", "deployment": "v1"}}
    assert store.put(thing("prod", 6, "Stage", generation=1, status=said))
    (frozen,) = store.freeze(Settings()).objects
    assert frozen.recorded == "v1-x"
    assert store.take_changed() == set()
    assert not store.put(thing("prod", 7, "Stage", generation=1, status=said))


def test_a_kind_is_known_up_to_the_oldest_of_its_lists() -> None:
    store = Store()
    assert store.lists() == {}
    one, two = Scope("Route", "one"), Scope("Route", "two")
    store.listed(one, (), 5)
    store.listed(two, (), 7)
    store.listed(Scope("RestApi", ALL), (), 3)
    assert store.lists() == {"Route": 5, "RestApi": 3}
    # An event is no list: others may be on their way.
    store.put(thing("r", 20, namespace="one"))
    assert store.lists()["Route"] == 5
    store.advanced(one, 9)
    assert store.lists()["Route"] == 7


# --- what status alone says -----------------------------------------------------------------


def a_stage(version: int, established: bool = False, generation: int = 1) -> ClusterObject:
    told = {
        "type": "Established",
        "status": "True",
        "message": establishment.message(ref("shop", "RestApi")),
    }
    return thing(
        "prod",
        version,
        "Stage",
        generation=generation,
        spec={"apiRef": {"name": "shop"}},
        status={"conditions": [told] if established else []},
    )


def test_that_a_stage_was_programmed_changes_the_world_and_is_no_user_s_change() -> None:
    store = Store()
    store.put(a_stage(1))
    assert store.take_changed() == {ref("prod", "Stage")}
    assert not store.put(a_stage(2)), "a status write like any other"
    assert store.put(a_stage(3, established=True))
    assert store.take_changed() == set()
    (found,) = store.freeze(Settings()).objects
    assert found.established
    assert not store.put(a_stage(4, established=True))
    assert store.put(a_stage(5, established=True, generation=2))
    assert store.take_changed() == {ref("prod", "Stage")}


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
