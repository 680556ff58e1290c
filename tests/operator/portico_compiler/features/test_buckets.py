"""Token buckets as the contract has them (AWS §3.18)."""

from __future__ import annotations

import pytest

from portico_compiler.features.buckets import bucket, bucket_of
from portico_compiler.manifests.shapes import Throttle
from portico_ir.access import Bucket


@pytest.mark.parametrize(
    ("rate", "burst", "expected"),
    [
        (None, None, None),
        (100, 200, Bucket(rate=100.0, burst=200)),
        (0.5, 1, Bucket(rate=0.5, burst=1)),
        (0, 0, Bucket(rate=0.0, burst=0)),
        (0, None, Bucket(rate=0.0, burst=0)),
        (0.25, None, Bucket(rate=0.25, burst=1)),
        (2.5, None, Bucket(rate=2.5, burst=3)),
        (None, 7, Bucket(rate=7.0, burst=7)),
    ],
)
def test_what_one_number_says_bounds_both(
    rate: float | None, burst: float | None, expected: Bucket | None
) -> None:
    assert bucket_of(rate, burst) == expected
    assert bucket(Throttle(rate_limit=rate, burst_limit=burst)) == expected


def test_nothing_is_no_bound() -> None:
    assert bucket(None) is None


def test_types_are_those_of_the_contract() -> None:
    """Or 100 and 100.0 would be two digests."""
    found = bucket_of(100, 100.0)
    assert found is not None
    assert type(found.rate) is float
    assert type(found.burst) is int
