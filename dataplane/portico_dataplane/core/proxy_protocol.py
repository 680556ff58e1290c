"""What a load balancer says before a connection's first byte: the PROXY protocol, 1 and 2.

`http/preface.py` asks with the bytes that have come so far. The specification is
haproxy.org's proxy-protocol.txt (§2.1, §2.2); extensions (TLVs) are passed over. Pure; never
raises, and bounded: who says more is no load balancer.
"""

from __future__ import annotations

import enum
import ipaddress
from typing import Final, NamedTuple

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
MOST_LINE: Final = 107
"""A line of version 1, CRLF included (§2.1)."""
MOST_BLOCK: Final = 4_096
"""Addresses and extensions of version 2: certificates of a client are some, a file is none."""


class Preface(NamedTuple):
    """A header, and where the connection itself begins."""

    size: int
    """Bytes of the header."""
    source: str
    """The client's address; empty: the connection is the sender's own (a health check)."""
    destination_port: int
    """The port the client reached; 0 with an empty source."""


class Unread(enum.Enum):
    """Why there is no header."""

    INCOMPLETE = "more bytes are needed"
    MISSING = "no PROXY header came first"
    MALFORMED = "a PROXY header that breaks the rules"


def read(data: bytes) -> Preface | Unread:
    """What `data`, the first bytes of a connection, says so far."""
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return _second(data) if len(data) >= 16 else Unread.INCOMPLETE
    if data[:6] == b"PROXY "[: len(data)]:
        return _first(data)
    return Unread.MISSING


def _first(data: bytes) -> Preface | Unread:
    """`PROXY TCP4 192.0.2.1 198.51.100.7 56324 443`."""
    end = data.find(b"\r\n", 0, MOST_LINE)
    if end == -1:
        whole = len(data) >= MOST_LINE or b"\n" in data
        return Unread.MALFORMED if whole else Unread.INCOMPLETE
    words = data[:end].split(b" ")
    if words[1:2] == [b"UNKNOWN"]:  # whatever follows is ignored (§2.1)
        return Preface(end + 2, "", 0)
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        return Unread.MALFORMED
    version = 4 if words[1] == b"TCP4" else 6
    source, destination = _address(words[2], version), _address(words[3], version)
    ports = [_port(word) for word in words[4:]]
    if source is None or destination is None or -1 in ports:
        return Unread.MALFORMED
    return Preface(end + 2, source, ports[1])


def _address(word: bytes, version: int) -> str | None:
    try:
        address = ipaddress.ip_address(word.decode("ascii"))
    except ValueError:  # a UnicodeDecodeError is one
        return None
    if address.version != version or b"%" in word:
        return None
    return str(address)


def _port(word: bytes) -> int:
    """-1: none. §2.1: decimal, no leading zero."""
    if not word.isdigit() or len(word) > 5 or (len(word) > 1 and word[:1] == b"0"):
        return -1
    return int(word) if int(word) <= 65_535 else -1


def _second(data: bytes) -> Preface | Unread:
    """Binary (§2.2)."""
    version, command = data[12] >> 4, data[12] & 0x0F
    family = data[13]
    length = int.from_bytes(data[14:16], "big")
    if version != 2 or command > 1 or length > MOST_BLOCK:
        return Unread.MALFORMED
    size = 16 + length
    if len(data) < size:
        return Unread.INCOMPLETE
    block = data[16:size]
    if command == 0:  # LOCAL: the balancer's own connection, whatever the block says
        return Preface(size, "", 0)
    if family == 0x11:  # TCP over IPv4
        width = 4
    elif family == 0x21:  # TCP over IPv6
        width = 16
    elif family >> 4 in (0, 3) and family & 0x0F <= 2:
        return Preface(size, "", 0)  # unspecified, or a Unix socket: no address we could show
    else:
        return Unread.MALFORMED  # datagrams do not arrive on this port
    if len(block) < 2 * width + 4:
        return Unread.MALFORMED
    source = ipaddress.ip_address(block[:width])
    port = int.from_bytes(block[2 * width + 2 : 2 * width + 4], "big")
    return Preface(size, str(source), port)
