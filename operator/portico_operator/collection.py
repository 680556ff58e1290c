"""Collection: what the operator keeps is not garbage, so no collection looks at it again.

Asked by the reconciler after each publication. Of 10,000 Routes there are 280,000 objects that
Python's collector walks whenever their number has grown by a quarter: 0.4 s, more on a busy node,
in which neither an edit is compiled nor a stream written. Promises: whatever is there after a
burst is frozen (in constant time; references still free it); garbage in cycles that was frozen
with it is found once a day.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

YOUNG: Final = 20_000
"""Containers made between two collections of the youngest: an event makes hundreds."""
MIDDLE: Final = 4
"""Collections of the youngest before one of the middle generation: after twenty it took 70 ms."""
OLD: Final = 5
"""Collections of the middle generation before one of what has grown old since the last freeze:
Python would wait until that is a quarter of what was frozen, 10 MB of garbage."""
GROWTH: Final = 500
"""Objects of the cluster more than at the last time: worth freezing again."""
THAW_S: Final = 86_400.0


class Collection:
    """Of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._frozen = 0
        """Objects of the cluster at the last time."""
        self._thaw_at = clock() + THAW_S

    def start(self) -> None:
        """The collector has its thresholds from here on."""
        gc.set_threshold(YOUNG, MIDDLE, 20)

    def published(self, objects: int) -> None:
        """So many objects of the cluster are kept now."""
        first, now = not self._frozen, self._clock()
        if first or now >= self._thaw_at:
            gc.unfreeze()
            gc.collect()
            self._thaw_at = now + THAW_S
        elif objects < self._frozen + GROWTH:
            if gc.get_count()[2] >= OLD:
                gc.collect()  # what is frozen is not looked at
            return
        self._frozen = max(1, objects)
        gc.freeze()
