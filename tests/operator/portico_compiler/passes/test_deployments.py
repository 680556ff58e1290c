"""What a Stage with a deploymentRef serves, beyond golden cases: status, order, grants."""

from __future__ import annotations

import copy
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import worlds
from deployments import (
    SHOP,
    Raw,
    compiled,
    deployment,
    revision,
    shop,
    stage,
    target,
    targets,
)
from manifests import manifest, route, service
from portico_compiler import Compiled, Memo, ObjectRef, World, compile  # noqa: A004
from portico_compiler.passes.deployments import digest_of
from portico_compiler.world import CURRENT
from portico_ir import codec, invariants

ONE, TWO = (
    shop(route("list", "GET /pets", **target(1))),
    shop(route("list", "GET /pets", **target(2))),
)
PROD = ObjectRef("Stage", "default", "prod")


def with_status(raws: list[Raw], recorded: dict[str, str]) -> Compiled:
    """As in a cluster, where Stages say what they served."""
    world, problems = worlds.of_raws(copy.deepcopy(raws))
    assert not problems
    objects = [
        msgspec.structs.replace(o, recorded=recorded.get(o.ref.name, "")) for o in world.objects
    ]
    return compile(msgspec.structs.replace(world, objects=tuple(objects)))


def own_name(parts: list[Raw]) -> str:
    return str(parts[-1]["metadata"]["name"])


def reason(result: Compiled, name: str = "prod") -> str:
    return worlds.condition(result, "Stage", name, "ResolvedRefs")[1]


V1 = revision(ONE, "v1", own=True)


def test_while_the_next_one_is_taken_the_last_one_is_served() -> None:
    raws = [*TWO, *V1, deployment("v1"), deployment("v2"), stage("prod", "v2")]
    result = with_status(raws, {"prod": own_name(V1)})
    assert targets(result, "prod") == {"GET /pets": "http://v1.example/"}
    status, why, message = worlds.condition(result, "Stage", "prod", "ResolvedRefs")
    assert (status, why) == ("False", "RefNotAccepted")
    assert "ApiDeployment default/v2 is not taken yet" in message
    assert "until then it still serves ApiDeployment default/v1" in message
    assert result.deployments.serving[PROD].revision == own_name(V1)
    assert "still serves" in result.deployments.not_deployed()[PROD]


def test_while_the_first_one_is_taken_the_current_routes_are() -> None:
    raws = [*ONE, deployment("v1"), stage("prod", "v1")]
    result = with_status(raws, {"prod": CURRENT})
    assert targets(result, "prod") == {"GET /pets": "http://v1.example/"}
    assert reason(result) == "RefNotAccepted"
    assert result.deployments.serving[PROD].revision == ""
    assert PROD in result.deployments.not_deployed()


@pytest.mark.parametrize(
    ("name", "documents"),
    [("gone", []), ("v1", [deployment("v1", "gone")]), ("v1", [deployment("v1", api="other")])],
)
def test_the_current_routes_stand_in_for_nothing_that_nobody_takes(
    name: str, documents: list[Raw]
) -> None:
    other = [manifest("RestApi", "other"), route("o", "GET /o", "other")]
    result = with_status([*ONE, *other, *documents, stage("prod", name)], {"prod": CURRENT})
    assert set(targets(result, "prod").values()) == {"broken"}
    assert PROD not in result.deployments.serving


def test_a_revision_stands_in_for_one_that_is_broken_or_missing() -> None:
    """A stage that moves is never without an answer because its next state is not there."""
    bad = revision(TWO, "v2", name="bad")
    bad[-1]["data"]["digest"] = "0" * 64
    for documents in ([], [*bad, deployment("v2", "bad")]):
        raws = [*TWO, *V1, deployment("v1"), *documents, stage("prod", "v2")]
        result = with_status(raws, {"prod": own_name(V1)})
        assert targets(result, "prod") == {"GET /pets": "http://v1.example/"}
        assert reason(result) in ("RefNotFound", "RevisionBroken")


@pytest.mark.parametrize("recorded", ["gone", "strange"])
def test_what_is_recorded_and_not_to_be_had(recorded: str) -> None:
    strange = revision(ONE, "v0", name="strange", own=True, api_uid="another")
    result = with_status([*ONE, *strange, stage("prod", "v2")], {"prod": recorded})
    assert set(targets(result, "prod").values()) == {"broken"}


