"""How much a worker has taken on, and whether it takes on one more request.

`http/exchange.py` asks for each request that has found its stage, `http/forwarding.py` and
`http/call.py` for each call of a backend; the gateway keeps the one `Load` of a worker. Promises:
pure, a few additions and no allocation; what is under way never exceeds the bound; an API, or a
backend, that is slow or hot can never use up what others need.

The rule is that of shared switch buffers (dynamic thresholds, Choudhury and Hahne 1998): an API
holds no more requests than there are places left, a backend half as many. So one that is hot gets
half of the bound, n of them 1/(n+1) each, and there always is room for one who is not.
"""

from __future__ import annotations

from typing import Final

IN_FLIGHT: Final = "in_flight"
API: Final = "api"
TARGET: Final = "target"
LAG: Final = "lag"


class Share:
    """What one API, or one backend, holds of it. Outlives configurations."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0
        """Requests under way."""


class Load:
    """Requests under way, tunnels apart: those are connections."""

    __slots__ = ("_bound", "_most_lag", "held", "shed")

    def __init__(self, bound: int, most_lag_s: float) -> None:
        self._bound = bound
        self._most_lag = most_lag_s if most_lag_s > 0 else float("inf")
        self.held = 0
        """Requests under way."""
        self.shed = {IN_FLIGHT: 0, API: 0, TARGET: 0, LAG: 0}
        """How many were turned away, and why."""

    def admit(self, share: Share, lag_s: float) -> bool:
        """Take on one more request of an API. `lag_s`: how late the event loop has been lately,
        for some time; 0 when it is on time."""
        free = self._bound - self.held
        if share.held >= free or lag_s > self._most_lag:
            self.shed[LAG if lag_s > self._most_lag else API if free > 0 else IN_FLIGHT] += 1
            return False
        share.held += 1
        self.held += 1
        return True

    def leave(self, share: Share | None) -> None:
        """A request is over, or has become a tunnel; None: it was not admitted."""
        if share is not None:
            share.held -= 1
            self.held -= 1

    def burden(self, share: Share) -> bool:
        """Have a backend answer one more of the requests under way."""
        # Places left without this request, which has one already.
        if 2 * share.held > self._bound - self.held:
            self.shed[TARGET] += 1
            return False
        share.held += 1
        return True
