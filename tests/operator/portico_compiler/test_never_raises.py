"""Compiling never raises for user input (design.md §9 rule 6), and what it gives is sound.

Valid manifests, the golden cases among them, are mutated: values replaced, keys renamed, entries
removed, doubled and moved.
"""

from __future__ import annotations

import copy
import zlib
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

import worlds
from portico_compiler import Memo, compile  # noqa: A004
from portico_ir import codec, invariants

CASES = sorted((Path(__file__).parents[2] / "golden/cases").glob("*.in.yaml"))
SEEDS: list[list[Any]] = [list(yaml.safe_load_all(path.read_text())) for path in CASES]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "GET /{a}/{b+}",
            "$default",
            "default",
            "${stageVariables.x}",
            "{x}",
            "http://${stageVariables.host}:99999/{a}",
            "http://[::1",
            "'\r\n'",
            "$input.params('x')",
            "method.request.header.x",
            "0s",
            "999999999999h",
            "1" * 5000,
            "(?P<x>",
            "\x00",
            "\ud800",
            "RestApi",
            "HttpApi",
            "WebSocketApi",
            10**30,
            -1,
        ]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside."""
    found = [path] if path else []
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for key, entry in entries:
        found += places(entry, (*path, key))
    return found


@st.composite
def mutated(draw: st.DrawFn) -> list[Any]:
    """A seed with a few things changed."""
    documents: list[Any] = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        candidates = places(documents)
        if not candidates:
            break
        *parents, last = draw(st.sampled_from(candidates))
        place: Any = documents
        for step in parents:
            place = place[step]
        match draw(st.sampled_from(["replace", "remove", "rename", "double", "move"])):
            case "replace":
                place[last] = draw(VALUES)
            case "remove":
                del place[last]
            case "rename" if isinstance(place, dict):
                place[draw(st.text(max_size=12))] = place.pop(last)
            case "move":
                other = draw(st.sampled_from(candidates))
                moved: Any = documents
                for step in other:
                    moved = moved[step] if isinstance(moved, list | dict) else None
                place[last] = copy.deepcopy(moved)
            case _ if isinstance(place, list):
                place.append(copy.deepcopy(place[last]))
            case _:
                place[f"{last}x"] = copy.deepcopy(place[last])
    return documents


MODES = st.sampled_from(
    [
        {},
        {"mode": "cluster"},
        {"backends": {"default/pets": "nonsense", "default/files": "http://[::1"}},
        {"address_template": "{api}", "sole_api_fallback": True, "port": 8080},
    ]
)


def check(documents: list[Any], settings: dict[str, Any], memo: Memo | None = None) -> bytes:
    world, refused = worlds.of_raws(documents, **settings)
    result = compile(world, memo)
    assert invariants.check(worlds.units(result)) == []
    encoded = codec.encode(result.snapshot)
    codec.decode_snapshot(encoded)
    for problem in (*refused, *result.report.problems):
        assert problem.message
        str(problem)
    for conditions in result.report.conditions.values():
        assert {c.type for c in conditions} >= {"Accepted", "ResolvedRefs"}
    for row in result.report.routes:
        assert row.accepted is (row.message == "")
    return encoded


@given(mutated(), MODES)
def test_mutated_manifests(documents: list[Any], settings: dict[str, Any]) -> None:
    check(documents, settings)


@given(st.lists(mutated(), min_size=2, max_size=3))
def test_mutated_manifests_with_a_memo(versions: list[list[Any]]) -> None:
    memo = Memo()
    for documents in versions:
        assert check(documents, {}, memo) == check(documents, {})


@given(st.lists(VALUES, max_size=4))
def test_anything_at_all(documents: list[Any]) -> None:
    check(documents, {})


def test_every_field_given_every_kind_of_value() -> None:
    """Not by chance: each place of each golden case in turn."""
    values: list[Any] = [None, True, -1, 10**30, "", "\ud800", "x\n", [], [None], {}, {"x": 1}]
    for seed in SEEDS:
        for *parents, last in places(seed):
            documents = copy.deepcopy(seed)
            place: Any = documents
            for step in parents:
                place = place[step]
            # One value for each place keeps this short; hypothesis tries the others.
            place[last] = values[zlib.crc32(repr((parents, last)).encode()) % len(values)]
            check(documents, {})
