"""Keys in a Redis: one hash tag for each class, so that a Cluster keeps them together."""

from __future__ import annotations

from portico_ir.redis_keys import RedisKeys


def test_all_of_a_class_have_one_tag() -> None:
    keys = RedisKeys("shop")
    found = [
        keys.holders,
        keys.counter("stage/uid/prod"),
        keys.extension("plan", "key"),
        keys.usage("plan", 20_780),
    ]
    assert len(set(found)) == len(found)
    assert {key.partition("}")[0] for key in found} == {"{portico:shop"}


def test_classes_do_not_meet() -> None:
    assert RedisKeys("a").counter("x") != RedisKeys("b").counter("x")


def test_usage_of_a_day_is_the_plan_s_prefix_and_the_day() -> None:
    keys = RedisKeys("shop")
    assert keys.usage("plan", "") + "7" == keys.usage("plan", 7)
