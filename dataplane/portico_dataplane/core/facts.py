"""Condition keys of policies, from a request and what is known of its caller (AWS §3.21).

Called by whoever judges a policy about a request. Promises: nothing of a policy's keys is looked
up before a condition asks for it; a key that is not in the list is absent, as AWS has it for keys
that a service does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from portico_dataplane.core.conditions import Facts
from portico_dataplane.core.context import header_text
from portico_dataplane.core.messages import Request

_Key = Callable[[Request], str | None]


def facts_of(request: Request) -> Facts:
    """What conditions may ask about a request."""

    def value(key: str) -> tuple[str, ...]:
        getter = _KEYS.get(key)
        found = getter(request) if getter is not None else None
        return () if found is None else (found,)

    return value


def _header(name: bytes) -> _Key:
    def value(request: Request) -> str | None:
        found = request.header(name)
        return None if found is None else header_text(found)

    return value


def _current_time(request: Request) -> str:
    return datetime.fromtimestamp(request.received_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _of_signer(value: _Key) -> _Key:
    """AWS §3.21: known of a caller who signed, and of no other."""
    return lambda request: value(request) if request.caller.user_arn else None


_KEYS: Final[dict[str, _Key]] = {
    "aws:currenttime": _current_time,
    "aws:epochtime": lambda request: str(request.received_ms // 1000),
    "aws:referer": _header(b"referer"),
    "aws:securetransport": lambda request: "true" if request.scheme == "https" else "false",
    "aws:sourceip": lambda request: request.source_ip,
    "aws:useragent": _header(b"user-agent"),
    "aws:principalaccount": _of_signer(lambda request: request.gateway.account_id),
    "aws:principalarn": _of_signer(lambda request: request.caller.user_arn),
    "aws:principaltype": _of_signer(lambda _: "User"),
    "aws:userid": _of_signer(lambda request: request.caller.user_id),
    "aws:username": _of_signer(lambda request: request.caller.user_arn.rpartition("/")[2]),
}
