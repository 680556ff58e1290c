"""Answers are kept as long as AWS keeps them, and no more of them than fit."""

from __future__ import annotations

import msgspec
import pytest

from portico_dataplane.core import authorizer_cache
from portico_dataplane.core.authorizer_cache import RETRY_MS, AnswerCache, AnswerCaches, CacheId
from portico_ir.access import FunctionAuthorizer
from portico_ir.targets import UrlTarget

SPEC = FunctionAuthorizer(
    name="default/auth",
    kind="TOKEN",
    target=UrlTarget(url="http://127.0.0.1:9000"),
    function="auth",
    ttl_s=300,
    stale_ms=60_000,
)
T0 = 1_000_000
EXPIRES = T0 + 300_000


def cache() -> AnswerCache[str]:
    made: AnswerCache[str] = AnswerCache(SPEC)
    made.put("token", "yes", 10, T0)
    return made


def test_an_answer_lives_for_its_time() -> None:
    made = cache()
    assert made.get("token", T0) == "yes"
    assert made.get("token", EXPIRES - 1) == "yes"
    assert made.get("token", EXPIRES) is None
    assert made.get("other", T0) is None


def test_an_old_answer_stands_in_for_an_authorizer_that_fails() -> None:
    """Within a bound: afterwards everything is refused."""
    made = cache()
    assert made.after_failure("other", T0) is None
    assert made.after_failure("token", EXPIRES + 10) == "yes"
    # Nobody is asked for a moment: an authorizer that hangs would hold up everybody.
    assert made.get("token", EXPIRES + 10 + RETRY_MS - 1) == "yes"
    assert made.get("token", EXPIRES + 10 + RETRY_MS) is None
    assert made.after_failure("token", EXPIRES + 59_999) == "yes"
    assert made.get("token", EXPIRES + 60_000) is None
    assert made.after_failure("token", EXPIRES + 60_000) is None


def test_a_new_answer_begins_a_new_life() -> None:
    made = cache()
    made.put("token", "no", 10, EXPIRES)
    assert made.get("token", EXPIRES + 299_999) == "no"
    assert len(made) == 1


def test_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorizer_cache, "MOST_ANSWERS", 3)
    made = cache()
    for name in "abc":
        made.put(name, name, 1, T0 + 1)
    assert made.get("token", T0 + 1) is None
    made.put("a", "again", 1, T0 + 2)
    made.put("d", "d", 1, T0 + 3)
    assert [made.get(name, T0 + 3) for name in "abcd"] == ["again", None, "c", "d"]


def test_size_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorizer_cache, "MOST_BYTES", 80)
    made: AnswerCache[str] = AnswerCache(SPEC)
    for number in range(100):
        made.put(str(number), "x", 10, T0)
    assert len(made) == 8
    made.put("large", "x", 11, T0)
    assert made.get("large", T0) is None
    assert len(made) == 8
    assert made.clear() == 8
    made.put("one", "x", 10, T0)
    assert len(made) == 1


def test_every_stage_and_every_specification_has_its_own() -> None:
    """AWS §6.1: per API, stage and authorizer; an edit of the Authorizer asks anew."""
    caches: AnswerCaches[str] = AnswerCaches()
    here = CacheId("uid", "test", "default/auth")
    made = caches.of(here, SPEC)
    made.put("token", "yes", 1, T0)
    assert caches.of(here, SPEC) is made
    assert caches.of(here._replace(stage="prod"), SPEC) is not made
    assert caches.of(here._replace(api="other"), SPEC) is not made
    changed = msgspec.structs.replace(SPEC, ttl_s=10)
    assert caches.of(here, changed).get("token", T0) is None
    # The one before may serve on, should the change be refused.
    assert caches.of(here, SPEC).get("token", T0) == "yes"
    caches.retain({changed}, {("uid", "test")})
    assert caches.of(here, SPEC).get("token", T0) is None


def test_stages_that_are_gone_are_forgotten() -> None:
    caches: AnswerCaches[str] = AnswerCaches()
    kept = caches.of(CacheId("uid", "test", "default/auth"), SPEC)
    gone = caches.of(CacheId("uid", "old", "default/auth"), SPEC)
    caches.retain({SPEC}, {("uid", "test")})
    assert caches.of(CacheId("uid", "test", "default/auth"), SPEC) is kept
    assert caches.of(CacheId("uid", "old", "default/auth"), SPEC) is not gone


def test_flush() -> None:
    caches: AnswerCaches[str] = AnswerCaches()
    for stage in ("test", "prod"):
        caches.of(CacheId("uid", stage, "default/auth"), SPEC).put("token", "yes", 1, T0)
    other = caches.of(CacheId("uid", "test", "default/other"), SPEC)
    other.put("token", "yes", 1, T0)
    assert caches.flush("default/auth") == 2
    assert caches.flush("default/none") == 0
    assert other.get("token", T0) == "yes"
    assert caches.flush() == 1
    assert other.get("token", T0) is None
