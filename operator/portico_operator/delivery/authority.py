"""The stream's own certificate authority: when to make, switch and retire what. [decisions pure]

The Lease holder calls `Custodian.tend` now and then; every replica signs its own serving
certificate with what is stored. Promises: a new authority is in the bundle ten minutes before
anything is signed with it, and an old one stays there for a period after, so that no pod ever
meets a certificate that its mounted bundle does not know; two writers at once cannot lose a key.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, assert_never

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from portico_ir.secrets import Redacted

CA_LIFE: Final = dt.timedelta(days=365)
CA_ROTATES: Final = dt.timedelta(days=240)
"""At this age a successor is made."""
BUNDLE_FIRST: Final = dt.timedelta(minutes=10)
"""Kubelets bring a ConfigMap to mounted volumes within about two minutes."""
RETIRES: Final = dt.timedelta(days=1)
"""How long the old authority stays in the bundle; nothing that it signed is in use by then."""
SERVING_LIFE: Final = dt.timedelta(days=30)
SERVING_RENEWS: Final = dt.timedelta(days=10)
_SKEW: Final = dt.timedelta(hours=1)
"""Certificates hold from so long ago: clocks differ."""


class Authority(NamedTuple):
    """A certificate authority."""

    certificate: str
    """PEM."""
    key: Redacted
    """PEM."""
    made_at: dt.datetime
    expires_at: dt.datetime


class Stored(NamedTuple):
    """What the Secret `portico-ca` and the ConfigMap `portico-ca-bundle` hold."""

    current: Authority | None = None
    """Signs."""
    successor: Authority | None = None
    """In the bundle, signs nothing yet."""
    published_at: dt.datetime | None = None
    """When the bundle with the successor was written."""
    former: str = ""
    """Certificate of the one before, still in the bundle."""
    retires_at: dt.datetime | None = None
    bundle: str = ""
    """The ConfigMap's text."""
    version: str = ""
    """Whatever the storage tells writes apart by."""


Step = Literal["make", "succeed", "promote", "retire", "publish", "nothing"]


def bundle_of(stored: Stored) -> str:
    """What pods should trust, in PEM."""
    authorities = (stored.current, stored.successor)
    return "".join(a.certificate for a in authorities if a is not None) + stored.former


def next_step(stored: Stored, now: dt.datetime) -> Step:
    """What the Lease holder should do now."""
    current, successor = stored.current, stored.successor
    if current is None or current.expires_at <= now:
        return "make"
    if stored.bundle != bundle_of(stored):
        return "publish"  # a write was cut off between the two objects
    if successor is not None:
        published = stored.published_at
        is_known = published is not None and now - published >= BUNDLE_FIRST
        return "promote" if is_known else "nothing"
    if stored.retires_at is not None and now >= stored.retires_at:
        return "retire"
    if now - current.made_at >= CA_ROTATES and not stored.former:
        return "succeed"
    return "nothing"


def after(
    step: Step, stored: Stored, now: dt.datetime, make: Callable[[dt.datetime], Authority]
) -> Stored:
    """What should be stored once the step is done; its bundle included."""
    match step:
        case "make":
            changed = Stored(current=make(now), version=stored.version)
        case "succeed":
            changed = stored._replace(successor=make(now), published_at=now)
        case "promote":
            assert stored.current is not None
            changed = stored._replace(
                current=stored.successor,
                successor=None,
                published_at=None,
                former=stored.current.certificate,
                retires_at=now + RETIRES,
            )
        case "retire":
            changed = stored._replace(former="", retires_at=None)
        case "publish" | "nothing":
            # A successor whose bundle was not written until now is ten minutes from here.
            published = now if stored.successor is not None and step == "publish" else None
            changed = stored._replace(published_at=published or stored.published_at)
        case _:
            assert_never(step)
    return changed._replace(bundle=bundle_of(changed))


class Conflict(Exception):
    """Somebody else has written since it was read."""


class Vault(Protocol):
    """Where it is kept; `portico_operator.cluster` implements it on the two objects."""

    async def read(self) -> Stored:
        """What is there; empty objects are an empty `Stored`."""
        ...

    async def write(self, stored: Stored) -> Stored:
        """Keep it, the Secret first; `Conflict` unless `stored.version` is still the newest."""
        ...


class Custodian:
    """Tends the stored authority; only the Lease holder calls it."""

    def __init__(self, vault: Vault, clock: Callable[[], dt.datetime]) -> None:
        self._vault = vault
        self._clock = clock

    async def tend(self) -> Step:
        """One step, if one is due; `Conflict` means that there is another holder."""
        stored = await self._vault.read()
        now = self._clock()
        step = next_step(stored, now)
        if step != "nothing":
            await self._vault.write(after(step, stored, now, make_authority))
        return step


# --- certificates -----------------------------------------------------------------------------


class Serving(NamedTuple):
    """A replica's certificate."""

    certificate: str
    """PEM."""
    key: Redacted
    """PEM."""
    issuer: str
    """Certificate of the authority that signed it."""
    made_at: dt.datetime

    def install(self, context: ssl.SSLContext) -> None:
        """Serve it on this context; streams that are open keep theirs."""
        # OpenSSL reads files only; these are this process's own, and gone when it returns.
        with tempfile.TemporaryDirectory(prefix="portico-") as folder:
            chain, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
            chain.write_text(self.certificate)
            key.touch(mode=0o600)
            key.write_text(self.key.reveal())
            context.load_cert_chain(chain, key)

    def context(self) -> ssl.SSLContext:
        """A server's context with it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.install(context)
        return context


def make_authority(now: dt.datetime) -> Authority:
    """A new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # Two authorities in one bundle are told apart by name when a chain is built.
    name = _name(f"portico stream authority {serial & 0xFFFF_FFFF:08x}")
    certificate = (
        _builder(name, name, key, serial, now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(_pem(certificate), _pem_key(key), now, now + CA_LIFE)


def make_serving(authority: Authority, names: Sequence[str], now: dt.datetime) -> Serving:
    """A replica's certificate for these DNS names and IP addresses."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    signer = serialization.load_pem_private_key(authority.key.reveal().encode(), password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    life = min(SERVING_LIFE, authority.expires_at - now)
    certificate = (
        _builder(
            _name("portico operator"), issuer.subject, key, x509.random_serial_number(), now, life
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_alternative(n) for n in names]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    return Serving(_pem(certificate), _pem_key(key), authority.certificate, now)


def needs_serving(stored: Stored, serving: Serving | None, now: dt.datetime) -> bool:
    """Whether a replica should make itself another certificate."""
    if stored.current is None:
        return False
    return (
        serving is None
        or serving.issuer != stored.current.certificate
        or now - serving.made_at >= SERVING_RENEWS
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    serial: int,
    now: dt.datetime,
    life: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pem_key(key: ec.EllipticCurvePrivateKey) -> Redacted:
    encoded = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Redacted(encoded.decode())
