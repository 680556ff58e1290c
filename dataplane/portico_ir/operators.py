"""Condition operators of policies: which there are, and what a value of each must be.

Called by `policydocument.py`, which lets nothing else into a document, and by whoever evaluates
one. Promises: a value that passed here can be read here again (AWS §3.21; IAM, `Condition`).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple


class Operator(NamedTuple):
    """A condition operator taken apart: `ForAnyValue:StringNotLikeIfExists`."""

    quantifier: Literal["", "ForAnyValue", "ForAllValues"]
    """What it asks of a key with several values."""
    base: str
    """Without `Not`: one of `BASES`."""
    negated: bool
    """`StringNotLike`, `NotIpAddress`."""
    if_exists: bool
    """A key that is absent is no obstacle."""


def operator_of(text: str) -> Operator | None:
    """The operator, None when there is none of that name."""
    prefix, colon, rest = text.rpartition(":")
    if colon and prefix not in ("ForAnyValue", "ForAllValues"):
        return None
    name = rest.removesuffix("IfExists")
    base, negated = _NEGATED.get(name, (name, False))
    if base not in BASES or (base == "Null" and (name != rest or prefix)):
        return None
    quantifier: Literal["", "ForAnyValue", "ForAllValues"] = ""
    if prefix:
        quantifier = "ForAnyValue" if prefix == "ForAnyValue" else "ForAllValues"
    return Operator(quantifier, base, negated, name != rest)


def number(text: str) -> float | None:
    """A number, None for anything else."""
    try:
        found = float(text) if len(text) <= 64 and "_" not in text else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def moment(text: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 time or of such seconds; None for anything else."""
    seconds = number(text)
    if seconds is not None:
        return seconds
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """A range of addresses, or one; None for anything else."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def binary(text: str) -> bytes | None:
    """What a base64 text stands for; None when it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_flag(text: str) -> bool:
    return text.lower() in ("true", "false")


def _is_arn(text: str) -> bool:
    return text == "*" or (text.startswith(("arn:", "*", "${")) and text.count(":") >= 5)


def _anything(_: str) -> bool:
    return True


_NUMERIC: Final = ("Equals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")

BASES: Final[Mapping[str, tuple[Callable[[str], object], str]]] = {
    "StringEquals": (_anything, ""),
    "StringEqualsIgnoreCase": (_anything, ""),
    "StringLike": (_anything, ""),
    **{f"Numeric{name}": (lambda text: number(text) is not None, "a number") for name in _NUMERIC},
    **{
        f"Date{name}": (
            lambda text: moment(text) is not None,
            "a time such as 2026-01-31T12:00:00Z, or seconds since 1970",
        )
        for name in _NUMERIC
    },
    "Bool": (_is_flag, "true or false"),
    "Null": (_is_flag, "true or false"),
    "BinaryEquals": (lambda text: binary(text) is not None, "base64"),
    "IpAddress": (
        lambda text: network(text) is not None,
        "an address or a range such as 192.0.2.0/24",
    ),
    "ArnEquals": (_is_arn, "an ARN of six parts"),
    "ArnLike": (_is_arn, "an ARN of six parts"),
}
"""Operators without their negations: what a value must be, and how to say so."""

_NEGATED: Final = {
    **{
        base.replace(kind, f"{kind}Not", 1): (base, True)
        for kind in ("String", "Numeric", "Date", "Arn")
        for base in BASES
        if base.startswith(kind) and base.removeprefix(kind).startswith(("Equals", "Like"))
    },
    "NotIpAddress": ("IpAddress", True),
}
