"""Compiling is a function (design.md §9 rule 5): order, memo and process change nothing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import worlds
from manifests import manifest, route, service
from portico_compiler import Memo, Object, World, compile  # noqa: A004
from portico_ir import codec
from portico_ir.model import GatewayUnit

ROOT = Path(__file__).parents[3]


def a_world(seed: int) -> World:
    """APIs, stages, conflicts, mistakes and references, by chance."""
    chance = random.Random(seed)
    raws: list[dict[str, Any]] = [service("pets", 80), service("cats", 80, 8080)]
    for name in ("a", "b"):
        kind = chance.choice(["RestApi", "HttpApi"])
        raws.append(manifest(kind, name, chance.choice([{}, {"defaultStage": "Always"}])))
        for number in range(chance.randrange(12)):
            key = f"{chance.choice(['GET', 'ANY'])} /{chance.choice('xyz')}/{{v{number}}}"
            integration = chance.choice(
                [
                    {"service": {"name": chance.choice(["pets", "cats", "gone"]), "port": 80}},
                    {"url": "http://x/${stageVariables.v}"},
                    {"url": "http://x/"},
                    {"type": "MOCK"},
                ]
            )
            raws.append(route(f"{name}{number}", key, name, kind, integration=integration))
        for stage in ("p", "q"):
            if chance.random() < 0.5:
                api = {"name": name, "kind": kind}
                spec: dict[str, Any] = {"apiRef": api, "stageName": stage}
                spec |= chance.choice([{}, {"variables": {"v": stage}}, {"tracingEnabled": True}])
                raws.append(manifest("Stage", f"{name}-{stage}", spec))
    world, problems = worlds.of_raws(raws)
    assert not problems
    return world


def encoded(world: World, memo: Memo | None = None) -> tuple[bytes, Any]:
    result = compile(world, memo)
    report = result.report
    return codec.encode(result.snapshot), (report.problems, report.conditions, report.routes)


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_order_does_not_matter(seed: int, chance: random.Random) -> None:
    world = a_world(seed)
    objects = list(world.objects)
    chance.shuffle(objects)
    shuffled = msgspec.structs.replace(world, objects=tuple(objects))
    assert encoded(shuffled) == encoded(world)


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=5))
def test_a_memo_changes_nothing(seeds: list[int]) -> None:
    memo = Memo()
    for seed in seeds:
        world = a_world(seed)
        assert encoded(world, memo) == encoded(world)


@given(st.integers(0, 10_000), st.data())
def test_neither_memo_nor_report_of_before_change_anything_for_edits(
    seed: int, data: st.DataObject
) -> None:
    memo = Memo()
    world = a_world(seed)
    before = compile(world, memo).report if data.draw(st.booleans()) else None
    gone: list[Object] = []
    for number in range(data.draw(st.integers(1, 5))):
        objects = list(world.objects)
        for _ in range(data.draw(st.integers(1, 3))):
            _edit(objects, gone, number, data)
        world = msgspec.structs.replace(world, objects=tuple(objects))
        assert encoded(world, memo) == encoded(world)
        # Not each publication has its statuses worked out.
        if data.draw(st.booleans()):
            later, alone = compile(world, memo).report, compile(world).report
            if before is not None:
                assert before.conditions is not None
                later.follow(before)
            assert list(later.conditions.items()) == list(alone.conditions.items())
            assert later.classes == alone.classes
            if before is not None and later.touched is not None:
                refs = later.conditions.keys() | before.conditions.keys()
                said = {r for r in refs if later.conditions.get(r) != before.conditions.get(r)}
                moved = {r for r in refs if later.classes.get(r) != before.classes.get(r)}
                assert said | moved <= later.touched
            before = later


def _edit(objects: list[Object], gone: list[Object], number: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(objects) - 1))
    edited, version = objects[at], f"{number}-{at}"
    match data.draw(st.sampled_from(["remove", "return", "age", "break", "become"])):
        case "remove" if len(objects) > 1:
            gone.append(objects.pop(at))
        case "return" if gone:
            objects.append(gone.pop())
        case "age":
            objects[at] = msgspec.structs.replace(edited, created="0")
        case "become":
            # What another of its kind says: Routes move between APIs, and meet conflicts.
            like = [each for each in objects if each.ref.kind == edited.ref.kind]
            body = data.draw(st.sampled_from(like)).body
            objects[at] = msgspec.structs.replace(edited, body=body, resource_version=version)
        case _:
            body = {"spec": {"nonsense": 1}}
            objects[at] = msgspec.structs.replace(edited, body=body, resource_version=version)


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_another_process_gives_the_same_bytes(seed: str) -> None:
    """No order of a set or dict gets into the bytes."""
    case = ROOT / "tests/golden/cases/stages.in.yaml"
    program = (
        "import hashlib, sys, worlds; from portico_compiler import compile;"
        "from portico_ir import codec;"
        "world, _ = worlds.world(open(sys.argv[1]).read());"
        "print(hashlib.sha256(codec.encode(compile(world).snapshot)).hexdigest())"
    )
    path = os.pathsep.join([str(ROOT / "tests/support"), os.environ.get("PYTHONPATH", "")])
    found = subprocess.run(
        [sys.executable, "-c", program, str(case)],
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    world, _ = worlds.world(case.read_text())
    assert found.stdout.strip() == codec.digest(codec.encode(compile(world).snapshot))


def test_a_report_speaks_of_its_own_compile() -> None:
    """Although the memo's documents move on."""
    memo = Memo()
    unbuilt = {"validateRequestBody": True}
    raws = [manifest("RestApi", "shop"), route("a", "GET /a", requestValidator=unbuilt)]
    first = compile(worlds.of_raws(raws)[0], memo)
    later, _ = worlds.of_raws([manifest("RestApi", "other"), *raws])
    second = compile(later, memo)
    assert [str(p.source) for p in first.report.problems] == ["case.yaml[1]"]
    assert [str(p.source) for p in second.report.problems] == ["case.yaml[2]"]


