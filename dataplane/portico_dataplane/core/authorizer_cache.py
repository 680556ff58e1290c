"""Answers of function authorizers, by who asked: one cache for each authorizer of a stage.

Used by `policies/function_authorizer.py`; kept outside every Runtime, so that a change elsewhere
asks nobody again. Time is the request's. Promises: bounded in number and size, the oldest go
first; an answer of another specification is never given; an answer that has expired is given only
while the authorizer fails, and only for so long (AWS §6.1: policies are kept, not decisions).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Generic, NamedTuple, TypeVar

from portico_dataplane.core.credential_sources import Key
from portico_ir.access import Authorizer, FunctionAuthorizer

T = TypeVar("T")

MOST_ANSWERS: Final = 10_000
MOST_BYTES: Final = 8 * 1024 * 1024
"""Of answers and keys as sent; what is made of them is a few times that."""
RETRY_MS: Final = 5_000
"""After a failure the old answer stands for this long before anybody is asked again."""


class CacheId(NamedTuple):
    """Whose answers."""

    api: str
    """uid of the API."""
    stage: str
    """Its name."""
    authorizer: str
    """namespace/name."""


class _Entry(Generic[T]):
    __slots__ = ("answer", "asked_again_ms", "expires_ms", "size")

    def __init__(self, answer: T, expires_ms: int, size: int) -> None:
        self.answer = answer
        self.expires_ms = expires_ms
        self.asked_again_ms = 0
        """Until then a failure is fresh enough not to be repeated."""
        self.size = size


class AnswerCache(Generic[T]):
    """The answers of one authorizer in one stage."""

    __slots__ = ("_entries", "_size", "_stale_ms", "_ttl_ms")

    def __init__(self, spec: FunctionAuthorizer) -> None:
        self._ttl_ms = spec.ttl_s * 1000
        self._stale_ms = spec.stale_ms
        self._entries: dict[Key, _Entry[T]] = {}
        self._size = 0

    def get(self, key: Key, now_ms: int) -> T | None:
        """What was answered and still holds, or stands in for an authorizer that just failed."""
        entry = self._entries.get(key)
        if entry is None or (now_ms >= entry.expires_ms and now_ms >= entry.asked_again_ms):
            return None
        return entry.answer

    def after_failure(self, key: Key, now_ms: int) -> T | None:
        """An expired answer that may stand in for one that could not be had."""
        entry = self._entries.get(key)
        if entry is None or now_ms >= entry.expires_ms + self._stale_ms:
            return None
        entry.asked_again_ms = min(now_ms + RETRY_MS, entry.expires_ms + self._stale_ms)
        return entry.answer

    def put(self, key: Key, answer: T, size: int, now_ms: int) -> None:
        """Remember an answer of `size` bytes to a request that came at `now_ms`."""
        entries = self._entries
        self._forget(key)
        if size > MOST_BYTES // 8:
            return
        # In the order of expiry, because all live equally long: the first is the oldest.
        entries[key] = _Entry(answer, now_ms + self._ttl_ms, size)
        self._size += size
        while self._size > MOST_BYTES or len(entries) > MOST_ANSWERS:
            self._forget(next(iter(entries)))

    def _forget(self, key: Key) -> None:
        gone = self._entries.pop(key, None)
        if gone is not None:
            self._size -= gone.size

    def clear(self) -> int:
        """Forget everything; how much it was."""
        count = len(self._entries)
        self._entries.clear()
        self._size = 0
        return count

    def __len__(self) -> int:
        """Number of answers, expired ones among them."""
        return len(self._entries)


class AnswerCaches(Generic[T]):
    """Every authorizer's; a gateway has one of these."""

    def __init__(self) -> None:
        self._caches: dict[tuple[CacheId, FunctionAuthorizer], AnswerCache[T]] = {}

    def of(self, cache: CacheId, spec: FunctionAuthorizer) -> AnswerCache[T]:
        """The cache of an authorizer as `spec` has it; one that has changed begins anew."""
        found = self._caches.get((cache, spec))
        if found is None:
            found = self._caches[cache, spec] = AnswerCache(spec)
        return found

    def retain(self, specs: Collection[Authorizer], stages: Collection[tuple[str, str]]) -> None:
        """Forget those whose authorizer, or whose stage (API's uid, name), is gone."""
        self._caches = {
            (cache, spec): found
            for (cache, spec), found in self._caches.items()
            if spec in specs and (cache.api, cache.stage) in stages
        }

    def flush(self, authorizer: str = "") -> int:
        """Forget the answers of an authorizer (namespace/name) or of all; how many they were."""
        return sum(
            found.clear()
            for (cache, _), found in self._caches.items()
            if authorizer in ("", cache.authorizer)
        )
