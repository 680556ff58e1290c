"""Keys by digest, plans by the stages they open (AWS §7)."""

from __future__ import annotations

import hashlib

from portico_dataplane.core.credentials import NONE, Credentials
from portico_ir.access import ApiKey, Plan, PlanStage

VALUE = b"needatleast20characters"
DIGEST = hashlib.sha256(VALUE).digest()


def plan(name: str, *stages: tuple[str, str]) -> Plan:
    opened = tuple(PlanStage(api=api, stage=stage) for api, stage in stages)
    return Plan(id=name, name=f"d/{name}", stages=opened)


def test_nobody_is_known_before_the_first_configuration() -> None:
    assert NONE.key_of(VALUE) is None
    assert NONE.plan(ApiKey(id="k", plans=("p",)), ("u", "prod")) is None
    assert len(NONE) == 0


def test_a_key_is_found_by_its_whole_value() -> None:
    key = ApiKey(id="k")
    credentials = Credentials({DIGEST: key})
    for _ in range(2):  # the second time it is remembered
        assert credentials.key_of(VALUE) is key
        assert credentials.key_of(VALUE[:-1]) is None
    assert credentials.key_of(DIGEST) is None
    assert len(credentials) == 1


def test_a_plan_opens_the_stages_it_names_and_no_other() -> None:
    gold = plan("gold", ("a", "prod"), ("b", "prod"))
    credentials = Credentials({}, [gold, plan("other", ("a", "beta"))])
    key = ApiKey(id="k", plans=("gold",))
    assert credentials.plan(key, ("a", "prod")) is gold
    assert credentials.plan(key, ("b", "prod")) is gold
    assert credentials.plan(key, ("a", "beta")) is None
    assert credentials.plan(key, ("c", "prod")) is None


def test_of_two_plans_for_one_stage_the_first_of_the_key_counts() -> None:
    """AWS §7.2 allows one; the compiler reports the other."""
    one, two = plan("one", ("a", "prod")), plan("two", ("a", "prod"))
    credentials = Credentials({}, [one, two])
    assert credentials.plan(ApiKey(id="k", plans=("two", "one")), ("a", "prod")) is two


def test_a_plan_that_is_gone_opens_nothing() -> None:
    credentials = Credentials({}, [plan("left", ("a", "prod"))])
    assert credentials.plan(ApiKey(id="k", plans=("gone",)), ("a", "prod")) is None
