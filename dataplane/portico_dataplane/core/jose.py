"""Signed tokens in compact form, and whether a key verifies one (RFC 7515, 7517, 7518, 8037).

Called by `policies/jwt.py`; loaded when a configuration first has such a policy, because
cryptography is large. Promises: nothing raises for what a client or an issuer sends; a signature
is checked by an asymmetric algorithm that the *key* is for, never by `none`, never with a shared
secret (a public key is no secret); what a header says about keys beyond `kid` is not looked at.
"""

from __future__ import annotations

import binascii
from typing import Any, Final, NamedTuple

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry
from joserfc.jws import JWSRegistry

from portico_dataplane.core.keyring import Jwk, KeySet

MAX_TOKEN: Final = 10_240
"""Bytes. No header block is larger (design §13), so this bounds what a query may hold."""
MAX_SIGNATURE: Final = 2048

ALGORITHMS: Final = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "ES256": "EC",
    "ES384": "EC",
    "ES512": "EC",
    "EdDSA": "OKP",
    "Ed25519": "OKP",
}
"""`alg` to the type of key it takes. What is not here does not exist."""

_RSA_BITS: Final = range(2048, 8193)
"""RFC 7518 §3.3 asks for 2048; beyond 8192 a check takes longer than anybody should wait."""
_PUBLIC: Final = ("kty", "use", "key_ops", "alg", "n", "e", "crv", "x", "y")
_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
"""The other alphabet, and what does not belong into ours made into what no alphabet has."""
_PADDING: Final = (b"", b"", b"==", b"=")
"""By what is left over of groups of four; one alone cannot be."""


class Token(NamedTuple):
    """A token that nothing has been checked of, but its form."""

    algorithm: str
    key_id: str
    claims: dict[str, Any]
    signed: bytes
    """Header and payload as sent."""
    signature: bytes


class _Header(msgspec.Struct):
    alg: str
    kid: str = ""
    crit: Any = msgspec.UNSET


_HEADER: Final = msgspec.json.Decoder(_Header)
_CLAIMS: Final = msgspec.json.Decoder(dict[str, Any])


def read(raw: bytes) -> Token | str:
    """The token, or in AWS's way what keeps this from being one."""
    if len(raw) > MAX_TOKEN:
        return "token is too long"
    parts = raw.split(b".")
    if len(parts) != 3:
        return "token contains an invalid number of segments"
    try:
        header = _HEADER.decode(_decoded(parts[0]))
        claims = _CLAIMS.decode(_decoded(parts[1]))
        signature = _decoded(parts[2])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return "token is malformed"
    if header.crit is not msgspec.UNSET:
        return "token is malformed"  # RFC 7515 §4.1.11: what is critical must be understood
    signed = raw[: len(parts[0]) + 1 + len(parts[1])]
    return Token(header.alg, header.kid, claims, signed, signature)


def _decoded(part: bytes) -> bytes:
    """base64url without padding, and nothing else: Python's decoder skips what it does not know."""
    padded = part.translate(_STANDARD) + _PADDING[len(part) & 3]
    return binascii.a2b_base64(padded, strict_mode=True)


def verifies(token: Token, keys: KeySet) -> bool:
    """Whether a key of the token's `kid` made its signature."""
    wanted = ALGORITHMS.get(token.algorithm)
    if wanted is None or not 0 < len(token.signature) <= MAX_SIGNATURE:
        return False
    candidates = keys.prepared.get(token.key_id)
    if candidates is None:
        candidates = tuple(map(_imported, keys.jwks.get(token.key_id, ())))
        keys.prepared[token.key_id] = candidates
    algorithm = JWSRegistry.algorithms[token.algorithm]
    for key in candidates:
        if key is None or key.key_type != wanted:
            continue
        try:
            algorithm.check_key(key)
            if algorithm.verify(token.signed, token.signature, key):
                return True
        except (JoseError, ValueError, TypeError):
            continue  # for another algorithm, another use, another curve
    return False


def _imported(jwk: Jwk) -> Any:
    """A key that can verify; None for one that cannot, which is as good as not published."""
    public = {name: jwk[name] for name in _PUBLIC if name in jwk}
    type_ = public.get("kty")
    if type_ not in ALGORITHMS.values():
        return None
    try:
        if type_ == "RSA" and _bits(public.get("n")) not in _RSA_BITS:
            return None
        key = JWKRegistry.import_key(public, type_)
        key.check_key_op("verify")
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    return key


def _bits(modulus: Any) -> int:
    return int.from_bytes(_decoded(modulus.rstrip("=").encode("ascii"))).bit_length()
