"""What is mounted, and how it changes in place."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from portico_dataplane.feed.files import Address, Missing, Resolver, TokenFile, TrustFile, split
from stream_operators import authority, write_token


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("operator.portico.svc:9443", ("operator.portico.svc", 9443)),
        ("10.0.0.1:1", ("10.0.0.1", 1)),
        ("[fd00::1]:65535", ("fd00::1", 65535)),
    ],
)
def test_an_operator_is_host_and_port(text: str, parts: tuple[str, int]) -> None:
    assert split(text) == parts


@pytest.mark.parametrize(
    "text", ["", "a", ":1", "a:", "a:0", "a:65536", "a:x", "a:²", "fd00::1:80", "[fd00::1]"]
)
def test_anything_else_is_not(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        split(text)


async def test_every_address_of_every_name_is_an_operator() -> None:
    found = await Resolver(["127.0.0.1:1", "127.0.0.1:2", "[::1]:3"]).resolve()
    assert list(found) == [
        Address("127.0.0.1", "127.0.0.1", 1),
        Address("127.0.0.1", "127.0.0.1", 2),
        Address("::1", "::1", 3),
    ]
    # One name that does not resolve takes none of the others away.
    some = await Resolver(["no-such-name.invalid:1", "127.0.0.1:2"]).resolve()
    assert [address.port for address in some] == [2]
    with pytest.raises(Missing, match=r"a\.\.b: "):
        await Resolver(["a..b:1"]).resolve()
    with pytest.raises(Missing, match=r"no-such-name\.invalid: "):
        await Resolver(["no-such-name.invalid:1"]).resolve()


def test_a_token_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = TokenFile(str(path))
    with pytest.raises(Missing, match="No such file"):
        token.read()
    write_token(path, "one\n")
    assert token.read().reveal() == "one"
    write_token(path, "two")
    assert token.read().reveal() == "two"
    assert "two" not in repr(token.read())
    write_token(path, " \n")
    with pytest.raises(Missing, match="empty"):
        token.read()
    path.write_bytes(b"\xff")
    with pytest.raises(Missing):
        token.read()


def test_the_bundle_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    trust = TrustFile(str(path))
    with pytest.raises(Missing, match="No such file"):
        trust.context()
    path.write_text("")
    with pytest.raises(Missing):
        trust.context()
    one, two = authority().certificate, authority().certificate
    path.write_text(one)
    first = trust.context()
    assert trust.context() is first
    assert first.verify_mode is ssl.CERT_REQUIRED
    assert first.check_hostname
    write_token(path, one + two)
    second = trust.context()
    assert len(second.get_ca_certs()) == 2
    path.write_text("not a certificate")
    with pytest.raises(Missing):
        trust.context()
