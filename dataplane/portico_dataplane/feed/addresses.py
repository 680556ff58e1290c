"""The addresses of upstreams as this pod knows them, numbered as this pod counts.

Kept by the feed. Each operator numbers its own; workers see one sequence that only grows.
Promises: what an operator says that has seen less than was known already changes nothing, unless
it still says so after `HELD_S`: by then it has caught up, or what was known is the stale part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from portico_ir.model import Endpoint, EndpointSet
from portico_ir.stream import Marks, is_forward

HELD_S: Final = 5.0
"""Pod addresses live for minutes, and a replica is behind another for less than a second."""


class News(NamedTuple):
    """All addresses as one operator has them."""

    upstreams: Mapping[str, tuple[Endpoint, ...]]
    marks: Marks
    """How new that operator's world is."""
    version: int = 0
    """How new the addresses are; 0: only the marks tell."""


class AddressBook:
    """What is known now."""

    def __init__(self) -> None:
        self.sequence = 0
        self._known = News({}, {})
        self._held_since: float | None = None

    def take(self, news: News, now: float) -> bool:
        """Whether these news change any address."""
        known = self._known
        if news.upstreams is known.upstreams or news.upstreams == known.upstreams:
            # Two operators that agree now have the same world as far as addresses go.
            self._known, self._held_since = news, None
            return False
        if not _is_forward(news, known):
            if self._held_since is None:
                self._held_since = now
            if now - self._held_since < HELD_S:
                return False
        self._known, self._held_since = news, None
        self.sequence += 1
        return True

    @property
    def holds(self) -> bool:
        """Whether news are held back, because they look older than what is known."""
        return self._held_since is not None

    def current(self) -> EndpointSet:
        """As workers are told."""
        return EndpointSet(sequence=self.sequence, upstreams=dict(self._known.upstreams))

    def dated(self) -> EndpointSet:
        """The same, with the operators' number instead of this pod's: for the next process."""
        known = self._known
        return EndpointSet(sequence=known.version, upstreams=dict(known.upstreams))


def _is_forward(news: News, known: News) -> bool:
    if news.version and known.version:
        return news.version >= known.version
    return is_forward(news.marks, known.marks)