def test_of_several_that_are_left_the_one_that_was_served_counts() -> None:
    """Recreated under its name and deleted again."""
    other = revision(TWO, "v1", own=True, name="v1-other")
    for served in (own_name(V1), "v1-other"):
        result = with_status([*ONE, *V1, *other, stage("prod", "v1")], {"prod": served})
        assert result.deployments.serving[PROD].revision == served
        assert reason(result) == "DeploymentDeleted"
    result = with_status([*ONE, *V1, *other, stage("prod", "v1")], {})
    assert result.deployments.serving[PROD].revision == "v1-other"  # the newer one


def test_two_states_under_one_name_do_not_meet() -> None:
    """v1 was deleted and made anew; one stage still serves the old one."""
    old = revision(TWO, "v1", name="v1-old", own=True)
    raws = [
        *ONE,
        *V1,
        *old,
        deployment("v1"),
        deployment("v2"),
        stage("prod", "v2"),
        stage("new", "v1"),
    ]
    result = with_status(raws, {"prod": "v1-old"})
    assert targets(result, "prod") == {"GET /pets": "http://v2.example/"}
    assert targets(result, "new") == {"GET /pets": "http://v1.example/"}
    assert invariants.check(worlds.units(result)) == []


def test_one_of_them_may_be_on_its_way_from_another_namespace() -> None:
    """v1 was made anew, to restore what stands elsewhere; one stage still serves the old one."""
    away = revision(TWO, "v1", name="kept")
    for part in away:
        part["metadata"]["namespace"] = "ops"
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "g", "namespace": "ops"},
        "spec": {
            "from": [{"group": "portico.dev", "kind": "ApiDeployment", "namespace": "default"}],
            "to": [{"group": "apps", "kind": "ControllerRevision"}],
        },
    }
    old = revision(ONE, "v1", name="v1-old", own=True)
    anew = deployment("v1", revisionRef={"name": "kept", "namespace": "ops"})
    for names in (("prod", "test"), ("test", "prod")):  # whichever comes first
        moved, behind = stage(names[0], "v1"), stage(names[1], "v2")
        raws = [*ONE, *old, *away, grant, anew, deployment("v2"), moved, behind]
        result = with_status(raws, {names[1]: "v1-old"})
        assert targets(result, names[0]) == {"GET /pets": "http://v2.example/"}
        assert targets(result, names[1]) == {"GET /pets": "http://v1.example/"}


def test_a_deployment_of_another_namespace() -> None:
    """Both references cross, each with leave."""
    far = deployment("v1", apiRef={"name": "shop", "namespace": "default"})
    far["metadata"]["namespace"] = "ops"
    prod = stage("prod", deploymentRef={"name": "v1", "namespace": "ops"})

    def grant(namespace: str, kind: str, source: str, to: str) -> Raw:
        return {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "ReferenceGrant",
            "metadata": {"name": kind.lower(), "namespace": namespace},
            "spec": {
                "from": [{"group": "portico.dev", "kind": kind, "namespace": source}],
                "to": [{"group": "portico.dev", "kind": to}],
            },
        }

    raws = [*ONE, far, prod, grant("default", "ApiDeployment", "ops", "RestApi")]
    assert reason(compiled(raws)) == "RefNotPermitted"
    raws.append(grant("ops", "Stage", "default", "ApiDeployment"))
    result = compiled(raws)
    assert reason(result) == "RefNotAccepted"
    (candidate,) = result.deployments.candidates
    assert candidate.captured is not None
    from portico_compiler.revisions import packing

    raws += packing.pack(candidate.captured, candidate.revision, "", candidate.origin, None)
    result = compiled(raws)
    assert result.deployments.serving[PROD].deployment == "ops~v1"
    assert targets(result, "prod") == {"GET /pets": "http://v1.example/"}
    # Deleted, it is still found by what it was taken for.
    result = compiled([raw for raw in raws if raw is not far])
    assert reason(result) == "DeploymentDeleted"


