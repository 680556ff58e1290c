"""Token buckets as the contract has them (AWS §3.18).

Used wherever a manifest throttles. Promises: numbers have the contract's types, so that `100` and
`100.0` are one digest.
"""

from __future__ import annotations

import math

from portico_compiler.manifests.shapes import Throttle
from portico_ir.access import Bucket


def bucket(throttle: Throttle | None) -> Bucket | None:
    """The bucket; None where nothing is limited."""
    if throttle is None:
        return None
    return bucket_of(throttle.rate_limit, throttle.burst_limit)


def bucket_of(rate: float | None, burst: float | None) -> Bucket | None:
    """From the two numbers of settings; what only one of them says bounds both.

    AWS always has both; where a manifest leaves out the capacity, a second's worth of tokens fits
    in (at least one, unless the rate is 0), and where it leaves out the rate, the bucket fills up
    once a second.
    """
    if rate is None and burst is None:
        return None
    if burst is None:
        assert rate is not None
        burst = max(1.0, rate) if rate > 0 else 0.0
    if rate is None:
        rate = burst
    return Bucket(rate=float(rate), burst=math.ceil(burst))
