"""Keys of token issuers as policies see them: by issuer, then by key id (RFC 7517).

`effects/keysets.py` puts keys here, one Keyring for each gateway; policies read it, so a token
whose key is known needs nobody else. Promises: a set that was replaced, or is too old, verifies
nothing any more, not even what it verified before: whoever remembers asks `until_ms` again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

MOST_KEYS: Final = 200
"""A set of 150,000 bytes could hold more, and nobody has so many."""

Jwk = Mapping[str, Any]
_DECODER: Final = msgspec.json.Decoder(dict[str, Any])


class KeySet:
    """The keys that an issuer published at one time."""

    __slots__ = ("jwks", "prepared", "until_ms")

    def __init__(self, jwks: dict[str, tuple[Jwk, ...]], until_ms: int) -> None:
        self.jwks = jwks
        """Key id to the keys of that id, as published."""
        self.until_ms = until_ms
        """Unix milliseconds from which it verifies nothing; 0 once it was replaced."""
        self.prepared: dict[str, tuple[Any, ...]] = {}
        """The same, imported when they are first used; core/jose.py knows what they are."""

    def __contains__(self, key_id: str) -> bool:
        return key_id in self.jwks


def jwks_of(data: bytes) -> dict[str, tuple[Jwk, ...]] | str:
    """The keys of a JWKS document by id, or what is wrong with it; keys without id are left out.

    Nobody can name those, and AWS demands a `kid` (AWS §4.9).
    """
    try:
        keys = _DECODER.decode(data).get("keys")
    except (msgspec.MsgspecError, RecursionError) as why:
        return f"not a JSON object: {type(why).__name__}"
    if not isinstance(keys, list):
        return "it has no list of keys"
    found: dict[str, tuple[Jwk, ...]] = {}
    for key in keys[:MOST_KEYS]:
        key_id = key.get("kid") if isinstance(key, dict) else None
        if isinstance(key_id, str) and key_id:
            found[key_id] = (*found.get(key_id, ()), key)
    return found


class Keyring:
    """What is known now."""

    __slots__ = ("_sets",)

    def __init__(self) -> None:
        self._sets: dict[str, KeySet] = {}

    def keys(self, issuer: str, now_ms: int) -> KeySet | None:
        """The keys of an issuer; None: not known, or too old to be believed."""
        found = self._sets.get(issuer)
        return found if found is not None and found.until_ms > now_ms else None

    def put(self, issuer: str, jwks: dict[str, tuple[Jwk, ...]], until_ms: int) -> KeySet:
        """Newer keys of an issuer. The same ones again only live longer."""
        known = self._sets.get(issuer)
        if known is not None:
            if known.jwks == jwks:
                known.until_ms = until_ms
                return known
            known.until_ms = 0
        made = self._sets[issuer] = KeySet(jwks, until_ms)
        return made

    def retain(self, issuers: Collection[str]) -> None:
        """Forget all others."""
        for issuer in self._sets.keys() - set(issuers):
            self._sets.pop(issuer).until_ms = 0
