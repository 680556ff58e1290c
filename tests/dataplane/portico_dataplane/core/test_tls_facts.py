"""Certificates in the words that AWS has for them."""

from __future__ import annotations

import base64
import ssl

import pytest

from pki import Authority
from portico_dataplane.core.tls_facts import client_certificate, distinguished_name


def test_a_certificate_as_the_context_shows_it() -> None:
    pem = Authority("My Private CA").client("My Client", serial=0xA10F).chain
    der = ssl.PEM_cert_to_DER_cert(pem)
    decoded = {
        "subject": (
            (("countryName", "US"),),
            (("stateOrProvinceName", "Washington"),),
            (("organizationName", "Example"),),
            (("commonName", "My Client"),),
        ),
        "issuer": ((("commonName", "My Private CA"),),),
        "serialNumber": "A10F",
        "notBefore": "May 28 12:30:02 2019 GMT",
        "notAfter": "Aug  5 09:36:04 2021 GMT",
    }
    found = client_certificate(decoded, der)
    assert found.pem == pem
    assert found.subject == "C=US,ST=Washington,O=Example,CN=My Client"
    assert found.issuer == "CN=My Private CA"
    assert found.serial == "a1:0f"
    assert (found.not_before, found.not_after) == (decoded["notBefore"], decoded["notAfter"])
    # RFC 9440 §2.2: a byte sequence of RFC 8941.
    assert found.line == b"Client-Cert: :" + base64.b64encode(der) + b":\r\n"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("01", "1"),
        ("0A", "a"),
        ("A10F", "a1:0f"),
        ("0A10F", "a1:0f"),
        ("1A10F", "1:a1:0f"),
        ("", "0"),
    ],
)
def test_serial_numbers(given: str, shown: str) -> None:
    assert client_certificate({"serialNumber": given}, b"").serial == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("evil,CN=admin", "evil\\,CN=admin"),
        ("a+CN=b", "a\\+CN=b"),
        ('a"b\\c<d>e;f', 'a\\"b\\\\c\\<d\\>e\\;f'),
        ("#a", "\\#a"),
        (" a ", "\\ a\\ "),
        (" ", "\\ "),
        ("a\r\nb", "a\\0d\\0ab"),
        ("\0", "\\00"),
        ("Müller", "Müller"),
    ],
)
def test_a_value_cannot_pretend_to_be_two(value: str, shown: str) -> None:
    assert distinguished_name(((("commonName", value),),)) == f"CN={shown}"


def test_attributes_that_stand_together() -> None:
    name = ((("commonName", "a"), ("userId", "b")), (("1.2.3.4", "c"),))
    assert distinguished_name(name) == "CN=a+UID=b,1.2.3.4=c"
