"""What a pod serves, as far as operators are concerned.

Kept by the feed; made of what was offered and what became of it. Promises: how new it is only
grows while what serves stays the same, whichever replica says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from portico_dataplane.feed.choice import Choosable, Held
from portico_dataplane.feed.offers import Offered
from portico_ir.stream import WHOLE, Acknowledgement, Marks, merged


class Serving(NamedTuple):
    """One configuration."""

    digest: str
    """Of the manifest."""
    content: str
    """`content_digest` of it."""
    marks: Marks
    """Up to when it holds, as the operator says."""
    changed: Marks
    """The newest changes in it: an operator that has seen them is no step back."""
    build: str
    """Of the operator that it came from."""
    refused: Mapping[str, str]
    """Unit id to the reason that it serves in an earlier version."""

    @property
    def held(self) -> Held:
        """For the choice of an operator."""
        return Held(self.content, self.changed)

    def renewed(self, digest: str, state: Choosable, build: str) -> Serving:
        """The same, as an operator that offers the same knows it by now."""
        return self._replace(
            digest=digest,
            marks=state.marks,
            changed=merged(self.changed, state.changed),
            build=build,
        )

    def acknowledgement(self) -> Acknowledgement:
        """What operators are told."""
        return Acknowledgement(
            digest=self.digest,
            content=self.content,
            refused=dict(self.refused),
            marks=self.marks,
            build=self.build,
        )


def rejection(offer: Offered, reason: str, build: str) -> Acknowledgement:
    """What operators are told of an offer of which nothing is served."""
    return Acknowledgement(
        digest=offer.digest,
        content=offer.content,
        refused={WHOLE: reason},
        marks=offer.marks,
        build=build,
    )
