"""The PROXY protocol's two versions, by the examples and rules of its specification."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico_dataplane.core.proxy_protocol import (
    MOST_BLOCK,
    MOST_LINE,
    SIGNATURE,
    Preface,
    Unread,
    read,
)

LINE = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"


def binary(
    source: str = "192.0.2.1",
    destination: str = "198.51.100.7",
    port: int = 443,
    *,
    head: int = 0x21,
    family: int | None = None,
    extensions: bytes = b"",
) -> bytes:
    addresses = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if family is None:
        family = 0x11 if addresses[0].version == 4 else 0x21
    block = b"".join(address.packed for address in addresses)
    block += (56324).to_bytes(2, "big") + port.to_bytes(2, "big") + extensions
    return SIGNATURE + bytes((head, family)) + len(block).to_bytes(2, "big") + block


@pytest.mark.parametrize("header", [LINE, binary(), binary(extensions=b"\x01\0\x02h2")])
def test_a_header_names_the_client_and_the_rest_is_not_its(header: bytes) -> None:
    assert read(header + b"GET /") == Preface(len(header), "192.0.2.1", 443)
    for end in range(len(header)):
        assert read(header[:end]) is Unread.INCOMPLETE, end


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (b"PROXY TCP6 2001:db8::1 2001:DB8:0:0::2 1 65535\r\n", "2001:db8::1"),
        (binary("2001:db8::1", "2001:db8::2", 65535), "2001:db8::1"),
    ],
)
def test_sixth_version_addresses(header: bytes, source: str) -> None:
    assert read(header) == Preface(len(header), source, 65535)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
        binary(head=0x20),  # LOCAL
        binary(family=0x00),
        binary(family=0x31),  # a Unix socket
        SIGNATURE + b"\x20\x00\x00\x00",
    ],
)
def test_a_connection_of_the_balancers_own(header: bytes) -> None:
    assert read(header) == Preface(len(header), "", 0)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"proxy TCP4", b"\r\n\r\nX"]
)
def test_a_connection_without_a_header(data: bytes) -> None:
    assert read(data) is Unread.MISSING


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 1\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.7 56324 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.7 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 0443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 -1\r\n",
        b"PROXY TCP4 192.0.2.1\xff 198.51.100.7 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.7 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n",
        b"PROXY " + b"x" * MOST_LINE,
        binary(head=0x11),
        binary(head=0x22),
        binary(family=0x12),  # UDP
        binary(family=0x41),
        binary(extensions=bytes(MOST_BLOCK)),
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x21\x00\x0c" + bytes(12),
    ],
)
def test_a_header_that_breaks_the_rules(header: bytes) -> None:
    assert read(header) is Unread.MALFORMED


@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE]))
@settings(max_examples=300)
def test_anything_is_answered(data: bytes, before: bytes) -> None:
    found = read(before + data)
    if isinstance(found, Preface):
        assert 0 < found.size <= len(before + data)
        if found.source:
            ipaddress.ip_address(found.source)
    else:
        assert isinstance(found, Unread)
