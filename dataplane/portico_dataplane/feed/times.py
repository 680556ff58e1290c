"""How long the feed waits for what: design §4 and §5 in seconds.

Made by `__main__` from the settings; a test makes its own and waits shorter.
"""

from __future__ import annotations

from dataclasses import dataclass

from portico_dataplane.feed.choice import LAG_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long what may take; seconds."""

    last_good_s: float = 15.0
    """Without an operator before the last good snapshot serves."""
    fallback_s: float = 10.0
    """Without a stream before ClusterIPs may stand in."""
    lag_s: float = LAG_S
    refetch_s: float = 30.0
    """Between two times that units are asked for which no operator could give."""
    resolve_s: float = 5.0
    """Between two looks at who the operators are."""
    hung_s: float = 2.0
    """A worker that has not taken a configuration by then holds up the next one no longer."""
    keep_s: float = 1.0
    """Between two writes of the last good snapshot."""
    tick_s: float = 0.25
