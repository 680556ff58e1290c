"""PEM texts read: a certificate with its key, a file of authorities.

Called by the pass of certificates. Promises: whatever a user put there comes back as what it is or
as the reason why it cannot be used, without a word of a key; what comes back is written anew, so
that nothing but certificates and one key is in it.
"""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, NamedTuple

from portico_ir.domains import Certificate
from portico_ir.secrets import Redacted

if TYPE_CHECKING:
    from cryptography import x509

MOST_AUTHORITIES = 1000
MOST_BYTES = 1024 * 1024
"""Of a truststore (AWS §6.4)."""
LEAST_RSA_BITS = 2048
"""AWS §6.4; OpenSSL takes no shorter ones either."""
_LEAST_EC_BITS = 256
_NO_AUTHORITY = "is no certificate authority's"
_WEAK_HASHES = ("md5", "sha1")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Pair(NamedTuple):
    """A certificate that can be shown."""

    certificate: Certificate
    """It, its issuers, and the key."""
    names: tuple[str, ...]
    """Hosts that it is for, lower case."""
    begins: datetime.datetime
    """Good from."""
    ends: datetime.datetime
    """Good until."""


class Authorities(NamedTuple):
    """A truststore that can be used."""

    text: str
    """PEM."""
    ignored: tuple[str, ...]
    """What is wrong with certificates that were left out."""


def pair(chain: bytes, key: bytes) -> Pair | str:
    """A certificate with its key, or why they cannot be used."""
    # Imported when the first certificate is read: most configurations have none.
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError:
        return "tls.crt is not a chain of PEM certificates"
    try:
        private = serialization.load_pem_private_key(key, None)
    except TypeError:
        return "tls.key is encrypted; store it without a password"
    except Exception:  # OpenSSL's own kinds, and their texts may quote the key
        return "tls.key is not a private key in PEM"
    spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    own = private.public_key().public_bytes(*spki)
    leaf = certificates[0]
    try:
        weak = _weakness(leaf)
        if weak:
            return f"the certificate has {weak}"
        if leaf.public_key().public_bytes(*spki) != own:
            later = any(c.public_key().public_bytes(*spki) == own for c in certificates[1:])
            return (
                "the certificate must come first in tls.crt, its issuers after it"
                if later
                else "tls.key is not the key of the certificate in tls.crt"
            )
        names = _names(leaf)
    except Exception:  # unknown kinds of keys, extensions that cannot be read
        return "the certificate in tls.crt cannot be read"
    pkcs8 = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    text = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)
    shown = Certificate(chain=text.decode("ascii"), key=Redacted(pkcs8.decode("ascii")))
    return Pair(shown, names, leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def authorities(text: bytes) -> Authorities | str:
    """A truststore, or why there is none; single entries that cannot be used are left out."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    if len(text) > MOST_BYTES:
        return f"a truststore has at most {MOST_BYTES // 1024} KiB (AWS §6.4), not {len(text)} B"
    blocks = _CERTIFICATE.findall(text)
    if len(blocks) > MOST_AUTHORITIES:
        return f"a truststore has at most {MOST_AUTHORITIES} certificates, not {len(blocks)}"
    found: dict[bytes, None] = {}
    ignored: list[str] = []
    for number, block in enumerate(blocks, 1):
        try:
            certificate = x509.load_pem_x509_certificate(block)
            fault = _authority_fault(certificate)
        except Exception:  # whatever the bytes are
            fault = "cannot be read"
        if fault:
            ignored.append(f"certificate {number} {fault}")
        else:
            found[certificate.public_bytes(serialization.Encoding.PEM)] = None
    if not found:
        return f"no certificate to trust: {'; '.join(ignored) or 'it holds none'}"
    return Authorities(b"".join(found).decode("ascii"), tuple(ignored))


def covers(name: str, host: str) -> bool:
    """Whether clients take a certificate's name for a host (RFC 9525 §6.3)."""
    if name == host:
        return True
    label, dot, rest = host.partition(".")
    return bool(dot) and label != "*" and name == f"*.{rest}"


def _authority_fault(certificate: x509.Certificate) -> str:
    from cryptography import x509

    weak = _weakness(certificate)
    if weak:
        return f"has {weak}"
    if certificate.version is x509.Version.v1:
        return ""  # Older than the extension; a root that OpenSSL knows as one.
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return _NO_AUTHORITY
    return "" if basic.value.ca else _NO_AUTHORITY


def _weakness(certificate: x509.Certificate) -> str:
    """AWS §6.4: SHA-256 or stronger, RSA of 2048 bits, elliptic curves of 256."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
        return f"an RSA key of {key.key_size} bits; {LEAST_RSA_BITS} is the least"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < _LEAST_EC_BITS:
        return f"an elliptic curve of {key.key_size} bits; {_LEAST_EC_BITS} is the least"
    hashed = certificate.signature_hash_algorithm
    if hashed is not None and hashed.name in _WEAK_HASHES:
        return f"a signature by {hashed.name.upper()}; SHA-256 is the least"
    return ""


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in found.value.get_values_for_type(x509.DNSName))
