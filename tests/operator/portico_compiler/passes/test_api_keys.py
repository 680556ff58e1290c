"""ApiKeys: values become digests; what is disabled or broken opens nothing (AWS §7.1)."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from access_worlds import Raw, compiled, key, keys, plan, plans, problems, secret, shop
from portico_compiler import Memo

VALUE = "needatleast20characters"
GOLD = plan("gold", "$default")


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def of(*raws: Raw) -> Any:
    return compiled(*shop(), GOLD, *raws)


def test_a_key_is_its_digest_with_its_plans() -> None:
    result = of(key("acme", "gold", customerId="c-1"), secret("acme", key=VALUE))
    assert problems(result) == []
    ((found, entry),) = keys(result).items()
    assert found == digest(VALUE)
    assert entry.customer == "c-1"
    assert entry.plans == (plans(result)["default/gold"].id,)
    assert len(entry.id) == 10


def test_no_value_is_written_anywhere() -> None:
    result = of(key("acme", "gold"), secret("acme", key=VALUE))
    written = [bytes(raw) for raw in result.snapshot.units.values()]
    assert not any(VALUE.encode() in raw for raw in written)


def test_without_a_name_every_entry_is_a_key() -> None:
    values = {f"k{number}": f"{number:020d}" for number in range(5)}
    result = of(key("many", "gold", entry=None), secret("many", **values))
    assert set(keys(result)) == {digest(value) for value in values.values()}
    assert len({entry.id for entry in keys(result).values()}) == 5


def test_base64_and_text_are_one() -> None:
    """As the API server: stringData wins."""
    made = secret("acme", key=VALUE)
    made["data"] = {"key": base64.b64encode(b"x" * 20).decode()}
    assert set(keys(of(key("acme", "gold"), made))) == {digest(VALUE)}
    del made["stringData"]
    assert set(keys(of(key("acme", "gold"), made))) == {digest("x" * 20)}


@pytest.mark.parametrize(
    "value",
    [
        f"{VALUE}\n",
        f"{VALUE}\r\n",
        "a b c d e f g h i j k l m n",
        "x" * 19,
        "x" * 129,
        "",
        "\u00fc" * 20,
    ],
    ids=["newline", "crlf", "spaces", "short", "long", "empty", "not ascii"],
)
def test_what_no_header_carries_is_refused_without_showing_it(value: str) -> None:
    result = of(key("acme", "gold"), secret("acme", key=value))
    assert keys(result) == {}
    (problem,) = result.report.errors
    assert (problem.field, problem.reason) == ("spec.secretRef.key", "InvalidValue")
    assert "'key'" in problem.message
    assert len(value) < 19 or value.strip() not in problem.message


def test_one_bad_entry_costs_no_other() -> None:
    result = of(key("many", "gold", entry=None), secret("many", good=VALUE, bad="short"))
    assert set(keys(result)) == {digest(VALUE)}
    assert problems(result) == ["many spec.secretRef InvalidValue"]


def test_a_disabled_key_is_not_there() -> None:
    result = of(key("acme", "gold", enabled=False), secret("acme", key=VALUE))
    assert problems(result) == []
    assert keys(result) == {}


def test_a_key_without_a_plan_opens_nothing() -> None:
    result = of(key("acme"), secret("acme", key=VALUE))
    assert problems(result) == []
    assert keys(result) == {}


def test_of_two_with_one_value_the_elder_counts() -> None:
    """AWS §7.1: two keys with the same value are one key."""
    result = of(
        key("elder", "gold", customerId="e"),
        key("younger", "gold", customerId="y"),
        secret("elder", key=VALUE),
        secret("younger", key=VALUE),
    )
    assert [entry.customer for entry in keys(result).values()] == ["e"]
    assert problems(result) == ["younger spec.secretRef.key Conflicted"]


def test_one_plan_for_a_stage() -> None:
    """AWS §7.2."""
    result = of(
        plan("silver", "$default"), key("acme", "gold", "silver"), secret("acme", key=VALUE)
    )
    assert problems(result) == ["acme spec.usagePlanRefs[1] Conflicted"]


@pytest.mark.parametrize(
    ("raws", "expected"),
    [
        ([key("acme", "gold")], "spec.secretRef RefNotFound"),
        ([key("acme", "gold"), secret("acme", other=VALUE)], "spec.secretRef.key RefNotFound"),
        ([key("acme", "gold", entry=None), secret("acme")], "spec.secretRef RefNotFound"),
        ([key("acme", "tin"), secret("acme", key=VALUE)], "spec.usagePlanRefs[0] RefNotFound"),
    ],
    ids=["no secret", "no entry", "empty", "no plan"],
)
def test_what_leads_nowhere(raws: list[Raw], expected: str) -> None:
    result = of(*raws)
    assert keys(result) == {}
    assert problems(result) == [f"acme {expected}"]


def test_strangers_need_a_grant_for_secrets_and_plans() -> None:
    """Or a tenant could let himself into another's API."""
    foreign = key("acme", "gold")
    foreign["metadata"]["namespace"] = "stranger"
    foreign["spec"]["usagePlanRefs"][0]["namespace"] = "default"
    foreign["spec"]["secretRef"]["namespace"] = "default"
    result = of(foreign, secret("acme", key=VALUE))
    assert keys(result) == {}
    assert sorted(problems(result)) == [
        "acme spec.secretRef RefNotPermitted",
        "acme spec.usagePlanRefs[0] RefNotPermitted",
    ]


def test_memo_changes_nothing_and_sees_every_edit() -> None:
    memo = Memo()
    other = "another20charactersatleast"
    for raws, expected in (
        ([key("acme", "gold"), secret("acme", key=VALUE)], {digest(VALUE)}),
        ([key("acme", "gold"), secret("acme", key=VALUE)], {digest(VALUE)}),
        ([key("acme", "gold"), secret("acme", key=other)], {digest(other)}),
        ([key("acme", "gold", enabled=False), secret("acme", key=other)], set()),
        ([key("acme", "gold"), secret("acme", key=other)], {digest(other)}),
        ([key("acme", "gold")], set()),
        ([], set()),
    ):
        assert set(keys(compiled(*shop(), GOLD, *raws, memo=memo))) == expected
