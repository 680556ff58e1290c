"""What TLS told about a connection: versions, names, and who the client proved to be.

Made once per connection by `http/tls.py`, carried by the connection, read by requests: context
variables (AWS §6.4, §10), function events, what upstreams are told. Texts have the forms that
AWS shows in `$context.identity.clientCert.*`. Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_SHORT: Final = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
"""RFC 4514 §3; other attributes keep OpenSSL's names."""
_ESCAPED: Final = str.maketrans({c: f"\\{c}" for c in '\\,+"<>;'} | {"\0": "\\00"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A client's certificate, verified against its domain's authorities."""

    pem: str
    """`clientCertPem`."""
    subject: str
    """`subjectDN`: `C=US,O=Example,CN=my client`, in the certificate's own order."""
    issuer: str
    """`issuerDN`."""
    serial: str
    """`serialNumber`: `a1:0f:…`."""
    not_before: str
    """`validity.notBefore`: `May 28 12:30:02 2019 GMT`."""
    not_after: str
    """`validity.notAfter`."""
    line: bytes
    """The header that tells upstreams (RFC 9440 §2.2), with CRLF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    """One connection."""

    server_name: str
    """What the client asked for, lower case; empty: it did not say."""
    version: str
    """`TLSv1.3`, as `$context.tlsVersion` shows it."""
    cipher: str
    """`TLS_AES_128_GCM_SHA256`, as `$context.cipherSuite` shows it."""
    client_certificate: ClientCertificate | None = None
    """Absent where the domain asks for none."""


def client_certificate(decoded: Mapping[str, Any], der: bytes) -> ClientCertificate:
    """From what the standard library's `getpeercert` says of a certificate, and its bytes."""
    encoded = base64.b64encode(der).decode("ascii")
    lines = [encoded[start : start + 64] for start in range(0, len(encoded), 64)]
    return ClientCertificate(
        pem="\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""]),
        subject=distinguished_name(decoded.get("subject", ())),
        issuer=distinguished_name(decoded.get("issuer", ())),
        serial=_serial(str(decoded.get("serialNumber", ""))),
        not_before=str(decoded.get("notBefore", "")),
        not_after=str(decoded.get("notAfter", "")),
        line=f"Client-Cert: :{encoded}:\r\n".encode("ascii"),
    )


def distinguished_name(name: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """`C=US,O=Example,CN=my client`: values are escaped, so that none can pretend to be two."""
    return ",".join(
        "+".join(f"{_SHORT.get(kind, kind)}={_escaped(value)}" for kind, value in attributes)
        for attributes in name
    )


def _escaped(value: str) -> str:
    # RFC 4514 §2.4. Line ends are no part of it, but of ways to break a log line.
    text = value.translate(_ESCAPED)
    text = "".join(c if c.isprintable() else "".join(f"\\{b:02x}" for b in _utf8(c)) for c in text)
    if text[:1] in ("#", " "):
        text = "\\" + text
    if value[-1:] == " " and len(value) > 1:
        text = text[:-1] + "\\ "
    return text


def _utf8(character: str) -> bytes:
    return character.encode("utf-8", "surrogateescape")


def _serial(hexadecimal: str) -> str:
    """Octets with colons, without leading zeros: `1`, `a1:0f`."""
    digits = hexadecimal.lower().lstrip("0") or "0"
    head = len(digits) % 2
    parts = [digits[:head]] if head else []
    parts += [digits[start : start + 2] for start in range(head, len(digits), 2)]
    return ":".join(parts)
