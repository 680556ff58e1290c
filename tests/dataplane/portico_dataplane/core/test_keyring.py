"""Keys by issuer and id: read from what an issuer sends, believed for so long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from portico_dataplane.core.keyring import MOST_KEYS, Keyring, jwks_of

ISSUER = "https://i.example"
ONE: dict[str, tuple[Any, ...]] = {"k1": ({"kid": "k1", "kty": "RSA"},)}
OTHER: dict[str, tuple[Any, ...]] = {"k2": ({"kid": "k2", "kty": "RSA"},)}


def document(keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_keys_are_found_by_id() -> None:
    keys = [{"kid": "a", "x": 1}, {"kid": "b"}, {"kid": "a", "x": 2}]
    assert jwks_of(document(keys)) == {"a": (keys[0], keys[2]), "b": (keys[1],)}


@pytest.mark.parametrize("key", [{}, {"kid": ""}, {"kid": 5}, {"kid": None}, 7, None, "k", ["kid"]])
def test_what_nobody_can_name_is_left_out(key: Any) -> None:
    assert jwks_of(document([key])) == {}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "not a JSON object"),
        (b"<html>", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"\xff", "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
        (b'{"keys":' * 20_000, "not a JSON object"),
        (b"{}", "it has no list of keys"),
        (b'{"keys": {}}', "it has no list of keys"),
        (b'{"keys": null}', "it has no list of keys"),
    ],
)
def test_what_is_no_set_of_keys(data: bytes, fault: str) -> None:
    found = jwks_of(data)
    assert isinstance(found, str)
    assert found.startswith(fault)


def test_nobody_has_so_many_keys() -> None:
    found = jwks_of(document([{"kid": str(number)} for number in range(MOST_KEYS + 50)]))
    assert len(found) == MOST_KEYS


def test_keys_are_believed_until_a_time() -> None:
    ring = Keyring()
    assert ring.keys(ISSUER, 0) is None
    ring.put(ISSUER, ONE, until_ms=1000)
    known = ring.keys(ISSUER, 999)
    assert known is not None
    assert "k1" in known
    assert "k2" not in known
    assert ring.keys(ISSUER, 1000) is None
    assert ring.keys("https://other.example", 999) is None


def test_the_same_keys_again_live_longer() -> None:
    """Tokens that they verified stay verified."""
    ring = Keyring()
    first = ring.put(ISSUER, ONE, until_ms=1000)
    assert ring.put(ISSUER, dict(ONE), until_ms=2000) is first
    assert first.until_ms == 2000


def test_a_set_that_was_replaced_verifies_nothing() -> None:
    ring = Keyring()
    first = ring.put(ISSUER, ONE, until_ms=1000)
    second = ring.put(ISSUER, OTHER, until_ms=1000)
    assert first.until_ms == 0
    assert ring.keys(ISSUER, 0) is second


def test_issuers_that_are_not_configured_are_forgotten() -> None:
    ring = Keyring()
    gone = ring.put(ISSUER, ONE, until_ms=1000)
    ring.put("https://stays.example", ONE, until_ms=1000)
    ring.retain(["https://stays.example"])
    assert gone.until_ms == 0
    assert ring.keys(ISSUER, 0) is None
    assert ring.keys("https://stays.example", 0) is not None
