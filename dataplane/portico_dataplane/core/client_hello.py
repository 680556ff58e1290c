"""The first message of a TLS connection, read before anybody answers it.

`http/tls.py` asks with the bytes that have come so far, because which certificate, versions and
authorities hold depends on the name in them (design §13). RFC 8446 §4.1.2 and RFC 6066 §3;
only what we need is read, but what is read is well-formed to the end. Pure; never raises.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

MOST_BYTES: Final = 32_768
"""A hello with post-quantum key shares and tickets takes 2 KB; OpenSSL itself takes 128 KB."""

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_RECORD_LIMIT: Final = 16_384
_MOST_RECORDS: Final = 16
"""Clients use one or two; a byte in each would be work without end for one that drips."""
_SERVER_NAME: Final = 0
_ALPN: Final = 16
_SUPPORTED_VERSIONS: Final = 43
_TLS_1_3: Final = b"\x03\x04"
_NAME: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.")


class ClientHello(NamedTuple):
    """What decides about the connection."""

    server_name: str
    """Lower case, without a dot at the end; empty: none was given."""
    protocols: tuple[bytes, ...]
    """Offered by ALPN; empty: the client does not care."""
    knows_tls_1_3: bool
    """Decides how a refusal is put."""


class Unread(enum.Enum):
    """Why there is no ClientHello."""

    INCOMPLETE = "more bytes are needed"
    NOT_TLS = "this is not TLS"
    MALFORMED = "a ClientHello that breaks the rules"
    TOO_LARGE = "a ClientHello too large"


class _Broken(Exception):
    """Inside this module only."""


def read(data: bytes) -> ClientHello | Unread:
    """What `data`, the first bytes of a connection, says so far."""
    message = _message(data)
    if isinstance(message, Unread):
        return message
    try:
        return _hello(_Reader(message))
    except _Broken:
        return Unread.MALFORMED


def _message(data: bytes) -> bytes | Unread:
    """The ClientHello without the records around it: it may span several (RFC 8446 §5.1)."""
    message = b""
    position = 0
    for _ in range(_MOST_RECORDS):
        header = data[position : position + 5]
        if header and header[0] != _HANDSHAKE:
            return Unread.MALFORMED if position else Unread.NOT_TLS
        if len(header) > 1 and header[1] != 3:
            return Unread.MALFORMED if position else Unread.NOT_TLS
        if len(header) < 5:
            return Unread.TOO_LARGE if len(data) >= MOST_BYTES else Unread.INCOMPLETE
        length = int.from_bytes(header[3:5], "big")
        if not 0 < length <= _RECORD_LIMIT:
            return Unread.MALFORMED
        record = data[position + 5 : position + 5 + length]
        message += record
        if message and message[0] != _CLIENT_HELLO:
            return Unread.MALFORMED
        if len(message) >= 4:
            size = 4 + int.from_bytes(message[1:4], "big")
            if size > MOST_BYTES:
                return Unread.TOO_LARGE
            if len(message) >= size:
                # Nothing else may share the flight: it would have to be read under keys.
                return message[4:size] if len(message) == size else Unread.MALFORMED
        if len(record) < length:
            return Unread.TOO_LARGE if len(data) >= MOST_BYTES else Unread.INCOMPLETE
        position += 5 + length
    return Unread.MALFORMED


class _Reader:
    """Takes vectors off the front of a message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        piece = self._data[self._position : self._position + count]
        if len(piece) < count:
            raise _Broken
        self._position += count
        return piece

    def vector(self, length_bytes: int) -> bytes:
        """The next vector (RFC 8446 §3.4)."""
        return self.take(int.from_bytes(self.take(length_bytes), "big"))

    def more(self) -> bool:
        """Whether anything is left."""
        return self._position < len(self._data)


def _hello(reader: _Reader) -> ClientHello:
    reader.take(2 + 32)  # legacy_version, random
    if len(reader.vector(1)) > 32:  # legacy_session_id
        raise _Broken
    suites = reader.vector(2)
    if not suites or len(suites) % 2:
        raise _Broken
    if not reader.vector(1):  # legacy_compression_methods
        raise _Broken
    extensions = _extensions(reader)
    return ClientHello(
        _server_name(extensions.get(_SERVER_NAME)),
        _protocols(extensions.get(_ALPN)),
        _offers_1_3(extensions.get(_SUPPORTED_VERSIONS)),
    )


def _extensions(reader: _Reader) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    if not reader.more():
        return found  # TLS 1.2 and before may have none
    inner = _Reader(reader.vector(2))
    if reader.more():
        raise _Broken
    while inner.more():
        kind = int.from_bytes(inner.take(2), "big")
        if kind in found:  # RFC 8446 §4.2: not more than one of a type
            raise _Broken
        found[kind] = inner.vector(2)
    return found


def _server_name(extension: bytes | None) -> str:
    """RFC 6066 §3: one host name; of other types there are none."""
    if extension is None:
        return ""
    outer = _Reader(extension)
    names = _Reader(outer.vector(2))
    kind = names.take(1)
    name = names.vector(2)
    if kind != b"\0" or names.more() or outer.more():
        raise _Broken
    name = name.lower().removesuffix(b".")
    if not 0 < len(name) <= 255 or not _NAME.issuperset(name):
        raise _Broken
    return name.decode("ascii")


def _protocols(extension: bytes | None) -> tuple[bytes, ...]:
    """RFC 7301 §3.1."""
    if extension is None:
        return ()
    outer = _Reader(extension)
    names = _Reader(outer.vector(2))
    found: list[bytes] = []
    while names.more():
        name = names.vector(1)
        if not name:
            raise _Broken
        found.append(name)
    if not found or outer.more():
        raise _Broken
    return tuple(found)


def _offers_1_3(extension: bytes | None) -> bool:
    """RFC 8446 §4.2.1."""
    if extension is None:
        return False
    outer = _Reader(extension)
    versions = outer.vector(1)
    if not versions or len(versions) % 2 or outer.more():
        raise _Broken
    return any(versions[at : at + 2] == _TLS_1_3 for at in range(0, len(versions), 2))
