"""OpenID issuers of a conformance case: discovery, JWKS, and the tokens they sign.

Started by conformance_scene. Keys are made once per process: an RSA key takes a tenth of a
second, and what distinguishes keys in a case is their issuer and kid.
"""

from __future__ import annotations

import base64
import functools
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from conformance_backends import Answer, HttpServer, Received
from conformance_cases import Issuer, Token

_TIMES = ("exp", "nbf", "iat")
_DISCOVERY = "/.well-known/openid-configuration"
_JWKS = "/jwks.json"


class IssuerServer:
    """Serves one issuer."""

    def __init__(self, name: str, issuer: Issuer) -> None:
        self.name = name
        self.issuer = issuer
        self._server = HttpServer(self._answer)

    @property
    def url(self) -> str:
        """What `{issuer:NAME}` stands for, and `iss` by default."""
        return f"http://{self._server.authority}"

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Close everything."""
        await self._server.stop()

    def _answer(self, request: Received) -> Answer:
        documents = {
            _DISCOVERY: {"issuer": self.url, "jwks_uri": f"{self.url}{_JWKS}"},
            _JWKS: {"keys": [public_jwk(self.name, key.kid, key.alg) for key in self.issuer.keys]},
        }
        document = documents.get(request.path)
        body = json.dumps(document or {}).encode()
        return Answer(200 if document else 404, [("Content-Type", "application/json")], body)


def sign(token: Token, issuer_url: str, claims: dict[str, Any]) -> str:
    """The token in compact form; `claims` are its own with everything in them written out."""
    now = int(time.time())
    said = {"iss": issuer_url, **claims}
    for name in _TIMES:
        if isinstance(said.get(name), str):
            said[name] = now + int(said[name])
    header = {"alg": token.alg, "kid": token.kid, "typ": "JWT"}
    signed = f"{_part(json.dumps(header).encode())}.{_part(json.dumps(said).encode())}"
    return f"{signed}.{_part(_signature(token, signed.encode()))}"


def public_jwk(issuer: str, kid: str, alg: str) -> dict[str, str]:
    """The public half of a key, as a JWKS has it."""
    common = {"kid": kid, "alg": alg, "use": "sig"}
    if alg.startswith("RS"):
        rsa_numbers = _rsa_key(issuer, kid).public_key().public_numbers()
        n, e = _number(rsa_numbers.n), _number(rsa_numbers.e)
        return common | {"kty": "RSA", "n": n, "e": e}
    numbers = _ec_key(issuer, kid).public_key().public_numbers()
    x, y = _part(numbers.x.to_bytes(32)), _part(numbers.y.to_bytes(32))
    return common | {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _signature(token: Token, data: bytes) -> bytes:
    if token.alg == "RS256":
        key = _rsa_key(token.issuer, token.kid)
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if token.alg == "ES256":
        encoded = _ec_key(token.issuer, token.kid).sign(data, ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(encoded)
        return r.to_bytes(32) + s.to_bytes(32)
    raise ValueError(f"the runner signs RS256 and ES256, not {token.alg}")


@functools.cache
def _rsa_key(issuer: str, kid: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def _ec_key(issuer: str, kid: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _number(value: int) -> str:
    return _part(value.to_bytes((value.bit_length() + 7) // 8))


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
