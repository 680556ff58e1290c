"""StatusQueue [pure]: which object's status is looked at next. Time is passed in.

Kept by the board, which says what each status should be. An object waits for a publication to be
acknowledged (`hold`), for its turn (`offer`), or for a time (`later`). Promises: every step costs
the logarithm of the backlog or less, because 10,000 objects may wait at once; the newest user
change has the first turn; what is decided goes before what would have to be written again.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import NamedTuple

from portico_compiler import ObjectRef

DECIDED = 0
"""Nothing under way changes this status."""
OVERDUE = 1
"""It has waited for acknowledgements as long as it may."""


class Awaited(NamedTuple):
    """A publication that pods have to acknowledge."""

    class_name: str
    """Whose data plane."""
    serial: int
    """Which of those offered to it."""


class _Turn:
    __slots__ = ("awaited", "newness", "place", "rank", "timer", "when")

    def __init__(self) -> None:
        self.awaited: Awaited | None = None
        self.rank = 0
        self.newness = -math.inf
        self.place = 0
        """Ticket of its place in the line; 0: it has none."""
        self.timer = 0
        """Ticket of its timer; 0: it has none."""
        self.when = math.inf


class StatusQueue:
    """Objects, and what each waits for."""

    def __init__(self) -> None:
        self._turns: dict[ObjectRef, _Turn] = {}
        self._held: dict[Awaited, set[ObjectRef]] = {}
        self._line: list[tuple[int, float, ObjectRef, int]] = []
        self._timers: list[tuple[float, ObjectRef, int]] = []
        self._ticket = 0

    # What happens to an object.

    def hold(self, ref: ObjectRef, awaited: Awaited, due: float) -> None:
        """It waits for this publication, until `due` (inf: as long as it takes)."""
        turn = self._turns.setdefault(ref, _Turn())
        turn.place = 0
        self._waits(ref, turn, awaited)
        self._at(ref, turn, due)

    def offer(self, ref: ObjectRef, rank: int, newness: float) -> None:
        """It is its turn as soon as nobody is before it; what it waited for, it still does."""
        turn = self._turns.setdefault(ref, _Turn())
        self._at(ref, turn, math.inf)
        if not turn.place or (turn.rank, turn.newness) != (rank, newness):
            turn.rank, turn.newness, turn.place = rank, newness, self._next()
            heapq.heappush(self._line, (rank, -newness, ref, turn.place))
            if len(self._line) > self._most():
                self._line = [each for each in self._line if self._stands(each)]
                heapq.heapify(self._line)

    def later(self, ref: ObjectRef, when: float) -> None:
        """It is looked at again then."""
        turn = self._turns.setdefault(ref, _Turn())
        turn.place = 0
        self._at(ref, turn, when)

    def drop(self, ref: ObjectRef) -> None:
        """It waits for nothing."""
        turn = self._turns.pop(ref, None)
        if turn is not None:
            self._waits(ref, turn, None)

    def clear(self) -> None:
        """Nobody waits for anything."""
        for waiting in (self._turns, self._held, self._line, self._timers):
            waiting.clear()

    # Whose turn it is.

    def pop(self) -> tuple[ObjectRef, int] | None:
        """Who is first in the line, and its rank; what it waits for beside that stands."""
        if not self._settle_line():
            return None
        rank, _, ref, _ = heapq.heappop(self._line)
        self._turns[ref].place = 0
        return ref, rank

    def due(self, now: float) -> Iterator[ObjectRef]:
        """Those whose time has come."""
        while self._settle_timers() and self._timers[0][0] <= now:
            ref = heapq.heappop(self._timers)[1]
            turn = self._turns[ref]
            turn.timer, turn.when = 0, math.inf
            yield ref

    def awaited(self) -> list[Awaited]:
        """Publications that somebody waits for."""
        return list(self._held)

    def held(self, awaited: Awaited, rank: int) -> list[ObjectRef]:
        """Who waits for this publication and has no place of this rank in the line yet."""
        turns = self._turns
        return [
            ref
            for ref in self._held.get(awaited, ())
            if not turns[ref].place or turns[ref].rank != rank
        ]

    def holds(self, ref: ObjectRef) -> bool:
        """Whether it waits for a publication."""
        turn = self._turns.get(ref)
        return turn is not None and turn.awaited is not None

    def expects(self, ref: ObjectRef) -> bool:
        """Whether it will be looked at, whatever is acknowledged."""
        turn = self._turns.get(ref)
        return turn is not None and (turn.place > 0 or turn.timer > 0)

    def next_time(self) -> float:
        """When somebody has a turn: -inf is now, inf is never."""
        if self._settle_line():
            return -math.inf
        return self._timers[0][0] if self._settle_timers() else math.inf

    @property
    def backlog(self) -> int:
        """How many will be looked at, whether or not a publication is acknowledged."""
        return sum(1 for turn in self._turns.values() if turn.place or turn.timer)

    # Within.

    def _next(self) -> int:
        self._ticket += 1
        return self._ticket

    def _waits(self, ref: ObjectRef, turn: _Turn, awaited: Awaited | None) -> None:
        if turn.awaited == awaited:
            return
        if turn.awaited is not None:
            others = self._held[turn.awaited]
            others.discard(ref)
            if not others:
                del self._held[turn.awaited]
        if awaited is not None:
            self._held.setdefault(awaited, set()).add(ref)
        turn.awaited = awaited

    def _at(self, ref: ObjectRef, turn: _Turn, when: float) -> None:
        if when == turn.when:
            return
        turn.when, turn.timer = when, 0
        if when != math.inf:
            turn.timer = self._next()
            heapq.heappush(self._timers, (when, ref, turn.timer))
            if len(self._timers) > self._most():
                self._timers = [each for each in self._timers if self._is_set(each)]
                heapq.heapify(self._timers)

    def _stands(self, place: tuple[int, float, ObjectRef, int]) -> bool:
        turn = self._turns.get(place[2])
        return turn is not None and turn.place == place[3]

    def _is_set(self, timer: tuple[float, ObjectRef, int]) -> bool:
        turn = self._turns.get(timer[1])
        return turn is not None and turn.timer == timer[2]

    def _most(self) -> int:
        """Places and timers that were given up are cleared away beyond this many."""
        return 2 * len(self._turns) + 64

    def _settle_line(self) -> bool:
        """Whether there is a line, after those who have left it are gone from its head."""
        while self._line:
            if self._stands(self._line[0]):
                return True
            heapq.heappop(self._line)
        return False

    def _settle_timers(self) -> bool:
        while self._timers:
            if self._is_set(self._timers[0]):
                return True
            heapq.heappop(self._timers)
        return False
