"""When a failed call may be tried again, and how often in all.

Called by `http/exchange.py`. The rule is design's and RFC 9110 §9.2.2: only when no byte was
written, or the method is idempotent and the body can be sent again; and always under a budget,
because retries are load that arrives when there is least room for it. Pure.
"""

from __future__ import annotations

from typing import Final

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110 §9.2.2."""

MOST_ATTEMPTS: Final = 3
"""Per request, the first included."""

SETTLING_S: Final = 0.2
"""Before another attempt at a Service none of whose addresses works: its pods may just have been
replaced, and whoever knows the new ones says so in a moment."""

REPLAY_LIMIT: Final = 64 * 1024
"""Bytes of request body kept for a second attempt; larger bodies are not replayable."""


class RetryBudget:
    """Retries as a share of requests: each request earns 0.2 of one, at most 20 are saved."""

    __slots__ = ("_saved",)

    SHARE: Final = 0.2
    MOST: Final = 20.0

    def __init__(self) -> None:
        self._saved = self.MOST

    def earn(self) -> None:
        """One request was sent for the first time."""
        if self._saved < self.MOST:
            self._saved += self.SHARE

    def spend(self) -> bool:
        """Whether one retry is left; takes it."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True

    def __repr__(self) -> str:
        return f"RetryBudget({self._saved:.1f})"


def may_retry(*, written: bool, method: str, replayable: bool, attempts: int) -> bool:
    """Whether the rule, budget aside, allows another attempt after `attempts`."""
    if attempts >= MOST_ATTEMPTS or not replayable:
        return False
    return not written or method in IDEMPOTENT
