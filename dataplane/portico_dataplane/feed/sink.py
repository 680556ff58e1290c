"""Who serves what the feed has: the supervisor, and in tests whoever writes it down.

Called by the feed only, on its loop; keeps the feed from knowing of workers and processes.
"""

from __future__ import annotations

from typing import Protocol

from portico_ir.model import EndpointSet, Snapshot


class Outcome(Protocol):
    """What became of a configuration."""

    @property
    def refused(self) -> dict[str, str]:
        """Unit id to reason; those keep their previous version."""
        ...


class Sink(Protocol):
    """Who serves; the supervisor."""

    async def apply(self, snapshot: Snapshot) -> Outcome:
        """Serve this; returns when it is served, or refused."""
        ...

    def set_endpoints(self, endpoints: EndpointSet) -> None:
        """New addresses for what serves."""
        ...

    def set_fallback(self, *, allowed: bool) -> None:
        """Whether ClusterIPs may stand in for addresses that all fail."""
        ...
