"""PEM texts: what is usable comes back as what it is, everything else as a reason."""

from __future__ import annotations

import datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from pki import Authority
from portico_compiler.passes import pem

CA = Authority()
SERVER = CA.server("shop.example", "*.shop.example")


def made(chain: str, key: str) -> pem.Pair:
    found = pem.pair(chain.encode(), key.encode())
    assert isinstance(found, pem.Pair)
    return found


def test_a_pair_says_for_whom_and_how_long() -> None:
    until = datetime.datetime(2031, 2, 3, tzinfo=datetime.UTC)
    pair = CA.server("shop.example", "Other.EXAMPLE", until=until)
    found = made(pair.chain, pair.key)
    assert found.names == ("shop.example", "other.example")
    assert found.ends == until
    assert found.certificate.key.reveal().startswith("-----BEGIN PRIVATE KEY-----")


def test_only_certificates_and_the_key_are_taken() -> None:
    noisy = f"a note\n{SERVER.chain}more\n{CA.pem}"
    found = made(noisy, f"Bag Attributes: x\n{SERVER.key}")
    assert "note" not in found.certificate.chain
    assert "Bag" not in found.certificate.key.reveal()
    assert found.certificate.chain.count("BEGIN CERTIFICATE") == SERVER.chain.count("BEGIN") + 1


def test_what_a_pair_cannot_be() -> None:
    other = ec.generate_private_key(ec.SECP256R1())

    def text(encryption: serialization.KeySerializationEncryption) -> str:
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return other.private_bytes(*form, encryption).decode()

    locked = text(serialization.BestAvailableEncryption(b"x"))
    for chain, key, why in (
        ("", SERVER.key, "no.* chain|not a chain"),
        ("hello", SERVER.key, "not a chain"),
        (SERVER.chain, "hello", "not a private key"),
        (SERVER.chain, "", "not a private key"),
        (SERVER.chain, locked, "encrypted"),
        (SERVER.chain, text(serialization.NoEncryption()), "not the key"),
        (CA.pem + SERVER.chain, SERVER.key, "must come first"),
    ):
        found = pem.pair(chain.encode(), key.encode())
        assert isinstance(found, str)
        with pytest.raises(AssertionError, match=why):
            raise AssertionError(found)
        assert "PRIVATE" not in found


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_no_bytes_raise(chain: bytes, key: bytes) -> None:
    assert isinstance(pem.pair(chain, key), str)
    assert isinstance(pem.authorities(chain), str)
    framed = b"-----BEGIN CERTIFICATE-----\n" + key + b"\n-----END CERTIFICATE-----\n"
    assert isinstance(pem.authorities(framed), str)


def test_authorities_are_counted_once_and_bounded() -> None:
    found = pem.authorities((CA.pem * 3).encode())
    assert isinstance(found, pem.Authorities)
    assert found.text == CA.pem
    assert not found.ignored
    many = pem.authorities(CA.pem.encode() * 1001)
    assert isinstance(many, str)
    assert "at most" in many
    large = pem.authorities(b"x" * (pem.MOST_BYTES + 1))
    assert isinstance(large, str)
    assert "at most" in large


def test_a_client_s_certificate_is_no_authority() -> None:
    found = pem.authorities((CA.client("c").chain + CA.pem).encode())
    assert isinstance(found, pem.Authorities)
    assert found.text == CA.pem
    assert len(found.ignored) == 1


@pytest.mark.parametrize(
    ("name", "host", "expected"),
    [
        ("a.example", "a.example", True),
        ("*.example", "a.example", True),
        ("*.example", "b.a.example", False),
        ("*.example", "example", False),
        ("*.a.example", "*.a.example", True),
        ("*.example", "*.a.example", False),
        ("a.example", "b.example", False),
        ("*.example", "*.example", True),
    ],
)
def test_names_cover_hosts(name: str, host: str, expected: bool) -> None:
    assert pem.covers(name, host) is expected
