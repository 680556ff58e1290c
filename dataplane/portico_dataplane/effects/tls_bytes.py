"""TLS between a socket and whoever reads and writes plain bytes: what both ends have in common.

Base of `http/tls.py` (towards clients) and `effects/tls_client.py` (towards backends): protocol of
the socket's transport and transport of the inner protocol. Neither loop's own TLS will do: both
keep alerts to themselves, report nothing unsent while megabytes are, keep a quarter of a megabyte
per connection, and resume no sessions. Promises: what is unsent, paused or closed is so as without
TLS.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final, cast

RECORD: Final = 16_384
_SLICE: Final = 65_536
"""Bytes that pass OpenSSL's buffers at once: they keep the size of the largest, per connection."""

# What a connection is at.
HELLO: Final = 0
QUEUED: Final = 1
HANDSHAKE: Final = 2
OPEN: Final = 3
ENDED: Final = 4
"""Whatever still comes is dropped."""


class TlsBytes(asyncio.Transport, asyncio.Protocol):
    """One connection: ciphertext on one side, an inner protocol on the other."""

    def __init__(self) -> None:
        super().__init__()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._phase = HANDSHAKE
        self._inner: asyncio.Protocol | None = None
        self._paused = False
        self._closing = False

    _raw: asyncio.Transport
    _tls: ssl.SSLObject
    _loop: asyncio.AbstractEventLoop

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def _broken(self, error: ssl.SSLError) -> None:
        """The other side broke the rules, or says that it has had enough."""
        self._flush()
        self._raw.abort()

    # --- bytes --------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        if len(data) <= _SLICE:
            self._incoming.write(data)
            self._read()
            return
        view = memoryview(data)
        for start in range(0, len(data), _SLICE):
            self._incoming.write(view[start : start + _SLICE])
            self._read()

    def _read(self) -> None:
        """Hand on what can be decrypted."""
        tls, incoming = self._tls, self._incoming
        data = b""
        ended = False
        try:
            while not self._paused and self._phase == OPEN:
                piece = tls.read(RECORD)
                if not piece:  # close_notify
                    ended = True
                    break
                data = data + piece if data else piece
                if not incoming.pending and not tls.pending():
                    break  # instead of asking once more only to be told by an exception
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._broken(error)
            return
        if self._outgoing.pending:
            self._flush()
        inner = self._inner
        if inner is None:
            return
        if data:
            inner.data_received(data)
        if ended:
            inner.eof_received()
            self.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())

    def _say_goodbye(self) -> None:
        """close_notify, once; nothing is read any more."""
        if self._phase == OPEN:
            self._phase = ENDED
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # it waits for the client's, or the client broke the rules
            self._flush()

    # --- asyncio.Transport: the inner protocol's side -----------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self._phase != OPEN or not data:
            return
        outgoing = self._outgoing
        try:
            if len(data) <= _SLICE:
                self._tls.write(data)
                self._raw.write(outgoing.read())
                return
            view = memoryview(data)
            pieces = []
            for start in range(0, len(data), _SLICE):
                self._tls.write(view[start : start + _SLICE])
                pieces.append(outgoing.read())
            self._raw.write(b"".join(pieces))
        except ssl.SSLError:
            self._raw.abort()

    def writelines(self, list_of_data: Any) -> None:
        """As one write."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Whether `write_eof` may be called."""
        return self._raw.can_write_eof()

    def write_eof(self) -> None:
        """Say that no more comes, and drop what does (lingering close)."""
        self._say_goodbye()
        self._raw.write_eof()

    def close(self) -> None:
        """Send what is written, then close."""
        if not self._closing:
            self._closing = True
            self._say_goodbye()
            self._raw.close()

    def abort(self) -> None:
        """Close now."""
        self._closing = True
        self._raw.abort()

    def is_closing(self) -> bool:
        """Whether `close` or `abort` was called, or the socket is gone."""
        return self._closing or self._raw.is_closing()

    def pause_reading(self) -> None:
        """Nothing is handed on for now."""
        self._paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Hand on again, what is here first."""
        self._paused = False
        self._raw.resume_reading()
        if self._phase == OPEN and (self._incoming.pending or self._tls.pending()):
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._phase == OPEN and not self._paused:
            self._read()

    def is_reading(self) -> bool:
        """Whether bytes are handed on."""
        return not self._paused and not self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Somebody else reads from here on."""
        self._inner = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who reads."""
        return self if self._inner is None else self._inner

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Of the socket: nothing is kept here."""
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Bytes that the socket has not taken."""
        return self._raw.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Of the socket."""
        return self._raw.get_write_buffer_limits()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket's, and what is known of the handshake."""
        if name in ("ssl_object", "sslcontext", "cipher") and self._phase >= HANDSHAKE:
            tls = getattr(self, "_tls", None)
            if tls is None or name == "ssl_object":
                return tls
            return tls.context if name == "sslcontext" else tls.cipher()
        return self._raw.get_extra_info(name, default)