def test_an_empty_world() -> None:
    result = compile(World())
    assert list(result.snapshot.units) == ["gateway"]
    assert result.report.problems == ()
    assert result.report.conditions == {}
    assert result.report.routes == ()


def test_the_example_of_the_design() -> None:
    text = (ROOT / "tests/golden/cases/rest-first.in.yaml").read_text()
    result = worlds.compiled(text)
    assert result.report.problems == ()
    assert sorted(worlds.routes(result)) == ["ANY /files/{proxy+}", "GET /pets/{petId}"]
    assert yaml.safe_load(text.partition("---")[0])["kind"] == "RestApi"


PETS, CATS = ({"service": {"name": name, "port": 80}} for name in ("pets", "cats"))
CLASSES = [
    manifest("PorticoClass", "public", {"default": True, "accountId": "111111111111"}),
    manifest("PorticoClass", "edge", {"accountId": "222222222222"}),
    service("pets", 80),
    service("cats", 80),
    manifest("RestApi", "shop"),
    route("pets", "GET /", integration=PETS),
    manifest("HttpApi", "inner", {"className": "edge"}),
    route("cats", "GET /", "inner", "HttpApi", integration=CATS),
]


def by_class(raws: list[dict[str, Any]], memo: Memo | None = None, **settings: Any) -> Any:
    world, problems = worlds.of_raws(raws, mode="cluster", **settings)
    assert not problems
    return compile(world, memo).snapshots


def test_a_class_gets_its_own_units_and_addresses_and_no_others() -> None:
    found = by_class(CLASSES, classes=("edge", "public"))
    assert {name: sorted(snapshot.units) for name, snapshot in found.items()} == {
        "edge": ["api/default/HttpApi/inner", "gateway", "routes/default/HttpApi/inner/*/0"],
        "public": ["api/default/RestApi/shop", "gateway", "routes/default/RestApi/shop/*/0"],
    }
    assert set(found["edge"].endpoints.upstreams) == {"default/cats:80"}
    assert set(found["public"].endpoints.upstreams) == {"default/pets:80"}
    for name, account in (("public", "111111111111"), ("edge", "222222222222")):
        gateway = codec.decode_unit(found[name].units["gateway"])
        assert isinstance(gateway, GatewayUnit)
        assert gateway.account_id == account
        assert found[name].manifest.units.keys() == found[name].units.keys()


def test_an_operator_compiles_for_its_own_classes_only() -> None:
    both = by_class(CLASSES, classes=("edge", "public"))
    alone = by_class(CLASSES, classes=("edge",))
    assert list(alone) == ["edge"]
    assert codec.encode(alone["edge"]) == codec.encode(both["edge"])
    result = compile(worlds.of_raws(CLASSES, mode="cluster", classes=("edge",))[0])
    assert [row.route.name for row in result.report.routes] == ["cats"]
    assert result.report.problems == ()


def test_a_data_plane_without_its_class_serves_nothing_and_is_told_so() -> None:
    (found,) = by_class(CLASSES, classes=("gone",)).values()
    assert list(found.units) == ["gateway"]


def test_without_classes_one_data_plane_serves_all() -> None:
    (found,) = by_class(CLASSES).values()
    assert len(found.units) == 5
    assert set(found.endpoints.upstreams) == {"default/cats:80", "default/pets:80"}


def test_an_edit_in_one_class_leaves_the_bytes_of_another() -> None:
    memo = Memo()
    before = by_class(CLASSES, memo, classes=("edge", "public"))
    after = by_class([*CLASSES, route("r", "GET /more")], memo, classes=("edge", "public"))
    assert after["edge"].manifest == before["edge"].manifest
    assert after["public"].manifest != before["public"].manifest
    moved = [*CLASSES[:4], manifest("RestApi", "shop", {"className": "edge"}), *CLASSES[5:]]
    later = by_class(moved, memo, classes=("edge", "public"))
    assert list(later["public"].units) == ["gateway"]
    assert len(later["edge"].units) == 5
