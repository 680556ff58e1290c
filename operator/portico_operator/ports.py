"""What the reconciler asks of delivery, as a Protocol.

Implemented by `delivery/` (the stream server); tests pass their own. Promises nothing; it keeps
both sides apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from portico_ir.model import EndpointSet, Snapshot


class Delivery(Protocol):
    """Where configuration goes. All calls return at once; the latest state counts."""

    def publish(
        self, class_name: str, snapshot: Snapshot, *, changed_at: float | None = None
    ) -> object:
        """Pods of this class should serve this snapshot; `changed_at` (Unix time) is when the
        change in it was made."""
        ...

    def set_endpoints(
        self, class_name: str, endpoints: EndpointSet, marks: Mapping[str, str] | None = None
    ) -> None:
        """Pods of this class should use these addresses; nothing else has changed."""
        ...

    def advance(self, class_name: str, marks: Mapping[str, str]) -> None:
        """What was published last holds up to here: nothing has changed in it since."""
        ...
