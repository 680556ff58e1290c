"""A certificate of any authority: the name and the dates must be right (AWS §3.22)."""

from __future__ import annotations

import datetime
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki import Authority, Pair
from portico_dataplane.effects.peer_certificate import fault_of

CA = Authority()
PAST = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)


def der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.chain)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("pets.example", "pets.example"),
        ("pets.example", "PETS.example"),
        ("pets.example", "pets.example."),
        ("*.pets.example", "a.pets.example"),
        ("localhost", "localhost"),
    ],
)
def test_names_that_are_right(name: str, host: str) -> None:
    assert fault_of(der(CA.server("other.example", name)), host) == ""


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("pets.example", "dogs.example"),
        ("pets.example", "a.pets.example"),
        ("*.pets.example", "pets.example"),
        ("*.pets.example", "a.b.pets.example"),
        ("*.example", "pets.example.org"),
        ("*.example", "pets.example"),
        ("*", "localhost"),
        ("p*.pets.example", "pa.pets.example"),
        ("*.0.0.1", "127.0.0.1"),
        ("pets.example", "127.0.0.1"),
        ("pets.example", ""),
    ],
)
def test_names_that_are_not(name: str, host: str) -> None:
    assert "is for" in fault_of(der(CA.server(name)), host)


def test_addresses() -> None:
    pair = CA.server("pets.example", addresses=("127.0.0.1", "::1"))
    assert fault_of(der(pair), "127.0.0.1") == fault_of(der(pair), "::1") == ""
    assert "127.0.0.2" in fault_of(der(pair), "127.0.0.2")


def test_without_names_the_subject_counts() -> None:
    """As OpenSSL has it, so that both ways to verify take the same certificates."""
    assert fault_of(der(CA.client("pets.example")), "pets.example") == ""
    assert "is for" in fault_of(der(CA.client("pets.example")), "dogs.example")
    named = CA.server("other.example", common_name="pets.example")
    assert "is for other.example" in fault_of(der(named), "pets.example")


def test_its_time() -> None:
    old = CA.server("pets.example", until=PAST)
    assert fault_of(der(old), "pets.example") == "the backend's certificate expired on 2021-01-01"


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are(data: bytes) -> None:
    assert fault_of(data, "pets.example") == "the backend's certificate cannot be read"
