"""Tokens that were verified, remembered until they or the keys behind them expire.

Used by `policies/jwt.py`; one for each gateway, so that a new Runtime verifies nothing again.
Promises: bounded, the longest unused goes first; holds digests, never a token; what is looked up
is a SHA-256, so how long it takes tells nothing about tokens that are held.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any, Final

from portico_dataplane.core.keyring import KeySet

MOST_TOKENS: Final = 8192
"""About 2 KB each."""


class VerifiedToken:
    """What a good token says."""

    __slots__ = ("claims", "context", "events", "expires_ms", "keys", "principal", "scopes")

    def __init__(
        self,
        claims: Mapping[str, str],
        scopes: tuple[str, ...],
        principal: str,
        expires_ms: int,
        keys: KeySet,
    ) -> None:
        self.claims = claims
        """As texts, the way the API's kind writes them."""
        self.scopes = scopes
        """In the order of the token."""
        self.principal = principal
        """`sub`."""
        self.expires_ms = expires_ms
        """Unix milliseconds of `exp`."""
        self.keys = keys
        """The set that verified it."""
        self.context: Mapping[str, Any] = {"claims": claims}
        """`$context.authorizer`."""
        self.events: dict[str, Mapping[str, Any]] = {}
        """`requestContext.authorizer` by form of event, made when first asked for."""


class TokenCache:
    """Good tokens by authorizer and digest."""

    __slots__ = ("_entries", "_most", "_numbered", "_numbers")

    def __init__(self, most: int = MOST_TOKENS) -> None:
        self._most = most
        self._entries: dict[tuple[int, bytes], VerifiedToken] = {}
        self._numbers: dict[Hashable, int] = {}
        self._numbered = 0

    def number(self, authorizer: Hashable) -> int:
        """What stands for an authorizer in keys: equal ones share their tokens."""
        known = self._numbers.get(authorizer)
        if known is None:
            known = self._numbers[authorizer] = self._numbered
            self._numbered += 1
        return known

    def retain(self, authorizers: Collection[Hashable]) -> None:
        """Numbers of all others are never given again; their tokens fade."""
        for gone in self._numbers.keys() - set(authorizers):
            del self._numbers[gone]

    def get(self, number: int, digest: bytes, now_ms: int) -> VerifiedToken | None:
        """What is still good at that time."""
        key = (number, digest)
        found = self._entries.pop(key, None)
        if found is None or found.expires_ms <= now_ms or found.keys.until_ms <= now_ms:
            return None
        self._entries[key] = found  # at the end again: the first is the longest unused
        return found

    def put(self, number: int, digest: bytes, token: VerifiedToken) -> None:
        """Remember one."""
        entries = self._entries
        if len(entries) >= self._most:
            del entries[next(iter(entries))]
        entries[number, digest] = token

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self._entries)