def test_nobody_deletes_what_is_named() -> None:
    raws = [*ONE, *V1, *revision(TWO, "v2", own=True), *revision(TWO, "kept")]
    assert compiled(raws).deployments.unnamed == {
        ("default", own_name(V1)),
        ("default", own_name(revision(TWO, "v2", own=True))),
        ("default", "kept"),
    }
    share = {"deploymentRef": {"name": "v2"}, "percentTraffic": 5}
    raws += [deployment("v1"), deployment("v3", "kept"), stage("test", canarySettings=share)]
    assert compiled(raws).deployments.unnamed == frozenset()
    # Not even while its API may not be served, or by a Stage that lost its name to an elder.
    loser = [*ONE, *V1, stage("prod"), stage("prod2", "v1", stageName="prod")]
    assert compiled(loser).deployments.unnamed == frozenset()
    conflict = [manifest("HttpApi", "shop"), *ONE, *V1, deployment("v1")]
    assert compiled(conflict).deployments.unnamed == frozenset()
    served = with_status([*ONE, *V1, deployment("v2"), stage("prod", "v2")], {"prod": own_name(V1)})
    assert served.deployments.unnamed == frozenset()


def test_a_class_that_is_not_there_takes_its_deployments_along() -> None:
    """What all of a class may not do, a deployment may not do either."""
    raws = [
        {
            "apiVersion": "portico.dev/v1alpha1",
            "kind": "PorticoClass",
            "metadata": {"name": "c"},
            "spec": {"default": True, "accountThrottle": {"rateLimit": 1}},
        },
        *ONE,
        *V1,
        deployment("v1"),
        stage("prod", "v1"),
    ]
    result = compiled(raws)
    broken = worlds.api(result).broken
    if broken:  # until accountThrottle is built
        assert PROD not in result.deployments.serving


def test_a_digest_as_users_write_it() -> None:
    assert digest_of(None) == ""
    assert digest_of("sha256:" + "a" * 64) == digest_of("a" * 64) == "a" * 64


# --- the same World in any order -----------------------------------------------------------------

STATES = [
    shop(*(route(f"r{n}", f"GET /r{n}", **target(s)) for n in range(s + 1))) for s in range(3)
]
REVISIONS = [revision(state, f"v{number}", own=True) for number, state in enumerate(STATES)]


@settings(max_examples=60)
@given(
    current=st.sampled_from(STATES),
    there=st.sets(st.integers(0, 2)),
    declared=st.sets(st.integers(0, 2)),
    pins=st.lists(st.sampled_from(["", "v0", "v1", "v2", "v9"]), max_size=3),
    recorded=st.sampled_from(["", CURRENT, own_name(REVISIONS[0]), "gone"]),
    seed=st.integers(0, 99),
)
def test_any_world_in_any_order_gives_the_same_bytes(
    current: list[Raw],
    there: set[int],
    declared: set[int],
    pins: list[str],
    recorded: str,
    seed: int,
) -> None:
    raws = [*current, *(part for n in sorted(there) for part in REVISIONS[n])]
    raws += [deployment(f"v{n}") for n in sorted(declared)]
    raws += [stage(f"s{number}", name) for number, name in enumerate(pins)]
    world, problems = worlds.of_raws(copy.deepcopy(raws))
    assert not problems
    objects = [msgspec.structs.replace(o, recorded=recorded) for o in world.objects]
    first = compile(msgspec.structs.replace(world, objects=tuple(objects)))
    random.Random(seed).shuffle(objects)
    memo = Memo()
    shuffled = World(settings=world.settings, objects=tuple(objects), namespaces=world.namespaces)
    for _ in range(2):
        again = compile(shuffled, memo)
        assert codec.encode(again.snapshot) == codec.encode(first.snapshot)
        assert again.report.conditions == first.report.conditions
        assert again.deployments.serving == first.deployments.serving
        assert again.deployments.not_deployed() == first.deployments.not_deployed()
    assert invariants.check(worlds.units(first)) == []


@settings(max_examples=60)
@given(st.data())
def test_whatever_a_revision_holds_nothing_raises(data: st.DataObject) -> None:
    """Rule 6, for objects that users may write by hand."""
    parts = copy.deepcopy(revision(ONE, "v1", name="kept"))
    junk: st.SearchStrategy[Any] = (
        st.none() | st.integers() | st.text(max_size=8) | st.lists(st.text())
    )
    for key in data.draw(st.sets(st.sampled_from([*parts[-1]["data"], "more"]))):
        parts[-1]["data"][key] = data.draw(junk)
    raws = [
        *ONE,
        service("pets", 80),
        *parts,
        deployment("v1", "kept"),
        stage("prod", "v1"),
        stage("x"),
    ]
    result = compiled(raws)
    assert targets(result, "x") == {"GET /pets": "http://v1.example/"}
    assert invariants.check(worlds.units(result)) == []
    assert result.deployments.capture(SHOP)
