"""Tokens are read strictly, and verified by asymmetric keys only (RFC 7515, 7517, 7518)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import OKPKey, RSAKey

from oidc_issuer import public_jwk, signed, signing_key
from portico_dataplane.core import jose
from portico_dataplane.core.keyring import KeySet

CLAIMS = {"iss": "https://i.example", "sub": "u1"}


def keys(*jwks: dict[str, Any]) -> KeySet:
    by_id: dict[str, Any] = {}
    for jwk in jwks:
        by_id[jwk["kid"]] = (*by_id.get(jwk["kid"], ()), jwk)
    return KeySet(by_id, 2**62)


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def good(text: str) -> jose.Token:
    token = jose.read(text.encode())
    assert isinstance(token, jose.Token), token
    return token


def made(header: Any, payload: Any = CLAIMS, signature: bytes = b"sig") -> str:
    texts = [
        each if isinstance(each, bytes) else json.dumps(each).encode() for each in (header, payload)
    ]
    return ".".join([*map(part, texts), part(signature)])


@pytest.mark.parametrize("algorithm", sorted(jose.ALGORITHMS))
def test_every_algorithm_verifies_its_own_signature(algorithm: str) -> None:
    token = good(signed(CLAIMS, "k1", algorithm))
    assert token.claims == CLAIMS
    assert (token.algorithm, token.key_id) == (algorithm, "k1")
    assert jose.verifies(token, keys(public_jwk("k1", algorithm)))
    assert not jose.verifies(token, keys(public_jwk("k2", algorithm, kid="k1")))
    broken = bytes([token.signature[0] ^ 1]) + token.signature[1:]
    assert not jose.verifies(token._replace(signature=broken), keys(public_jwk("k1", algorithm)))
    assert not jose.verifies(
        token._replace(signed=token.signed + b"x"), keys(public_jwk("k1", algorithm))
    )


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "ES512", "EdDSA"])
def test_a_key_needs_to_say_nothing_about_its_use(algorithm: str) -> None:
    bare = public_jwk("k1", algorithm, use=None, alg=None)
    assert jose.verifies(good(signed(CLAIMS, "k1", algorithm)), keys(bare))


@pytest.mark.parametrize(
    ("algorithm", "members"),
    [
        ("RS256", {"use": "enc"}),
        ("RS256", {"key_ops": ["encrypt"], "use": None}),
        ("RS256", {"alg": "RS384"}),
        ("PS256", {"alg": "RS256"}),
        ("ES256", {"alg": "ES384"}),
    ],
)
def test_a_key_verifies_what_it_is_for(algorithm: str, members: dict[str, Any]) -> None:
    token = good(signed(CLAIMS, "k1", algorithm))
    assert not jose.verifies(token, keys(public_jwk("k1", algorithm, **members)))


def test_no_curve_stands_in_for_another() -> None:
    token = good(signed(CLAIMS, "k1", "ES256"))
    other = public_jwk("k1", "ES384", alg=None)
    assert not jose.verifies(token, keys(other))


def test_nothing_is_verified_by_none() -> None:
    for name in ("none", "None", "NONE", ""):
        token = jose.read(made({"alg": name, "kid": "k1"}, signature=b"").encode())
        assert isinstance(token, jose.Token)
        assert not jose.verifies(token, keys(public_jwk("k1", alg=None)))


def test_a_public_key_is_no_shared_secret() -> None:
    """RFC 8725 §2.1: HS256 with the RSA key as its secret."""
    rsa = signing_key("k1")
    assert isinstance(rsa, RSAKey)
    secrets = [rsa.as_pem(private=False), json.dumps(public_jwk("k1")).encode()]
    for secret in secrets:
        head = made({"alg": "HS256", "kid": "k1"}).rpartition(".")[0]
        mac = hmac.new(secret, head.encode(), hashlib.sha256).digest()
        token = good(f"{head}.{part(mac)}")
        assert not jose.verifies(token, keys(public_jwk("k1", alg=None)))
        shared = {"kty": "oct", "k": part(secret), "kid": "k1", "alg": "HS256"}
        assert not jose.verifies(token, keys(shared))


def test_a_key_within_the_token_is_not_looked_at() -> None:
    mine = public_jwk("attacker", kid="k1")
    text = signed(
        CLAIMS, "attacker", header={"kid": "k1", "jwk": mine, "jku": "http://evil.example"}
    )
    assert not jose.verifies(good(text), keys(public_jwk("k1")))


def test_of_several_keys_of_one_id_any_will_do() -> None:
    both = keys(public_jwk("k2", kid="k1"), public_jwk("k1", "ES256"), public_jwk("k1"))
    assert jose.verifies(good(signed(CLAIMS)), both)
    assert jose.verifies(good(signed(CLAIMS, "k1", "ES256")), both)


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "RSA"},
        {"kty": "RSA", "n": 7, "e": "AQAB"},
        {"kty": "RSA", "n": "!!", "e": "AQAB"},
        {"kty": "RSA", "n": "é", "e": "AQAB"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "n": part(b"\xff" * 127 + b"\x01"), "e": "AQAB"},
        {"kty": "RSA", "n": part(b"\xff" * 1100 + b"\x01"), "e": "AQAB"},
        {**public_jwk("k1"), "e": part(b"\x02")},
        {**public_jwk("k1"), "e": ["AQAB"]},
        {**public_jwk("k1"), "key_ops": "verify "},
        {**public_jwk("k1", "ES256"), "x": part(b"\x01" * 32)},
        {**public_jwk("k1", "ES256"), "crv": "P-999"},
        {"kty": ["RSA"], "n": "AQAB"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {**OKPKey.generate_key("X25519").as_dict(private=False)},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"},
    ],
)
def test_a_key_that_cannot_be_used_is_not_there(jwk: dict[str, Any]) -> None:
    token = good(signed(CLAIMS))
    for algorithm in ("RS256", "ES256", "EdDSA"):
        assert not jose.verifies(token._replace(algorithm=algorithm), keys({**jwk, "kid": "k1"}))


def test_a_private_key_that_was_published_still_verifies() -> None:
    whole = {**signing_key("k1").as_dict(private=True), "kid": "k1"}
    assert jose.verifies(good(signed(CLAIMS)), keys(whole))


def test_an_unknown_id_verifies_nothing() -> None:
    assert not jose.verifies(good(signed(CLAIMS, "k9")), keys(public_jwk("k1")))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "token contains an invalid number of segments"),
        ("abc", "token contains an invalid number of segments"),
        ("a.b", "token contains an invalid number of segments"),
        ("a.b.c.d.e", "token contains an invalid number of segments"),
        ("..", "token is malformed"),
        ("not.a.token", "token is malformed"),
        (made([1]), "token is malformed"),
        (made({}), "token is malformed"),
        (made({"alg": 5}), "token is malformed"),
        (made({"alg": "RS256", "kid": ["k1"]}), "token is malformed"),
        (made({"alg": "RS256", "kid": None}), "token is malformed"),
        (made({"alg": "RS256", "crit": ["exp"], "exp": 1}), "token is malformed"),
        (made({"alg": "RS256", "crit": None}), "token is malformed"),
        (made({"alg": "RS256"}, [1]), "token is malformed"),
        (made({"alg": "RS256"}, "text"), "token is malformed"),
        (made({"alg": "RS256"}, b"\xff\xfe"), "token is malformed"),
        (made({"alg": "RS256"}, b'{"a":1'), "token is malformed"),
        (made({"alg": "RS256"}, b'{"a":NaN}'), "token is malformed"),
        (made({"alg": "RS256"}, b"[" * 5000), "token is malformed"),
        (made({"alg": "RS256"}, b'{"a":' * 1200 + b"1" + b"}" * 1200), "token is malformed"),
        (made({"alg": "RS256"}) + "=", "token is malformed"),
        (made({"alg": "RS256"}) + "\n", "token is malformed"),
        (made({"alg": "RS256"}) + "+/", "token is malformed"),
        (made({"alg": "RS256"}, {"a": "x" * 10_240}), "token is too long"),
    ],
)
def test_what_is_no_token(text: str, fault: str) -> None:
    assert jose.read(text.encode("utf-8")) == fault


def test_members_that_mean_nothing_here_are_skipped() -> None:
    token = good(signed(CLAIMS, header={"typ": "at+jwt", "x5t": "abc", "b64": True, "cty": "x"}))
    assert token.key_id == "k1"


def test_a_signature_has_a_size() -> None:
    token = good(signed(CLAIMS))
    for signature in (b"", b"x" * 5000):
        assert not jose.verifies(token._replace(signature=signature), keys(public_jwk("k1")))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=6,
)
TOKEN = good(signed(CLAIMS))
NAMES = st.sampled_from(["kty", "kid", "alg", "use", "key_ops", "crv", "n", "e", "x", "y", "crit"])
KEYS = st.dictionaries(NAMES, JSON, max_size=5)
FEW = settings(max_examples=40)


@given(st.binary(max_size=200) | st.lists(st.binary(max_size=60), max_size=4).map(b".".join))
def test_reading_never_raises(raw: bytes) -> None:
    assert isinstance(jose.read(raw), jose.Token | str)


@FEW
@given(KEYS, JSON)
def test_reading_any_json_never_raises(header: dict[str, Any], payload: Any) -> None:
    assert isinstance(jose.read(made(header, payload).encode()), jose.Token | str)


@given(
    st.dictionaries(NAMES, JSON, max_size=5),
    st.sampled_from(sorted(jose.ALGORITHMS)),
    st.booleans(),
)
def test_no_published_key_raises(jwk: dict[str, Any], algorithm: str, alters: bool) -> None:
    token = TOKEN._replace(algorithm=algorithm)
    published = {**public_jwk("k1"), **jwk} if alters else jwk
    verified = jose.verifies(token, KeySet({"k1": (published,)}, 1))
    assert verified in (True, False)
