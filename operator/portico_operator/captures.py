"""Captures [pure]: when a deployment is taken, and which revisions nobody needs any more.

Driven by `capture_loop`; time is passed in. Promises: a state is taken once the lists of its API's
kinds are not older than its ApiDeployment and the state was the same for two seconds, or at once
where it is the one that was asked for; a revision goes only when it belongs to an API of ours and
nobody names it, in a World that is not older than the list it was found in (design.md §3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from portico_compiler import ObjectRef
from portico_compiler.passes.captures import Candidate

SETTLE_S = 2.0
"""A state that was the same for so long is what its author meant."""
RETRY_S = 1.0
MOST_RETRY_S = 30.0
MEMBERS = ("Route", "Authorizer")


class _Entry:
    __slots__ = ("born", "candidate", "digest", "failures", "not_before", "since")

    def __init__(self, candidate: Candidate, born: int, now: float) -> None:
        self.candidate = candidate
        self.born = born
        """resourceVersion of the ApiDeployment when it was first seen."""
        self.digest = ""
        self.since = now
        """Since when the state has this digest."""
        self.not_before = -math.inf
        self.failures = 0


class CaptureBoard:
    """What is to be taken, and since when it has been as it is."""

    def __init__(self, settle: float = SETTLE_S) -> None:
        self._settle = settle
        self._entries: dict[tuple[ObjectRef, str], _Entry] = {}
        self._lists: Mapping[str, int] = {}

    def noted(
        self,
        candidates: Iterable[Candidate],
        lists: Mapping[str, int],
        born: Callable[[ObjectRef], int],
        now: float,
    ) -> None:
        """A compile's candidates; `lists` says up to which version it knew each kind."""
        self._lists = lists
        entries: dict[tuple[ObjectRef, str], _Entry] = {}
        for candidate in candidates:
            # The revision's name tells an ApiDeployment from a later one of the same name.
            key = (candidate.deployment, candidate.revision)
            entry = self._entries.get(key)
            if entry is None:
                entry = _Entry(candidate, born(candidate.deployment), now)
            digest = candidate.captured.digest if candidate.captured is not None else ""
            if digest != entry.digest:
                entry.digest, entry.since = digest, now
            entry.candidate = candidate
            entries[key] = entry
        self._entries = entries

    def due(self, now: float) -> list[Candidate]:
        """What is to be taken now."""
        return [e.candidate for e in self._entries.values() if self._is_due(e, now)]

    def stale(self, now: float) -> frozenset[str]:
        """Kinds that must be listed again before something that has settled is taken."""
        kinds: set[str] = set()
        for entry in self._entries.values():
            if self._has_settled(entry, now):
                kinds.update(kind for kind in _kinds(entry) if self._is_older(kind, entry))
        return frozenset(kinds)

    def taken(self, candidate: Candidate, now: float) -> None:
        """It was written; a compile will see it."""
        entry = self._entries.get((candidate.deployment, candidate.revision))
        if entry is not None:
            entry.not_before = now + MOST_RETRY_S

    def failed(self, candidate: Candidate, now: float) -> None:
        """It could not be written: again later, and later each time."""
        entry = self._entries.get((candidate.deployment, candidate.revision))
        if entry is not None:
            entry.not_before = now + min(RETRY_S * 2**entry.failures, MOST_RETRY_S)
            entry.failures += 1

    def next_time(self, now: float) -> float:
        """When something may be due without anything else happening."""
        return min((self._settles(e) for e in self._entries.values() if e.digest), default=math.inf)

    def _settles(self, entry: _Entry) -> float:
        waits = 0.0 if entry.candidate.at_once else self._settle
        return max(entry.since + waits, entry.not_before)

    def _has_settled(self, entry: _Entry, now: float) -> bool:
        return bool(entry.digest) and now >= self._settles(entry)

    def _is_due(self, entry: _Entry, now: float) -> bool:
        return self._has_settled(entry, now) and not any(
            self._is_older(kind, entry) for kind in _kinds(entry)
        )

    def _is_older(self, kind: str, entry: _Entry) -> bool:
        return self._lists.get(kind, 0) < entry.born


def _kinds(entry: _Entry) -> tuple[str, ...]:
    """Kinds whose lists decide; what has the digest that was asked for needs none."""
    return () if entry.candidate.at_once else (entry.candidate.api.kind, *MEMBERS)


class Kept(NamedTuple):
    """A ControllerRevision that is labelled as ours."""

    namespace: str
    """Its namespace."""
    name: str
    """metadata.name."""
    uid: str
    """metadata.uid."""
    revision: str
    """The revision that it is a part of."""
    api: ObjectRef | None
    """The API that owns it; None: nobody of ours does."""
    api_uid: str
    """Uid of that."""


def unneeded(
    kept: Iterable[Kept],
    named: frozenset[tuple[str, str]],
    owned: Callable[[ObjectRef], str],
) -> list[Kept]:
    """What may go; `owned` is the uid of an API that this operator serves, or empty.

    What somebody applied by hand has no owner, or one in another cluster: that is theirs. What an
    API leaves that is deleted is the garbage collector's.
    """
    return [
        part
        for part in kept
        if part.api is not None
        and part.api_uid
        and owned(part.api) == part.api_uid
        and (part.namespace, part.revision) not in named
    ]
