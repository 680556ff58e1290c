"""How much each scenario of `make bench-scale` does: in full, and in a hurry.

Chosen on the command line. `ensure_many` makes the large world once for all scenarios in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scale.world import Shape

if TYPE_CHECKING:
    from scale.bed import Bed


class Size(NamedTuple):
    """Numbers of one run."""

    edits: int
    """Samples of each row of propagation times."""
    many: Shape
    """The large world."""
    one_api: Shape
    """All of them in one API."""
    memory_edits: int
    """Over which the operator's memory must stay flat, after as many that are not counted."""
    live_edits: int
    """While requests are made, none of which may fail."""

    def ensure_many(self, bed: Bed) -> Shape:
        """The large world is there, and served."""
        if bed.world.shape != self.many:
            bed.world.populate(self.many)
        bed.served()
        return self.many


FULL = Size(100, Shape(100, 100), Shape(1, 2_000), 10_000, 1_000)
"""As design.md §10 says."""
QUICK = Size(20, Shape(10, 20), Shape(1, 200), 300, 100)
"""Whether it works, and roughly how well."""
