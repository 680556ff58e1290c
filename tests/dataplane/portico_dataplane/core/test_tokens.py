"""Verified tokens are remembered: while they and their keys are good, and only so many."""

from __future__ import annotations

import pytest

from portico_dataplane.core.keyring import KeySet
from portico_dataplane.core.tokens import TokenCache, VerifiedToken


def token(expires_ms: int = 1000, keys: KeySet | None = None) -> VerifiedToken:
    return VerifiedToken({"sub": "u1"}, ("a",), "u1", expires_ms, keys or KeySet({}, 5000))


def test_a_token_is_found_by_its_digest_until_it_expires() -> None:
    cache = TokenCache()
    known = token(expires_ms=1000)
    cache.put(0, b"d", known)
    assert cache.get(0, b"d", 999) is known
    assert cache.get(0, b"e", 999) is None
    assert cache.get(0, b"d", 1000) is None
    assert cache.get(0, b"d", 999) is None, "what expired is gone"


@pytest.mark.parametrize("until_ms", [0, 500])
def test_a_token_is_as_good_as_the_keys_behind_it(until_ms: int) -> None:
    keys = KeySet({}, 5000)
    cache = TokenCache()
    cache.put(0, b"d", token(keys=keys))
    keys.until_ms = until_ms
    assert cache.get(0, b"d", 500) is None


def test_authorizers_do_not_share_their_tokens() -> None:
    cache = TokenCache()
    one, other = cache.number("one"), cache.number("other")
    assert cache.number("one") == one
    cache.put(one, b"d", token())
    assert cache.get(other, b"d", 0) is None


def test_a_number_is_never_given_to_another() -> None:
    cache = TokenCache()
    gone = cache.number("gone")
    stays = cache.number("stays")
    cache.put(gone, b"d", token())
    cache.retain(["stays"])
    assert cache.number("stays") == stays
    assert cache.number("gone") not in (gone, stays)
    assert cache.number("new") not in (gone, stays)


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache = TokenCache(most=4)
    cache.put(0, b"used", token())
    cache.put(0, b"idle", token())
    for number in range(20):
        cache.put(0, b"new%d" % number, token())
        assert cache.get(0, b"used", 0) is not None
        assert len(cache) <= 4
    assert cache.get(0, b"idle", 0) is None
    assert cache.get(0, b"new19", 0) is not None


def test_what_is_put_twice_counts_once() -> None:
    cache = TokenCache(most=4)
    for _ in range(3):
        cache.put(0, b"a", token())
        cache.put(0, b"b", token())
    assert cache.get(0, b"a", 0) is not None
    assert cache.get(0, b"b", 0) is not None
