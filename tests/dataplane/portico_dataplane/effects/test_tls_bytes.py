"""Bytes through TLS, without a socket: what is unsent, paused or closed is so as without TLS."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from pki import Authority
from portico_dataplane.effects.tls_bytes import TlsBytes
from portico_dataplane.effects.tls_client import ClientTlsStream, client_context
from portico_ir.targets import UpstreamTls
from tls_backend import backend_context

CA = Authority()
SERVER = backend_context(CA.server("pets.example"))
CLIENT = client_context(UpstreamTls(authorities=CA.pem))


class Socket(asyncio.Transport):
    """Keeps what is written, and what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.asked: list[str] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def taken(self) -> bytes:
        data, self.writes = b"".join(self.writes), []
        return data

    def close(self) -> None:
        self.asked.append("close")

    def abort(self) -> None:
        self.asked.append("abort")

    def is_closing(self) -> bool:
        return bool({"close", "abort"} & set(self.asked))

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")

    def get_write_buffer_size(self) -> int:
        return 17

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default


class Inner(asyncio.Protocol):
    """Who reads and writes plain bytes."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.heard.append("eof")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append(f"lost {exc}")

    def pause_writing(self) -> None:
        self.heard.append("pause")

    def resume_writing(self) -> None:
        self.heard.append("resume")


class World:
    """A client's stream that has shaken hands with an OpenSSL that a test drives."""

    def __init__(self) -> None:
        self.socket, self.inner = Socket(), Inner()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = SERVER.wrap_bio(self._in, self._out, server_side=True)
        self.stream = ClientTlsStream(CLIENT, "pets.example", None)
        self.stream.connection_made(self.socket)
        for _ in range(3):
            self._in.write(self.socket.taken())
            try:
                self.server.do_handshake()
            except ssl.SSLWantReadError:
                pass
            self.stream.data_received(self._out.read())
        self.stream.hand_over(self.inner)

    def say(self, data: bytes) -> bytes:
        """Ciphertext of what the server says."""
        view = memoryview(data)
        for start in range(0, len(data), 16_384):
            self.server.write(view[start : start + 16_384])
        return self._out.read()

    def hear(self) -> bytes:
        """What the server has been told."""
        self._in.write(self.socket.taken())
        heard = b""
        try:
            while piece := self.server.read(65_536):
                heard += piece
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return heard


async def test_one_write_for_each_message_however_long() -> None:
    world = World()
    for size in (0, 1, 65_536, 65_537, 300_000):
        world.socket.writes.clear()
        world.stream.write(b"x" * size)
        assert len(world.socket.writes) == (size > 0)
        assert world.hear() == b"x" * size
    world.stream.writelines([b"a", b"", b"b"])
    assert len(world.socket.writes) == 1
    assert world.hear() == b"ab"


@pytest.mark.parametrize("step", [1, 1000, 70_000, 1_000_000])
async def test_pieces_are_put_together(step: int) -> None:
    world = World()
    told = bytes(range(256)) * 20 if step == 1 else bytes(range(256)) * 1000
    data = world.say(told)
    for start in range(0, len(data), step):
        world.stream.data_received(data[start : start + step])
    assert world.inner.data == told


async def test_nothing_is_handed_on_while_paused() -> None:
    world = World()
    world.stream.pause_reading()
    world.stream.data_received(world.say(b"x" * 40_000))
    assert world.inner.data == b""
    assert not world.stream.is_reading()
    world.stream.resume_reading()
    assert world.inner.data == b""  # not within the call: who resumes may be in the middle of it
    await asyncio.sleep(0)
    assert world.inner.data == b"x" * 40_000
    assert world.socket.asked == ["pause", "resume"]


async def test_the_sockets_own_state_is_what_counts() -> None:
    world = World()
    assert world.stream.get_write_buffer_size() == 17
    world.stream.pause_writing()
    world.stream.resume_writing()
    assert world.inner.heard == ["pause", "resume"]
    assert world.stream.get_extra_info("peername") == ("127.0.0.1", 1)
    assert world.stream.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert world.stream.get_extra_info("cipher")[0].startswith("TLS_")
    assert world.stream.get_extra_info("sslcontext") is CLIENT


async def test_a_goodbye_is_an_end_and_is_answered() -> None:
    world = World()
    try:
        world.server.unwrap()
    except ssl.SSLWantReadError:
        pass
    world.stream.data_received(world._out.read())
    assert world.inner.heard == ["eof"]
    assert world.socket.asked == ["close"]
    assert world.stream.is_closing()
    world.stream.write(b"too late")
    assert world.hear() == b""


async def test_after_close_nothing_is_written_or_heard() -> None:
    world = World()
    late = world.say(b"late")
    world.stream.close()
    world.stream.close()
    assert world.socket.asked == ["close"]
    said = len(world.socket.writes)
    world.stream.write(b"x")
    world.stream.data_received(late)
    assert len(world.socket.writes) == said
    assert world.inner.data == b""


async def test_what_is_no_record_ends_it() -> None:
    world = World()
    world.stream.data_received(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    assert world.socket.asked == ["abort"]
    world.stream.connection_lost(None)
    (told,) = world.inner.heard
    assert told.startswith("lost ")
    assert told != "lost None"


async def test_somebody_else_may_read_on() -> None:
    """An upgrade."""
    world, other = World(), Inner()
    stream: TlsBytes = world.stream
    assert stream.get_protocol() is world.inner
    stream.set_protocol(other)
    world.stream.data_received(world.say(b"frames"))
    assert (world.inner.data, other.data) == (b"", b"frames")
