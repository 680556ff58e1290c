"""Durations and sizes: `1m30s` to milliseconds, `10Mi` to bytes.

Called wherever a manifest holds one. Promises: an int for every text that the manifest's
grammar lets through, None for anything else; never a float, because the contract has none.
"""

from __future__ import annotations

import re
from decimal import Decimal

MAX_DURATION_MS = 24 * 3600 * 1000
"""Longer is a slip of the pen: no request lives for a day."""
MAX_SIZE = 2**53
"""What every reader of JSON holds exactly."""

_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+\Z")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(k|M|G|T|Ki|Mi|Gi|Ti)?\Z")
_BYTES = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def milliseconds(text: str) -> int | None:
    """`29s`, `1m30s`, `500ms`; parts of a millisecond are rounded up."""
    if not _DURATION.match(text):
        return None
    total = sum(
        (Decimal(number) * _MILLISECONDS[unit] for number, unit in _PART.findall(text)),
        Decimal(0),
    )
    return _rounded_up(total)


def size(value: int | str) -> int | None:
    """`10Mi`, `1Gi`, `65536` or a plain number, in bytes; parts of a byte are rounded up."""
    if isinstance(value, int):
        return value
    match = _SIZE.match(value)
    if not match:
        return None
    return _rounded_up(Decimal(match[1]) * _BYTES[match[2] or ""])


def _rounded_up(value: Decimal) -> int:
    whole = int(value)
    return whole if whole == value else whole + 1
