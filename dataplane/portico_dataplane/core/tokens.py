"""Tokens that were verified, remembered until they or the keys behind them expire.

Used by `policies/jwt.py`; one for each gateway, so that a new Runtime verifies nothing again.
Promises: bounded, what was not used for longest goes first; holds digests, never a token; what is
looked up is a SHA-256, so how long it takes tells nothing about tokens that are held.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any, Final

from portico_dataplane.core.keyring import KeySet

MOST_TOKENS: Final = 8192
"""About 2 KB each; half of them in each of two generations."""


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

    __slots__ = ("_most", "_numbered", "_numbers", "_older", "_recent")

    def __init__(self, most: int = MOST_TOKENS) -> None:
        self._most = most // 2
        self._recent: dict[tuple[int, bytes], VerifiedToken] = {}
        self._older: dict[tuple[int, bytes], VerifiedToken] = {}
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
        found = self._recent.get((number, digest))
        if found is None:
            found = self._older.pop((number, digest), None)
            if found is None:
                return None
            self.put(number, digest, found)
        if found.expires_ms > now_ms and found.keys.until_ms > now_ms:
            return found
        del self._recent[number, digest]
        return None

    def put(self, number: int, digest: bytes, token: VerifiedToken) -> None:
        """Remember one."""
        if len(self._recent) >= self._most:
            # What nobody used since the last time goes, all at once.
            self._older, self._recent = self._recent, {}
        self._recent[number, digest] = token

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self._recent) + len(self._older)
