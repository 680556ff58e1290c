"""Holder: the one place that says which Runtime serves now.

Written by the gateway after a build, read once by every request. Swapping is one assignment;
a request keeps the Runtime it took.
"""

from __future__ import annotations

from portico_dataplane.runtime import Runtime
from portico_ir.model import GatewayUnit

EMPTY = Runtime("", GatewayUnit(), {}, {}, None)
"""Serves nothing: every host is unknown. Readiness, not this, keeps traffic away."""


class Holder:
    """Holds the current Runtime."""

    __slots__ = ("current",)

    def __init__(self) -> None:
        self.current = EMPTY

    @property
    def ready(self) -> bool:
        """Whether a first configuration serves."""
        return self.current is not EMPTY

    def swap(self, runtime: Runtime) -> Runtime:
        """Serve `runtime` from now on; returns the one before."""
        previous, self.current = self.current, runtime
        return previous
