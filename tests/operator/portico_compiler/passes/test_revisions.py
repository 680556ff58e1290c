"""Revisions are found by name and by what they were taken for, and thawed once."""

from __future__ import annotations

from typing import Any

import pytest

import worlds
from deployments import SHOP, Raw, compiled, deployment, revision, shop, stage, target
from manifests import manifest, route, service
from portico_compiler import Memo, ObjectRef
from portico_compiler.inventory import Inventory
from portico_compiler.passes import revisions as pass_
from portico_compiler.passes.accept import accept
from portico_compiler.passes.revisions import Revision, Revisions
from portico_compiler.revisions import content, packing

V1 = ObjectRef("ApiDeployment", "default", "v1")


def revisions(raws: list[Raw]) -> Revisions:
    memo = Memo()
    world, problems = worlds.of_raws(raws)
    assert not problems
    documents = accept(world.objects, memo)
    return Revisions(Inventory(documents, managed_slices_only=False), memo)


def test_by_name() -> None:
    found = revisions([*shop(), *revision(shop(), "v1")])
    assert isinstance(found.head("default", "v1"), packing.Head)
    assert found.head("default", "gone") is None
    assert found.head("other", "v1") is None
    assert found.places == {("default", "v1")}
    assert isinstance(found.load("default", "v1", SHOP, "v1"), Revision)
    assert "there is no" in str(found.load("default", "gone", SHOP, "v1"))
    assert "there is no" in str(found.data("default", "gone"))
    assert isinstance(found.data("default", "v1"), bytes)


def test_a_part_is_no_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHUNK_BYTES", 50)
    parts = revision(shop(), "v1")
    found = revisions(parts)
    assert found.places == {("default", "v1")}
    assert "name its head" in str(found.head("default", parts[0]["metadata"]["name"]))


def test_by_what_it_was_taken_for() -> None:
    own = revision(shop(), "v1", own=True)
    old = revision(shop(route("a", "GET /a")), "v1", own=True, api_uid="old")
    elsewhere = manifest("RestApi", "other")
    other = revision(
        [elsewhere, route("a", "GET /a", "other")], "v1", api=SHOP._replace(name="other")
    )
    found = revisions([*own, *old, *other]).taken_for(V1, SHOP)
    assert [name for name, _ in found] == [
        old[-1]["metadata"]["name"],
        own[-1]["metadata"]["name"],
    ]
    assert {head.api.name for _, head in found} == {"shop"}


def test_other_people_s_are_nobody_s_problem() -> None:
    foreign = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "web-1"},
        "revision": 1,
        "data": {"spec": {"template": {}}},
    }
    result = compiled([*shop(), foreign])
    assert result.report.problems == ()
    assert not result.deployments.unnamed


def test_a_pinned_stage_costs_an_edit_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    thawed: list[str] = []
    real = content.thaw

    def counting(data: bytes, api: ObjectRef, label: str) -> Any:
        thawed.append(label)
        return real(data, api, label)

    monkeypatch.setattr(pass_, "thaw", counting)
    from portico_compiler.passes import routes as routes_pass

    compiling: list[str] = []
    real_route = routes_pass._compile

    def counted(document: Any, *others: Any) -> Any:
        compiling.append(document.ref.name)
        return real_route(document, *others)

    monkeypatch.setattr(routes_pass, "_compile", counted)
    called: dict[str, Any] = {"integration": {"service": {"name": "pets", "port": 80}}}
    held = shop(route("a", "GET /a", **called), route("b", "GET /b"))
    raws = [*held, service("pets", 80), *revision(held, "v1"), deployment("v1", "v1")]
    raws += [stage("prod", "v1"), stage("beta", "v1")]
    memo = Memo()

    def again() -> list[str]:
        compiling.clear()
        compiled(raws, memo)
        return sorted(compiling)

    assert again() == ["a", "a@v1", "b", "b@v1"]
    assert again() == []
    raws[2]["spec"] |= target(7)
    assert again() == ["b"]
    raws[0]["spec"] = {"corsConfiguration": {"allowOrigins": ["*"]}}
    assert again() == []
    raws.append(stage("live"))
    assert again() == []
    raws[-2]["spec"]["variables"] = {"x": "1"}
    assert again() == []
    # What a held route looks up is looked up now.
    raws[3]["spec"]["ports"][0]["port"] = 81
    assert again() == ["a", "a@v1"]
    assert thawed == ["v1"]
