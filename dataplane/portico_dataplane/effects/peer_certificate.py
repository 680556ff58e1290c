"""A backend's certificate where no authority is asked (`insecureSkipVerification`, AWS §3.22).

Called by `effects/tls_client.py` after such a handshake. Promises: the name and the dates must be
right all the same, as AWS has it; whatever the bytes are, they are judged, never raised about.
"""

from __future__ import annotations

import datetime
import ipaddress

from cryptography import x509
from cryptography.x509.oid import NameOID


def fault_of(der: bytes, host: str) -> str:
    """Why a certificate is not to be taken for `host` now; empty: it is."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = _names(certificate)
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except Exception:  # what others send may be anything
        return "the backend's certificate cannot be read"
    now = datetime.datetime.now(datetime.UTC)
    if now > ends:
        return f"the backend's certificate expired on {ends:%Y-%m-%d}"
    if now < begins:
        return f"the backend's certificate is good from {begins:%Y-%m-%d} on"
    if not any(_covers(name, host) for name in names):
        return f"the backend's certificate is for {', '.join(names[:5]) or 'no host'}, not {host}"
    return ""


def _names(certificate: x509.Certificate) -> list[str]:
    """Hosts and addresses; the subject's where it says none, as OpenSSL has it."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = found.get_values_for_type(x509.IPAddress)
        names = found.get_values_for_type(x509.DNSName)
        if names or addresses:
            return [*names, *(str(address) for address in addresses)]
    except x509.ExtensionNotFound:
        pass
    subject = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [str(attribute.value) for attribute in subject]


def _covers(name: str, host: str) -> bool:
    """RFC 9525 §6.3: one label at most is left open, and no address."""
    name, host = name.lower(), host.lower().rstrip(".")
    if name == host:
        return True
    label, dot, rest = host.partition(".")
    if not dot or not label or name != f"*.{rest}" or "." not in rest:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False
