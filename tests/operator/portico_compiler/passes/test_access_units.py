"""Units of keys and plans: who gets which, and what an edit changes."""

from __future__ import annotations

from typing import Any

from access_worlds import compiled, key, keys, manifest, plan, secret, shop
from portico_compiler import Memo
from portico_compiler.passes.access_units import MOST_KEYS


def unit_ids(result: Any) -> list[str]:
    return [u for u in result.snapshot.units if u == "plans" or u.startswith("keys/")]


def many(count: int, name: str = "many") -> list[Any]:
    values = {f"k{number}": f"{name}-{number:020d}" for number in range(count)}
    return [key(name, "gold", entry=None), secret(name, **values)]


def test_without_plans_there_is_no_unit() -> None:
    assert unit_ids(compiled(*shop())) == []


def test_as_few_buckets_as_hold_the_keys() -> None:
    result = compiled(*shop(), plan("gold", "$default"), *many(MOST_KEYS + 1))
    assert sorted(unit_ids(result)) == ["keys/0", "keys/1", "plans"]
    assert len(keys(result)) == MOST_KEYS + 1


def test_an_edit_of_one_key_changes_one_unit() -> None:
    memo = Memo()
    raws = [*shop(), plan("gold", "$default"), *many(MOST_KEYS + 1)]
    before = compiled(*raws, memo=memo).snapshot.manifest.units
    value = "another20charactersatleast"
    raws += [key("acme", "gold"), secret("acme", key=value)]
    after = compiled(*raws, memo=memo).snapshot.manifest.units
    assert sum(after[unit] != before[unit] for unit in before) == 1


def test_a_data_plane_gets_no_key_that_opens_nothing_there() -> None:
    other = manifest("RestApi", "zoo", {"className": "other"})
    classes = [
        manifest("PorticoClass", name, {"default": name == "usual"}) for name in ("usual", "other")
    ]
    for each in classes:
        del each["metadata"]["namespace"]
    raws = [
        *classes,
        *shop(),
        other,
        plan("gold", "$default"),
        plan("lead", "$default", api="zoo"),
        key("acme", "gold"),
        key("keeper", "lead"),
        secret("acme", key="needatleast20characters"),
        secret("keeper", key="another20charactersatleast"),
    ]
    for name in ("usual", "other"):
        result = compiled(*raws, classes=frozenset({name}))
        assert len(keys(result)) == 1
