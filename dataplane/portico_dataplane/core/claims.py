"""What a verified token claims, judged and written down as AWS does (AWS §4.9, §6.2).

Called by `policies/jwt.py`. Promises: nothing raises for what an issuer signed; what has another
type than it should is as good as wrong; time is an argument.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

Claims = Mapping[str, Any]

_DATES: Final = frozenset({"exp", "iat", "nbf"})
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def milliseconds(claims: Claims, name: str) -> float | None:
    """A NumericDate (RFC 7519 §2) in milliseconds; None when it is absent, NaN when it is none."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value) * 1000
    except OverflowError:
        return math.nan


def fault_of_expiry(claims: Claims, now_ms: int) -> str:
    """`exp` must be there and lie ahead, to the millisecond: no tolerance is documented."""
    expires = milliseconds(claims, "exp")
    if expires is None:
        return "the token has no expiry"
    return "" if expires > now_ms else "the token has expired"


def fault_of_times(claims: Claims, now_ms: int) -> str:
    """`nbf` and `iat`, where they are there, must lie behind."""
    for name, text in (
        ("nbf", "the token is not valid yet"),
        ("iat", "the token was issued in the future"),
    ):
        time = milliseconds(claims, name)
        if time is not None and not time <= now_ms:
            return text
    return ""


def audiences(claims: Claims) -> tuple[str, ...]:
    """`aud`; `client_id` stands in only where there is no `aud` at all."""
    if "aud" in claims:
        return _texts(claims["aud"])
    return _texts(claims.get("client_id"))


def scopes(claims: Claims) -> tuple[str, ...]:
    """`scp` and `scope`, each a list or a text with spaces, without repeats."""
    found: list[str] = []
    for name in ("scp", "scope"):
        for text in _texts(claims.get(name)):
            found += text.split(" ")
    return tuple(dict.fromkeys(scope for scope in found if scope))


def has_one_of(offered: Collection[str], wanted: frozenset[str]) -> bool:
    """Whether they have one in common."""
    return not wanted.isdisjoint(offered)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(each for each in value if isinstance(each, str))
    return ()


# --- as texts -------------------------------------------------------------------------------


def http_texts(claims: Claims) -> dict[str, str]:
    """As HTTP APIs pass them on: lists as `[a b]`, null ones left out (measured, AWS §18)."""
    return {
        name: value if type(value) is str else _http_text(value)
        for name, value in claims.items()
        if value is not None
    }


def _http_text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{' '.join(map(_http_text, value))}]"
    return _text(value)


def rest_texts(claims: Claims) -> dict[str, str]:
    """As Cognito authorizers of REST APIs do: lists as `a,b`, dates as Java prints them."""
    return {
        name: _date(value) if name in _DATES else _rest_text(value)
        for name, value in claims.items()
        if value is not None
    }


def _rest_text(value: Any) -> str:
    return ",".join(map(_rest_text, value)) if isinstance(value, list) else _text(value)


def _date(value: Any) -> str:
    """`Tue Apr 04 18:39:39 UTC 2023`; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _rest_text(value)
    try:
        at = datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        return _text(value)
    # strftime's names depend on the locale.
    return f"{_DAYS[at.weekday()]} {_MONTHS[at.month - 1]} {at:%d %H:%M:%S} UTC {at.year}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    return msgspec.json.encode(value).decode("utf-8")
