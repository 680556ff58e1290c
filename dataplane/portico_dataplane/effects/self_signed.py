"""Certificates nobody signed, for names that have none: `portico dev --self-signed`.

A source of `effects/certificates.py`. One key a process, a certificate per name, made when a
client first asks for it; none is written anywhere. Promises: bounded, whatever clients ask for.
"""

from __future__ import annotations

import datetime
from collections import OrderedDict
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from portico_ir.domains import Certificate
from portico_ir.secrets import Redacted

_LIFE: Final = datetime.timedelta(days=30)
_MOST_NAMES: Final = 256
_NO_NAME: Final = "localhost"


class SelfSigned:
    """Signs for itself."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._pem = Redacted(
            self._key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ).decode("ascii")
        )
        self._made: OrderedDict[str, Certificate] = OrderedDict()

    def certificate(self, server_name: str) -> Certificate | None:
        """For exactly this name; without one, for localhost."""
        name = server_name or _NO_NAME
        found = self._made.get(name)
        if found is not None:
            self._made.move_to_end(name)
            return found
        try:
            chain = self._signed(name)
        except ValueError:
            return None  # no host name: labels of 64 letters and the like
        made = self._made[name] = Certificate(chain=chain, key=self._pem)
        if len(self._made) > _MOST_NAMES:
            self._made.popitem(last=False)
        return made

    def _signed(self, name: str) -> str:
        # A common name has 64 letters at most; clients look at the alternative name.
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
        now = datetime.datetime.now(datetime.UTC)
        signed = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + _LIFE)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
            .sign(self._key, hashes.SHA256())
        )
        return signed.public_bytes(serialization.Encoding.PEM).decode("ascii")
