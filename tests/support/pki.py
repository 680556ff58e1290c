"""A small certificate authority: server and client certificates, good ones and bad ones.

For tests of the TLS listener, which need real chains that OpenSSL and curl verify.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from portico_ir.domains import Certificate
from portico_ir.secrets import Redacted

START = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


class Pair(NamedTuple):
    """A certificate and its key, both PEM."""

    chain: str
    key: str

    def contract(self) -> Certificate:
        """As the contract has it."""
        return Certificate(chain=self.chain, key=Redacted(self.key))

    def files(self, folder: Path, name: str) -> tuple[Path, Path]:
        """As two files, for clients that want paths."""
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        paths[0].write_text(self.chain)
        paths[1].write_text(self.key)
        return paths

    def file(self, folder: Path, name: str) -> Path:
        """As one file."""
        path = folder / f"{name}.pem"
        path.write_text(self.chain + self.key)
        return path


class Authority:
    """Signs for whomever it is told to."""

    def __init__(self, name: str = "Test CA", by: Authority | None = None) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name(
            [
                x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "US"),
                x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example"),
                x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
            ]
        )
        issuer = by or self
        signed = (
            _builder(self._name, issuer._name, self._key.public_key(), 1, START, END)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False)
            .sign(issuer._key, hashes.SHA256())
        )
        self.pem = _pem(signed)
        """What who trusts it is given."""

    def intermediate(self, name: str) -> Authority:
        """Another one, whom this one vouches for."""
        return Authority(name, by=self)

    def server(
        self,
        *hosts: str,
        until: datetime.datetime = END,
        addresses: tuple[str, ...] = (),
        common_name: str = "",
    ) -> Pair:
        """For these names and addresses."""
        general = [x509.DNSName(host) for host in hosts]
        numbers = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        names = x509.SubjectAlternativeName([*general, *numbers])
        usage = ExtendedKeyUsageOID.SERVER_AUTH
        return self._issue(common_name or hosts[0], usage, until, names=names)

    def client(self, name: str, *, serial: int = 0, until: datetime.datetime = END) -> Pair:
        """For somebody."""
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, until, serial)

    def _issue(
        self,
        name: str,
        usage: x509.ObjectIdentifier,
        until: datetime.datetime,
        serial: int = 0,
        names: x509.SubjectAlternativeName | None = None,
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "US"),
                x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example"),
                x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
            ]
        )
        number = serial or x509.random_serial_number()
        builder = _builder(subject, self._name, key.public_key(), number, START, until)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        if names is not None:
            builder = builder.add_extension(names, False)
        signed = builder.sign(self._key, hashes.SHA256())
        raw = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return Pair(_pem(signed), raw.decode("ascii"))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    start: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
