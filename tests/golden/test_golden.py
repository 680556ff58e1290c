"""Golden cases: `case.in.yaml` compiles to `case.snapshot.yaml` and `case.status.yaml`.

`case.settings.yaml` holds Settings where a case needs any. To take over what the compiler gives
now: `pytest tests/golden --rewrite-golden`, then read the diff.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

import worlds
from portico_compiler import Memo, Reason, World, compile  # noqa: A004
from portico_compiler.features import unbuilt
from portico_ir import codec, invariants

CASES = Path(__file__).parent / "cases"
NAMES = sorted(path.name.removesuffix(".in.yaml") for path in CASES.glob("*.in.yaml"))


def read(name: str) -> tuple[World, list[Any]]:
    settings = CASES / f"{name}.settings.yaml"
    chosen = yaml.safe_load(settings.read_text()) if settings.exists() else {}
    return worlds.world((CASES / f"{name}.in.yaml").read_text(), **chosen)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, never an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump(document: Any) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=100)


@pytest.mark.parametrize("name", NAMES)
def test_case(name: str, rewrite_golden: bool) -> None:
    world, refused = read(name)
    result = compile(world)
    given = {
        "snapshot": dump(worlds.snapshot_document(result)),
        "status": dump(worlds.status_document(result, refused)),
    }
    for part, text in given.items():
        path = CASES / f"{name}.{part}.yaml"
        if rewrite_golden:
            path.write_text(text)
        assert path.exists(), f"{path.name} is missing: pytest tests/golden --rewrite-golden"
        assert yaml.safe_load(path.read_text()) == yaml.safe_load(text)


@pytest.mark.parametrize("name", NAMES)
def test_snapshot_may_be_built(name: str) -> None:
    world, _ = read(name)
    result = compile(world)
    assert invariants.check(worlds.units(result)) == []
    encoded = codec.encode(result.snapshot)
    assert codec.encode(codec.decode_snapshot(encoded)) == encoded
    for unit_id, raw in result.snapshot.units.items():
        assert codec.digest(raw) == result.snapshot.manifest.units[unit_id]


@pytest.mark.parametrize("name", NAMES)
def test_order_and_memo_change_nothing(name: str) -> None:
    world, _ = read(name)
    expected = codec.encode(compile(world).snapshot)
    memo = Memo()
    chance = random.Random(name)
    for _ in range(3):
        objects = list(world.objects)
        chance.shuffle(objects)
        shuffled = msgspec.structs.replace(world, objects=tuple(objects))
        assert codec.encode(compile(shuffled).snapshot) == expected
        assert codec.encode(compile(shuffled, memo).snapshot) == expected


def test_every_output_has_its_input() -> None:
    outputs = {
        re.sub(r"\.(snapshot|status|settings)\.yaml$", "", path.name)
        for path in CASES.iterdir()
        if not path.name.endswith(".in.yaml")
    }
    assert outputs == set(NAMES)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_occurs(reason: Reason) -> None:
    """design.md §9 rule 7."""
    found = [
        name for name in NAMES if f" {reason}: " in (CASES / f"{name}.status.yaml").read_text()
    ]
    assert found


def case_name(kind: str, row: unbuilt.Row) -> str:
    """`fail-closed-route-throttle`, `listed-rest-api-models`."""
    effect = "fail-closed" if row.effect is unbuilt.Effect.RESTRICTS else "listed"
    path = row.path.removeprefix("spec.").replace(".*", "")
    words = f"{kind}.{path}".replace(".", "-")
    return f"{effect}-" + re.sub(r"(?<=[a-z])(?=[A-Z])", "-", words).lower()


ROWS = [(kind, row) for kind, rows in unbuilt.FIELDS.items() for row in rows]


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=[case_name(kind, row) for kind, row in ROWS])
def test_every_unbuilt_field_has_a_case(kind: str, row: unbuilt.Row) -> None:
    """Issue 3 item 7: one golden case per field, which names it in a condition."""
    name = case_name(kind, row)
    status = yaml.safe_load((CASES / f"{name}.status.yaml").read_text())
    field = re.compile(re.escape(row.path).replace(r"\.\*", r"(\.\S+?|\[.+?\])"))
    conditions = [
        text
        for ref, found in status["conditions"].items()
        if ref.startswith(f"{kind} ")
        for text in found.values()
    ]
    if row.effect is unbuilt.Effect.LISTED:
        named = [text for text in conditions if "FieldsIgnored" in text and field.search(text)]
        assert named
        return
    refused = [text for text in conditions if "NotImplemented" in text]
    assert [text for text in refused if kind in unbuilt.KINDS or field.search(text)]
    if kind == "UsagePlan":  # It opens nothing, so its keys answer 403.
        assert "plans" not in yaml.safe_load((CASES / f"{name}.snapshot.yaml").read_text())["units"]
        return
    assert any("500:" in line for line in status["routes"]), "something must fail closed"


@pytest.mark.parametrize("kind", sorted(unbuilt.KINDS))
def test_every_unbuilt_kind_has_a_case(kind: str) -> None:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind).lower()
    status = yaml.safe_load((CASES / f"fail-closed-kind-{words}.status.yaml").read_text())
    accepted = [
        found["Accepted"]
        for ref, found in status["conditions"].items()
        if ref.startswith(f"{kind} ")
    ]
    assert accepted
    assert all(text.startswith("False NotImplemented") for text in accepted)
